"""Files of dead letters: written whole, unmasked, and read back before anyone relies on them.

RULES "Operations at 03:10": exports go to the configured directory, never to Slack, and are read
back before anything is acknowledged.  One JSON object a line: message_id, published, attributes,
and data, or data_base64 where the message is not UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was read back and found to hold exactly these messages."""

    path: Path
    ids: frozenset[str]
    size: int  # bytes


def folder() -> Path:
    """DLQ_EXPORT_DIR, else ``var/exports``; Refused for a bucket, which is not understood."""
    named = os.environ.get("DLQ_EXPORT_DIR", "") or "var/exports"
    if "://" in named:
        raise Refused(
            f"DLQ_EXPORT_DIR is a directory, not {named}; mount the bucket, or copy the file there."
        )
    return Path(named)


def write(directory: Path, name: str, messages: Iterable[Message]) -> Export:
    """Writes messages to a new file of that name, for its owner alone, and reads it back.

    Refused when it cannot be written, or does not read back as what was written.
    """
    lines: dict[str, str] = {message.id: _line(message) for message in messages}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path = _store(directory, _safe(name), "".join(line + "\n" for line in lines.values()))
        found = _digests(path)
    except OSError as error:
        raise Refused(
            f"The export cannot be written to {directory} ({error.strerror}); nothing was taken out of the queue. "
            "Set DLQ_EXPORT_DIR to a directory with room that may be written."
        ) from None
    if found != {id_: _digest(line) for id_, line in lines.items()}:
        raise Refused(
            f"The export {path.name} does not read back as it was written; nothing was taken out of the queue."
        )
    return Export(path, frozenset(found), path.stat().st_size)


def exported_ids(directory: Path, name: str) -> frozenset[str]:
    """Ids of all messages in the files of that name, those of a repeated run too."""
    found: set[str] = set()
    for path in sorted(directory.glob(f"{_safe(name)}*.jsonl")):
        found |= set(_digests(path))
    return frozenset(found)


def read(path: Path) -> list[tuple[str, bytes, dict[str, str]]]:
    """(message id, data, attributes) of a file's messages; ValueError for a line that is none."""
    return [_message(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _store(directory: Path, name: str, text: str) -> Path:
    """A file is there whole or not at all, also when the machine goes down."""
    path = directory / f"{name}.jsonl"
    serial = 1
    while path.exists():
        serial += 1
        path = directory / f"{name}-{serial}.jsonl"
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    place = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
    return path


def _line(message: Message) -> str:
    body: dict[str, Any] = {
        "message_id": message.id,
        "published": message.published.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "attributes": dict(message.attributes),
    }
    try:
        body["data"] = message.data.decode("utf-8")
    except UnicodeDecodeError:
        body["data_base64"] = base64.b64encode(message.data).decode("ascii")
    return json.dumps(body, ensure_ascii=False)


def _digests(path: Path) -> dict[str, str]:
    """Message id -> digest of its line, for every line that can be read back as a message."""
    found = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            try:
                found[_message(line)[0]] = _digest(line)
            except (ValueError, KeyError):
                continue
    return found


def _message(line: str) -> tuple[str, bytes, dict[str, str]]:
    body = json.loads(line)
    if not isinstance(body, Mapping) or not isinstance(body.get("message_id"), str):
        raise ValueError("a line of an export has a message_id")
    encoded = body.get("data_base64")
    try:
        data = base64.b64decode(encoded, validate=True) if encoded else str(body.get("data", "")).encode()
    except binascii.Error as error:
        raise ValueError("data_base64 is not base64") from error
    return body["message_id"], data, dict(body.get("attributes") or {})


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _safe(name: str) -> str:
    """A name that cannot leave its directory."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".") or "export"
