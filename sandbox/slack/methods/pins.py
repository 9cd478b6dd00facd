"""pins.*: pinned messages."""

from __future__ import annotations

from sandbox.slack import ids
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Json
from sandbox.slack.registry import Call, method

MOST = 100


@method(
    "pins.add",
    tier="t2",
    scopes="pins:write",
    required="channel",
    errors="channel_not_found not_in_channel no_item_specified message_not_found already_pinned too_many_pins",
    missing={"channel": "channel_not_found"},
)
def add(call: Call) -> Json:
    """Pin a message."""
    channel = call.joined(call.channel())
    if not call.args.text("timestamp"):
        raise SlackError("no_item_specified")
    message = call.message(channel, "timestamp")
    if message.ts in channel.pins:
        raise SlackError("already_pinned")
    if len(channel.pins) >= MOST:
        raise SlackError("too_many_pins")
    channel.pins[message.ts] = {"created": call.workspace.epoch(), "created_by": ids.BOT_USER}
    _announce(call, "pin_added", channel.id, message.ts)
    return {}


@method(
    "pins.remove",
    tier="t2",
    scopes="pins:write",
    required="channel",
    errors="channel_not_found no_item_specified message_not_found no_pin",
    missing={"channel": "channel_not_found"},
)
def remove(call: Call) -> Json:
    """Take a pin away."""
    channel = call.channel()
    if not call.args.text("timestamp"):
        raise SlackError("no_item_specified")
    message = call.message(channel, "timestamp")
    if message.ts not in channel.pins:
        raise SlackError("no_pin")
    del channel.pins[message.ts]
    _announce(call, "pin_removed", channel.id, message.ts)
    return {}


@method(
    "pins.list",
    tier="t2",
    scopes="pins:read",
    required="channel",
    json=False,
    errors="channel_not_found",
    missing={"channel": "channel_not_found"},
)
def list_(call: Call) -> Json:
    """The pinned messages, the newest pin first."""
    channel = call.channel()
    items = [
        {
            "type": "message",
            "channel": channel.id,
            "message": call.workspace.message_object(channel, channel.messages[ts]),
            **pin,
        }
        for ts, pin in reversed(channel.pins.items())
        if ts in channel.messages
    ]
    return {"items": items, "count": len(items)}


def _announce(call: Call, kind: str, channel_id: str, ts: str) -> None:
    workspace = call.workspace
    workspace.changes.bump()
    item = {"type": "message", "channel": channel_id, "message": {"ts": ts}}
    body = {"user": ids.BOT_USER, "channel_id": channel_id, "item": item}
    workspace.event(kind, body, workspace.channels[channel_id])
