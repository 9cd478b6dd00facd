"""The history on a real PostgreSQL, where one is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

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
