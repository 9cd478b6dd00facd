"""Spend out of the billing export, by BigQuery's own client: its sums are the world's, and today is partial."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue import load
from pipeline.errors import ConfigError
from pipeline.google.billing_export import BillingExport
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.operations import Context, ReadOperation, get
from pipeline.report import Report
from sandbox.google.bigquery_seed import EXPORT_TABLE
from sandbox.google.server import GoogleServer
from tests.integration.sandbox_google.google import JOB, PROJECT
from tests.integration.sandbox_google.rest import Rest, running_rest

from .conftest import Stand

TABLE = f"{PROJECT}.billing.{EXPORT_TABLE}"
TODAY = date(2026, 11, 20)
SPEND = [
    {"day": "2026-11-20", "service": "Cloud Dataflow", "amount": 3.07},
    {"day": "2026-11-03", "service": "Cloud Storage", "amount": 7.01},
]


class Desk:
    """Operations on a world whose every service is served, gRPC and HTTP."""

    def __init__(self, rest: Rest, ctx: Context) -> None:
        self.rest = rest
        self.ctx = ctx

    def read(self, name: str, **params: Any) -> Report:
        operation = get(name)
        assert isinstance(operation, ReadOperation)
        return operation.read(self.ctx, params)

    def day(self, day: date) -> dict[str, float]:
        return self.rest.world.billing.on(day)

    def total(self, day: date) -> float:
        return sum(self.day(day).values())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running_rest(tmp_path) as rest:
        server = GoogleServer(rest.world)
        address = f"127.0.0.1:{server.start()}"
        clients = Clients(GoogleSettings(project=PROJECT, endpoint=address, rest=rest.base_url))
        pipeline = replace(load(tmp_path / "pipelines.yaml").find(), export=TABLE)
        try:
            yield Desk(
                rest,
                Context(
                    pipeline=pipeline,
                    clients=clients,
                    history=None,
                    now=rest.clock.now,
                    sleep=lambda seconds: rest.clock.go(seconds),
                    deadline_s=10.0,
                    catalogue=(pipeline,),
                ),
            )
        finally:
            clients.close()
            server.stop()


def spent(desk: Desk) -> dict[str, float]:
    """The month so far by service, added up in Python."""
    out: dict[str, float] = {}
    for number in range(TODAY.day):
        for service, amount in desk.day(TODAY.replace(day=1) + timedelta(days=number)).items():
            out[service] = out.get(service, 0.0) + amount
    return out


def test_the_sums_of_the_report_are_those_of_the_world(desk: Desk) -> None:
    desk.rest.world.apply({"spend": SPEND})
    report = desk.read("cost.report")
    expected = spent(desk)
    found = {one["service"]: one for one in report.data["services"]}
    assert {name: one["net"] for name, one in found.items()} == {
        name: pytest.approx(amount, abs=0.006) for name, amount in expected.items()
    }
    assert found["Cloud Dataflow"]["today"] == pytest.approx(3.07)
    assert found["BigQuery"]["credits"] < 0
    assert all(one["gross"] + one["credits"] == pytest.approx(one["net"], abs=0.02) for one in found.values())
    month = next(one for one in report.findings if one.id == "spend_of_month")
    assert month.evidence[0].value == pytest.approx(sum(expected.values()), abs=0.01)
    assert "a part of the day only: the export's newest row is of 08:00 UTC" in month.text
    assert report.verdict.startswith("Project demo-project stands at ")
    assert report.tables[-1].rows[0][0] == "Cloud Dataflow"
    assert all(len(table.columns) <= 5 for table in report.tables)


def test_an_amount_can_be_named_to_compare_the_month_with(desk: Desk) -> None:
    desk.rest.world.apply({"spend": SPEND})
    total = sum(spent(desk).values())
    report = desk.read("cost.report", budget=50.0)
    assert report.severity == "critical"
    assert report.verdict.startswith("Project demo-project is overrun: ")
    assert report.data["budgets"][0]["ratio"] == pytest.approx(total / 50.0, abs=0.001)
    assert report.fact("budget_overrun") is None, "an amount that somebody typed is no budget"


def test_the_forecast_rests_on_the_seven_complete_days_before_yesterday(desk: Desk) -> None:
    desk.rest.world.apply({"spend": SPEND})
    report = desk.read("cost.forecast")
    (one,) = report.data["export"]
    normal = sum(desk.total(TODAY - timedelta(days=back)) for back in range(2, 9)) / 7
    so_far = sum(spent(desk).values())
    assert one["normal"] == pytest.approx(normal, abs=0.006)
    assert one["so_far"] == pytest.approx(so_far, abs=0.006)
    assert one["forecast"] == pytest.approx(so_far + 10 * normal, abs=0.02)
    assert report.verdict.startswith("Project demo-project will be at about ")
    assert [row[0] for row in report.tables[0].rows][-1] == "2026-11-18"
    assert report.fact("cost") is None, "neither today nor yesterday is complete: nothing is disproved"


def test_a_spike_is_a_fact_and_names_its_service_in_the_first_sentence(desk: Desk) -> None:
    desk.rest.world.apply({"scenario": "cost_spike", "spend": SPEND[1:]})
    report = desk.read("cost.report")
    fact = report.fact("cost")
    assert fact is not None
    assert fact.on is True
    normal = sum(desk.total(TODAY - timedelta(days=back)) for back in range(2, 9)) / 7
    highest = max(desk.total(TODAY), desk.total(TODAY - timedelta(days=1)))
    assert fact.value == pytest.approx(highest / normal)
    assert report.verdict.startswith("Project demo-project: ")
    assert "above the normal" in report.verdict.split("; ")[0]
    assert "mostly Cloud Dataflow (" in report.verdict
    assert report.severity == "warning"


def test_a_complete_day_disproves_and_a_partial_one_does_not(desk: Desk) -> None:
    desk.rest.world.apply({"spend": SPEND})
    assert desk.read("cost.report").fact("cost") is None
    # in the evening the export has rows that were written half a day after yesterday's end
    desk.rest.clock.go(14 * 3600)
    fact = desk.read("cost.report").fact("cost")
    assert fact is not None
    assert fact.on is False


def test_drivers_are_services_and_the_jobs_that_labels_name(desk: Desk) -> None:
    desk.rest.world.apply({"spend": SPEND})
    report = desk.read("cost.drivers", visualize=True)
    assert report.verdict.startswith("Cloud Dataflow costs most: ")
    assert [one["driver"] for one in report.data["jobs"]] == [JOB]
    assert report.tables[0].title == "Spend of the month, by service (billing export)"
    assert "Cloud Storage" in [name for name, _, _ in report.data["drawing"]["rows"]]
    assert "by_service" not in {finding.id for finding in report.findings}


def test_an_export_that_is_not_there_is_unknown_and_says_so(desk: Desk) -> None:
    report = desk.read("cost.forecast")
    assert report.severity == "unknown"
    gap = next(finding for finding in report.findings if finding.id == "export")
    assert "Either it does not exist or pipelines.yaml names it wrongly" in gap.text
    assert report.data["export"] == []


def test_an_export_without_rows_of_the_project_is_unknown(desk: Desk) -> None:
    desk.rest.world.apply({"spend": SPEND})
    desk.ctx = replace(desk.ctx, pipeline=replace(desk.ctx.pipeline, project="other-project"))
    report = desk.read("cost.forecast")
    assert report.severity == "unknown"
    assert any("holds nothing of other-project in this month yet" in one.text for one in report.findings)
    assert report.facts == ()


@pytest.mark.parametrize(
    "table",
    [
        "demo-project.billing.raw_events",
        f"{TABLE}` UNION ALL SELECT 1 -- ",
        f"billing.{EXPORT_TABLE}",
        f"{TABLE}\n",
        "Demo.billing.gcp_billing_export_v1_A",
    ],
)
def test_a_name_that_is_no_export_never_reaches_a_query(desk: Desk, table: str) -> None:
    with pytest.raises(ConfigError, match="not the table of a billing export"):
        BillingExport(desk.ctx.clients, table, PROJECT, TODAY, 10.0)


def test_bigquery_is_not_looked_for_at_google_when_all_else_is_elsewhere(stand: Stand) -> None:
    moved = replace(stand, ctx=replace(stand.ctx, pipeline=replace(stand.ctx.pipeline, export=TABLE)))
    report = moved.read("cost.report")
    gap = next(finding for finding in report.findings if finding.id == "export")
    assert gap.severity == "unknown"
    assert "set GOOGLE_REST_ENDPOINT" in gap.text


def test_an_address_that_nobody_listens_at_is_unreachable(desk: Desk) -> None:
    clients = Clients(GoogleSettings(project=PROJECT, rest="http://127.0.0.1:9"))
    try:
        with pytest.raises(Exception, match="BigQuery is not reachable while reading spend by day"):
            BillingExport(clients, TABLE, PROJECT, TODAY, 1.0).by_day()
    finally:
        clients.close()


def test_the_rest_address_is_a_url() -> None:
    assert GoogleSettings.from_env({"BIGQUERY_EMULATOR_HOST": "http://a:1"}).rest == "http://a:1"
    both = {"BIGQUERY_EMULATOR_HOST": "http://a:1", "GOOGLE_REST_ENDPOINT": "http://b:2"}
    assert GoogleSettings.from_env(both).rest == "http://b:2"
    with pytest.raises(ConfigError, match="GOOGLE_REST_ENDPOINT"):
        GoogleSettings.from_env({"GOOGLE_REST_ENDPOINT": "a:1"})


def test_validate_looks_at_the_dataset_where_bigquery_is(desk: Desk) -> None:
    desk.ctx = replace(desk.ctx, pipeline=replace(desk.ctx.pipeline, dataset="ecommerce"))
    (table,) = desk.read("pipeline.validate").tables
    row = next(row for row in table.rows if row[0] == "dataset ecommerce")
    assert row[1] == "pass"
    assert "exists in" in row[2]
