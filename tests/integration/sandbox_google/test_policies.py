"""Alert policies and notification channels through Monitoring's official clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.alert_policy_service.transports import (
    AlertPolicyServiceGrpcTransport,
)
from google.cloud.monitoring_v3.services.notification_channel_service.transports import (
    NotificationChannelServiceGrpcTransport,
)

from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import channel_to, world_of

PARENT = f"projects/{PROJECT}"
TOPIC = f"projects/{PROJECT}/topics/monitoring-alerts"
LAG = 'metric.type="dataflow.googleapis.com/job/system_lag" AND resource.type="dataflow_job"'


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """(policies, channels)."""
    with channel_to(world_of(tmp_path)) as channel:
        yield (
            monitoring_v3.AlertPolicyServiceClient(
                transport=AlertPolicyServiceGrpcTransport(channel=channel)
            ),
            monitoring_v3.NotificationChannelServiceClient(
                transport=NotificationChannelServiceGrpcTransport(channel=channel)
            ),
        )


def condition(**more: Any) -> dict[str, Any]:
    threshold: dict[str, Any] = {
        "filter": LAG,
        "comparison": "COMPARISON_GT",
        "threshold_value": 300.0,
        "duration": {"seconds": 300},
    }
    return {"display_name": "system lag", "condition_threshold": threshold | more}


def policy(**more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "display_name": "Orders: system lag",
        "combiner": "OR",
        "conditions": [condition()],
        "user_labels": {"runbook": "pipeline_health", "severity": "critical"},
        "documentation": {"content": "See the runbook.", "mime_type": "text/markdown"},
    }
    return body | more


def channel_made(channels: Any) -> Any:
    body = {"type_": "pubsub", "display_name": "Streamwatch", "labels": {"topic": TOPIC}}
    return channels.create_notification_channel(name=PARENT, notification_channel=body)


def test_a_policy_is_made_read_changed_and_deleted(clients: tuple[Any, Any]) -> None:
    policies, channels = clients
    channel = channel_made(channels)
    made = policies.create_alert_policy(
        name=PARENT, alert_policy=policy(notification_channels=[channel.name])
    )
    assert made.name.startswith(f"{PARENT}/alertPolicies/")
    assert made.conditions[0].name.startswith(f"{made.name}/conditions/")
    assert policies.get_alert_policy(name=made.name) == made
    change = {"name": made.name, "display_name": "Orders: lag", "enabled": False}
    policies.update_alert_policy(alert_policy=change, update_mask={"paths": ["display_name", "enabled"]})
    read = policies.get_alert_policy(name=made.name)
    assert (read.display_name, read.enabled) == ("Orders: lag", False)
    assert (read.conditions, read.user_labels) == (made.conditions, made.user_labels)
    policies.delete_alert_policy(name=made.name)
    with pytest.raises(exceptions.NotFound):
        policies.get_alert_policy(name=made.name)


def test_policies_and_channels_are_found_by_label_and_name(clients: tuple[Any, Any]) -> None:
    policies, channels = clients
    for name in ("one", "two", "three"):
        policies.create_alert_policy(
            name=PARENT, alert_policy=policy(display_name=name, user_labels={"runbook": name})
        )
    listed = policies.list_alert_policies(request={"name": PARENT, "filter": 'user_labels.runbook="two"'})
    assert [one.display_name for one in listed] == ["two"]
    paged = policies.list_alert_policies(request={"name": PARENT, "page_size": 2})
    assert [one.display_name for one in paged] == ["one", "two", "three"]
    assert not list(policies.list_alert_policies(name="projects/other"))
    channel = channel_made(channels)
    request = {"name": PARENT, "filter": 'type="pubsub" AND display_name="Streamwatch"'}
    assert [one.name for one in channels.list_notification_channels(request=request)] == [channel.name]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"display_name": ""}, "display_name"),
        ({"conditions": []}, "conditions"),
        ({"combiner": "COMBINE_UNSPECIFIED"}, "combiner"),
        ({"conditions": [condition(filter="metric.type=")]}, "filter"),
        ({"conditions": [condition(filter='resource.type="x"')]}, "metric.type"),
        ({"conditions": [condition(comparison="COMPARISON_EQ")]}, "COMPARISON_GT"),
        ({"conditions": [condition(duration={"seconds": 90})]}, "minute"),
    ],
)
def test_a_policy_that_monitoring_would_refuse_is_refused(
    clients: tuple[Any, Any], wrong: dict[str, Any], reason: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=reason):
        clients[0].create_alert_policy(name=PARENT, alert_policy=policy(**wrong))
    assert not list(clients[0].list_alert_policies(name=PARENT))


def test_a_channel_that_a_policy_uses_goes_only_by_force(clients: tuple[Any, Any]) -> None:
    policies, channels = clients
    channel = channel_made(channels)
    made = policies.create_alert_policy(
        name=PARENT, alert_policy=policy(notification_channels=[channel.name])
    )
    with pytest.raises(exceptions.FailedPrecondition, match="1 alert policies"):
        channels.delete_notification_channel(name=channel.name)
    channels.delete_notification_channel(name=channel.name, force=True)
    assert not policies.get_alert_policy(name=made.name).notification_channels
    with pytest.raises(exceptions.NotFound):
        policies.create_alert_policy(name=PARENT, alert_policy=policy(notification_channels=[channel.name]))


def test_a_channel_needs_its_types_label(clients: tuple[Any, Any]) -> None:
    for body in ({"type_": "email", "labels": {}}, {"type_": "telegraph", "labels": {"x": "y"}}):
        with pytest.raises(exceptions.InvalidArgument):
            clients[1].create_notification_channel(name=PARENT, notification_channel=body)
    channel = channel_made(clients[1])
    channel.display_name = "Desk"
    changed = clients[1].update_notification_channel(notification_channel=channel)
    assert changed.display_name == "Desk"
    assert clients[1].get_notification_channel(name=channel.name).labels["topic"] == TOPIC
