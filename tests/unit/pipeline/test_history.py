"""What was measured is found again: newest probes, highest cost of the newest period."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.history import History
from pipeline.report import Finding, Report, Severity

NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(f"sqlite:///{tmp_path / 'deep' / 'h.db'}") as opened:
        yield opened


def probe(pipeline: str, minutes: float, severity: Severity = "ok") -> Report:
    return Report(
        operation="pipeline.health",
        pipeline=pipeline,
        verdict="v",
        severity=severity,
        as_of=NOW + timedelta(minutes=minutes),
        findings=(Finding("running", severity, "läuft"),),
    )


def test_the_newest_probe_of_every_pipeline(history: History) -> None:
    for one in (probe("b", 0), probe("a", 0), probe("a", 1, "critical")):
        history.record_probe(one)
    assert history.last_probes() == [probe("a", 1, "critical"), probe("b", 0)]
    assert history.probes_since("a", NOW) == [probe("a", 0), probe("a", 1, "critical")]
    assert history.probes_since("a", NOW + timedelta(seconds=1)) == [probe("a", 1, "critical")]
    assert history.forget_probes_before(NOW + timedelta(seconds=1)) == 2
    assert history.last_probes() == [probe("a", 1, "critical")]


def budget(history: History, cost: float, period: str, amount: float = 100, name: str = "monthly") -> None:
    history.record_budget(
        budget=name, period=period, cost=cost, amount=amount, currency="EUR", at=NOW, raw={"x": 1}
    )


def test_the_highest_cost_of_the_newest_period_counts(history: History) -> None:
    budget(history, 90, "2026-10-01T07:00:00Z")
    budget(history, 50, "2026-11-01T07:00:00Z")
    budget(history, 70, "2026-11-01T07:00:00Z")
    budget(history, 60, "2026-11-01T07:00:00Z")
    budget(history, 5, "2026-11-01T07:00:00Z", amount=0, name="zero")
    (monthly,) = history.budgets(["monthly"])
    assert (monthly.cost, monthly.ratio, monthly.at, monthly.raw) == (70, 0.7, NOW, {"x": 1})
    assert {report.budget: report.ratio for report in history.budgets()} == {"monthly": 0.7, "zero": None}
    assert history.budgets(["other"]) == []


def test_two_writers_on_one_file_wait_for_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    with History.open(url) as one, History.open(url) as other, ThreadPoolExecutor(4) as pool:
        work = [
            pool.submit(store.record_probe, probe(f"p-{index}", index))
            for index in range(20)
            for store in (one, other)
        ]
        for task in work:
            task.result()
        assert len(one.last_probes()) == 20


def test_a_wrong_address_is_told_as_a_setting() -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        History.open("not an address")
