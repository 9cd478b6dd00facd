"""Cursor paging: opaque cursors that name the first item of the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from sandbox.slack.errors import SlackError
from sandbox.slack.registry import Args

Item = TypeVar("Item")
_PREFIX = "next:"


def page(
    items: Sequence[Item],
    args: Args,
    key: Callable[[Item], str],
    *,
    default: int = 100,
    most: int = 1000,
    limit_error: str = "invalid_limit",
) -> tuple[Sequence[Item], str]:
    """One page of the items and the cursor of the next ("" at the end).

    `key` gives an item's id, by which a cursor finds its place again. Raises invalid_cursor, and
    `limit_error` for a limit below 1 or above `most`; a limit of 0 means the default, as in Slack.
    """
    limit = args.number("limit", default) or default
    if limit < 0 or limit > most:
        raise SlackError(limit_error)
    start = 0
    if cursor := args.text("cursor"):
        wanted = _read(cursor)
        places = [index for index, item in enumerate(items) if key(item) == wanted]
        if not places:
            raise SlackError("invalid_cursor")
        start = places[0]
    end = start + limit
    following = _write(key(items[end])) if end < len(items) else ""
    return items[start:end], following


def _write(key: str) -> str:
    return base64.b64encode(f"{_PREFIX}{key}".encode()).decode()


def _read(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise SlackError("invalid_cursor") from None
    if not text.startswith(_PREFIX):
        raise SlackError("invalid_cursor")
    return text.removeprefix(_PREFIX)
