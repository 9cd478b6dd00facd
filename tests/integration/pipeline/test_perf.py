"""The bottleneck is named in the first sentence where there is one, and never where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.bottleneck import Speed, Stage, bottleneck
from pipeline.measurements import LogError

from .conftest import Stand

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
CAUSES = {"hot_key": "a hot key", "slow_sink": "a slow sink"}


@pytest.mark.parametrize(
    ("scenario", "stage"), [("hot_key", "ViewsByProduct"), ("slow_sink", "WriteToBigQuery")]
)
def test_a_broken_world_is_named_in_the_first_sentence(stand: Stand, scenario: str, stage: str) -> None:
    stand.happen({}, minutes=5)
    stand.happen({"scenario": scenario}, minutes=8)
    report = stand.read("pipeline.perf")
    assert CAUSES[scenario] in report.verdict
    assert stage in report.verdict
    assert report.severity == "warning"
    assert report.data["bottleneck"] == scenario
    others = [words for name, words in CAUSES.items() if name != scenario]
    assert not any(words in report.verdict for words in others)
    assert report.tables[0].rows[0][0] == stage, "the slowest comes first"
    assert all(len(table.columns) <= 5 for table in report.tables)
    assert "P00017" not in report.dumps(), "a key is customers' data"


def test_a_healthy_world_has_no_bottleneck(stand: Stand) -> None:
    stand.happen({}, minutes=8)
    report = stand.read("pipeline.perf")
    assert report.severity == "ok", report.verdict
    assert report.verdict.startswith("orders keeps up")
    assert report.data["bottleneck"] is None
    assert not any(words in report.dumps() for words in CAUSES.values())
    workers = next(finding for finding in report.findings if finding.id == "workers")
    assert "2 workers of at most 6 at work, 41.0 % busy" in workers.text
    assert {row[0] for row in report.tables[1].rows} >= {"ReadEvents", "rows into BigQuery"}


def test_a_stopped_pipeline_is_not_called_slow(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=5)
    report = stand.read("pipeline.perf")
    assert report.severity == "critical"
    assert "moves nothing" in report.verdict
    assert [step.operation for step in report.next] == ["pipeline.health"]


def test_what_cannot_be_measured_is_unknown(stand: Stand) -> None:
    stand.happen({}, minutes=3)
    stand.happen({"errors": [{"method": "ListTimeSeries", "code": "PERMISSION_DENIED", "count": 50}]})
    report = stand.read("pipeline.perf")
    assert report.severity == "unknown"
    assert "is unknown" in report.verdict


def speed(*stages: tuple[str, float], busy: float = 0.4, log: str = "") -> Speed:
    warnings = (LogError(shape=log, count=1, example=log, last=NOW),) if log else ()
    return Speed(
        now=NOW,
        stages=tuple(Stage(name=name, lag_s=lag) for name, lag in stages),
        utilisation=busy,
        warnings=warnings,
    )


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (speed(("Read", 3), ("Write", 2)), None),
        (speed(("Read", 300), ("Group", 2), ("WriteRows", 2), busy=0.95), "workers"),
        (speed(("Read", 2), ("Group", 300), ("WriteRows", 2), busy=0.5), "stage"),
        (speed(("Read", 2), ("Group", 3), ("WriteRows", 300)), "slow_sink"),
        # all alike far behind: no sink stands out
        (speed(("Read", 290), ("Group", 295), ("WriteRows", 300), busy=0.9), "workers"),
        (
            speed(
                ("Read", 290),
                ("Group", 280),
                log="A hot key 'k' was detected in step 'Group' with age of '9s'.",
            ),
            "hot_key",
        ),
        # an old complaint about a step that keeps up again
        (
            speed(("Read", 2), ("Group", 2), log="A hot key was detected in step Group with an age of 4m."),
            None,
        ),
        (speed(), None),
    ],
)
def test_the_kind_of_a_bottleneck(given: Speed, kind: str | None) -> None:
    found = bottleneck(given)
    assert (found.kind if found else None) == kind
