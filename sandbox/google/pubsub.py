"""Pub/Sub in memory: topics with their subscriptions, dead-letter forwarding, snapshots and seek.

Behaviour that is not obvious is that of Google's emulator, against which the same tests run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.google.errors import Refused, invalid, not_found
from sandbox.google.subscription import (
    WEEK_S,
    Delivery,
    Message,
    Settings,
    Snapshot,
    Subscription,
    check_settings,
)

DELETED_TOPIC = "_deleted-topic_"
NAME = re.compile(r"projects/[^/]+/(topics|subscriptions|snapshots)/(?!goog)[A-Za-z][\w.~+%-]{2,254}")
MAX_MESSAGE_BYTES = 10_000_000
FORWARDED = "CloudPubSubDeadLetterSource"


@dataclass(slots=True)
class Topic:
    """A topic by its full name; `published` counts messages since the world began."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    retention_s: float | None = None
    published: int = 0


class PubSub:
    """All topics, subscriptions and snapshots by full name. Not thread-safe."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self._numbers = 0

    def create_topic(self, topic: Topic) -> Topic:
        """Raises Refused: bad name, or there already."""
        _check_name(topic.name, "topics")
        if topic.name in self.topics:
            raise Refused(
                "ALREADY_EXISTS", f"Resource already exists in the project (resource={topic.name})."
            )
        self.topics[topic.name] = topic
        return topic

    def topic(self, name: str) -> Topic:
        """Raises Refused NOT_FOUND."""
        if name not in self.topics:
            raise not_found(name)
        return self.topics[name]

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, without a topic."""
        self.topic(name)
        del self.topics[name]
        for subscription in self.subscriptions.values():
            if subscription.settings.topic == name:
                subscription.settings.topic = DELETED_TOPIC

    def create_subscription(self, name: str, settings: Settings, now: float) -> Subscription:
        """Raises Refused: bad name or setting, unknown topic, or there already."""
        _check_name(name, "subscriptions")
        if name in self.subscriptions:
            raise Refused("ALREADY_EXISTS", f"Resource already exists in the project (resource={name}).")
        self.topic(settings.topic)
        check_settings(settings)
        self.subscriptions[name] = Subscription(name, settings, now)
        return self.subscriptions[name]

    def subscription(self, name: str) -> Subscription:
        """Raises Refused NOT_FOUND."""
        if name not in self.subscriptions:
            raise not_found(name)
        return self.subscriptions[name]

    def delete_subscription(self, name: str) -> None:
        """Its messages are gone with it."""
        self.subscription(name)
        del self.subscriptions[name]

    def publish(
        self, topic_name: str, data: bytes, attributes: Mapping[str, str], now: float, ordering_key: str = ""
    ) -> str:
        """Returns the message's id. Raises Refused for an unknown topic and for an unusable message."""
        topic = self.topic(topic_name)
        check_message(data, attributes)
        self._numbers += 1
        message = Message(
            str(10_000_000_000 + self._numbers), self._numbers, data, dict(attributes), now, ordering_key
        )
        topic.published += 1
        for subscription in self.subscriptions.values():
            if subscription.settings.topic == topic_name:
                subscription.add(message)
        for snapshot in self.snapshots.values():
            if snapshot.topic == topic_name:
                snapshot.messages[message.id] = message
        return message.id

    def pull(self, name: str, limit: int, now: float, wall: float) -> list[Delivery]:
        """Up to `limit` messages; none when all are out or there are none."""
        if limit < 1:
            raise invalid("max_messages must be positive.")
        subscription = self.subscription(name)
        self.settle(subscription, now, wall)
        return subscription.take(limit, wall)

    def settle(self, subscription: Subscription, now: float, wall: float) -> None:
        """Let leases and retention run out and forward what used up its delivery attempts."""
        subscription.expire(now, wall)
        for message in subscription.exhausted():
            project, short = subscription.name.split("/")[1], subscription.name.split("/")[-1]
            extra = {
                f"{FORWARDED}Subscription": short,
                f"{FORWARDED}SubscriptionProject": project,
                f"{FORWARDED}DeliveryCount": str(subscription.settings.max_attempts),
                f"{FORWARDED}TopicPublishTime": f"{message.published:.3f}",
            }
            if subscription.settings.dead_letter_topic in self.topics:
                self.publish(
                    subscription.settings.dead_letter_topic,
                    message.data,
                    {**message.attributes, **extra},
                    now,
                )

    def create_snapshot(self, name: str, subscription_name: str, now: float) -> Snapshot:
        """Raises Refused. A snapshot lives 7 days minus the age of the oldest message in it."""
        _check_name(name, "snapshots")
        if name in self.snapshots:
            raise Refused("ALREADY_EXISTS", f"Resource already exists in the project (resource={name}).")
        subscription = self.subscription(subscription_name)
        oldest = subscription.oldest()
        kept = {message.id: message for message in subscription.unacked()}
        expires = (now if oldest is None else oldest) + WEEK_S
        topic = subscription.settings.topic
        self.snapshots[name] = Snapshot(name, topic, subscription_name, now, expires, kept)
        return self.snapshots[name]

    def snapshot(self, name: str) -> Snapshot:
        """Raises Refused NOT_FOUND."""
        if name not in self.snapshots:
            raise not_found(name)
        return self.snapshots[name]

    def seek(self, name: str, *, at: float | None = None, snapshot: str = "") -> None:
        """To a time (epoch seconds) or a snapshot's full name. Raises Refused."""
        subscription = self.subscription(name)
        if snapshot:
            found = self.snapshot(snapshot)
            if found.topic != subscription.settings.topic:
                raise Refused("FAILED_PRECONDITION", "The snapshot belongs to another topic.")
            subscription.seek_snapshot(found)
        elif at is not None:
            subscription.seek_time(at)
        else:
            raise invalid("Seek needs a time or a snapshot.")


def _check_name(name: str, collection: str) -> None:
    if not NAME.fullmatch(name) or name.split("/")[2] != collection:
        raise invalid(f"Invalid resource name given (name={name}).")


def check_message(data: bytes, attributes: Mapping[str, str]) -> None:
    """Raise Refused for a message that Pub/Sub would not take."""
    if not data and not attributes:
        raise invalid("The message has no data and no attributes.")
    if len(data) > MAX_MESSAGE_BYTES:
        raise invalid("The value for data is too large. You passed more than 10,000,000 bytes.")
    if len(attributes) > 100:
        raise invalid("A message may carry at most 100 attributes.")
    for key, value in attributes.items():
        if not key or len(key.encode()) > 256 or len(value.encode()) > 1024:
            raise invalid(f"The attribute {key[:40]!r} is too long or has no key.")
