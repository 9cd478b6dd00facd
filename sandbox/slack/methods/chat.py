"""chat.*: posting, changing and deleting messages."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.slack import ids
from sandbox.slack.blocks import Problem, check_message, fill_ids
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Ephemeral, Json, Message
from sandbox.slack.registry import Call, method

_CONTENT_ERRORS = "invalid_blocks invalid_blocks_format no_text markdown_text_conflict too_many_attachments "
_METADATA_ERRORS = "invalid_metadata_format invalid_metadata_schema metadata_too_large "
METADATA_BYTES = 16_000
UPDATE_TEXT = 4_000
MARKDOWN_TEXT = 12_000


@method(
    "chat.postMessage",
    tier="t5",
    scopes="chat:write",
    required="channel",
    errors=_CONTENT_ERRORS + _METADATA_ERRORS + "channel_not_found not_in_channel is_archived "
    "cannot_reply_to_message",
    missing={"channel": "channel_not_found"},
)
def post_message(call: Call) -> Json:
    """Post to a channel, by id or name; a person's id means their direct message with the app."""
    channel = _target(call)
    if channel.is_archived:
        raise SlackError("is_archived")
    if ids.BOT_USER not in channel.members and "chat:write.public" not in call.hub.config.scopes:
        raise SlackError("not_in_channel")
    content = _content(call)
    thread_ts = call.args.text("thread_ts") or None
    if thread_ts is not None and thread_ts not in channel.messages:
        raise SlackError("cannot_reply_to_message")
    message = Message(
        ts=call.workspace.stamps.new(),
        user=ids.BOT_USER,
        bot_id=ids.BOT,
        thread_ts=_parent(channel, thread_ts),
        broadcast=call.args.flag("reply_broadcast"),
        metadata=_metadata(call),
        username=call.args.text("username") or None,
        **content,
    )
    call.workspace.post(channel, message)
    body = call.workspace.message_object(channel, message)
    return {"channel": channel.id, "ts": message.ts, "message": body}


def _parent(channel: Channel, thread_ts: str | None) -> str | None:
    """A reply to a reply belongs to the thread's first message."""
    if thread_ts is None:
        return None
    return channel.messages[thread_ts].thread_ts or thread_ts


def _target(call: Call) -> Channel:
    ref = call.args.text("channel")
    user = call.workspace.users.get(ref)
    if user is not None and not user.is_bot:
        return call.workspace.open_im(user.id)
    return call.channel(names=True)


@method(
    "chat.postEphemeral",
    tier="t4",
    scopes="chat:write",
    required="channel user",
    errors=_CONTENT_ERRORS + "channel_not_found not_in_channel is_archived user_not_in_channel",
    missing={"channel": "channel_not_found"},
)
def post_ephemeral(call: Call) -> Json:
    """Show a message to one member of a channel."""
    channel = call.channel(names=True)
    if channel.is_archived:
        raise SlackError("is_archived")
    call.joined(channel)
    user = call.args.text("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    content = _content(call)
    ephemeral = Ephemeral(
        ts=call.workspace.stamps.new(),
        user=user,
        sender=ids.BOT_USER,
        text=content["text"],
        blocks=content["blocks"],
        thread_ts=call.args.text("thread_ts") or None,
    )
    call.workspace.whisper(channel, ephemeral)
    return {"message_ts": ephemeral.ts}


@method(
    "chat.update",
    tier="t3",
    scopes="chat:write",
    required="channel ts",
    errors=_CONTENT_ERRORS
    + _METADATA_ERRORS
    + "channel_not_found message_not_found cant_update_message is_inactive msg_too_long",
    missing={"channel": "channel_not_found", "ts": "message_not_found"},
)
def update(call: Call) -> Json:
    """Change one of the app's own messages. New text without blocks takes the blocks away."""
    channel = call.channel()
    message = call.message(channel, "ts")
    if channel.is_archived:
        raise SlackError("is_inactive")
    if message.bot_id != ids.BOT:
        raise SlackError("cant_update_message")
    if len(call.args.text("text")) > UPDATE_TEXT:
        raise SlackError("msg_too_long")
    content = _content(call)
    if not call.args.given("attachments"):
        content["attachments"] = message.attachments
    if call.args.given("metadata"):
        content["metadata"] = _metadata(call)
    call.workspace.edit(channel, message, ids.BOT_USER, content)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": call.workspace.message_object(channel, message),
    }


@method(
    "chat.delete",
    tier="t3",
    scopes="chat:write",
    required="channel ts",
    errors="channel_not_found message_not_found cant_delete_message",
    missing={"channel": "channel_not_found", "ts": "message_not_found"},
)
def delete(call: Call) -> Json:
    """Delete one of the app's own messages."""
    channel = call.channel()
    message = call.message(channel, "ts")
    if message.bot_id != ids.BOT:
        raise SlackError("cant_delete_message")
    call.workspace.delete(channel, message)
    return {"channel": channel.id, "ts": message.ts}


@method(
    "chat.getPermalink",
    tier="t5",
    required="channel message_ts",
    json=False,
    errors="channel_not_found message_not_found",
    missing={"channel": "channel_not_found", "message_ts": "message_not_found"},
)
def get_permalink(call: Call) -> Json:
    """The address of a message."""
    channel = call.channel()
    message = call.message(channel, "message_ts")
    path = f"/archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": call.hub.base_url + path}


def _content(call: Call) -> dict[str, Any]:
    """text, blocks and attachments of a call, checked; blocks get their missing ids."""
    args = call.args
    blocks = args.json("blocks", "invalid_blocks_format")
    attachments = args.json("attachments", "invalid_blocks_format")
    text, markdown = args.text("text"), args.text("markdown_text")
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if isinstance(attachments, list) and len(attachments) > 100:
        raise SlackError("too_many_attachments")
    check = {"blocks": blocks, "attachments": attachments}
    if problems := check_message({name: value for name, value in check.items() if value}):
        raise invalid_blocks(problems)
    if not (text or markdown or blocks or attachments):
        raise SlackError("no_text")
    if markdown:
        blocks = [{"type": "markdown", "text": markdown[:MARKDOWN_TEXT]}]
    filled = fill_ids(blocks or [], lambda: call.workspace.ids.new("b"))
    return {"text": text or markdown, "blocks": filled, "attachments": attachments or []}


def invalid_blocks(problems: list[Problem]) -> SlackError:
    """The refusal of blocks, in the shape recorded from Slack."""
    details = [p.line() for p in problems if p.kind != "schema"]
    messages = [f"[ERROR] {problem.line()}" for problem in problems]
    return SlackError("invalid_blocks", errors=details, response_metadata={"messages": messages})


def _metadata(call: Call) -> Json | None:
    """The metadata of a call. An empty object means none. Raises invalid_metadata_*."""
    value = call.args.json("metadata", "invalid_metadata_format")
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    kind = value.get("event_type")
    if not isinstance(kind, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]{1,255}", kind):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(value).encode()) > METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return {"event_type": kind, "event_payload": value["event_payload"]}
