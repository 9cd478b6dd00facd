"""Pub/Sub in memory: topics, subscriptions, leases, redelivery, dead-letter forwarding, snapshots and seek.

Two clocks, both in epoch seconds: `now` is domain time (publish times, retention, seek), `wall` is real time
(leases).
Behaviour that is not obvious is that of Google's emulator, against which the same tests run.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import takewhile
from typing import Any

from sandbox.google.errors import Refused, invalid, not_found

DELETED_TOPIC = "_deleted-topic_"
WEEK_S = 7 * 86_400.0
NAME = re.compile(r"projects/[^/]+/(topics|subscriptions|snapshots)/(?!goog)[A-Za-z][\w.~+%-]{2,254}")
MAX_MESSAGE_BYTES = 10_000_000
FORWARDED = "CloudPubSubDeadLetterSource"


@dataclass(frozen=True, slots=True)
class Message:
    """A published message; `published` is domain time, `number` its place in the world's order."""

    id: str
    number: int
    data: bytes
    attributes: Mapping[str, str]
    published: float
    ordering_key: str = ""


@dataclass(slots=True)
class Topic:
    """A topic by its full name; `published` counts messages since the world began."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    retention_s: float | None = None
    published: int = 0


@dataclass(slots=True)
class Settings:
    """What a subscription is created with (times in seconds)."""

    topic: str
    ack_deadline_s: int = 10
    retain_acked: bool = False
    retention_s: float = WEEK_S
    dead_letter_topic: str = ""
    max_attempts: int = 0
    ordered: bool = False
    exactly_once: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    filter: str = ""


@dataclass(slots=True)
class _Entry:
    message: Message
    attempts: int = 0
    ack_id: str = ""
    lease_until: float = 0.0


@dataclass(slots=True)
class Delivery:
    """One message handed out under a lease; `attempt` is 0 without a dead-letter policy."""

    ack_id: str
    message: Message
    attempt: int


@dataclass(slots=True)
class Snapshot:
    """The unacknowledged messages of a subscription at an instant, and everything published since."""

    name: str
    topic: str
    subscription: str
    taken: float
    expires: float
    messages: dict[str, Message]


class Subscription:
    """Messages of one subscription with their leases. Not thread-safe: the world's lock is held outside."""

    def __init__(self, name: str, settings: Settings, created: float) -> None:
        self.name, self.settings, self.created = name, settings, created
        self.forwarded = self.acknowledged = 0
        self._entries: dict[str, _Entry] = {}
        self._ready: deque[str] = deque()
        self._leases: list[tuple[float, str, str]] = []
        self._acked: dict[str, Message] = {}
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._entries)

    def unacked(self) -> Iterable[Message]:
        """Every message that is not acknowledged, leased or not, in publish order."""
        return (entry.message for entry in self._entries.values())

    def oldest(self) -> float | None:
        """Publish time of the oldest unacknowledged message."""
        return next((entry.message.published for entry in self._entries.values()), None)

    def idle_messages(self) -> list[Message]:
        """What nobody holds a lease on, in publish order."""
        return [entry.message for entry in self._entries.values() if not entry.ack_id]

    def add(self, message: Message) -> None:
        """A newly published message (or one that a seek brought back)."""
        self._entries[message.id] = _Entry(message)
        self._ready.append(message.id)

    def take(self, limit: int, wall: float) -> list[Delivery]:
        """Up to `limit` messages under a fresh lease."""
        out: list[Delivery] = []
        # A key whose earlier message is still out waits: that is what an ordering key promises.
        locked = self._locked_keys() if self.settings.ordered else set()
        skipped: list[str] = []
        while self._ready and len(out) < limit:
            entry = self._entries.get(self._ready.popleft())
            if entry is None or entry.ack_id:
                continue
            if entry.message.ordering_key and entry.message.ordering_key in locked:
                skipped.append(entry.message.id)
                continue
            out.append(self._lease(entry, wall))
        self._ready.extendleft(reversed(skipped))
        return out

    def ack(self, ack_ids: Iterable[str]) -> list[str]:
        """Acknowledge; returns the ids that no longer held a lease (their messages stay)."""
        stale = []
        for ack_id in ack_ids:
            entry = self._held(ack_id)
            if entry is None:
                stale.append(ack_id)
            else:
                self.remove(entry.message.id)
        return stale

    def remove(self, message_id: str) -> None:
        """Take a message out as acknowledged, whoever holds it."""
        entry = self._entries.pop(message_id, None)
        if entry is not None:
            self.acknowledged += 1
            if self.settings.retain_acked:
                self._acked[message_id] = entry.message

    def extend(self, ack_ids: Iterable[str], deadline_s: int, wall: float) -> list[str]:
        """Set the leases' ends `deadline_s` from now; 0 gives the message back. Returns stale ids."""
        stale = []
        for ack_id in ack_ids:
            entry = self._held(ack_id)
            if entry is None:
                stale.append(ack_id)
            elif deadline_s == 0:
                self._give_back(entry)
            else:
                entry.lease_until = wall + deadline_s
                heappush(self._leases, (entry.lease_until, entry.message.id, ack_id))
        return stale

    def expire(self, now: float, wall: float) -> None:
        """Give back what outlived its lease and drop what outlived its retention."""
        while self._leases and self._leases[0][0] <= wall:
            until, message_id, ack_id = heappop(self._leases)
            entry = self._entries.get(message_id)
            if entry is not None and entry.ack_id == ack_id and entry.lease_until <= until:
                self._give_back(entry)
        horizon = now - self.settings.retention_s
        for message_id in _outdated(((k, e.message.published) for k, e in self._entries.items()), horizon):
            del self._entries[message_id]
        for message_id in _outdated(((k, m.published) for k, m in self._acked.items()), horizon):
            del self._acked[message_id]

    def exhausted(self) -> list[Message]:
        """Messages whose delivery attempts are used up, taken out for forwarding to the dead-letter topic."""
        limit = self.settings.max_attempts
        if not self.settings.dead_letter_topic or not limit:
            return []
        spent = [e.message for e in self._entries.values() if not e.ack_id and e.attempts >= limit]
        for message in spent:
            del self._entries[message.id]
        self.forwarded += len(spent)
        return spent

    def change(self, values: Mapping[str, Any]) -> None:
        """Set fields of the settings. Raises Refused, nothing changed."""
        changed = replace(self.settings, **values)
        check_settings(changed)
        self.settings = changed

    def seek_time(self, at: float) -> None:
        """Everything published before `at` is acknowledged, what is known from later is not."""
        for message in [entry.message for entry in self._entries.values() if entry.message.published < at]:
            self.remove(message.id)
        if self.settings.retain_acked:
            self._restore(m for m in list(self._acked.values()) if m.published >= at)

    def seek_snapshot(self, snapshot: Snapshot) -> None:
        """Exactly the snapshot's messages are unacknowledged again."""
        for message_id in [key for key in self._entries if key not in snapshot.messages]:
            self.remove(message_id)
        self._restore(m for m in snapshot.messages.values() if m.id not in self._entries)

    def _restore(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._acked.pop(message.id, None)
            self.add(message)
        self._entries = dict(sorted(self._entries.items(), key=lambda item: item[1].message.number))
        self._ready = deque(key for key, entry in self._entries.items() if not entry.ack_id)

    def _locked_keys(self) -> set[str]:
        return {e.message.ordering_key for e in self._entries.values() if e.ack_id and e.message.ordering_key}

    def _lease(self, entry: _Entry, wall: float) -> Delivery:
        self._tokens += 1
        entry.attempts += 1
        entry.ack_id = f"{self.name.rsplit('/', 1)[-1]}:{self._tokens}:{entry.message.id}"
        entry.lease_until = wall + self.settings.ack_deadline_s
        heappush(self._leases, (entry.lease_until, entry.message.id, entry.ack_id))
        attempt = entry.attempts if self.settings.dead_letter_topic else 0
        return Delivery(entry.ack_id, entry.message, attempt)

    def _held(self, ack_id: str) -> _Entry | None:
        entry = self._entries.get(ack_id.rsplit(":", 1)[-1])
        return entry if entry is not None and entry.ack_id == ack_id else None

    def _give_back(self, entry: _Entry) -> None:
        entry.ack_id = ""
        self._ready.append(entry.message.id)
        if self.settings.ordered:
            self._ready = deque(
                sorted(
                    (i for i in self._ready if i in self._entries),
                    key=lambda i: self._entries[i].message.number,
                )
            )


def _outdated(published: Iterable[tuple[str, float]], horizon: float) -> list[str]:
    # Publish order makes the first young message the end of the search.
    return [key for key, _ in takewhile(lambda item: item[1] < horizon, published)]


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


def check_settings(settings: Settings) -> None:
    """Raise Refused for values outside Pub/Sub's documented limits."""
    if not 10 <= settings.ack_deadline_s <= 600:
        raise invalid("ack_deadline_seconds must be between 10 and 600.")
    if not 600 <= settings.retention_s <= 31 * 86_400:
        raise invalid("message_retention_duration must be between 10 minutes and 31 days.")
    if settings.dead_letter_topic and not 5 <= settings.max_attempts <= 100:
        raise Refused("OUT_OF_RANGE", "max_delivery_attempts must be between 5 and 100.")
    if settings.filter:
        raise invalid("Subscription filters are not part of this sandbox.")


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
