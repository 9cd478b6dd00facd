"""in = valid + dead-lettered + duplicates, to the event: over generated events, and over many."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apache_beam as beam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.events import Valid, duplicate_key, validate
from pipeline.streaming.counting import unbalanced
from pipeline.streaming.graph import Sinks
from pipeline.streaming.messages import Row
from pipeline.streaming.writers import Opened, Writer
from tests.unit.streaming.events import (
    MAKERS,
    TYPES,
    LettersToFile,
    Out,
    build,
    click,
    counters,
    message,
    run_batch,
)

MANY = 1_000_000 if os.environ.get("STREAMWATCH_LONG") == "1" else 20_000

_broken: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"product_id": ""},
        {"timestamp": "noon"},
        {"product_id": None},
        {"extra": 1},
        {"event_type": "x"},
    ]
)
_event = st.builds(
    lambda kind, number, seconds, changed: MAKERS[kind](number, seconds, **changed),
    st.sampled_from(TYPES),
    st.integers(0, 6),
    st.floats(0, 900, allow_nan=False).map(lambda value: round(value)),
    _broken,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(_event, st.binary(max_size=40)), max_size=40))
def test_books_balance_whatever_comes(payloads: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        out = run_batch([message(data) for data in payloads], Path(folder))
        outcomes = [validate(data) for data in payloads]
        valid = [one.event for one in outcomes if isinstance(one, Valid)]
        keys = {duplicate_key(event) for event in valid}
        assert unbalanced(out.counts) == {}
        assert _total(out.counts, "received") == len(payloads)
        assert _total(out.counts, "valid") == len(keys) == len(out.rows("raw_events"))
        assert _total(out.counts, "duplicates") == len(valid) - len(keys)
        letters = Counter(out.raw_letters())
        assert sum(letters.values()) == len(payloads) - len(valid) == _total(out.counts, "dead_lettered")


class _Nowhere(Writer):
    """Takes rows and forgets them; refuses those of one product."""

    stage = "nowhere"

    def open(self) -> Opened:
        return _Forgets()


class _Forgets(Opened):
    def write(self, rows: Any) -> list[tuple[Row, str]]:
        return [(row, "no room") for row in rows if row.values["product_id"] == "p-full"]


class _Forget(beam.PTransform):  # type: ignore[misc]
    def expand(self, letters: Any) -> Any:
        return letters | beam.Map(len_of)


def len_of(letter: Any) -> int:
    return len(letter.data)


def _make(index: int) -> Any:
    """The same event for the same index, on any worker: 5 % broken, 3 % rubbish, 2 % sent twice."""
    dice = random.Random(index).random()
    number = index - 1 if dice < 0.02 and index else index
    kind = TYPES[number % 3]
    if 0.02 <= dice < 0.07:
        return message(MAKERS[kind](number, 0, product_id=""))
    if 0.07 <= dice < 0.10:
        return message(b"\xff" * 9, event_type=kind)
    return message(MAKERS[kind](number, number % 7200))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_many_events_are_accounted_for_to_the_event(tmp_path: Path) -> None:
    expected: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    for index in range(MANY):
        made = _make(index)
        outcome = validate(made.data, made.attributes)
        expected["received"] += 1
        if not isinstance(outcome, Valid):
            expected["dead_lettered"] += 1
        elif duplicate_key(outcome.event) in seen:
            expected["duplicates"] += 1
        else:
            seen.add(duplicate_key(outcome.event))
            expected["valid"] += 1
    pipeline = beam.Pipeline("FnApiRunner")
    events = pipeline | beam.Create(range(MANY)) | beam.Reshuffle() | beam.Map(_make)
    build({"": events}, tmp_path, sinks=Sinks(rows=_Nowhere(), letters=_Forget(), local=True))
    result = pipeline.run()
    result.wait_until_finish()
    counted = counters(result)
    assert unbalanced(counted) == {}
    assert {name: _total(counted, name) for name in expected} == dict(expected)
    assert min(expected.values()) > MANY // 100


def test_what_a_sink_refuses_was_valid_and_is_counted_apart(tmp_path: Path) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    events = [message(click(1, product_id="p-full")), message(click(2))]
    sinks = Sinks(rows=_Nowhere(), letters=LettersToFile(str(tmp_path)), local=True)
    build({"": pipeline | beam.Create(events)}, tmp_path, sinks=sinks)
    result = pipeline.run()
    result.wait_until_finish()
    counted = counters(result)
    assert (counted["click_valid"], counted["click_sink_failed"]) == (2, 2)
    assert "click_dead_lettered" not in counted
    assert unbalanced(counted) == {}
    letters = {one["stage"]: one for one in Out(tmp_path).letters()}
    assert set(letters) == {"nowhere:raw_events", "nowhere:product_views_summary"}
    raw = letters["nowhere:raw_events"]
    assert raw["payload"].encode() == click(1, product_id="p-full")
    assert raw["row"]["id"] == raw["row"]["values"]["event_key"]
    assert letters["nowhere:product_views_summary"]["row"]["values"]["view_count"] == 1


def _total(counts: dict[str, int], measure: str) -> int:
    return sum(value for name, value in counts.items() if name.endswith(f"_{measure}"))
