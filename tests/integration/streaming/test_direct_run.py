"""The pipeline on Beam's streaming runner, against Google's Pub/Sub and Bigtable emulators."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.envelope import read
from pipeline.google import pubsub
from pipeline.streaming.counting import unbalanced
from pipeline.streaming.direct import DirectRun, Heartbeat, publisher, watch
from pipeline.streaming.settings import Settings
from tests.integration.streaming.conftest import Ends, wait_for
from tests.support.servers import start_bigtable_emulator
from tests.unit.streaming.events import click, stock, transaction

Start = Callable[[Settings], DirectRun]
Sent = tuple[bytes, dict[str, str]]


def total(counters: dict[str, int], measure: str) -> int:
    return sum(value for name, value in counters.items() if name.endswith(f"_{measure}"))


def spread(ends: Ends, messages: list[Sent]) -> None:
    """A third to each topic: what an event is, is said by itself."""
    for place, topic in enumerate(("clicks", "transactions", "stock")):
        ends.publish(topic, [(data, attributes) for data, attributes in messages[place::3]])


def test_every_event_of_a_streaming_run_is_accounted_for(ends: Ends, start: Start) -> None:
    fine: list[Sent] = [(click(n), {}) for n in range(80)]
    fine.extend((transaction(n), {}) for n in range(60))
    fine.extend((stock(n), {}) for n in range(60))
    broken: list[Sent] = [(click(n, page_type="cart"), {"trace": f"x{n}"}) for n in range(25)]
    rubbish: list[Sent] = [(b"\xff\xfe\x00", {}), (b"{", {})]
    again: list[Sent] = fine[:15] + fine[-3:]
    spread(ends, fine + broken + rubbish + again)
    sent = len(fine) + len(broken) + len(rubbish) + len(again)
    run = start(ends.settings())
    beat = wait_for(run, lambda one: total(dict(one.counters), "received") >= sent and not one.in_flight)
    counters = dict(beat.counters)
    assert unbalanced(counters) == {}
    assert total(counters, "received") == sent
    assert total(counters, "valid") == len(fine)
    assert total(counters, "duplicates") == len(again)
    assert total(counters, "dead_lettered") == total(counters, "invalid") == 27
    raw = ends.rows("raw_events")
    assert Counter(row["event_type"] for row in raw) == {"click": 80, "transaction": 60, "stock": 60}
    letters = [read(message.data, message.attributes) for message in ends.letters(100)]
    assert sorted(letter.payload for letter in letters) == sorted(data for data, _ in broken + rubbish)
    assert {letter.attributes.get("trace") for letter in letters} >= {f"x{n}" for n in range(25)}


@pytest.mark.filterwarnings("ignore:Connecting to Bigtable emulator:RuntimeWarning")
def test_a_window_closes_and_reaches_files_and_bigtable(
    ends: Ends, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_bigtable_emulator() as address:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", address)
        cells = bigtable_of("demo-project", "ecommerce", "product_stats")
        ago = datetime.now(UTC) - timedelta(minutes=20)
        spread(ends, [(click(number, timestamp=ago.isoformat()), {}) for number in range(30)])
        run = start(ends.settings(bigtable="demo-project/ecommerce/product_stats", click_window_s=300))
        wait_for(run, lambda _: cells("p1").get("view_count") == 30)
    rows = sorted(ends.rows("product_views_summary"), key=lambda row: row["pane"])
    assert rows[-1]["view_count"] == 30
    assert [row["pane"] for row in rows] == list(range(len(rows)))
    assert {row["late"] for row in ends.rows("raw_events")} == {True}
    assert {row["missed_window"] for row in ends.rows("raw_events")} == {False}


def test_what_a_run_had_not_written_is_delivered_to_the_next(ends: Ends, start: Start) -> None:
    spread(ends, [(click(number), {}) for number in range(9)])
    first = start(ends.settings())
    wait_for(first, lambda one: one.counters.get("click_received", 0) > 0)
    first.stop()
    again = start(ends.settings())
    wait_for(again, lambda _: len({row["user_id"] for row in ends.rows("raw_events")}) == 9)
    wait_for(again, lambda one: not one.in_flight)
    again.stop()
    assert len({row["event_key"] for row in ends.rows("raw_events")}) == 9
    assert pubsub.pull(ends.clients, "demo-project", "clicks-sub", 10, wait_s=1.0) == []


def bigtable_of(project: str, instance: str, name: str) -> Callable[[str], dict[str, int]]:
    """Makes the table on the emulator; gives a reader of a product's newest numbers."""
    from google.cloud import bigtable

    table = bigtable.Client(project=project, admin=True).instance(instance).table(name)
    table.create(column_families={"stats": None})

    def newest(product: str) -> dict[str, int]:
        row = table.read_row(product.encode())
        found = row.cells.get("stats", {}) if row else {}
        return {
            key.decode(): int.from_bytes(cells[0].value, "big", signed=True) for key, cells in found.items()
        }

    return newest


def test_the_heartbeat_is_a_message_and_a_file(ends: Ends, start: Start) -> None:
    spread(ends, [(click(number), {}) for number in range(5)])
    run = start(ends.settings())
    wait_for(run, lambda one: one.counters.get("click_valid") == 5 and not one.in_flight)
    told: list[Heartbeat] = []
    publish = publisher(ends.clients, "demo-project", "heartbeat", str(ends.folder))

    def tell(beat: Heartbeat) -> None:
        told.append(beat)
        publish(beat)

    watch(run, tell, every_s=0.01, until=lambda: len(told) >= 2)
    written = json.loads((ends.folder / "heartbeat.json").read_text())
    assert written["counters"]["click_valid"] == 5
    assert written["in_flight"] == 0
    received = pubsub.pull(ends.clients, "demo-project", "heartbeat-sub", 10)
    assert json.loads(received[0].data)["counters"]["click_received"] == 5
