"""The bottleneck is named in the first sentence where there is one, and never where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.bottleneck import Speed, Stage, bottleneck
from pipeline.measurements import LogError
from pipeline.operations.perf import scaling

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
    workers = next(finding for finding in report.findings if finding.id == "worker_count")
    assert "2 workers of at most 6 at work, 41.0 % busy" in workers.text
    assert {row[0] for row in report.tables[1].rows} >= {"ReadEvents", "ParseAndValidate"}


def test_a_stopped_pipeline_is_not_called_slow(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=5)
    report = stand.read("pipeline.perf")
    assert report.severity == "critical"
    assert "moves nothing" in report.verdict
    assert [step.operation for step in report.next] == ["pipeline.health"]


def test_a_pipeline_that_works_off_what_piled_up_says_by_when_and_asks_for_no_worker(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=60)
    stand.run(stand.plan("pipeline.restart"))
    stand.happen({}, minutes=4)
    report = stand.read("pipeline.perf")
    assert report.verdict.startswith("orders catches up: "), report.verdict
    assert "fewer each second: done by about" in report.verdict
    assert (report.severity, report.next) == ("info", ())
    assert "No worker is needed" in report.dumps()
    health = stand.read("pipeline.health")
    assert health.verdict.startswith("orders catches up: "), health.verdict
    assert "too few workers" not in health.dumps()
    assert health.data["bottleneck"]["kind"] == "catching_up"
    assert not any(step.operation == "pipeline.scale" for step in health.next)
    stand.happen({}, minutes=12)
    assert stand.read("pipeline.perf").verdict.startswith("orders keeps up")


def test_what_cannot_be_measured_is_unknown(stand: Stand) -> None:
    stand.happen({}, minutes=3)
    stand.happen({"errors": [{"method": "ListTimeSeries", "code": "PERMISSION_DENIED", "count": 50}]})
    report = stand.read("pipeline.perf")
    assert report.severity == "unknown"
    assert "is unknown" in report.verdict


def speed(
    *stages: tuple[str, float],
    busy: float = 0.4,
    log: str = "",
    workers: int | None = None,
    most: int | None = None,
) -> Speed:
    warnings = (LogError(shape=log, count=1, example=log, last=NOW),) if log else ()
    return Speed(
        now=NOW,
        stages=tuple(Stage(name=name, lag_s=lag) for name, lag in stages),
        utilisation=busy,
        workers=workers,
        most_workers=most,
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


SLOW = (("Read", 300), ("Group", 2), ("WriteRows", 2))


@pytest.mark.parametrize(
    ("workers", "most", "busy", "target"),
    [
        (6, 6, 0.95, 10),  # 5.7 of work at 60 % each
        (5, 5, 0.81, 7),
        (1, 1, 0.99, 2),
        (10, 10, 3.0, 20),  # at most twice as many, whatever a metric says
        (900, 900, 0.9, 1000),  # what Dataflow allows
        (1000, 1000, 0.9, None),
        (3, None, 0.9, 5),
        (3, 6, 0.95, None),  # the autoscaler may take more and does not
        (None, 6, 0.95, None),
    ],
)
def test_more_workers_are_proposed_by_a_bounded_number(
    workers: int | None, most: int | None, busy: float, target: int | None
) -> None:
    found = bottleneck(speed(*SLOW, busy=busy, workers=workers, most=most))
    assert found is not None
    assert (found.kind, found.target) == ("workers", target)
    (step,) = scaling(found)
    assert step.operation == ("pipeline.scale" if target else "pipeline.workers")
    assert step.params == ({"max": target} if target else {})
    if target:
        assert step.label == f"Allow {target:,} workers"
        assert f"`scale --max {target}`" in found.advice
        told = {one.what: one.value for one in found.evidence}
        assert told["workers that it needs, about"] == target
        assert told["workers that it may have"] == (most or workers)
    elif most == 6 and workers:
        assert "look why the autoscaler holds back" in found.advice


def test_other_bottlenecks_propose_no_workers() -> None:
    found = bottleneck(speed(("Read", 2), ("Group", 3), ("WriteRows", 300), workers=6, most=6))
    assert found is not None
    assert (found.kind, found.target, scaling(found)) == ("slow_sink", None, ())
