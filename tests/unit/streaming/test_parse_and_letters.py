"""What fails is a dead letter that loses nothing; what holds is told from it by the one schema."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deadletters import decide
from pipeline.envelope import read
from pipeline.events import Valid, Violation, validate
from pipeline.streaming import enrich, parse
from pipeline.streaming.counting import unbalanced
from pipeline.streaming.messages import LARGEST_ENVELOPE, LOAD_TEST, Message, identity, letter
from tests.unit.streaming.events import NOON, click, message, run_batch, stock, transaction


def test_a_dead_letter_keeps_bytes_attributes_violations_and_stage(tmp_path: Path) -> None:
    broken = click(1, page_type="cart", product_id=7)
    out = run_batch([message(broken, trace="abc", replay_count="2", replay_of="m-1")], tmp_path)
    (envelope,) = out.letters()
    assert envelope["payload"].encode() == broken
    assert envelope["attributes"] == {"trace": "abc", "replay_count": "2", "replay_of": "m-1"}
    assert {(v["field"], v["rule"], v["value"]) for v in envelope["violations"]} == {
        ("page_type", "choice", "cart"),
        ("product_id", "type", 7),
    }
    assert envelope["stage"] == "validate"
    assert envelope["code_version"] == "test-1"
    assert envelope["first_failed_at"] == "2026-03-01T12:00:00Z"
    assert envelope["replay_count"] == 2
    assert out.counts == {
        "click_received": 1,
        "click_invalid": 1,
        "click_dead_lettered": 1,
        "click_schema_change": 1,
    }


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=4))
def test_any_bytes_and_attributes_come_back_from_the_envelope(
    data: bytes, attributes: dict[str, str]
) -> None:
    made = letter(Message(data, attributes, "click"), stage="parse", error="x", now=NOON, code_version="1")
    back = read(made.data, made.attributes)
    own = {key: value for key, value in attributes.items() if not key.startswith("CloudPubSubDeadLetter")}
    assert back.payload == data
    assert dict(back.attributes) == own
    assert back.stage == "parse"


def test_what_outgrows_an_envelope_is_sent_bare_and_named_again_by_the_reader() -> None:
    huge = b'{"event_type": "click", "product_id": "' + b"\xff" * LARGEST_ENVELOPE + b'"}'
    made = letter(
        Message(huge, {"k": "v"}, "click"),
        stage="validate",
        error="breaks encoding",
        now=NOON,
        code_version="1",
    )
    assert made.data == huge
    back = read(made.data, made.attributes)
    assert back.payload == huge
    assert back.violations == (Violation("", "encoding", back.violations[0].value),)


def test_first_failure_and_stage_survive_a_replay() -> None:
    again = Message(b"{", {"first_failed_at": "2026-02-01T00:00:00Z", "replay_count": "1"}, "click")
    made = letter(again, stage="validate", error="x", now=NOON, code_version="2")
    back = read(made.data, made.attributes)
    assert back.first_failed_at is not None
    assert back.first_failed_at < NOON - timedelta(days=27)
    assert back.replay_count == 1


def test_a_fault_of_the_validator_is_a_dead_letter_not_a_lost_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(data: bytes, attributes: object = None) -> Valid:
        outcome = validate(data)
        if b'"u3"' in data or not isinstance(outcome, Valid):
            raise RuntimeError("a fault\nof two lines")
        return outcome

    monkeypatch.setattr(parse, "validate", faulty)
    out = run_batch([message(click(n)) for n in range(5)], tmp_path)
    (envelope,) = out.letters()
    assert envelope["stage"] == "parse"
    assert envelope["error"] == "RuntimeError: a fault of two lines"
    assert envelope["payload"].encode() == click(3)
    assert out.counts["unknown_dead_lettered"] == 1
    assert unbalanced(out.counts) == {}
    assert len(out.rows("raw_events")) == 4


def test_a_fault_behind_validation_is_a_dead_letter_that_may_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(data: bytes) -> Valid:
        raise KeyError("user")

    monkeypatch.setattr(enrich, "validate", faulty)
    out = run_batch([message(transaction(1))], tmp_path)
    (envelope,) = out.letters()
    assert envelope["stage"] == "enrich"
    assert not read(json.dumps(envelope).encode(), {}).of_sink
    assert out.counts["transaction_dead_lettered"] == 1
    assert unbalanced(out.counts) == {}


def test_a_window_beyond_the_calendar_is_a_dead_letter(tmp_path: Path) -> None:
    out = run_batch([message(click(1, timestamp="9999-12-31T23:59:59Z"))], tmp_path)
    assert [one["stage"] for one in out.letters()] == ["enrich"]
    assert unbalanced(out.counts) == {}


def test_events_of_a_load_test_stop_before_the_sinks_and_are_counted(tmp_path: Path) -> None:
    out = run_batch([message(click(1), **{LOAD_TEST: "run-1"}), message(click(2))], tmp_path)
    assert out.counts["click_valid"] == 2
    assert out.counts["click_load_test"] == 1
    assert [row["user_id"] for row in out.rows("raw_events")] == ["u2"]
    assert [row["view_count"] for row in out.rows("product_views_summary")] == [1]


def test_identity_is_the_schemas_key_and_shows_no_person() -> None:
    one, two = validate(click(1)), validate(click(1, session_id="other"))
    other = validate(stock(1))
    assert isinstance(one, Valid)
    assert isinstance(two, Valid)
    assert isinstance(other, Valid)
    assert identity(one.event) == identity(two.event) != identity(other.event)
    assert "u1" not in identity(one.event)


def test_what_the_pipeline_dead_letters_the_replay_understands() -> None:
    from pipeline.catalogue import Pipeline

    orders = Pipeline(name="orders", topics=("clicks", "transactions", "stock"))
    made = letter(Message(click(1), {}, "click"), stage="validate", error="x", now=NOON, code_version="1")
    assert decide(read(made.data, made.attributes), orders, None).topic == "clicks"
    of_sink = letter(
        Message(click(1), {}, "click"), stage="bigquery:raw_events", error="x", now=NOON, code_version="1"
    )
    assert decide(read(of_sink.data, of_sink.attributes), orders, None).fate == "sink"
