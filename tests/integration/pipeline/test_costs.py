"""Leaks are named with what they cost, forecasts rest on days that were reported, nothing is made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import drawn
from pipeline.jobs import Job
from pipeline.leaks import Paid, leaks

from .conftest import Stand

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def budget(stand: Stand, cost: float, at: datetime, name: str = "orders-monthly") -> None:
    assert stand.ctx.history is not None
    stand.ctx.history.record_budget(
        budget=name, period="2026-11-01T07:00:00Z", cost=cost, amount=200.0, currency="USD", at=at
    )


def month(stand: Stand, a_day: float = 5.0, today: float | None = None) -> None:
    """A report at 09:00 UTC of each day of the month so far, which is still the Pacific night."""
    now = stand.clock.now()
    for day in range(2, 21):
        total = a_day * (day - 1)
        if day == 20 and today is not None:
            total = a_day * 18 + today
        budget(stand, total, now.replace(day=day, hour=9))


@pytest.mark.parametrize(
    ("scenario", "minutes", "kind", "said"),
    [
        ("doubled_job", 3, "doubled_job", "2 living jobs of one pipeline are paid for at once"),
        ("job_stuck", 15, "stuck_job", "is stuck: it has moved nothing"),
        ("cost_spike", 5, "scaled_up", "went from 2 to 6 workers within a day"),
    ],
)
def test_each_leak_is_named_in_the_first_sentence(
    stand: Stand, scenario: str, minutes: int, kind: str, said: str
) -> None:
    stand.happen({"scenario": scenario}, minutes=minutes)
    report = stand.read("cost.leaks")
    assert report.data["leaks"] == [kind]
    assert said in report.verdict
    assert report.severity == "warning"
    found = next(finding for finding in report.findings if finding.id == kind)
    assert "USD an hour for its workers, an estimate by list price" in found.text
    assert said in stand.read("cost.report").verdict
    assert all(len(table.columns) <= 5 for table in report.tables)


def test_a_healthy_world_has_no_leak(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    report = stand.read("cost.leaks")
    assert report.severity == "ok", report.verdict
    assert report.data["leaks"] == []
    assert report.verdict.startswith("No leak found: 1 living job")
    # two workers of 2 vCPU and 7.5 GB at the sandbox's list price
    assert report.tables[0].rows[0][4] == f"{2 * (2 * 0.069 + 7.5 * 0.003557):.2f} USD"


def test_a_job_of_no_pipeline_is_forgotten_after_a_day(stand: Stand) -> None:
    stand.happen(
        {"jobs": [{"name": "trial-of-bob", "state": "RUNNING", "created": "2026-11-18T00:00:00Z"}]}, minutes=2
    )
    report = stand.read("cost.leaks")
    assert "forgotten_job" in report.data["leaks"]
    assert "trial-of-bob looks forgotten" in report.verdict


def test_without_prices_and_metrics_nothing_is_made_up(stand: Stand) -> None:
    stand.happen({"scenario": "doubled_job"}, minutes=3)
    stand.happen({"errors": [{"method": "ListSkus", "code": "PERMISSION_DENIED", "count": 9}]})
    report = stand.read("cost.leaks")
    assert "what that costs is not known" in " ".join(finding.text for finding in report.findings)
    assert "USD" not in report.dumps()
    stand.happen({"scenario": "healthy"}, minutes=3)
    stand.happen({"errors": [{"method": "ListTimeSeries", "code": "PERMISSION_DENIED", "count": 99}]})
    blind = stand.read("cost.leaks")
    assert blind.severity == "unknown"
    assert "not known in full" in blind.verdict


def paid(name: str = "ecommerce-streaming", **more: object) -> Paid:
    job = Job(
        id=name, name=name, state="RUNNING", since=NOW - timedelta(hours=3), created=NOW - timedelta(hours=3)
    )
    return Paid(job=job, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        (paid(workers=2, moved=0.0), ["idle_job"]),
        (paid(workers=2, moved=5.0), []),
        (paid(moved=None), []),
        (paid(workers=6, workers_before=2, busy=0.95, moved=5.0), []),
        (paid(workers=6, workers_before=2, busy=0.4, moved=5.0), ["scaled_up"]),
        (paid("other", workers=1, moved=5.0), []),
    ],
)
def test_what_counts_as_a_leak(given: Paid, kinds: list[str]) -> None:
    found = leaks([given], "ecommerce-streaming", ["ecommerce-streaming"], None, NOW)
    assert [leak.kind for leak in found] == kinds


def test_the_forecast_rests_on_complete_days(stand: Stand) -> None:
    unknown = stand.read("cost.forecast")
    assert unknown.severity == "unknown"
    assert "connect a budget" in unknown.findings[0].text
    month(stand)
    report = stand.read("cost.forecast")
    assert report.data["budgets"][0]["normal"] == 5.0
    assert report.data["budgets"][0]["forecast"] == pytest.approx(95 + 5 * 10)
    assert (
        report.verdict
        == "orders-monthly will be at about 145.00 USD by 2026-11-30, within its budget of 200.00 USD."
    )
    assert report.severity == "ok"
    fact = report.fact("cost")
    assert fact is not None
    assert fact.on is False


def test_a_day_far_above_normal_is_a_warning_and_a_fact(stand: Stand) -> None:
    month(stand, today=9.0)
    report = stand.read("cost.forecast")
    assert report.severity == "warning"
    assert "50 % above normal" in report.verdict
    fact = stand.read("cost.report").fact("cost")
    assert fact is not None
    assert fact.on is True
    assert fact.value == pytest.approx(1.8)


def test_drivers_tell_spend_and_estimate_apart_and_draw(stand: Stand, tmp_path: Path) -> None:
    stand.happen({}, minutes=2)
    budget(stand, 90.0, stand.clock.now())
    budget(stand, 30.0, stand.clock.now(), name="orders-bigquery")
    context = stand.ctx
    report = stand.read("cost.drivers", visualize=True)
    assert context.pipeline.budgets == ("orders-monthly",)
    assert report.data["spend"] == [{"driver": "orders-monthly", "amount": 90.0, "currency": "USD"}]
    assert "(estimate)" in report.verdict
    assert report.data["workers_a_day"][0]["driver"] == "ecommerce-streaming"
    assert report.data["drawing"]["rows"] == [["orders-monthly", 90.0, "90.00 USD"]]
    kept = drawn.with_picture(report, tmp_path / "charts")
    assert Path(kept.data["chart"]).read_bytes().startswith(b"\x89PNG")
    assert kept.findings[-1].text == f"The chart is in {kept.data['chart']}."
    (tmp_path / "file").write_text("in the way")
    unkept = drawn.with_picture(report, tmp_path / "file" / "charts")
    assert (unkept.data["chart"], unkept.severity) == (None, "warning")
    assert "cannot be written" in unkept.findings[-1].text
    plain = stand.read("cost.drivers")
    assert plain.data["drawing"] is None
    assert drawn.with_picture(plain, tmp_path) is plain
