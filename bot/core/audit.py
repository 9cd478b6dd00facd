"""The hash chain of the timeline: an event that was changed, removed or moved is found.

Each link's hash is SHA-256 over the hash before it and the record in one canonical JSON form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any

from bot.core.alert_model import rfc3339

GENESIS = "0" * 64  # the hash before the first record


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One stored record with its place in the chain. `record` is what was hashed, nothing else."""

    seq: int
    prev_hash: str
    hash: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the chain does not hold, and why."""

    seq: int
    reason: str


def canonical(record: Mapping[str, Any]) -> bytes:
    """The record as JSON with sorted keys, without spaces, in UTF-8, times as RFC 3339 UTC microseconds.

    Raises ValueError for what has no single form: keys that are not text, NaN, naive times, other types.
    """
    try:
        text = json.dumps(
            _plain(record), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode("utf-8")
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a record that cannot be hashed: {error}") from error


def link_hash(prev_hash: str, record: Mapping[str, Any]) -> str:
    """The hash (64 hex digits) of `record` after `prev_hash`. Raises ValueError as `canonical` does."""
    return hashlib.sha256(prev_hash.encode("utf-8") + b"\n" + canonical(record)).hexdigest()


def verify(records: Iterable[Link], *, after: str = GENESIS, head: str | None = None) -> Broken | None:
    """The first break in the chain, or None if it holds.

    `records` in ascending order of seq; `after` is the hash before the first of them; `head`, where it is
    known from elsewhere, is the hash that the last one must have (a chain cut off at its end is else whole).
    """
    last_seq: int | None = None
    last_hash = after
    for link in records:
        if last_seq is not None and link.seq != last_seq + 1:
            return Broken(link.seq, f"out of sequence: follows {last_seq}")
        if not _same(link.prev_hash, last_hash):
            return Broken(link.seq, "does not follow the record before it")
        try:
            expected = link_hash(link.prev_hash, link.record)
        except ValueError as error:
            return Broken(link.seq, str(error))
        if not _same(link.hash, expected):
            return Broken(link.seq, "its content does not match its hash")
        last_seq, last_hash = link.seq, link.hash
    if head is not None and not _same(head, last_hash):
        return Broken((last_seq or 0) + 1, "records are missing at the end")
    return None


def _same(left: str, right: str) -> bool:
    return compare_digest(left.encode("utf-8", "replace"), right.encode("utf-8", "replace"))


def _plain(value: Any) -> Any:
    """Only JSON's own types; a time becomes text, so that it hashes alike before and after storage."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")
