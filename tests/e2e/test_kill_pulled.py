"""A bot without a public address pulls its alerts: each becomes an incident once, also when it is killed
between the pull and the acknowledgement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.google.clients import Clients, GoogleSettings
from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import Stage, opened_keys

TOPIC = "projects/demo-project/topics/monitoring-alerts"
SHIPPED = "streamwatch-alerts"
# Its messages come back after the shortest deadline that Pub/Sub allows.
QUICK, QUICK_S = "alerts-again-soon", 10


def google(stage: Stage) -> Clients:
    """The official clients, on the stage's sandbox."""
    return Clients(GoogleSettings(project="demo-project", endpoint=stage.settings["GOOGLE_API_ENDPOINT"]))


def publish(stage: Stage, *bodies: Mapping[str, Any]) -> None:
    """As Cloud Monitoring's Pub/Sub channel publishes."""
    with google(stage) as clients:
        messages = [{"data": json.dumps(body).encode()} for body in bodies]
        clients.publisher.publish(request={"topic": TOPIC, "messages": messages}, timeout=10)


def waiting(stage: Stage, subscription: str) -> int:
    """Messages that nobody acknowledged."""
    world = stage.sandbox_json("/sim/world")
    return int(world["backlog"][subscription]["count"])


def test_a_published_alert_becomes_an_incident_once_and_is_acknowledged(staging: Staging) -> None:
    stage = staging(env={"PULL_SUBSCRIPTIONS": SHIPPED})
    publish(stage, alert("0.pulled", pipeline="orders"), alert("0.pulled", pipeline="orders"))
    stage.until_told(1)
    stage.until(lambda: waiting(stage, SHIPPED) == 0, 40, "the messages were not acknowledged")
    told = stage.incident("INC-1")
    assert (told["pipeline"], opened_keys(told), len(told["pages"])) == ("orders", {"0.pulled"}, 1)


def test_killed_between_pull_and_acknowledgement_makes_one_incident(staging: Staging) -> None:
    stage = staging(env={"PULL_SUBSCRIPTIONS": QUICK})
    quick = f"projects/demo-project/subscriptions/{QUICK}"
    with google(stage) as clients:
        request = {"name": quick, "topic": TOPIC, "ack_deadline_seconds": QUICK_S}
        clients.subscriber.create_subscription(request=request, timeout=10)
    refusal = {"method": "Subscriber.Acknowledge", "code": "UNAVAILABLE", "count": 1000}
    stage.sandbox.post("/sim/world", {"errors": [refusal]})
    publish(stage, *(alert(f"0.pulled{n}", pipeline="orders") for n in range(3)))
    stage.until(lambda: stage.rows("SELECT count(*) FROM inbox") == [(3,)], 40, "nothing was stored")
    stage.until_told(1)
    assert waiting(stage, QUICK) == 3
    stage.kill_bot()
    stage.sandbox.post("/sim/world", {"scenario": "healthy"})  # takes the refusals back
    stage.start_bot()
    stage.until(
        lambda: waiting(stage, QUICK) == 0, 40, "the messages were not delivered again and acknowledged"
    )
    assert len(stage.incidents()) == 1
    assert opened_keys(stage.incident("INC-1")) == {"0.pulled0", "0.pulled1", "0.pulled2"}
    assert stage.rows("SELECT count(*) FROM inbox WHERE copies > 1") == [(3,)]
    assert [page["level"] for page in stage.incident("INC-1")["pages"]] == ["L1"]
