"""Finding a message whose sending ended in doubt, by the row's key in its metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from bot.core.delivery import LookupFailed, Sent
from bot.slack.api import Api

# Slack's clock, by which is looked, is known to a second, and its machines may differ.
SKEW_S = 120.0
PAGES_MAX = 20
PAGE = 200


async def find_message(api: Api, channel: str, key: str, since: float, thread: str = "") -> Sent | None:
    """The message with this key since ``since`` (Slack's epoch seconds); None when it is surely not there."""
    async for message in messages(api, channel, since - SKEW_S, thread):
        if carries(message, key):
            return Sent(result={"channel": channel, "ts": message["ts"]})
    return None


def carries(message: Mapping[str, Any], key: str) -> bool:
    """True when the message was sent for this row, alone or as one of several pages."""
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return payload.get("outbox_id") == key or key in (payload.get("pages") or ())


async def messages(
    api: Api, channel: str, oldest: float, thread: str = ""
) -> AsyncIterator[Mapping[str, Any]]:
    """Messages with all their metadata, newest first (of a thread: oldest first)."""
    args: dict[str, Any] = {
        "channel": channel,
        "oldest": f"{max(oldest, 0):.6f}",
        "limit": PAGE,
        "include_all_metadata": True,
    }
    method = "conversations.history"
    if thread:
        method, args["ts"] = "conversations.replies", thread
    for _ in range(PAGES_MAX):
        answer = await api.call(method, **args)
        for message in answer.get("messages", ()):
            yield message
        cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return
        args["cursor"] = cursor
    raise LookupFailed(f"more than {PAGES_MAX * PAGE} messages since the first try")
