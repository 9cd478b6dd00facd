"""How a service is described to the server: its full name and its methods."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from google.pubsub_v1 import types

from sandbox.google.errors import invalid
from sandbox.google.subscription import Delivery

T = TypeVar("T")
# Messages are proto-plus or plain protobuf classes; both are untyped here.
Unary = Callable[[Any], Any]
Stream = Callable[[Iterator[Any], Callable[[], bool]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """Request and response classes and the function between them. A stream gets (requests, is_alive)."""

    request: Any
    response: Any
    call: Unary | None = None
    stream: Stream | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """`name` is the full name, such as google.pubsub.v1.Publisher."""

    name: str
    methods: Mapping[str, Method] = field(default_factory=dict)


def page(
    items: Sequence[T], size: int, token: str, *, default: int, maximum: int, first: int = 0
) -> tuple[Sequence[T], str]:
    """One page and the token of the next ("" at the end); without a token the page begins at `first`.

    Raises Refused for a token that was never given.
    """
    if size < 0:
        raise invalid("page_size must not be negative.")
    start = _offset(token) if token else first
    end = start + min(size or default, maximum)
    return items[start:end], _token(end) if end < len(items) else ""


def _token(offset: int) -> str:
    return urlsafe_b64encode(f"at:{offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        mark, _, number = urlsafe_b64decode(token.encode()).decode().partition(":")
    except (Error, ValueError):
        mark = number = ""
    if mark != "at" or not number.isdigit():
        raise invalid("The page token is invalid.")
    return int(number)


def timestamp(epoch_seconds: float) -> Timestamp:
    """Protobuf form of epoch seconds, to the microsecond."""
    micros = round(epoch_seconds * 1_000_000)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def from_timestamp(stamp: Timestamp) -> float:
    """Epoch seconds of a protobuf timestamp."""
    return float(stamp.seconds) + float(stamp.nanos) / 1e9


def pb(message: Any) -> Any:
    """The plain protobuf message inside a proto-plus one."""
    return getattr(message, "_pb", message)


def received(delivery: Delivery) -> Any:
    """The protobuf form of a message handed out by Pub/Sub."""
    message = delivery.message
    return types.ReceivedMessage(
        ack_id=delivery.ack_id,
        message=types.PubsubMessage(
            data=message.data,
            attributes=dict(message.attributes),
            message_id=message.id,
            publish_time=timestamp(message.published),
            ordering_key=message.ordering_key,
        ),
        delivery_attempt=delivery.attempt,
    )
