"""Dashboard and alert policies as code: made once, mended when changed, with the labels that route an alert."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.core.alerts import parse_monitoring
from bot.core.correlation import PipelineClaims, correlate
from pipeline.alerting import of_job
from pipeline.charts import charts, dashboard, dashboard_id, differs
from pipeline.errors import ConfigError
from pipeline.google import dashboards, metrics
from pipeline.google.clients import Clients, GoogleSettings
from sandbox.app import running

from .conftest import Stand

COUNTERS = re.compile(r'metric_name=~"([a-z_|]+)"')
PARENT = "projects/demo-project"
TOPIC = f"{PARENT}/topics/monitoring-alerts"
KEYS = {"job_failed", "system_lag", "backlog_age", "dead_letters", "error_rate", "error_rate_critical"}


@pytest.fixture(name="stand")
def over_http(stand: Stand) -> Iterator[Stand]:
    """The same world, spoken to over HTTP as well, as dashboards are."""
    with running(lambda _: stand.world) as hub:
        settings = GoogleSettings(
            project="demo-project",
            region="europe-west1",
            endpoint=stand.address,
            rest=hub.workspace.base_url,
        )
        with Clients(settings) as clients:
            yield replace(stand, ctx=replace(stand.ctx, clients=clients))


def drawn(stand: Stand) -> dict[str, Any]:
    found = dashboards.found(stand.ctx.clients, stand.ctx.pipeline, 10.0)
    assert found is not None
    return dict(found)


def there(stand: Stand) -> dict[str, Any]:
    found = stand.ctx.clients.policies.list_alert_policies(request={"name": PARENT})
    return {one.user_labels["policy"]: one for one in found if "policy" in one.user_labels}


def written(stand: Stand) -> None:
    plan = stand.plan("pipeline.dashboard")
    assert stand.run(plan).severity == "ok"
    assert stand.verify(plan).verdict.startswith("Verified")


def test_a_plan_writes_nothing_and_a_run_makes_policies_with_routing_labels(stand: Stand) -> None:
    plan = stand.plan("pipeline.dashboard")
    assert plan.refusal is None
    assert len(plan.effects) == 8
    assert there(stand) == {}
    assert stand.verify(plan).severity == "warning"
    written(stand)
    found = there(stand)
    assert set(found) == KEYS
    labels = dict(found["job_failed"].user_labels)
    assert {labels["severity"], labels["kind"], labels["runbook"]} == {
        "critical",
        "health",
        "pipeline-health",
    }
    (channel,) = {name for one in found.values() for name in one.notification_channels}
    kept = stand.ctx.clients.channels.get_notification_channel(request={"name": channel})
    assert (kept.type_, kept.labels["topic"]) == ("pubsub", TOPIC)


def test_a_second_time_nothing_is_changed(stand: Stand) -> None:
    written(stand)
    before = (there(stand), drawn(stand))
    plan = stand.plan("pipeline.dashboard")
    assert plan.effects == ("Unchanged: dashboard, alert policies and channel are as they should be.",)
    assert stand.run(plan).verdict.startswith("Unchanged")
    assert (there(stand), drawn(stand)) == before


def test_every_chart_of_a_job_or_queue_shows_something_in_a_healthy_world(stand: Stand) -> None:
    """A filter that is misspelt shows an empty chart, and nobody is told."""
    stand.happen({}, minutes=3)
    shown = {}
    for title, sets, _ in charts(stand.ctx.pipeline):
        for one in sets:
            query = one["timeSeriesQuery"]
            for filter_ in _filters(stand, query):
                found = metrics.series(stand.ctx.clients, "demo-project", filter_, stand.clock.now(), 600)
                shown[title, filter_] = len(found)
    assert min(shown.values()) > 0, shown
    assert len({title for title, _ in shown}) == 10


def _filters(stand: Stand, query: Mapping[str, Any]) -> list[str]:
    """A data set's filter, or one for each counter that its query adds up."""
    if "prometheusQuery" in query:
        names = {name for found in COUNTERS.findall(query["prometheusQuery"]) for name in found.split("|")}
        of_it = of_job(stand.ctx.pipeline, "user_counter")
        return [f'{of_it} AND metric.labels.metric_name="{name}"' for name in sorted(names)]
    filter_ = str(query["timeSeriesFilter"]["filter"])
    return [] if "bigtable" in filter_ else [filter_]


def test_a_dashboard_that_was_changed_by_hand_is_mended(stand: Stand) -> None:
    written(stand)
    changed = drawn(stand)
    changed["mosaicLayout"]["tiles"].pop()
    changed["displayName"] = "mine"
    parent = f"{stand.ctx.clients.settings.rest}/v1/{PARENT}/dashboards"
    answer = stand.ctx.clients.http.patch(f"{parent}/{dashboard_id(stand.ctx.pipeline)}", json=changed)
    assert answer.status_code == 200
    plan = stand.plan("pipeline.dashboard")
    (effect,) = plan.effects
    assert effect.startswith("Mend the dashboard")
    written(stand)
    assert not differs(dashboard(stand.ctx.pipeline), drawn(stand))


def test_what_google_adds_of_its_own_is_no_difference() -> None:
    assert not differs({"a": [{"x": 0, "b": 1}]}, {"a": [{"b": 1, "new": 2}], "etag": "7"})
    assert differs({"a": [1, 2]}, {"a": [1]})
    assert differs({"a": "x"}, {})


def test_the_report_links_to_dashboard_and_policies(stand: Stand) -> None:
    plan = stand.plan("pipeline.dashboard")
    stand.run(plan)
    report = stand.verify(plan)
    console = "https://console.cloud.google.com/monitoring"
    assert f"{console}/dashboards/builder/streamwatch-orders?project=demo-project" in report.verdict
    assert all(row[4].startswith(f"{console}/alerting/policies/") for row in report.tables[0].rows)


def test_the_error_rate_is_asked_as_the_rules_say_and_its_alert_finds_the_pipeline(stand: Stand) -> None:
    written(stand)
    policy = there(stand)["error_rate"]
    query = policy.conditions[0].condition_prometheus_query_language.query
    assert 'metric_name=~"click_invalid|transaction_invalid|stock_invalid"' in query
    assert query.endswith(">= 100) > 0.1")
    # A query's notification may name no resource: then the policy's own labels say whose it is.
    sent = {
        "version": "1.2",
        "incident": {
            "incident_id": "0.rate",
            "state": "open",
            "policy_name": policy.display_name,
            "policy_user_labels": dict(policy.user_labels),
            "scoping_project_id": "demo-project",
        },
    }
    alert = parse_monitoring(sent, stand.clock.now())
    where = correlate(alert, [PipelineClaims(name="orders", project="demo-project")])  # type: ignore[arg-type]
    assert (where.pipeline, where.claimed, where.family) == ("orders", True, "stream")


def test_without_an_address_for_http_the_real_google_is_not_asked_by_mistake(stand: Stand) -> None:
    settings = replace(stand.ctx.clients.settings, rest="")
    with Clients(settings) as clients, pytest.raises(ConfigError, match="GOOGLE_REST_ENDPOINT"):
        dashboards.found(clients, stand.ctx.pipeline, 5.0)


def test_a_plan_that_is_run_again_after_a_kill_makes_nothing_twice(stand: Stand) -> None:
    plan = stand.plan("pipeline.dashboard")
    stand.run(plan)
    stand.run(plan)
    assert len(list(stand.ctx.clients.policies.list_alert_policies(request={"name": PARENT}))) == len(KEYS)
    assert len(list(stand.ctx.clients.channels.list_notification_channels(request={"name": PARENT}))) == 1


def test_what_was_changed_by_hand_is_mended_and_other_channels_stay(stand: Stand) -> None:
    written(stand)
    client = stand.ctx.clients.policies
    mail = stand.ctx.clients.channels.create_notification_channel(
        request={
            "name": PARENT,
            "notification_channel": {"type_": "email", "labels": {"email_address": "alice@example.com"}},
        }
    )
    changed = there(stand)["system_lag"]
    changed.user_labels["severity"] = "info"
    changed.conditions[0].condition_threshold.threshold_value = 9000.0
    changed.notification_channels.append(mail.name)
    client.update_alert_policy(request={"alert_policy": changed})
    plan = stand.plan("pipeline.dashboard")
    assert plan.effects == ('Mend the alert policy "orders: system lag above 5 min": condition, labels.',)
    written(stand)
    mended = there(stand)["system_lag"]
    assert mended.name == changed.name
    assert mended.user_labels["severity"] == "warning"
    assert mended.conditions[0].condition_threshold.threshold_value == 300.0
    assert mail.name in mended.notification_channels


def test_policies_of_others_are_not_touched(stand: Stand) -> None:
    written(stand)
    foreign = there(stand)["system_lag"]
    foreign.name = ""
    del foreign.user_labels["managed_by"]
    foreign.display_name = "somebody's own"
    for condition in foreign.conditions:
        condition.name = ""
    made = stand.ctx.clients.policies.create_alert_policy(request={"name": PARENT, "alert_policy": foreign})
    assert stand.plan("pipeline.dashboard").data["fine"]
    assert (
        stand.ctx.clients.policies.get_alert_policy(request={"name": made.name}).display_name
        == "somebody's own"
    )
