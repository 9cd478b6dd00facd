"""Alert policies and notification channels as a project keeps them: what is checked, what a name is, what is used."""

from __future__ import annotations

from typing import Any

from google.cloud import monitoring_v3

from sandbox.google.errors import Refused, invalid, not_found
from sandbox.google.filters import Lookup, parse
from sandbox.google.services.base import pb, timestamp

# The label that each type of channel must carry (Monitoring's own channel descriptors).
CHANNEL_LABELS = {
    "email": "email_address",
    "pubsub": "topic",
    "webhook_tokenauth": "url",
    "webhook_basicauth": "url",
    "slack": "channel_name",
    "pagerduty": "service_key",
    "sms": "number",
}
MOST_CONDITIONS = 6


class Policies:
    """Protobuf messages by full name, in the order of their creation. Not thread-safe."""

    def __init__(self) -> None:
        self.policies: dict[str, Any] = {}
        self.channels: dict[str, Any] = {}
        self._serial = 4_000_000_000_000_000_000

    def get(self, kept: dict[str, Any], name: str) -> Any:
        """A policy or channel. Raises Refused NOT_FOUND."""
        if name not in kept:
            raise not_found(name)
        return kept[name]

    def put_policy(self, parent: str, policy: Any, now: float) -> Any:
        """Keep a new policy of a project under a name of its own. Raises Refused INVALID_ARGUMENT, NOT_FOUND."""
        made = _copy(policy)
        self._check_policy(made)
        made.name = f"{_project(parent)}/alertPolicies/{self._next()}"
        self._name_conditions(made)
        made.creation_record.mutate_time.CopyFrom(timestamp(now))
        made.mutation_record.CopyFrom(made.creation_record)
        self.policies[made.name] = made
        return made

    def change_policy(self, policy: Any, mask: list[str], now: float) -> Any:
        """Replace a policy, or the fields that `mask` names. Raises Refused."""
        old = self.get(self.policies, policy.name)
        made = _merged(old, _copy(policy), mask)
        self._check_policy(made)
        self._name_conditions(made)
        made.creation_record.CopyFrom(old.creation_record)
        made.mutation_record.mutate_time.CopyFrom(timestamp(now))
        self.policies[made.name] = made
        return made

    def put_channel(self, parent: str, channel: Any, now: float) -> Any:
        """Keep a new channel of a project under a name of its own. Raises Refused INVALID_ARGUMENT."""
        made = _copy(channel)
        _check_channel(made)
        made.name = f"{_project(parent)}/notificationChannels/{self._next()}"
        made.creation_record.mutate_time.CopyFrom(timestamp(now))
        if not made.HasField("enabled"):
            made.enabled.value = True
        self.channels[made.name] = made
        return made

    def change_channel(self, channel: Any, mask: list[str], now: float) -> Any:
        """Replace a channel, or the fields that `mask` names. Raises Refused."""
        old = self.get(self.channels, channel.name)
        made = _merged(old, _copy(channel), mask)
        _check_channel(made)
        made.creation_record.CopyFrom(old.creation_record)
        made.mutation_records.add().mutate_time.CopyFrom(timestamp(now))
        self.channels[made.name] = made
        return made

    def drop_channel(self, name: str, *, force: bool) -> None:
        """Take a channel out. Raises Refused: NOT_FOUND, or FAILED_PRECONDITION while a policy uses it."""
        self.get(self.channels, name)
        users = [policy for policy in self.policies.values() if name in policy.notification_channels]
        if users and not force:
            raise Refused(
                "FAILED_PRECONDITION",
                f"The notification channel {name} is used by {len(users)} alert policies: use force to delete it.",
            )
        for policy in users:
            policy.notification_channels.remove(name)
        del self.channels[name]

    def _next(self) -> int:
        self._serial += 7919
        return self._serial

    def _name_conditions(self, policy: Any) -> None:
        for condition in policy.conditions:
            if not condition.name.startswith(f"{policy.name}/conditions/"):
                condition.name = f"{policy.name}/conditions/{self._next()}"

    def _check_policy(self, policy: Any) -> None:
        if not policy.display_name:
            raise invalid("Field alert_policy.display_name is required.")
        if not 1 <= len(policy.conditions) <= MOST_CONDITIONS:
            raise invalid(f"Field alert_policy.conditions must have 1 to {MOST_CONDITIONS} elements.")
        if not policy.combiner:
            raise invalid("Field alert_policy.combiner is required.")
        for condition in policy.conditions:
            _check_condition(condition)
        for name in policy.notification_channels:
            self.get(self.channels, name)


def chosen(kept: dict[str, Any], parent: str, text: str) -> list[Any]:
    """Those of a project that a filter lets through. Raises Refused INVALID_ARGUMENT."""
    holds = parse(text)
    prefix = f"{_project(parent)}/"
    return [one for name, one in kept.items() if name.startswith(prefix) and holds(_lookup(one))]


def _lookup(message: Any) -> Lookup:
    def look(path: str) -> object:
        value: Any = message
        for part in path.split("."):
            if hasattr(value, "get") and not hasattr(value, "DESCRIPTOR"):
                value = value.get(part)
            else:
                # Python's protobuf calls the field `type` type_.
                value = getattr(value, part, getattr(value, f"{part}_", None))
        return getattr(value, "value", value) if hasattr(value, "DESCRIPTOR") else value

    return look


def _copy(message: Any) -> Any:
    raw = pb(message)
    made = type(raw)()
    made.CopyFrom(raw)
    return made


def _merged(old: Any, new: Any, mask: list[str]) -> Any:
    """The new message, or the old one with the fields of the mask taken from the new."""
    if not mask:
        return new
    made = _copy(old)
    known = made.DESCRIPTOR.fields_by_name
    for path in mask:
        top = path.split(".")[0]
        if top not in known:
            raise invalid(f"Field update_mask names an unknown field: {path}.")
        made.ClearField(top)
    part = type(new)()
    part.CopyFrom(new)
    for name in known:
        if name not in {path.split(".")[0] for path in mask}:
            part.ClearField(name)
    made.MergeFrom(part)
    return made


def _check_condition(condition: Any) -> None:
    kind = condition.WhichOneof("condition")
    if kind is None:
        raise invalid(f"Condition {condition.display_name!r} has no type.")
    filtered = getattr(condition, kind)
    if hasattr(filtered, "filter"):
        if not filtered.filter:
            raise invalid(f"Condition {condition.display_name!r} needs a filter.")
        parse(filtered.filter)
    if kind == "condition_prometheus_query_language":
        if not filtered.query:
            raise invalid(f"Condition {condition.display_name!r} needs a query.")
        if filtered.evaluation_interval.seconds % 30:
            raise invalid(
                f"Condition {condition.display_name!r}: the evaluation interval must be a multiple of 30 seconds."
            )
    if kind == "condition_threshold":
        if "metric.type" not in filtered.filter:
            raise invalid(f"The filter of condition {condition.display_name!r} must restrict metric.type.")
        compared = monitoring_v3.ComparisonType(filtered.comparison).name
        if compared not in ("COMPARISON_GT", "COMPARISON_LT"):
            raise invalid(
                f"Condition {condition.display_name!r}: only COMPARISON_GT and COMPARISON_LT are supported."
            )
        if filtered.duration.seconds % 60:
            raise invalid(
                f"Condition {condition.display_name!r}: the duration must be a multiple of one minute."
            )


def _check_channel(channel: Any) -> None:
    label = CHANNEL_LABELS.get(channel.type_)
    if label is None:
        raise invalid(f"Field notification_channel.type had an invalid value: {channel.type_!r}.")
    if not channel.labels.get(label):
        raise invalid(f"Field notification_channel.labels needs {label!r} for the type {channel.type_!r}.")


def _project(name: str) -> str:
    parts = name.split("/")
    if len(parts) != 2 or parts[0] != "projects" or not parts[1]:
        raise invalid(f"Name must begin with 'projects/': {name!r}.")
    return name
