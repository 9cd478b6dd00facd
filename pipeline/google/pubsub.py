"""Pub/Sub: look at a subscription, take messages under leases, give them back, publish.

Taking is unary pull: a streaming pull that gives messages back is a redelivery storm.  Names are
short ones; a full ``projects/…`` name is understood too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.google.calls import once, reading, repeatable
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_CHUNK: Final = 900  # Google takes at most 1,000 ack ids or 512 KB in one request
_CHUNK_BYTES: Final = 400_000
_PULL: Final = 1000
_EMPTY: Final = 2  # pulls that bring nothing new before the queue counts as seen
# A pull of an empty queue answers only when its time is over: long enough for a slow answer, short
# enough for a person who waits.
_PULL_S: Final = 2.5
_PUBLISH_S: Final = 20.0
_DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What matters of a subscription; times in seconds."""

    name: str
    topic: str
    ack_deadline_s: int
    retention_s: float
    expires_s: float | None = None  # without a reader for so long Google deletes it; None: never
    dead_letter_topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message that is held under a lease; ``ack_id`` is worth nothing after it ran out."""

    id: str
    data: bytes
    attributes: Mapping[str, str]
    published: datetime
    ack_id: str
    delivery_attempt: int = 0


def subscription_path(project: str, name: str) -> str:
    return name if name.startswith("projects/") else f"projects/{project}/subscriptions/{name}"


def topic_path(project: str, name: str) -> str:
    return name if name.startswith("projects/") else f"projects/{project}/topics/{name}"


def describe(clients: Clients, project: str, name: str, deadline_s: float = 20.0) -> Subscription:
    """One subscription; Missing when there is none."""
    path = subscription_path(project, name)
    with explained("Pub/Sub", f"looking at subscription {name}"):
        raw = clients.subscriber.get_subscription(request={"subscription": path}, **reading(deadline_s))
    retention = raw.message_retention_duration
    return Subscription(
        name=name,
        topic=raw.topic,
        ack_deadline_s=raw.ack_deadline_seconds or 10,
        # Unset means Google's default of seven days.
        retention_s=(retention.total_seconds() if retention else 0.0) or 7 * _DAY_S,
        expires_s=_expires_s(raw),
        dead_letter_topic=raw.dead_letter_policy.dead_letter_topic,
    )


def snapshot(clients: Clients, project: str, subscription: str, name: str) -> datetime:
    """Keeps what a subscription holds now under a name; until when it lasts.  Seeking to it brings it back."""
    with explained("Pub/Sub", f"making a snapshot of {subscription}"):
        raw = clients.subscriber.create_snapshot(
            request={
                "name": f"projects/{project}/snapshots/{name}",
                "subscription": subscription_path(project, subscription),
            },
            **once(_PUBLISH_S),
        )
    return datetime.fromtimestamp(raw.expire_time.timestamp(), UTC)


def pull(clients: Clients, project: str, name: str, most: int, wait_s: float = _PULL_S) -> list[Message]:
    """One pull of at most ``most`` messages; fewer, or none, says nothing about the rest."""
    from google.api_core import exceptions as api

    path = subscription_path(project, name)
    request = {"subscription": path, "max_messages": max(1, min(most, _PULL))}
    with explained("Pub/Sub", f"pulling from {name}"):
        try:
            answer = clients.subscriber.pull(request=request, **once(wait_s))
        except api.DeadlineExceeded:
            return []  # the documented answer of an empty queue
    # The plain protobuf inside: the wrappers around it cost more than all the rest of a replay.
    return [_message(raw) for raw in type(answer).pb(answer).received_messages]


def take(
    clients: Clients,
    project: str,
    name: str,
    limit: int,
    *,
    lease_s: int = 120,
    budget_s: float = 30.0,
    progress: Callable[[int], None] | None = None,
) -> list[Message]:
    """Up to ``limit`` different messages, all held under a lease of ``lease_s`` (10 to 600 s).

    Pulls until the limit, until the queue gives nothing new, or until ``budget_s`` (wall time) is
    spent.  The caller gives every one of them back (:func:`release`) or acknowledges it; if it is
    killed instead, Pub/Sub delivers them again when the leases have run out.
    """
    held: dict[str, Message] = {}
    empty = 0
    end = time.monotonic() + budget_s
    try:
        while len(held) < limit and empty < _EMPTY and (left := end - time.monotonic()) > 0:
            batch = pull(clients, project, name, limit - len(held), wait_s=min(_PULL_S, max(left, 0.5)))
            fresh = [message for message in batch if message.id not in held]
            # A redelivery brings a newer ack id; only the newest can be given back.
            held.update((message.id, message) for message in batch)
            # A queue that gave some and then nothing is seen; one that gave nothing gets a second chance.
            empty = 0 if fresh else empty + (2 if held else 1)
            if batch:
                lease(clients, project, name, batch, lease_s)
            if progress is not None:
                progress(len(held))
    except BaseException:
        release(clients, project, name, held.values())
        raise
    return list(held.values())


def lease(clients: Clients, project: str, name: str, messages: Iterable[Message], seconds: int) -> None:
    """Holds messages for ``seconds`` from now (0 gives them back)."""
    from google.pubsub_v1 import types

    path = subscription_path(project, name)
    for ids in _chunks([message.ack_id for message in messages]):
        request = types.ModifyAckDeadlineRequest(subscription=path, ack_deadline_seconds=seconds)
        types.ModifyAckDeadlineRequest.pb(request).ack_ids.extend(ids)
        with explained("Pub/Sub", f"holding messages of {name}"):
            clients.subscriber.modify_ack_deadline(request=request, **repeatable(20.0))


def release(clients: Clients, project: str, name: str, messages: Iterable[Message]) -> None:
    """Gives messages back to the queue at once."""
    lease(clients, project, name, messages, 0)


def acknowledge(clients: Clients, project: str, name: str, messages: Iterable[Message]) -> None:
    """Takes messages out of the queue for good."""
    from google.pubsub_v1 import types

    path = subscription_path(project, name)
    for ids in _chunks([message.ack_id for message in messages]):
        request = types.AcknowledgeRequest(subscription=path)
        types.AcknowledgeRequest.pb(request).ack_ids.extend(ids)
        with explained("Pub/Sub", f"acknowledging messages of {name}"):
            clients.subscriber.acknowledge(request=request, **repeatable(20.0))


def publish(
    clients: Clients, project: str, topic: str, messages: Sequence[tuple[bytes, Mapping[str, str]]]
) -> list[str]:
    """Publishes (data, attributes) and returns the ids once the service has stored them all.

    A repeat after a lost answer publishes twice; callers stamp what must be told apart.
    """
    from google.pubsub_v1 import types

    request = types.PublishRequest(topic=topic_path(project, topic))
    plain = types.PublishRequest.pb(request)
    for data, attributes in messages:
        plain.messages.add(data=data, attributes=attributes)
    with explained("Pub/Sub", f"publishing to {topic}"):
        answer = clients.publisher.publish(request=request, **repeatable(_PUBLISH_S))
    return list(type(answer).pb(answer).message_ids)


def _expires_s(raw: Any) -> float | None:
    """A policy without a time is for ever; no policy at all is Google's default."""
    plain = type(raw).pb(raw)
    if not plain.HasField("expiration_policy"):
        return 31 * _DAY_S
    return float(plain.expiration_policy.ttl.seconds) or None


def _message(raw: Any) -> Message:
    """Of a plain protobuf ReceivedMessage."""
    message = raw.message
    published = message.publish_time
    return Message(
        id=message.message_id,
        data=message.data,
        attributes=dict(message.attributes),
        published=datetime.fromtimestamp(published.seconds + published.nanos / 1e9, UTC),
        ack_id=raw.ack_id,
        delivery_attempt=raw.delivery_attempt,
    )


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    chunk: list[str] = []
    size = 0
    for one in ids:
        if chunk and (len(chunk) >= _CHUNK or size + len(one) > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += len(one) + 8
    if chunk:
        yield chunk
