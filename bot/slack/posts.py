"""Posting and editing one message, with what Slack's refusals ask for."""

from __future__ import annotations

from typing import Any

from bot.slack.api import Api
from bot.slack.blocks import Message
from bot.slack.outcome import Failure

# Slack did not like the blocks: the text says all that they say, and arrives.
BAD_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
GONE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message"})


async def post(api: Api, channel: str, message: Message, *, thread: str = "") -> dict[str, Any]:
    """Post it; the result is {channel, ts}. Raises Failure, Ambiguous where nobody knows."""
    args = _args(channel, message)
    if thread:
        args["thread_ts"] = thread
    answer = await _with_or_without_blocks(api, "chat.postMessage", args, once=True)
    return {"channel": answer["channel"], "ts": answer["ts"]}


async def edit(api: Api, channel: str, ts: str, message: Message, *, once: bool = False) -> dict[str, Any]:
    """Replace a message. ``once``: the edit adds something that must be looked up after a doubt."""
    args = _args(channel, message)
    del args["unfurl_links"], args["unfurl_media"]
    await _with_or_without_blocks(api, "chat.update", {**args, "ts": ts}, once=once)
    return {"channel": channel, "ts": ts}


async def whisper(api: Api, channel: str, user: str, message: Message) -> None:
    """A message that only one person sees. It cannot be looked up: after a doubt it is said again."""
    args = _args(channel, message)
    for name in ("metadata", "unfurl_links", "unfurl_media"):
        args.pop(name, None)
    await _with_or_without_blocks(api, "chat.postEphemeral", {**args, "user": user}, once=False)


async def _with_or_without_blocks(
    api: Api, method: str, args: dict[str, Any], *, once: bool
) -> dict[str, Any]:
    try:
        return await api.call(method, once=once, **args)
    except Failure as failure:
        if failure.code not in BAD_BLOCKS or not args.get("blocks"):
            raise
    return await api.call(method, once=once, **{**args, "blocks": []})


def _args(channel: str, message: Message) -> dict[str, Any]:
    return {
        "channel": channel,
        "text": message.text,
        "blocks": list(message.blocks),
        "metadata": message.metadata,
        "unfurl_links": False,
        "unfurl_media": False,
    }
