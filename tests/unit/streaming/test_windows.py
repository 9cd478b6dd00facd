"""Windows, late panes, missed windows and the memory of duplicates, on a stream whose clock the test moves."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing import test_stream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from pipeline.envelope import read
from pipeline.operations.dlq_send import stamped
from pipeline.streaming.counting import close_board, open_board
from pipeline.streaming.windows import as_time, as_timestamp, lateness
from tests.unit.streaming.events import NOON, Out, build, click, message, transaction

EPOCH = int(NOON.timestamp())


class Stream:
    """A stream under the test's hand: seconds are those after noon, watermark and publish time alike."""

    def __init__(self) -> None:
        self.script = test_stream.TestStream().advance_watermark_to(Timestamp(EPOCH))

    def publish(self, seconds: float, *data: bytes, **attributes: str) -> Stream:
        """Publishes at that second; the watermark follows."""
        at = Timestamp(EPOCH + seconds)
        self.script.advance_watermark_to(at)
        self.script.add_elements([TimestampedValue(message(one, **attributes), at) for one in data])
        return self

    def run(self, folder: Path, **settings: Any) -> Out:
        self.script.advance_watermark_to_infinity()
        options = PipelineOptions(flags=[])
        options.view_as(StandardOptions).streaming = True
        pipeline = beam.Pipeline(
            "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner", options=options
        )
        # Beam's streaming runner shows no counters; the board does.
        name = str(folder)
        board = open_board(name)
        build({"click": pipeline | self.script}, folder, board=name, **settings)
        pipeline.run().wait_until_finish()
        close_board(name)
        return Out(folder, board.read())


def views(out: Out) -> list[tuple[str, int, int, bool]]:
    rows = out.rows("product_views_summary")
    return sorted((r["window_start"][11:19], r["pane"], r["view_count"], r["late"]) for r in rows)


def test_clicks_are_summed_in_windows_of_their_own_time(tmp_path: Path) -> None:
    out = Stream().publish(10, click(1, 5), click(2, 8)).publish(70, click(3, 65)).run(tmp_path)
    assert views(out) == [("12:00:00", 0, 2, False), ("12:01:00", 0, 1, False)]
    assert "click_late" not in out.counts


def test_transactions_are_summed_in_five_minutes_by_currency(tmp_path: Path) -> None:
    out = (
        Stream()
        .publish(20, transaction(1, 10), transaction(2, 10, currency="USD"))
        .publish(290, transaction(3, 280))
        .run(tmp_path)
    )
    rows = {row["currency"]: row for row in out.rows("sales_summary")}
    assert (rows["EUR"]["transaction_count"], rows["EUR"]["quantity"], rows["EUR"]["revenue"]) == (
        2,
        4,
        "39.96",
    )
    assert rows["USD"]["revenue"] == "19.98"
    assert rows["EUR"]["window_end"] == "2026-03-01T12:05:00Z"


def test_a_late_event_makes_a_late_pane_that_holds_the_whole_window(tmp_path: Path) -> None:
    out = Stream().publish(10, click(1, 5), click(2, 8)).publish(300, click(3, 30)).run(tmp_path)
    assert views(out) == [("12:00:00", 0, 2, False), ("12:00:00", 1, 3, True)]
    assert out.counts["click_late"] == 1
    assert out.counts["click_valid"] == 3
    assert "click_missed_window" not in out.counts


def test_each_late_pane_holds_more_than_the_one_before(tmp_path: Path) -> None:
    stream = Stream().publish(10, click(1, 5)).publish(300, click(2, 30)).publish(310, click(3, 31))
    assert views(stream.run(tmp_path)) == [
        ("12:00:00", 0, 1, False),
        ("12:00:00", 1, 2, True),
        ("12:00:00", 2, 3, True),
    ]


def test_an_event_past_the_allowed_lateness_is_valid_raw_and_counted_apart(tmp_path: Path) -> None:
    out = Stream().publish(10, click(1, 5)).publish(60 + 3600, click(2, 30)).run(tmp_path)
    assert views(out) == [("12:00:00", 0, 1, False)]
    assert (out.counts["click_valid"], out.counts["click_late"], out.counts["click_missed_window"]) == (
        2,
        1,
        1,
    )
    marked = {row["user_id"]: (row["late"], row["missed_window"]) for row in out.rows("raw_events")}
    assert marked == {"u1": (False, False), "u2": (True, True)}


def test_one_second_earlier_it_still_changes_its_window(tmp_path: Path) -> None:
    out = Stream().publish(10, click(1, 5)).publish(60 + 3599, click(2, 30)).run(tmp_path)
    assert views(out)[-1] == ("12:00:00", 1, 2, True)


def test_an_event_dated_days_ahead_keeps_no_window_open(tmp_path: Path) -> None:
    out = Stream().publish(10, click(1, 5), click(2, 3 * 86_400)).run(tmp_path)
    assert views(out) == [("12:00:00", 0, 1, False)]
    assert out.counts["click_missed_window"] == 1
    assert "click_late" not in out.counts


def test_a_duplicate_is_counted_and_changes_no_sum(tmp_path: Path) -> None:
    out = (
        Stream()
        .publish(10, click(1, 5), click(1, 5))
        .publish(20, click(1, 5, session_id="other"))
        .run(tmp_path)
    )
    assert views(out) == [("12:00:00", 0, 1, False)]
    assert (out.counts["click_received"], out.counts["click_valid"], out.counts["click_duplicates"]) == (
        3,
        1,
        2,
    )


def test_the_memory_of_duplicates_ends_by_its_timer(tmp_path: Path) -> None:
    stream = Stream().publish(10, click(1, 5)).publish(300, click(1, 5)).publish(2000, click(1, 5))
    out = stream.run(tmp_path, dedup_s=600)
    assert out.counts["click_duplicates"] == 1
    assert out.counts["click_valid"] == 2
    assert len({row["event_key"] for row in out.rows("raw_events")}) == 1


def test_a_replay_sent_twice_counts_once_even_when_its_event_was_mended(tmp_path: Path) -> None:
    first, mended = click(1, 5), click(1, 6)
    out = (
        Stream()
        .publish(10, first, replay_of="m-7")
        .publish(20, mended, replay_of="m-7")
        .publish(30, mended, replay_of="m-8")
        .run(tmp_path)
    )
    assert out.counts["click_duplicates"] == 1
    assert out.counts["click_valid"] == 2


def test_a_replay_of_an_event_that_came_through_is_a_duplicate(tmp_path: Path) -> None:
    out = Stream().publish(10, click(1, 5)).publish(20, click(1, 5), replay_of="m-7").run(tmp_path)
    assert (out.counts["click_valid"], out.counts["click_duplicates"]) == (1, 1)


def test_a_replay_of_an_event_that_failed_behind_the_memory_is_no_duplicate(tmp_path: Path) -> None:
    """Its first try was remembered and then failed, so the memory must not swallow what comes of the dead letter."""
    endless = click(1, timestamp="9999-12-31T23:59:30Z")  # its window would end after the last year
    stream = Stream().publish(10, endless)
    (failed,) = stream.run(tmp_path / "first").letters()
    assert failed["stage"] == "enrich"
    sent_back = stamped(read(json.dumps(failed).encode(), {}), "plan-1", "m-7")
    again = Stream().publish(10, endless).publish(20, endless, **sent_back).publish(30, endless, **sent_back)
    out = again.run(tmp_path / "again")
    assert (out.counts["click_dead_lettered"], out.counts["click_duplicates"]) == (2, 1)
    assert sorted(letter["replay_count"] for letter in out.letters()) == [0, 1]


def test_lateness_counts_from_the_end_of_the_window() -> None:
    at = NOON + timedelta(seconds=59.9)
    assert lateness(at, NOON + timedelta(seconds=60), 60) == timedelta()
    assert lateness(at, NOON + timedelta(seconds=59.95), 60) == timedelta(microseconds=-50_000)
    assert lateness(at, None, 60) is None
    assert as_time(as_timestamp(at)) == at
