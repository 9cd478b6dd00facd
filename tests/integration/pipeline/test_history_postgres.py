"""The history on a real PostgreSQL, where one is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pipeline.history import History
from pipeline.report import Report
from tests.support.servers import private_postgres

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def probe(pipeline: str) -> Report:
    return Report(operation="pipeline.health", pipeline=pipeline, verdict="v", severity="ok", as_of=NOW)


def test_the_history_keeps_its_promises_on_postgresql() -> None:
    with private_postgres() as url:
        with ThreadPoolExecutor(4) as pool:
            opened = list(pool.map(History.open, [url] * 4))
        for index, history in enumerate(opened):
            history.record_probe(probe(f"p-{index}"))
            history.record_budget(
                budget="monthly", period="2026-11-01", cost=10.0 * index, amount=100, currency="EUR", at=NOW
            )
        assert [report.pipeline for report in opened[0].last_probes()] == ["p-0", "p-1", "p-2", "p-3"]
        assert opened[1].probes_since("p-2", NOW) == [probe("p-2")]
        (budget,) = opened[2].budgets(["monthly"])
        assert (budget.cost, budget.ratio, budget.at) == (30.0, 0.3, NOW)
        for history in opened:
            history.close()


def test_the_hours_of_quality_lose_nothing_to_two_writers_on_postgresql() -> None:
    def look(history: History, minute: int) -> None:
        totals = {"received": 100.0 * minute, "valid": 100.0 * minute, "invalid": 0.0}
        report = probe("orders")
        at = NOW + timedelta(minutes=minute)
        data = {
            "events": {"jobs": ["j-1"], "totals": totals},
            "lag": {"system_lag_s": float(minute)},
            "backlog": None,
        }
        history.record_probe(replace(report, as_of=at, data=data))

    with private_postgres() as url:
        one, other = History.open(url), History.open(url)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda history: look(history, 0), (one, other)))
            list(pool.map(lambda minute: look(one if minute % 2 else other, minute), range(1, 41)))
        hours = one.quality_since("orders", NOW)
        assert sum(hour.counts["received"] for hour in hours) == 4000.0
        assert sum(hour.measured_s for hour in hours) == 2400.0
        (hour,) = one.speed_since("orders", NOW)
        lag = hour.gauges["system_lag_s"]
        assert (lag.looks, lag.most, list(hour.gauges)) == (42, 40.0, ["system_lag_s"])
        assert lag.total == sum(range(41))
        one.close()
        other.close()
