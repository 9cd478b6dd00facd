"""reactions.*: emoji on messages."""

from __future__ import annotations

import re

from sandbox.slack import ids
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Json, Message
from sandbox.slack.registry import Call, method

_NAME = re.compile(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?")


@method(
    "reactions.add",
    tier="t3",
    scopes="reactions:write",
    required="channel timestamp name",
    errors="channel_not_found message_not_found no_item_specified invalid_name already_reacted is_archived",
    missing={"channel": "no_item_specified", "timestamp": "no_item_specified", "name": "invalid_name"},
)
def add(call: Call) -> Json:
    """Add a reaction of the app."""
    channel, message = _item(call)
    if channel.is_archived:
        raise SlackError("is_archived")
    name = _name(call)
    if ids.BOT_USER in message.reactions.get(name, []):
        raise SlackError("already_reacted")
    call.workspace.react(channel, message, ids.BOT_USER, name, add=True)
    return {}


@method(
    "reactions.remove",
    tier="t2",
    scopes="reactions:write",
    required="name",
    errors="channel_not_found message_not_found no_item_specified invalid_name no_reaction",
    missing={"name": "invalid_name"},
)
def remove(call: Call) -> Json:
    """Take a reaction of the app away."""
    channel, message = _item(call)
    name = _name(call)
    if ids.BOT_USER not in message.reactions.get(name, []):
        raise SlackError("no_reaction")
    call.workspace.react(channel, message, ids.BOT_USER, name, add=False)
    return {}


@method(
    "reactions.get",
    tier="t3",
    scopes="reactions:read",
    json=False,
    errors="channel_not_found message_not_found no_item_specified",
)
def get(call: Call) -> Json:
    """A message with its reactions."""
    channel, message = _item(call)
    body = call.workspace.message_object(channel, message)
    return {"type": "message", "channel": channel.id, "message": body}


def _item(call: Call) -> tuple[Channel, Message]:
    if not call.args.text("channel") or not call.args.text("timestamp"):
        raise SlackError("no_item_specified")
    channel = call.channel()
    return channel, call.message(channel, "timestamp")


def _name(call: Call) -> str:
    name = call.args.text("name").strip(":")
    if not _NAME.fullmatch(name):
        raise SlackError("invalid_name")
    return name
