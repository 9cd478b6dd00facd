"""conversations.history and conversations.replies: reading messages back."""

from __future__ import annotations

import re

from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Json, Message
from sandbox.slack.paging import page
from sandbox.slack.registry import Args, Call, method

HISTORY = "channels:history groups:history im:history mpim:history"
_TS = re.compile(r"\d+(\.\d+)?")


@method(
    "conversations.history",
    tier="t3",
    scopes=HISTORY,
    required="channel",
    errors="channel_not_found not_in_channel invalid_cursor invalid_ts_oldest invalid_ts_latest",
    missing={"channel": "channel_not_found"},
)
def history(call: Call) -> Json:
    """Messages of a channel, newest first; replies only where they were also sent to the channel."""
    channel = call.joined(call.channel())
    shown = [m for m in channel.messages.values() if m.thread_ts in (None, m.ts) or m.broadcast]
    found = [m for m in reversed(shown) if _inside(m, call.args)]
    part, cursor = page(found, call.args, lambda m: m.ts, most=999, limit_error="invalid_cursor")
    answer: Json = {
        "messages": [_shown(call, channel, m) for m in part],
        "has_more": bool(cursor),
        "pin_count": len(channel.pins),
        "channel_actions_ts": None,
        "channel_actions_count": 0,
    }
    if call.args.text("oldest"):
        answer["oldest"] = call.args.text("oldest")
    if cursor:
        answer["response_metadata"] = {"next_cursor": cursor}
    return answer


@method(
    "conversations.replies",
    tier="t3",
    scopes=HISTORY,
    required="channel ts",
    json=False,
    errors="channel_not_found thread_not_found invalid_cursor invalid_ts_oldest invalid_ts_latest",
    missing={"channel": "channel_not_found", "ts": "thread_not_found"},
)
def replies(call: Call) -> Json:
    """A thread, its first message first."""
    channel = call.channel()
    parent = channel.messages.get(call.args.text("ts"))
    if parent is None:
        raise SlackError("thread_not_found")
    root = channel.messages.get(parent.thread_ts or parent.ts, parent)
    thread = [root, *(m for m in channel.replies(root.ts) if _inside(m, call.args))]
    part, cursor = page(thread, call.args, lambda m: m.ts, default=1000, limit_error="invalid_cursor")
    return {
        "messages": [_shown(call, channel, m) for m in part],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def _shown(call: Call, channel: Channel, message: Message) -> Json:
    return call.workspace.message_object(channel, message, metadata=call.args.flag("include_all_metadata"))


def _inside(message: Message, args: Args) -> bool:
    """Whether a message lies between `oldest` and `latest`; the ends count only with `inclusive`."""
    at = _micros(message.ts)
    inclusive = args.flag("inclusive")
    for name, sign in (("oldest", 1), ("latest", -1)):
        text = args.text(name)
        if not text or text == "now":
            continue
        if not _TS.fullmatch(text):
            raise SlackError(f"invalid_ts_{name}")
        distance = (at - _micros(text)) * sign
        if distance < 0 or (distance == 0 and not inclusive):
            return False
    return True


def _micros(ts: str) -> int:
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int((fraction + "000000")[:6])
