"""What BigQuery and Bigtable show of themselves, in perf and in health, in each world that they explain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.gather_background import published
from pipeline.gather_sinks import sinks
from pipeline.google.quotas import CPUS, compute_quotas
from pipeline.history import History
from pipeline.report import Finding, Report
from tests.integration.sandbox_google.google import PROJECT

from .conftest import Served


def finding(report: Report, name: str) -> Finding:
    return next(one for one in report.findings if one.id == name)


def measured(found: Finding, what: str) -> float:
    value = next(one.value for one in found.evidence if one.what == what)
    assert isinstance(value, int | float)
    return value


def test_in_a_healthy_world_both_stores_are_at_ease(served: Served) -> None:
    report = served.after(8).read("pipeline.perf")
    assert report.severity == "ok", report.verdict
    bigquery, bigtable = finding(report, "bigquery"), finding(report, "bigtable")
    assert (bigquery.severity, bigtable.severity) == ("ok", "ok")
    assert measured(bigquery, "rows into BigQuery") > 1
    (throughput,) = (one for one in report.tables if one.title.startswith("Throughput"))
    assert throughput.rows[-1][0] == "rows into BigQuery"
    assert 0 < report.data["bigquery_slots"] < 1
    assert "12 queries in the last hour" in bigquery.text
    assert "CPU 12.0 % of 3 nodes" in bigtable.text
    assert measured(bigtable, "requests to Bigtable") > 1


def test_a_slow_sink_shows_in_the_rows_and_in_the_queries_that_crowd_it(served: Served) -> None:
    report = served.after(3).after(10, scenario="slow_sink").read("pipeline.perf")
    held, bigquery = finding(report, "slow_sink"), finding(report, "bigquery")
    now = measured(held, "rows into BigQuery")
    assert now < 0.8 * measured(held, "rows into BigQuery, an hour before")
    assert measured(held, "BigQuery slots in the last hour") > 10
    assert bigquery.severity == "info"
    (table,) = [one for one in report.tables if one.title.startswith("Slowest queries")]
    assert "SELECT * FROM" in table.rows[0][-1], "the slowest comes first"
    assert len(table.columns) <= 5
    assert finding(report, "bigtable").severity == "ok"


def test_a_hot_key_shows_in_one_node_of_bigtable(served: Served) -> None:
    report = served.after(3).after(10, scenario="hot_key").read("pipeline.perf")
    assert measured(finding(report, "hot_key"), "CPU of its hottest node") > 0.9
    bigtable = finding(report, "bigtable")
    assert bigtable.severity == "info"
    assert "its hottest node 97.0 %, a sign of a hot row" in bigtable.text
    assert finding(report, "bigquery").severity == "ok"


def test_stores_that_may_not_be_seen_leave_the_bottleneck_known(served: Served) -> None:
    denied = {"method": "bigquery.jobs/*", "code": "PERMISSION_DENIED", "count": 9}
    methods = ["bigquery.datasets/get", "bigquery.jobs/insert", "bigquery.jobs/query"]
    served.after(8, errors=[denied | {"method": one} for one in methods])
    report = served.read("pipeline.perf")
    assert report.severity == "ok", report.verdict
    gap = finding(report, "sink_gap_0")
    assert gap.severity == "unknown"
    assert "denies access" in gap.text
    assert report.data["bigquery_slots"] is None


def test_health_tells_what_the_sinks_take(served: Served) -> None:
    report = served.after(8).read("pipeline.health")
    assert report.severity == "ok", report.verdict
    assert "nothing refused" in finding(report, "sinks").text
    assert "Quotas have room" in finding(report, "quota_room").text
    fact = report.fact("resource_constraint")
    assert fact is not None
    assert fact.on is False


def test_health_tells_a_quota_without_room_as_a_resource_issue(served: Served) -> None:
    report = served.after(6, scenario="job_failed", cause="quota").read("pipeline.health")
    assert "(resource issue" in report.verdict
    assert "24 of 24 cpus" in finding(report, "quota").text
    fact = report.fact("resource_constraint")
    assert fact is not None
    assert fact.on is True
    assert fact.value == 1.0


def test_a_quota_is_known_though_google_tells_it_once_a_day(served: Served) -> None:
    fresh = served.after()
    project, region = fresh.ctx.pipeline.project, fresh.ctx.pipeline.region
    earlier = fresh.ctx.now() - timedelta(hours=4)
    (cpus,) = compute_quotas(fresh.ctx.clients, project, region, earlier, 10.0)
    assert (cpus.name, cpus.used, cpus.limit) == (CPUS, 4, 24)


def test_samples_that_come_minutes_late_do_not_look_like_less(served: Served) -> None:
    ctx = served.after(15).ctx
    clients, pipeline, now = ctx.clients, ctx.pipeline, ctx.now()
    late = now + timedelta(minutes=3)  # so the newest samples are three minutes old
    seen, then = (sinks(clients, pipeline, at, 10.0, closely=False) for at in (now, late))
    for one, other in ((seen.rows, then.rows), (seen.requests, then.requests)):
        assert one is not None
        assert other is not None
        assert other.now == pytest.approx(one.now, rel=0.1)
    came, told = (published(clients, pipeline, at, 10.0)["clicks"].now for at in (now, late))
    assert told == pytest.approx(came, rel=0.1)


def test_a_stage_that_falls_behind_is_a_trend_until_it_is_a_degradation(served: Served) -> None:
    def facts(report: Report) -> tuple[bool | None, bool | None]:
        found = (report.fact("degradation_trend"), report.fact("degraded"))
        return found[0].on if found[0] else None, found[1].on if found[1] else None

    assert facts(served.after(3).read("pipeline.health")) == (False, False)
    assert facts(served.after(5, scenario="slow_sink").read("pipeline.health")) == (True, False)
    assert facts(served.after(8).read("pipeline.health")) == (False, True)


def test_where_nobody_answers_nobody_is_asked_twice(served: Served) -> None:
    served.after(2, errors=[{"method": "*", "code": "PERMISSION_DENIED", "count": 500}])
    report = served.read("pipeline.perf")
    left = served.rest.world.faults.describe()[0]["left"]
    assert report.severity == "unknown"
    assert isinstance(left, int)
    assert 500 - left < 15, "the questions of one measurement"


def test_a_column_that_came_within_the_day_is_among_what_changed(served: Served, tmp_path: Path) -> None:
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        keeping = replace(served, ctx=replace(served.ctx, history=history))
        first = keeping.after(3).read("pipeline.health")
        history.record_probe(first)
        assert "gained" not in first.dumps()
        table = f"/bigquery/v2/projects/{PROJECT}/datasets/ecommerce/tables/raw_events"
        fields = keeping.ctx.clients.http.get(f"{served.rest.base_url}{table}").json()["schema"]["fields"]
        wider = {"schema": {"fields": [*fields, {"name": "colour", "type": "STRING", "mode": "NULLABLE"}]}}
        answer = keeping.ctx.clients.http.patch(f"{served.rest.base_url}{table}", json=wider)
        assert answer.status_code == 200
        changed = next(f for f in keeping.after(1).read("pipeline.health").findings if f.id == "changed")
        assert "table raw_events gained colour" in changed.text
