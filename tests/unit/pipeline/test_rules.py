"""The facts of RULES "Facts", one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.causes import classify, in_short, issue_type, stop_reason
from pipeline.gaps import Gap
from pipeline.jobs import Job, lasts, stands
from pipeline.measurements import Counters, LogError, Measurements, Queue
from pipeline.operations.health import report
from pipeline.report import Fact
from pipeline.rules import deletion_at, deletion_words, facts

NOW = datetime(2026, 11, 22, 3, 10, tzinfo=UTC)
DAY = 86400.0


def job(state: str = "RUNNING", minutes: float = 600, **more: str) -> Job:
    since = NOW - timedelta(minutes=minutes)
    return Job(
        id=more.get("id", "j-1"), name=more.get("name", "orders-job"), state=state, since=since, created=since
    )


def counters(received: float = 1000, invalid: float = 0, **more: float) -> Counters:
    return Counters(
        received=received,
        invalid=invalid,
        valid=received - invalid,
        dead_lettered=invalid,
        by_type={"click": (received, invalid), "transaction": (0, 0), "stock": (0, 0)},
        received_before=more.get("received_before", 5000),
        accounted_before=more.get("accounted_before", 5000),
        received_total=more.get("received_total", 7000),
        accounted_total=more.get("accounted_total", 7000),
    )


WELL = Measurements(
    now=NOW,
    job_name="orders-job",
    jobs=(job(),),
    active=(job(),),
    system_lag_s=2,
    watermark_age_s=4,
    watermark_still_s=30,
    output_still_s=30,
    counters=counters(),
    queues=(
        Queue(name="clicks-sub", count=3, oldest_s=2, retention_s=7 * DAY),
        Queue(name="dead-letter-sub", dead_letters=True, count=0, oldest_s=0, retention_s=7 * DAY),
    ),
)


def fact(m: Measurements, name: str) -> Fact:
    return {one.id: one for one in facts(m)}[name]


def backlog(count: int = 500, oldest_s: float = 900) -> tuple[Queue, ...]:
    return (Queue(name="clicks-sub", count=count, oldest_s=oldest_s, retention_s=7 * DAY), WELL.queues[1])


def test_well_is_well() -> None:
    assert {one.id: one.on for one in facts(WELL)} == {
        "down": False,
        "error_rate": False,
        "error_rate_critical": False,
        "degraded": False,
        "data_loss": False,
        "doubled_job": False,
        "healthy": True,
    }
    assert report("orders", WELL).severity == "ok"


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "DRAINED", "DONE", "DRAINING", "CANCELLING"])
def test_down_when_no_job_runs_or_starts(state: str) -> None:
    found = fact(replace(WELL, jobs=(job(state, 12),)), "down")
    assert found.on is True
    assert found.since == NOW - timedelta(minutes=12)


def test_down_without_any_job() -> None:
    assert fact(replace(WELL, jobs=()), "down").on is True
    assert "no job named" in report("orders", replace(WELL, jobs=())).verdict


@pytest.mark.parametrize("state", ["QUEUED", "PENDING", "STOPPED"])
def test_starting_neither_begins_nor_ends_down(state: str) -> None:
    m = replace(WELL, jobs=(job(state, 1), job("FAILED", 12, id="j-0")))
    assert fact(m, "down").on is None
    assert fact(m, "healthy").on is False


def test_updated_is_fine_when_its_successor_lives() -> None:
    m = replace(WELL, jobs=(job("RUNNING", 30, id="j-2"), job("UPDATED", 30)))
    assert fact(m, "down").on is False


def test_a_job_that_stands_still_for_ten_minutes_with_a_backlog_is_down() -> None:
    still = replace(WELL, watermark_still_s=601, output_still_s=700, queues=backlog())
    assert fact(still, "down").on is True
    assert fact(still, "down").since == NOW - timedelta(seconds=601)
    assert fact(replace(still, watermark_still_s=500), "down").on is None
    assert fact(replace(still, output_still_s=10), "down").on is None, "output moves: not down, not yet well"
    idle = replace(still, queues=backlog(0, 0))
    assert fact(idle, "down").on is None, "nothing waits: standing still is no proof"


def test_down_ends_only_after_two_minutes_of_running() -> None:
    assert fact(replace(WELL, jobs=(job("RUNNING", 1.9),)), "down").on is None
    assert fact(replace(WELL, jobs=(job("RUNNING", 2.1),)), "down").on is False


@pytest.mark.parametrize(
    ("received", "invalid", "on", "critical", "severity"),
    [
        (99, 99, None, None, None),
        (100, 10, False, False, "ok"),
        (1000, 101, False, False, "warning"),
        (1000, 250, False, False, "warning"),
        (1000, 251, True, False, "warning"),
        (1000, 500, True, False, "warning"),
        (1000, 501, True, True, "critical"),
    ],
)
def test_error_rate(
    received: float, invalid: float, on: bool | None, critical: bool | None, severity: str | None
) -> None:
    m = replace(WELL, counters=counters(received, invalid))
    assert fact(m, "error_rate").on is on
    assert fact(m, "error_rate_critical").on is critical
    if severity is not None:
        assert report("orders", m).severity == severity


def test_few_events_are_no_alarm_and_no_rate() -> None:
    found = report("orders", replace(WELL, counters=counters(40, 0)))
    assert found.severity == "info"
    assert "few_events" in {finding.id for finding in found.findings}


def test_no_data_is_unknown_and_never_fine() -> None:
    blind = Measurements(now=NOW, job_name="orders-job", gaps=(Gap("jobs", "denied"),))
    assert {one.id: one.on for one in facts(blind)} == dict.fromkeys(
        ["down", "error_rate", "error_rate_critical", "degraded", "data_loss", "doubled_job", "healthy"]
    )
    assert report("orders", blind).severity == "unknown"
    half = replace(WELL, counters=None, watermark_still_s=None, watermark_age_s=None, system_lag_s=None)
    assert fact(half, "healthy").on is None
    assert report("orders", half).severity == "unknown"


def test_data_loss_when_the_oldest_reaches_the_retention() -> None:
    m = replace(WELL, queues=backlog(5, 7 * DAY))
    assert fact(m, "data_loss").on is True
    assert report("orders", m).severity == "critical"


def test_data_loss_when_the_books_do_not_balance_for_ten_minutes() -> None:
    lost = replace(WELL, counters=counters(received_before=7001))
    assert fact(lost, "data_loss").on is True
    assert fact(lost, "data_loss").value == 1
    assert fact(replace(WELL, counters=counters(accounted_before=7003)), "data_loss").value == 3
    in_flight = replace(lost, watermark_still_s=700, queues=backlog())
    assert fact(in_flight, "data_loss").on is False


def test_a_job_that_was_cancelled_is_a_loss_for_an_hour_though_the_next_one_runs_well() -> None:
    gone = job("CANCELLED", minutes=20, id="j-0")
    lost = fact(replace(WELL, jobs=(job(), gone)), "data_loss")
    assert lost.on is True
    assert lost.since == gone.since
    assert "job orders-job was cancelled at 02:50 UTC without a drain" in lost.text
    for ended in (job("CANCELLED", minutes=61, id="j-0"), job("DRAINED", minutes=20, id="j-0")):
        assert fact(replace(WELL, jobs=(job(), ended)), "data_loss").on is False


@pytest.mark.parametrize(
    ("state", "now", "later"),
    [
        ("RUNNING", "has been RUNNING for 4 min", "has been RUNNING since 03:06 UTC"),
        ("QUEUED", "has been QUEUED for 4 min", "has been QUEUED since 03:06 UTC"),
        ("FAILED", "failed 4 min ago", "failed at 03:06 UTC"),
        ("CANCELLED", "was cancelled 4 min ago", "was cancelled at 03:06 UTC"),
        ("DRAINED", "was drained 4 min ago", "was drained at 03:06 UTC"),
        ("UPDATED", "was replaced by an update 4 min ago", "was replaced by an update at 03:06 UTC"),
        ("DONE", "ended 4 min ago", "ended at 03:06 UTC"),
    ],
)
def test_an_end_is_told_as_what_happened_and_a_state_as_what_lasts(state: str, now: str, later: str) -> None:
    assert lasts(job(state, minutes=4), NOW) == now
    assert stands(job(state, minutes=4), NOW) == later
    assert " is " not in lasts(replace(job("FAILED"), since=None), NOW)


def test_the_data_loss_clock_says_when_deletion_begins() -> None:
    m = replace(WELL, jobs=(job("FAILED", 600),), queues=backlog(9, 7 * DAY - 9000))
    found = deletion_at(m)
    assert found == (NOW + timedelta(seconds=9000), "clicks-sub")
    assert "data will start to be deleted at 05:40 UTC" in deletion_words(*found, NOW)
    told = report("orders", m)
    assert "05:40 UTC" in told.verdict
    assert told.data["deletion_at"] == "2026-11-22T05:40:00Z"
    assert "deletion_clock" in {finding.id for finding in told.findings}


def test_degraded_and_doubled() -> None:
    assert fact(replace(WELL, system_lag_s=301), "degraded").on is True
    assert fact(replace(WELL, system_lag_s=None), "degraded").on is None
    double = replace(WELL, active=(job(), job(name="orders-job-20261122", id="j-9")))
    assert fact(double, "doubled_job").on is True
    other = replace(WELL, active=(job(), job(name="billing-job", id="j-9")))
    assert fact(other, "doubled_job").on is False


def error(text: str, minutes: float = 5, count: int = 1) -> LogError:
    return LogError(
        shape=text, count=count, example=text, last=NOW - timedelta(minutes=minutes), source="worker"
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Quota 'CPUS' exceeded. Limit: 24.0", "resource"),
        ("PERMISSION_DENIED on subscription", "resource"),
        ("KeyError: 'store_id'", "data"),
        ("UNAVAILABLE: connection reset by peer", "infrastructure"),
        ("all is well", None),
    ],
)
def test_the_issue_type_is_read_from_the_logs(text: str, kind: str | None) -> None:
    assert classify(text) == kind


def test_the_reason_of_a_stop_is_the_last_error_that_says_something() -> None:
    errors = [
        error("Dead-lettered a click event: page_type", 1, 50),
        error("Quota exceeded", 3),
        error("KeyError: 'x'", 9, 9),
        error("Workflow failed. Causes: S07", 2),
    ]
    reason = stop_reason(errors)
    assert reason is not None
    assert reason.example == "Quota exceeded"
    down = replace(WELL, jobs=(job("FAILED", 3),), errors=tuple(errors))
    issue = issue_type(down)
    assert issue is not None
    assert issue.type == "resource"
    assert "resource issue" in report("orders", down).verdict
    assert stop_reason([]) is None
    assert (
        in_short("Traceback (most recent call last): File x TypeError: bad thing") == "TypeError: bad thing"
    )
