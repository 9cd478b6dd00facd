"""High means something against other days; silence is told from a quiet hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.background import Background, Compared, findings, silent_issue, silent_topics
from pipeline.google.quotas import Quota
from pipeline.jobs import Job
from pipeline.measurements import Measurements
from pipeline.resources import quota_changes

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def look(*jobs: Job) -> Measurements:
    return Measurements(now=NOW, job_name="ecommerce-streaming", jobs=jobs)


def published(now: float | None, *days: float | None) -> Background:
    return Background(published={"clicks": Compared(now=now, days=days)})


def test_silence_where_other_days_are_loud_is_a_data_issue() -> None:
    found = findings(look(), published(0, 1400, 1500, 1450))
    assert found[0].id == "source_silent"
    assert found[0].severity == "warning"
    assert "The source of clicks is silent: nothing was published for 10 min" in found[0].text
    assert "1,450" in found[0].text
    issue = silent_issue(found)
    assert issue is not None
    assert issue.type == "data"


def test_silence_says_nothing_where_other_days_are_quiet_or_unknown() -> None:
    for quiet in (
        published(0, 10, 1500, 1400),
        published(0, None, None, 1500),
        published(None, 1500, 1500, 1500),
        published(3, 1500, 1500, 1500),
        Background(),
    ):
        assert silent_topics(quiet.published) == []
        assert silent_issue(findings(look(), quiet)) is None


def test_figures_stand_beside_those_of_other_days() -> None:
    past = Background(
        published={"clicks": Compared(now=1400, days=(1500, 1300, 1450))},
        backlog=Compared(now=900, days=(3, 4, 5)),
        lag_s=Compared(now=2, days=(2, None, None)),
    )
    (found,) = findings(look(), past)
    assert found.severity == "ok", "a comparison is no trouble by itself"
    assert "1,400 published in 10 min (usually 1,450)" in found.text
    assert "900 waiting (usually 4)" in found.text
    assert "lag" not in found.text, "one day is no usual"


def test_changes_of_a_day_are_told_newest_first() -> None:
    def at(hours: float) -> datetime:
        return NOW - timedelta(hours=hours)

    old = Job(id="a", name="j", state="UPDATED", since=at(3), created=at(200), replaced_by="b")
    new = Job(id="b", name="j", state="RUNNING", since=at(3), created=at(3))
    failed = Job(id="c", name="j", state="FAILED", since=at(5), created=at(90))
    ancient = Job(id="d", name="j", state="FAILED", since=at(50), created=at(60))
    past = Background(most_workers=Compared(now=10.0, days=(6.0,)))
    (found,) = findings(look(new, old, failed, ancient), past)
    assert found.id == "changed"
    assert found.text == (
        "Changed within 24 h: the greatest number of workers went from 6 to 10; job b was launched as an update at "
        "07:00 UTC; job c ended as FAILED at 05:00 UTC."
    )
    assert findings(look(ancient), Background()) == []


def test_a_launch_tells_in_what_it_differs_from_the_job_before() -> None:
    def job(name: str, hours: float, sdk: str, **labels: str) -> Job:
        at = NOW - timedelta(hours=hours)
        told = tuple(sorted(labels.items()))
        return Job(id=name, name="j", state="RUNNING", since=at, created=at, labels=told, sdk=sdk)

    old = job("a", 90, "2.76.0", template="v1", streamwatch_plan="plan-1", team="data")
    new = job("b", 2, "2.77.0", template="v2", streamwatch_plan="plan-2", team="data")
    (found,) = findings(look(new, old), Background())
    assert found.text == (
        "Changed within 24 h: job b was launched at 08:00 UTC (template v1 before, v2 now; Beam 2.76.0 before, "
        "2.77.0 now)."
    )


def test_a_quota_that_was_changed_is_told_among_the_changes() -> None:
    def quotas(limit: float) -> tuple[Quota, ...]:
        return (Quota(name="compute.googleapis.com/cpus", limit_name="CPUS", used=4, limit=limit, at=NOW),)

    changes = quota_changes(quotas(48), quotas(24))
    (found,) = findings(look(), Background(), changes)
    assert found.text == "Changed within 24 h: the quota of cpus went from 24 to 48."
    assert quota_changes(quotas(24), quotas(24)) == quota_changes(quotas(24), ()) == []
