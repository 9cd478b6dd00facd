"""What becomes one incident, what becomes another, and what becomes none: asked over HTTP only."""

from __future__ import annotations

import json
from typing import Any

from bot.demo_world import get
from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import Stage, headlines

KEYS = {"id", "status", "severity", "kind", "pipeline", "channel", "epoch", "events", "timers", "pages"}
PIPELINES = """
pipelines:
  - name: orders
    project: demo-project
    region: europe-west1
    job_name: ecommerce-streaming
    topics: {click: clicks, transaction: transactions, stock: stock}
    subscriptions: [clicks-sub, transactions-sub, stock-sub]
    dead_letter: {topic: dead-letter, subscription: dead-letter-sub}
    bigquery: {dataset: ecommerce}
    bigtable: {instance: ecommerce, table: product_stats}
  - name: returns
    environment: staging
    topics: [return-events]
"""


def _on(key: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    resource = {"type": "x", "labels": {"project_id": "demo-project", **labels}}
    return alert(key, resource=resource, **more)


def _open(stage: Stage) -> dict[str, dict[str, Any]]:
    return {row["pipeline"] + "/" + row["kind"]: row for row in stage.incidents()}


def test_every_resource_of_a_pipeline_leads_to_one_incident_and_cost_to_another(staging: Staging) -> None:
    stage = staging(runbooks={"pipelines.yaml": PIPELINES})
    stage.post_many(
        [
            _on("a1", {"topic_id": "clicks"}),
            _on("a2", {"subscription_id": "stock-sub"}),
            _on("a3", {"job_name": "ecommerce-streaming"}),
            _on("a4", {"dataset_id": "ecommerce"}),
            _on("a5", {"table": "product_stats", "instance": "ecommerce"}),
            _on("a6", {"subscription_id": "dead-letter-sub"}),
            _on(
                "c1",
                {"job_name": "ecommerce-streaming"},
                policy_user_labels={"kind": "cost", "severity": "warning"},
            ),
            _on("r1", {"topic_id": "return-events"}),
            _on("u1", {"topic_id": "elsewhere", "table_id": "t"}),
            _on("u2", {"zone": "a"}, resource_display_name="My machine"),
        ],
        at_once=5,
    )
    wanted = {"orders/health", "orders/cost", "returns/health", "elsewhere/health", "My machine/health"}
    stage.until(lambda: not stage.health()["inbox_waiting"], 40, "the inbox did not become empty")
    stage.until(lambda: set(_open(stage)) == wanted, 40, "the alerts did not become these five incidents")
    rows = _open(stage)
    incident = stage.incident(rows["orders/health"]["id"])
    assert set(incident) >= KEYS
    # (The watch may add an event of its own; the alerts are six.)
    assert sum(event["type"] == "alert_opened" for event in incident["events"]) == 6
    stage.until(lambda: len(stage.channels()) == 5, 40, "five channels did not open")
    for row in rows.values():
        number = int(row["id"].removeprefix("INC-"))
        stage.until(
            lambda n=number: [len(headlines(c)) for c in stage.channels(f"inc-{n:04d}-")] == [1],  # type: ignore[misc]
            40,
            f"INC-{number} has not exactly one headline",
        )


def test_a_close_that_comes_first_wakes_nobody_in_either_order(staging: Staging) -> None:
    stage = staging()
    stage.post(_on("early", {"instance_id": "vm-9"}, state="closed"))
    stage.until_quiet()
    assert stage.incidents() == []
    said = stage.sandbox.wait("closed before it was seen to open", channel="incidents")
    assert "vm-9" in said["text"]
    stage.post(_on("early", {"instance_id": "vm-9"}))
    stage.until(lambda: stage.channels("inc-0001-"), 40, "the open that followed got no channel")
    assert stage.incident("INC-1")["status"] == "recovering"
    assert stage.incident("INC-1")["pages"] == []


def test_info_has_no_channel_and_no_page_until_it_becomes_graver(staging: Staging) -> None:
    stage = staging()
    quiet = {
        "severity": "info",
        "observed_value": "",
        "threshold_value": "",
        "metric": {"type": "x", "labels": {}},
    }
    labels = {"kind": "performance", "severity": "info"}
    stage.post(_on("i1", {"job_name": "batch"}, **quiet | {"policy_user_labels": labels}))
    stage.until(stage.incidents, 40, "the info alert opened nothing")
    stage.until_quiet()
    incident = stage.incident("INC-1")
    assert (incident["severity"], incident["channel"], incident["pages"]) == ("info", None, [])
    graver = {"kind": "quality", "severity": "warning"}
    stage.post(_on("i2", {"job_name": "batch"}, **quiet | {"policy_user_labels": graver}))
    stage.until(lambda: stage.channels("inc-0001-"), 40, "becoming graver opened no channel")
    stage.until(lambda: stage.incident("INC-1")["pages"], 40, "becoming graver paged nobody")
    incident = stage.incident("INC-1")
    assert (incident["severity"], incident["kind"]) == ("warning", "quality")


def _budget(stage: Stage, cost: float, threshold: float) -> None:
    data = {
        "budgetDisplayName": "orders-monthly", "costAmount": cost, "costIntervalStart": "2026-11-01T00:00:00Z",
        "budgetAmount": 200.0, "budgetAmountType": "SPECIFIED_AMOUNT", "currencyCode": "USD",
        "alertThresholdExceeded": threshold,
    }  # fmt: skip
    attributes = {"billingAccountId": "A", "budgetId": "b-1", "schemaVersion": "1.0"}
    answer = stage.sandbox.post("/sim/push", {"data": json.dumps(data), "attributes": attributes})
    assert answer["status"] in (200, 204), answer
    stage.until(lambda: not stage.health()["inbox_waiting"], 40, "the budget notification was not processed")


def test_a_budget_that_people_decided_on_is_quiet_until_it_goes_further(staging: Staging) -> None:
    stage = staging()
    _budget(stage, 205.0, 1.0)
    stage.until(lambda: stage.channels("inc-0001-"), 40, "a used up budget opened no channel")
    stage.until(lambda: stage.incident("INC-1")["channel"], 40, "the bot does not know its channel")
    incident = stage.incident("INC-1")
    assert (incident["severity"], incident["kind"], incident["facts"]) == ("warning", "cost", [])
    assert not [timer for timer in incident["timers"] if timer["kind"] == "rule"]
    stage.command("alice", incident["channel"], "/incident resolve --yes we live with it")
    stage.until(lambda: stage.incident("INC-1")["status"] == "resolved", 40, "it was not resolved")
    _budget(stage, 225.0, 1.0)  # ten points more: decided
    assert stage.incident("INC-1")["status"] == "resolved"
    _budget(stage, 247.0, 1.0)  # twenty-one points more, without a higher threshold
    stage.until(lambda: stage.incident("INC-1")["status"] == "open", 40, "20 points more did not reopen it")
    assert stage.incident("INC-1")["severity"] == "critical"
    assert len(stage.incidents()) == 1


def test_the_watch_opens_an_incident_without_any_alert(staging: Staging) -> None:
    stage = staging()
    stage.processes.kill("bot")
    stage.sandbox.post("/sim/world", {"scenario": "job_failed"})
    stage.start_bot()
    stage.until(stage.incidents, 40, "nobody noticed the failed job at start-up")
    incident = stage.incident("INC-1")
    assert (incident["pipeline"], incident["severity"]) == ("orders", "critical")
    assert "Cloud Monitoring is silent" in str(incident["events"])
    assert get(f"{stage.app_url}/readyz")["status"] == "ready"

    stage.until(lambda: stage.incident("INC-1")["channel"], 40, "the bot does not know its channel")
    room = stage.incident("INC-1")["channel"]
    stage.command("alice", room, "/incident resolve it will run again soon")
    told = stage.sandbox.wait("INC-1 is resolved. If", channel=room)["text"]
    assert "goes on seeing it (down" in told
    assert "opens again" in told
    stage.processes.kill("bot")
    stage.start_bot()  # which looks at once, not in a minute
    stage.until(lambda: stage.incident("INC-1")["status"] == "open", 40, "whoever resolved it was believed")


def test_a_review_is_closed_with_words_alone_once_it_says_why_and_who_does_what(staging: Staging) -> None:
    stage = staging()
    stage.post(alert("reviewed"))
    stage.until_told(1)
    room = stage.incident("INC-1")["channel"]
    stage.command("alice", room, "/incident resolve --yes")
    stage.until(lambda: stage.incident("INC-1")["review"], 40, "no review was drafted")
    stage.command("alice", room, "/review actions add Alert on the backlog @bob 2026-12-01")
    stage.until(lambda: stage.incident("INC-1")["actions"], 40, "the action was not added")
    (action,) = stage.incident("INC-1")["actions"]
    assert (action["text"], action["owner"], action["due"]) == ("Alert on the backlog", "bob", "2026-12-01")
    stage.command("carol", room, "/review done")
    assert "a root cause" in stage.sandbox.wait("The review lacks", channel=room)["text"]
    stage.command("alice", room, "/review edit")
    stage.until(lambda: stage.state()["views"], 40, "the form did not open")
    stage.sandbox.post("/sim/submit", {"user": "alice", "values": {"root_cause": {"value": "A bad deploy"}}})
    stage.until(lambda: "root_cause" in str(stage.incident("INC-1")["events"]), 40, "the cause was not kept")
    stage.command("carol", room, "/review done")
    stage.until(lambda: stage.incident("INC-1")["status"] == "reviewed", 40, "the review was not closed")
