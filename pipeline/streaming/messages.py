"""What travels between the steps, and the dead letter that a failure becomes.  Pure.

A message keeps its original bytes and attributes until its row is written, so that whatever fails,
wherever, can be told completely.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pipeline.events import Event, Violation, duplicate_key

# Pub/Sub takes 10 MB a message, attributes included.
LARGEST_ENVELOPE: Final = 9_500_000
# A load test marks its events; they stop before the sinks (RULES "Operations at 03:10").
LOAD_TEST: Final = "streamwatch_loadtest"


class Message(msgspec.Struct, frozen=True, array_like=True):
    """One Pub/Sub message; ``event_type`` is "unknown" when neither it nor its source tells."""

    data: bytes
    attributes: dict[str, str]
    event_type: str


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """A dead letter, ready to be published."""

    data: bytes
    attributes: dict[str, str]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row for a table.  ``id`` makes a repeated insert harmless; ``origin`` is None for summaries.

    ``values`` is JSON-able.
    """

    table: str
    id: str
    values: dict[str, Any]
    event_type: str
    origin: Message | None = None


def identity(event: Event) -> str:
    """Equal for events that are the same one: a digest, so that no person's id becomes a key."""
    return digest(*duplicate_key(event))


def digest(*parts: str) -> str:
    """A short id of several texts; different texts make different ids."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def letter(
    message: Message,
    *,
    stage: str,
    error: str,
    now: datetime,
    code_version: str,
    violations: Sequence[Violation] = (),
    row: Row | None = None,
) -> Letter:
    """The envelope of a message that failed; loses nothing, whatever the message holds.

    ``row`` is what a sink refused: a repair writes it there again under the same id.
    """
    envelope: dict[str, Any] = {
        "event_type": message.event_type,
        "error": error[:2000],
        **payload(message.data),
        "attributes": message.attributes,
        "violations": [{"field": v.field, "rule": v.rule, "value": v.value} for v in violations],
        "stage": stage,
        "code_version": code_version,
        "first_failed_at": message.attributes.get("first_failed_at") or _text(now),
        "replay_count": _count(message.attributes.get("replay_count")),
    }
    if row is not None:
        envelope["row"] = {"table": row.table, "id": row.id, "values": row.values}
    data = json.dumps(envelope, ensure_ascii=True, separators=(",", ":")).encode()
    if len(data) > LARGEST_ENVELOPE:
        # Bare, as Pub/Sub's own dead-letter policy sends it: the reader names the violations again.
        return Letter(message.data, message.attributes)
    return Letter(data, {"event_type": message.event_type, "stage": stage[:1024]})


def payload(data: bytes) -> dict[str, str]:
    """The bytes as an envelope's text where they are UTF-8, else as base64; both read back exactly."""
    try:
        return {"payload": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(data).decode("ascii")}


def stated(attributes: Mapping[str, str], source_type: str) -> dict[str, str]:
    """Attributes that name the type of what cannot be read: its own word, else its source's."""
    if attributes.get("event_type") or not source_type:
        return dict(attributes)
    return {**attributes, "event_type": source_type}


def described(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _count(raw: str | None) -> int:
    return int(raw) if raw and raw.isascii() and raw.isdigit() and len(raw) < 10 else 0


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
