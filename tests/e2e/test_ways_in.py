"""Every way in, for every kind of incident: an alert by webhook, push and pull, a budget, a declaration, the watch.

Each cell of the table becomes one incident of that kind, with its severity, its runbook, its people and its place.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.alerts import alert
from tests.e2e.people import People
from tests.e2e.running import Json, Stage, headlines, metadata, staged, texts
from tests.e2e.test_drafts import offered, press
from tests.e2e.test_kill_pulled import SHIPPED, TOPIC, google, publish

# kind -> (metric, value, threshold, labels of the policy, the severity and the runbook that follow)
ALERTS: Mapping[str, tuple[str, str, str, dict[str, str], str, str]] = {
    "health": ("dataflow.googleapis.com/job/is_failed", "1.000", "0", {}, "critical", "pipeline-health"),
    "quality": ("custom.googleapis.com/events/error_rate", "0.31", "0.1", {}, "warning", "data-quality"),
    "cost": ("billing.googleapis.com/spend", "31.00", "20", {"severity": "warning"}, "warning", "cost-spike"),
    "performance": ("dataflow.googleapis.com/job/system_lag", "400", "120", {}, "warning", "performance"),
    "security": ("custom.googleapis.com/audit", "1", "0", {"kind": "security"}, "critical", "security"),
}  # fmt: skip
WAYS = ("webhook", "push", "pull")
SECRET = "zebrafish"


def notification(way: str, kind: str) -> Json:
    """An alert on a job of its own, so that no two cells meet in one incident."""
    metric, value, threshold, labels, _, _ = ALERTS[kind]
    name = f"{SECRET}-{way}" if kind == "security" else f"{way}-{kind}"
    return alert(
        f"0.{name}",
        pipeline=name,
        value=value,
        policy_name=f"{name} alert",
        condition_name=f"{name} alert",
        summary=f"{name} is above the threshold with a value of {value}.",
        threshold_value=threshold,
        policy_user_labels=labels,
        metric={"type": metric, "displayName": metric.rpartition("/")[2], "labels": {}},
    )


def budget(name: str, cost: float) -> tuple[Json, dict[str, str]]:
    data = {
        "budgetDisplayName": name,
        "costAmount": cost,
        "costIntervalStart": "2026-11-01T08:00:00Z",
        "budgetAmount": 200.0,
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "alertThresholdExceeded": 1.0,
        "currencyCode": "EUR",
    }
    return data, {"billingAccountId": "01A2B3", "budgetId": f"id-{name}", "schemaVersion": "1.0"}


def publish_budget(stage: Stage, name: str, cost: float) -> None:
    data, attributes = budget(name, cost)
    with google(stage) as clients:
        message = {"data": json.dumps(data).encode(), "attributes": attributes}
        clients.publisher.publish(request={"topic": TOPIC, "messages": [message]}, timeout=10)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A workspace into which every kind came by every way; all of it was sent."""
    env = {"PULL_SUBSCRIPTIONS": SHIPPED}
    with staged(tmp_path_factory.mktemp("ways"), env=env) as stage:
        people = People(stage)
        for kind in ALERTS:
            assert stage.post(notification("webhook", kind)).accepted
            assert people.push(notification("push", kind))["status"] < 300
        publish(stage, *(notification("pull", kind) for kind in ALERTS))
        assert people.push(*budget("push-budget", 203.0))["status"] < 300
        publish_budget(stage, "pull-budget", 245.0)
        public = 3 * (len(ALERTS) - 1) + 2
        stage.until(lambda: len(stage.incidents()) >= public, 60, f"there are no {public} public incidents")
        stage.until_quiet(60)
        yield people


def of(people: People, pipeline: str) -> Json:
    """The one incident of a pipeline, whole."""
    (row,) = [row for row in people.stage.incidents() if row["pipeline"] == pipeline]
    return people.stage.incident(str(row["id"]))


def rooms(people: People, word: str) -> list[Json]:
    return [c for c in people.stage.channels() if word in str(c["name"])]


def paged(incident: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(page["level"], page["person"]) for page in incident["pages"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [kind for kind in ALERTS if kind != "security"])
def test_an_alert_becomes_an_incident_of_its_kind(people: People, way: str, kind: str) -> None:
    _, _, _, _, severity, runbook = ALERTS[kind]
    incident = of(people, f"{way}-{kind}")
    assert (incident["kind"], incident["severity"]) == (kind, severity)
    assert incident["runbook"]["name"] == runbook
    assert paged(incident) == {("L1", "alice")}
    (room,) = [c for c in people.stage.channels() if c["id"] == incident["channel_id"]]
    assert not room["is_private"]
    assert len(headlines(room)) == 1
    assert f"/runbook show {runbook}" in "\n".join(texts({"channels": [room]}))
    announced = "\n".join(str(m["text"]) for m in people.messages("incidents"))
    assert str(incident["id"]) in announced


@pytest.mark.parametrize(("name", "severity"), [("push-budget", "warning"), ("pull-budget", "critical")])
def test_a_budget_becomes_a_cost_incident(people: People, name: str, severity: str) -> None:
    incident = of(people, name)
    assert (incident["kind"], incident["severity"]) == ("cost", severity)
    assert incident["runbook"]["name"] == "cost-spike"
    overrun = {("L2", "carol")} if severity == "critical" else set()
    assert paged(incident) == {("L1", "alice")} | overrun


@pytest.mark.parametrize("way", WAYS)
def test_a_security_alert_becomes_a_private_incident_of_its_own(people: People, way: str) -> None:
    (room,) = rooms(people, f"{SECRET}-{way}")
    assert room["is_private"]
    assert set(room["members"]) == {"U0STREAMWATCH", "U01ALICE", "U02BOB", "U03CAROL"}
    said = "\n".join(texts({"channels": [room]}))
    assert "critical" in said
    for contact in ("security@yourcompany.com", "compliance@yourcompany.com"):
        assert contact in said, "the contacts of the runbook are told, or named to be written to"
    assert "Call the security team" in said, "the runbook has begun: its first step waits"
    pages = [
        m for m in people.messages(event="streamwatch_page") if m["is_im"] and f"{SECRET}-{way}" in m["text"]
    ]
    assert {metadata(m)[1]["person"] for m in pages} == {"alice", "carol"}


def test_security_is_in_no_announcement_no_list_and_no_figure(people: People) -> None:
    assert SECRET not in "\n".join(str(m) for m in people.messages("incidents"))
    assert SECRET not in str(people.stage.incidents())
    assert SECRET not in str(people.stage.health())


@pytest.mark.parametrize("kind", list(ALERTS))
def test_a_person_declares_every_kind(people: People, kind: str) -> None:
    _, _, _, _, _, runbook = ALERTS[kind]
    severity = "critical" if kind == "security" else "warning"
    said = people.ask("bob", "general", f"/incident declare {kind} declared {kind} trouble", "is declared")
    name = str(said["text"]).split()[0]
    room = people.channel_of(name)
    (place,) = people.stage.channels(room)
    assert place["is_private"] == (kind == "security")
    people.saw("Runbook ", channel=room)
    if kind == "security":
        assert name not in [row["id"] for row in people.stage.incidents()]
        assert f"declared {kind}" not in "\n".join(str(m) for m in people.messages("incidents"))
    else:
        incident = people.stage.incident(name)
        assert (incident["kind"], incident["severity"]) == (kind, severity)
        assert incident["runbook"]["name"] == runbook
        # The next declaration of the same family is to be an incident of its own.
        people.ask("alice", room, "/incident resolve it was a drill --yes", "is resolved")


# --- the watch, with no alert at all ----------------------------------------------------------------------

SPEED = 20.0
NOON = datetime(
    2026, 11, 23, 22, 0, tzinfo=UTC
).timestamp()  # in the Pacific afternoon yesterday's costs are complete
PIPELINES = "pipelines:\n" + "".join(
    f"""  - name: {name}
    environment: staging
    project: demo-project
    region: europe-west1
    job_name: {name}-job
    template: gs://demo-project-templates/{name}.json
    topics: {{click: {name}-events}}
    subscriptions: [{name}-sub]
    dead_letter: {{topic: {name}-dead, subscription: {name}-dead-sub}}
    export: {export}
"""
    for name, export in (
        ("orders", "null"),
        ("returns", "null"),
        ("refunds", "null"),
        ("spending", "demo-project.billing.gcp_billing_export_v1_01A2B3_C4D5E6_F7A8B9"),
    )
)
WORLDS = {
    "orders": ("job_failed", "health", "critical", "pipeline-health"),
    "returns": ("invalid_format", "quality", "warning", "data-quality"),
    "refunds": ("slow_sink", "performance", "warning", "performance"),
    "spending": ("cost_spike", "cost", "warning", "cost-spike"),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Four pipelines, each broken in its own way; Cloud Monitoring is silent."""
    from tests.e2e.running import ROOT

    policy = (ROOT / "runbooks" / "escalation.yaml").read_text(encoding="utf-8")
    quick = policy.replace("every: 30m", "every: 1m").replace("recover: 10m", "recover: 2m")
    books = {"pipelines.yaml": PIPELINES, "escalation.yaml": quick}
    with staged(
        tmp_path_factory.mktemp("watched"), clock=f"{time.time()},{NOON},{SPEED}", runbooks=books
    ) as stage:
        people = People(stage)
        # One after the other: the sandbox lives the time since then once more, from what stood at that moment.
        for n, (pipeline, (scenario, *_)) in enumerate(WORLDS.items()):
            people.world(scenario=scenario, pipeline=pipeline, at=_ago(20 - n))
        yield people


def _ago(minutes: float) -> str:
    return datetime.fromtimestamp(NOON - 60 * minutes, UTC).isoformat()


@pytest.mark.parametrize("pipeline", list(WORLDS))
def test_the_watch_opens_an_incident_of_the_kind_that_it_measures(watched: People, pipeline: str) -> None:
    _, kind, severity, runbook = WORLDS[pipeline]

    def opened() -> Json | None:
        found = [row for row in watched.stage.incidents() if row["pipeline"] == pipeline]
        return watched.stage.incident(str(found[0]["id"])) if found else None

    incident = watched.stage.until(opened, 60, f"the watch opened nothing for {pipeline}")
    assert incident is not None
    assert (incident["kind"], incident["severity"]) == (kind, severity)
    assert incident["runbook"]["name"] == runbook
    assert incident["events"][0]["actor"] == "watch"
    reason = str(incident["events"][0]["data"]["reason"])
    assert "no alert came for this" in reason or "No alert and no budget told of it" in reason
    room = watched.channel_of(str(incident["id"]))
    watched.saw("Runbook ", channel=room)


def test_a_cost_episode_is_one_incident_that_folds_alerts_in_and_ends_with_a_normal_day(
    watched: People,
) -> None:
    (row,) = [row for row in watched.stage.incidents() if row["kind"] == "cost"]
    name = str(row["id"])
    told = watched.stage.incident(name)["events"][0]["data"]["reason"]
    assert "above the normal" in told
    assert "mostly Cloud Dataflow" in told
    watched.alert(
        "0.spend",
        policy_name="Spend is high",
        policy_user_labels={"kind": "cost", "severity": "warning"},
        resource={
            "type": "dataflow_job",
            "labels": {"job_name": "spending-job", "project_id": "demo-project"},
        },
    )
    watched.stage.until(
        lambda: watched.events(name, "alert_opened"), 40, "the alert did not join the watch's incident"
    )
    assert [e["data"]["fact"] for e in watched.events(name, "fact_began")] == ["cost"]
    usual = {"Cloud Dataflow": 2.9, "BigQuery": 0.8, "Cloud Bigtable": 1.1, "Cloud Pub/Sub": 0.4}
    days = ("2026-11-21", "2026-11-22", "2026-11-23")
    watched.world(spend=[{"day": d, "service": s, "amount": a} for d in days for s, a in usual.items()])
    watched.stage.until(lambda: watched.events(name, "fact_false"), 40, "the cost never became normal")
    watched.alert(
        "0.spend",
        state="closed",
        policy_name="Spend is high",
        policy_user_labels={"kind": "cost", "severity": "warning"},
        resource={
            "type": "dataflow_job",
            "labels": {"job_name": "spending-job", "project_id": "demo-project"},
        },
    )
    watched.becomes(name, "resolved")
    assert len([row for row in watched.stage.incidents() if row["kind"] == "cost"]) == 1


def names_a_runbook(watched: People, pipeline: str, kind: str, runbook: str) -> None:
    """The alert that comes after the watch, whose policy names a runbook."""
    watched.alert(
        f"0.{pipeline}.{runbook}",
        policy_name=f"{pipeline} alert",
        policy_user_labels={"kind": kind, "severity": "warning", "runbook": runbook},
        resource={
            "type": "dataflow_job",
            "labels": {"job_name": f"{pipeline}-job", "project_id": "demo-project"},
        },
    )


def test_an_alert_that_names_a_better_runbook_switches_to_it_while_nobody_has_begun(watched: People) -> None:
    (row,) = [row for row in watched.stage.incidents() if row["pipeline"] == "refunds"]
    name, room = str(row["id"]), watched.channel_of(str(row["id"]))
    names_a_runbook(watched, "refunds", "performance", "high-latency")
    told = watched.saw("The runbook is now high-latency instead of performance", channel=room)
    assert "which nobody had begun: the alert refunds alert names it." in told["text"]
    watched.saw("Runbook High latency:", channel=room)
    assert watched.stage.incident(name)["runbook"]["name"] == "high-latency"


def test_an_alert_that_names_a_better_runbook_offers_it_where_somebody_is_at_work(watched: People) -> None:
    (row,) = [row for row in watched.stage.incidents() if row["pipeline"] == "returns"]
    name, room = str(row["id"]), watched.channel_of(str(row["id"]))
    press(watched, offered(watched, room, "Handle an invalid format"), "")
    names_a_runbook(watched, "returns", "quality", "high-error-rate")
    offer = watched.saw("The runbook high-error-rate may fit better than data-quality", channel=room)
    assert watched.stage.incident(name)["runbook"]["name"] == "data-quality"
    watched.click("alice", offer, "runbook_take")
    watched.saw("Runbook High error rate:", channel=room)
    assert watched.stage.incident(name)["runbook"]["name"] == "high-error-rate"
    started = watched.events(name, "runbook_started")[-1]
    assert (started["actor"], started["data"]["runbook"]) == ("alice", "high-error-rate")
