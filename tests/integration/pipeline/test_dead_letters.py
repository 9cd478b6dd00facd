"""Dead letters: a look leaves all of them, a replay loses none, whenever it is killed."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import Any

import pytest

from pipeline.errors import Refused
from pipeline.google import pubsub
from pipeline.operations.base import Plan, Risk
from tests.unit.pipeline.test_events import CLICK, STOCK, TRANSACTION

from .conftest import Stand

Letter = tuple[bytes, Mapping[str, str]]
UP = {"down": False}


def envelope(event: Mapping[str, Any] | bytes, **more: Any) -> Letter:
    """One message of the dead-letter queue as the pipeline writes it."""
    original = event if isinstance(event, bytes) else json.dumps(event).encode()
    kind = "unknown" if isinstance(event, bytes) else event["event_type"]
    body: dict[str, Any] = {
        "event_type": kind,
        "error": "TypeError: unsupported operand in EnrichProduct",
        "payload": original.decode(),
        "attributes": {"source": "shop"},
        "violations": [],
        "stage": "parse",
        "code_version": "1.0",
        "first_failed_at": "2026-11-20T09:50:00Z",
        "replay_count": 0,
    } | more
    return json.dumps(body).encode(), {"event_type": str(kind)}


def clicks(count: int) -> list[Letter]:
    return [
        envelope(CLICK | {"event_id": f"e-{index}", "product_id": f"p-{index}"}) for index in range(count)
    ]


def queue(stand: Stand) -> dict[str, pubsub.Message]:
    """Everything that the dead-letter queue holds, given back afterwards."""
    name = "dead-letter-sub"
    held = pubsub.take(stand.ctx.clients, "demo-project", name, 5000)
    pubsub.release(stand.ctx.clients, "demo-project", name, held)
    return {message.id: message for message in held}


def arrived(stand: Stand, topic: str = "clicks", tap: str = "tap") -> list[pubsub.Message]:
    held = pubsub.take(stand.ctx.clients, "demo-project", tap, 5000)
    pubsub.release(stand.ctx.clients, "demo-project", tap, held)
    return held


def tapped(stand: Stand, topic: str = "clicks") -> None:
    """A subscription of our own on the topic, to see what a replay publishes."""
    stand.ctx.clients.subscriber.create_subscription(
        request={
            "name": "projects/demo-project/subscriptions/tap",
            "topic": f"projects/demo-project/topics/{topic}",
            "ack_deadline_seconds": 60,
        }
    )


def test_peek_masks_groups_and_leaves_every_message(stand: Stand) -> None:
    secret = CLICK | {
        "user_id": "u-secret",
        "session_id": "s-secret",
        "note": "mail bob@example.com, 4111 1111 1111 1111",
    }
    stand.dead_letters(*clicks(5), envelope(secret | {"page_type": "checkout"}), envelope(b"{"))
    before = queue(stand)
    for _ in range(3):
        report = stand.read("dlq.peek", limit=100)
        assert report.data["seen"] == 7
    text = report.dumps()
    for hidden in ("u-secret", "s-secret", "bob@example.com", "4111"):
        assert hidden not in text
    assert "rule_violation" in {finding.id for finding in report.findings}
    assert set(queue(stand)) == set(before)


def test_stats_count_by_monitoring_and_group_by_a_sample(stand: Stand) -> None:
    stand.dead_letters(*clicks(4))
    stand.happen({}, minutes=2)
    report = stand.read("dlq.stats", limit=100)
    assert report.data == {"count": 4, "sampled": 4}
    assert "4 dead letters" in report.verdict
    assert "will start to be deleted at" in " ".join(finding.text for finding in report.findings)


def test_peek_is_refused_where_each_look_costs_a_delivery_attempt(stand: Stand) -> None:
    subscriber = stand.ctx.clients.subscriber
    path = "projects/demo-project/subscriptions/dead-letter-sub"
    found = subscriber.get_subscription(request={"subscription": path})
    subscriber.delete_subscription(request={"subscription": path})
    subscriber.create_subscription(
        request={
            "name": path,
            "topic": found.topic,
            "message_retention_duration": {"seconds": 86_400},
            "dead_letter_policy": {
                "dead_letter_topic": "projects/demo-project/topics/stock",
                "max_delivery_attempts": 5,
            },
        }
    )
    with pytest.raises(Refused, match="delivery attempt"):
        stand.read("dlq.peek")
    stand.dead_letters(*clicks(1))
    stand.happen({}, minutes=3)
    told = " ".join(f.text for f in stand.read("dlq.stats").findings)
    assert "No sample was taken" in told
    assert "keeps messages for 1 d" in told


def test_replay_sends_originals_back_and_keeps_what_would_fail_again(stand: Stand) -> None:
    tapped(stand)
    good = clicks(3)
    stand.dead_letters(
        *good,
        envelope(CLICK | {"page_type": "checkout"}),
        envelope(TRANSACTION, stage="bigquery:sales_summary"),
        envelope(STOCK, replay_count=3),
        envelope(b"{"),
    )
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", limit=100)
    assert plan.refusal is None
    assert plan.risk is Risk.CHANGE
    assert plan.data["fates"] == {"replay": 3, "invalid": 2, "sink": 1, "capped": 1}
    assert plan.data["failing_rules"] == {"page_type:choice": 1, "json": 1}
    assert len(queue(stand)) == 7
    letters = {m.id: m for m in queue(stand).values()}

    report = ready.run(plan)
    assert report.data["sent"] == 3
    left = queue(stand)
    assert len(left) == 4
    sent = arrived(stand)
    assert sorted(m.data for m in sent) == sorted(json.loads(data)["payload"].encode() for data, _ in good)
    for message in sent:
        assert message.attributes["source"] == "shop"
        assert message.attributes["replay_id"] == plan.id
        assert message.attributes["replay_count"] == "1"
        assert message.attributes["replay_of"] in letters
    assert ready.run(plan).data["sent"] == 0


def test_replay_by_rule_takes_only_what_broke_it(stand: Stand) -> None:
    stand.dead_letters(
        *clicks(2), envelope(CLICK, violations=[{"field": "currency", "rule": "format", "value": "x"}])
    )
    for rule in ("currency:format", "currency", "format"):
        plan = stand.knowing(**UP).plan("dlq.replay", limit=50, rule=rule)
        assert plan.data["fates"] == {"replay": 1, "other rule": 2}
    assert len(queue(stand)) == 3


def test_forwarded_and_simple_forms_are_replayed_without_pubsubs_own_attributes(stand: Stand) -> None:
    tapped(stand)
    simple = json.dumps({"event_type": "click", "error": "boom", "payload": json.dumps(CLICK)}).encode()
    encoded = {
        "event_type": "click",
        "error": "boom",
        "payload_base64": base64.b64encode(json.dumps(CLICK).encode()).decode(),
    }
    forwarded = {"CloudPubSubDeadLetterSourceSubscription": "clicks-sub", "kept": "yes"}
    stand.dead_letters(
        (simple, {}), (json.dumps(encoded).encode(), {}), (json.dumps(CLICK).encode(), forwarded)
    )
    ready = stand.knowing(**UP)
    assert ready.run(ready.plan("dlq.replay")).data["sent"] == 3
    sent = arrived(stand)
    assert {message.data for message in sent} == {json.dumps(CLICK).encode()}
    assert not any(key.startswith("CloudPubSub") for message in sent for key in message.attributes)
    assert sum(message.attributes.get("kept") == "yes" for message in sent) == 1


def test_replay_is_refused_while_the_pipeline_is_down_unless_forced(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=5)
    stand.dead_letters(*clicks(2))
    plan = stand.plan("dlq.replay", limit=200)
    assert plan.refusal is not None
    assert "is down" in plan.refusal
    with pytest.raises(Refused):
        stand.run(plan)
    forced = stand.plan("dlq.replay", limit=200, force=True)
    assert forced.refusal is None
    assert forced.risk is Risk.DESTRUCTIVE
    assert "Forced" in " ".join(forced.warnings)


def test_a_plan_does_not_run_when_the_pipeline_went_down_since(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    stand.dead_letters(*clicks(2))
    plan = stand.plan("dlq.replay", limit=50)
    assert plan.refusal is None, plan.refusal
    stand.happen({"scenario": "job_failed"}, minutes=2)
    before = len(queue(stand))
    with pytest.raises(Refused, match="changed since"):
        stand.run(plan)
    assert len(queue(stand)) == before


def test_verify_tells_what_came_back(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    stand.dead_letters(*clicks(2))
    plan = stand.plan("dlq.replay", limit=50)
    stand.run(plan)
    assert stand.verify(plan).severity == "ok"
    returned = envelope(
        CLICK | {"page_type": "x"}, attributes={"replay_id": plan.id, "replay_count": "1"}, replay_count=1
    )
    stand.dead_letters(returned)
    assert stand.verify(plan).severity == "warning"


def test_late_events_are_told_with_the_partitions_that_need_a_backfill(stand: Stand) -> None:
    old = (stand.clock.now() - timedelta(days=2)).replace(hour=23)
    # BigQuery's days are UTC, wherever the event was made: there it was the 19th already.
    abroad = old.astimezone(timezone(timedelta(hours=2)))
    stand.dead_letters(envelope(CLICK | {"timestamp": abroad.isoformat()}))
    plan = stand.knowing(**UP).plan("dlq.replay")
    assert plan.data["late"] == 1
    assert plan.data["late_days"] == {"2026-11-18": 1}
    assert "2026-11-18" in " ".join(plan.warnings)


KILLED = """
import json, os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
from pipeline.catalogue import load
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.operations import Context, Plan, get

address, file, plan, kill_at = sys.argv[1], sys.argv[2], Plan.from_json(json.loads(sys.argv[3])), int(sys.argv[4])
seen = 0

def progress(step):
    global seen
    if "acknowledging" in step.text:
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

ctx = Context(pipeline=load(Path(file)).find(), clients=Clients(GoogleSettings(endpoint=address)), history=None,
              now=lambda: datetime(2026, 11, 20, 10, tzinfo=UTC), sleep=time.sleep, facts={"down": False})
print(json.dumps(get("dlq.replay").run(ctx, plan, progress).to_json()))
"""


def child(stand: Stand, plan: Plan, kill_at: int) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-c",
        KILLED,
        stand.address,
        str(stand.catalogue_file),
        json.dumps(plan.to_json()),
        str(kill_at),
    ]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=os.getcwd(), check=False)


def test_replay_killed_between_publish_and_ack_loses_nothing(stand: Stand) -> None:
    tapped(stand)
    letters = clicks(120) + [envelope(STOCK | {"product_id": f"s-{i}"}) for i in range(5)]
    stand.dead_letters(*letters)
    originals = {json.loads(data)["payload"].encode() for data, _ in letters if b'"click"' in data}
    plan = stand.knowing(**UP).plan("dlq.replay", limit=500)
    assert plan.data["going"] == 125

    killed = child(stand, plan, kill_at=1)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    stand.clock.go(700)  # the leases of the dead process run out
    again = child(stand, plan, kill_at=0)
    assert again.returncode == 0, again.stderr
    assert not queue(stand)

    sent = arrived(stand)
    assert {message.data for message in sent} == originals, "lost"
    # those that were published twice carry the same key, by which they can be told
    assert len({message.attributes["replay_of"] for message in sent}) == len(originals)
    assert len(sent) > len(originals), "the kill came too late to test anything"


def test_what_the_caller_knows_never_hides_what_is_measured(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=3)
    stand.dead_letters(*clicks(1))
    assert "is down" in (stand.knowing(down=False).plan("dlq.replay").refusal or "")
    stand.happen({"scenario": "healthy"}, minutes=12)
    assert stand.knowing(down=True).plan("dlq.replay").refusal is None
    stand.happen({"errors": [{"method": "ListJobs", "code": "PERMISSION_DENIED", "count": 4}]})
    assert "not sure" in (stand.plan("dlq.replay").refusal or "")
