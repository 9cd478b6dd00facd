"""One subscription's messages: leases, redelivery, delivery attempts, retention, seek.

Two clocks, both in epoch seconds: `now` is domain time (publish times, retention, seek), `wall` is real time
(leases).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import takewhile
from typing import Any

from sandbox.google.errors import Refused, invalid

WEEK_S = 7 * 86_400.0
MONTH_S = 31 * 86_400.0
ACK_ID = re.compile(r"[^:]+:\d+:\d+")


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
    # Without a reader for so long it is deleted; None: never. Unless one says otherwise, Google takes 31 days.
    expires_s: float | None = MONTH_S


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


def check_ack_ids(ack_ids: Iterable[str]) -> None:
    """Raise Refused for ids that no pull ever gave out."""
    for ack_id in ack_ids:
        if not ACK_ID.fullmatch(ack_id):
            raise invalid(f"Invalid ack id (ack_id={ack_id}).")


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
