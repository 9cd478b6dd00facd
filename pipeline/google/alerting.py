"""Alert policies and their notification channel in Cloud Monitoring: found by our labels, made or mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.alerting import OWNER, Policy, owned
from pipeline.catalogue import Pipeline
from pipeline.google.calls import once, reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_SERVICE: Final = "Cloud Monitoring"
_PERIOD_S: Final = 60
_OURS: Final = "user_labels.managed_by=" + f'"{OWNER["managed_by"]}"'


def channel_of(clients: Clients, project: str, topic: str, deadline_s: float) -> str | None:
    """The full name of our channel to a topic ("projects/P/topics/T"); None when there is none."""
    with explained(_SERVICE, "listing notification channels"):
        found = clients.channels.list_notification_channels(
            request={"name": f"projects/{project}", "filter": _OURS}, **reading(deadline_s)
        )
        names = [one.name for one in found if one.type_ == "pubsub" and one.labels.get("topic") == topic]
    return min(names, default=None)


def make_channel(clients: Clients, project: str, topic: str, deadline_s: float) -> str:
    """A channel of type pubsub to a topic; its full name."""
    channel = {
        "type_": "pubsub",
        "display_name": "Streamwatch",
        "labels": {"topic": topic},
        "user_labels": dict(OWNER),
    }
    with explained(_SERVICE, "creating the notification channel"):
        made = clients.channels.create_notification_channel(
            request={"name": f"projects/{project}", "notification_channel": channel}, **once(deadline_s)
        )
    return str(made.name)


def policies_of(clients: Clients, pipeline: Pipeline, deadline_s: float) -> dict[str, Any]:
    """Our policies of a pipeline, by key; of two with one key the older counts."""
    with explained(_SERVICE, "listing alert policies"):
        found = list(
            clients.policies.list_alert_policies(
                request={"name": f"projects/{pipeline.project}", "filter": _OURS}, **reading(deadline_s)
            )
        )
    mine = owned(pipeline)["pipeline"]
    out: dict[str, Any] = {}
    for one in sorted(found, key=lambda one: str(one.name), reverse=True):
        if one.user_labels.get("pipeline") == mine:
            out[one.user_labels.get("policy", "")] = one
    return out


def differences(policy: Policy, pipeline: Pipeline, channel: str | None, found: Any) -> list[str]:
    """What of a policy in Cloud Monitoring is not as the code has it, in words; empty when nothing."""
    wanted = _seen(_message(policy, pipeline, channel))
    there = _seen(found)
    # a channel that a person added stays; ours must be among them
    channels = channel is None or channel not in found.notification_channels
    return [name for name in wanted if wanted[name] != there[name]] + (["channel"] if channels else [])


def put(
    clients: Clients, policy: Policy, pipeline: Pipeline, channel: str, found: Any, deadline_s: float
) -> None:
    """Creates the policy, or makes the one that was found as the code has it; other channels stay."""
    made = _message(policy, pipeline, channel)
    with explained(_SERVICE, f"writing the alert policy {policy.title}"):
        if found is None:
            request = {"name": f"projects/{pipeline.project}", "alert_policy": made}
            clients.policies.create_alert_policy(request=request, **once(deadline_s))
            return
        made.name = found.name
        made.notification_channels = list(dict.fromkeys([*found.notification_channels, channel]))
        paths = [
            "display_name",
            "documentation",
            "user_labels",
            "conditions",
            "combiner",
            "notification_channels",
        ]
        request = {"alert_policy": made, "update_mask": {"paths": paths}}
        clients.policies.update_alert_policy(request=request, **once(deadline_s))


def _message(policy: Policy, pipeline: Pipeline, channel: str | None) -> Any:
    from google.cloud import monitoring_v3

    return monitoring_v3.AlertPolicy(
        {
            "display_name": policy.title,
            "combiner": "OR",
            "conditions": [{"display_name": policy.title, **_condition(policy)}],
            "user_labels": dict(policy.labels(pipeline)),
            "documentation": {"content": policy.advice, "mime_type": "text/markdown"},
            "notification_channels": [channel] if channel else [],
        }
    )


def _condition(policy: Policy) -> dict[str, Any]:
    if policy.query:
        asked = {
            "query": policy.query,
            "duration": {"seconds": policy.for_s},
            "evaluation_interval": {"seconds": _PERIOD_S},
        }
        return {"condition_prometheus_query_language": asked}
    aggregation = {"alignment_period": {"seconds": _PERIOD_S}, "per_series_aligner": "ALIGN_MAX"}
    threshold = {
        "filter": policy.filter,
        "comparison": "COMPARISON_GT",
        "threshold_value": policy.above,
        "duration": {"seconds": policy.for_s},
        "aggregations": [aggregation],
    }
    return {"condition_threshold": threshold}


def link(project: str, name: str) -> str:
    """Where a person sees a policy, by its full name."""
    id_ = name.rsplit("/", 1)[-1]
    return f"https://console.cloud.google.com/monitoring/alerting/policies/{id_}?project={project}"


def _seen(message: Any) -> Mapping[str, Any]:
    """The parts of a policy that the code decides, comparable."""
    conditions = [
        (
            one.condition_threshold.filter,
            one.condition_threshold.threshold_value,
            one.condition_threshold.duration,
            one.condition_threshold.comparison,
            one.condition_prometheus_query_language.query,
            one.condition_prometheus_query_language.duration,
        )
        for one in message.conditions
    ]
    return {
        "name": message.display_name,
        "condition": conditions,
        "labels": dict(message.user_labels),
        "text": message.documentation.content,
    }
