"""Alert policies as code: made once, mended when changed, with the labels that route an alert."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import Refused

from .conftest import Stand

PARENT = "projects/demo-project"
TOPIC = f"{PARENT}/topics/monitoring-alerts"


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
    assert len(plan.effects) == 5
    assert there(stand) == {}
    assert stand.verify(plan).severity == "warning"
    written(stand)
    found = there(stand)
    assert set(found) == {"job_failed", "system_lag", "backlog_age", "dead_letters"}
    labels = dict(found["job_failed"].user_labels)
    assert {labels["severity"], labels["kind"], labels["runbook"]} == {
        "critical",
        "health",
        "pipeline-health",
    }
    (channel,) = {name for one in found.values() for name in one.notification_channels}
    kept = stand.ctx.clients.channels.get_notification_channel(request={"name": channel})
    assert (kept.type_, kept.labels["topic"]) == ("pubsub", TOPIC)


def test_a_second_time_there_is_nothing_to_do(stand: Stand) -> None:
    written(stand)
    plan = stand.plan("pipeline.dashboard")
    assert plan.refusal is not None
    with pytest.raises(Refused):
        stand.run(plan)
    assert len(there(stand)) == 4


def test_a_plan_that_is_run_again_after_a_kill_makes_nothing_twice(stand: Stand) -> None:
    plan = stand.plan("pipeline.dashboard")
    stand.run(plan)
    stand.run(plan)
    assert len(list(stand.ctx.clients.policies.list_alert_policies(request={"name": PARENT}))) == 4
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
    assert stand.plan("pipeline.dashboard").refusal is not None
    assert (
        stand.ctx.clients.policies.get_alert_policy(request={"name": made.name}).display_name
        == "somebody's own"
    )
