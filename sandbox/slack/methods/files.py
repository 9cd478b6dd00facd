"""files.*: the upload in three steps, and what was uploaded."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from sandbox.slack import ids
from sandbox.slack.blocks import check_blocks, fill_ids
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.methods.chat import invalid_blocks
from sandbox.slack.model import Channel, File, Json, Message
from sandbox.slack.registry import Call, method
from sandbox.slack.render import file_object

# The message of an upload appears a little after the call is answered, as in Slack.
SHARE_DELAY_SECONDS = 0.05


@method(
    "files.getUploadURLExternal",
    tier="t4",
    scopes="files:write",
    required="filename length",
    json=False,
    errors="missing_argument",
)
def get_upload_url(call: Call) -> Json:
    """Where to send the bytes of a file, and its id."""
    length = call.args.number("length", 0)
    if length <= 0 or not call.args.text("filename"):
        raise SlackError("missing_argument")
    file = File(
        id=call.workspace.ids.new("F"),
        name=call.args.text("filename"),
        length=length,
        alt=call.args.text("alt_txt"),
        user=ids.BOT_USER,
        created=call.workspace.epoch(),
        secret=secrets.token_hex(12),
    )
    call.workspace.files[file.id] = file
    return {"file_id": file.id, "upload_url": f"{call.hub.base_url}/upload/v1/{file.secret}"}


@method(
    "files.completeUploadExternal",
    tier="t4",
    scopes="files:write",
    required="files",
    errors="file_not_found channel_not_found invalid_channel not_in_channel invalid_blocks",
)
def complete_upload(call: Call) -> Json:
    """Make uploaded files known and, with a channel, share them there in one message."""
    channel = _channel(call)
    blocks = call.args.json("blocks", "invalid_blocks") or []
    if problems := check_blocks(blocks):
        raise invalid_blocks(problems)
    files = _wanted(call)
    for file, title in files:
        file.title, file.completed = title or file.title or file.name, True
    call.workspace.changes.bump()
    if channel is not None:
        loop = asyncio.get_running_loop()
        loop.call_later(SHARE_DELAY_SECONDS, _share, call, channel, [file for file, _ in files], blocks)
    return {"files": [file_object(file, call.hub.base_url) for file, _ in files]}


def _channel(call: Call) -> Channel | None:
    if not call.args.text("channel_id"):
        return None
    if call.args.text("channel_id")[0] not in "CDG":
        raise SlackError("invalid_channel")
    return call.joined(call.channel("channel_id"))


def _wanted(call: Call) -> list[tuple[File, str]]:
    items: Any = call.args.json("files", "invalid_arguments")
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise invalid_arguments("must be an array of objects with an id [json-pointer:/files]")
    found: list[tuple[File, str]] = []
    for item in items:
        file = call.workspace.files.get(str(item.get("id")))
        if file is None or file.content is None or file.completed:
            raise SlackError("file_not_found")
        found.append((file, str(item.get("title") or "")))
    return found


def _share(call: Call, channel: Channel, files: list[File], blocks: list[Json]) -> None:
    workspace = call.workspace
    if workspace.channels.get(channel.id) is not channel:
        return  # the workspace was reset in between
    message = Message(
        ts=workspace.stamps.new(),
        user=ids.BOT_USER,
        bot_id=ids.BOT,
        text=call.args.text("initial_comment"),
        blocks=fill_ids(blocks, lambda: workspace.ids.new("b")),
        subtype="file_share",
        thread_ts=call.args.text("thread_ts") or None,
        files=[file.id for file in files],
    )
    for file in files:
        file.shares.setdefault(channel.id, []).append(message.ts)
    workspace.post(channel, message)
    for file in files:
        body = {"file_id": file.id, "file": {"id": file.id}, "user_id": file.user, "channel_id": channel.id}
        workspace.event("file_shared", body, channel)


def _file(call: Call) -> File:
    found = call.workspace.files.get(call.args.text("file"))
    if found is None or not found.completed:
        raise SlackError("file_not_found")
    return found


@method(
    "files.info",
    tier="t4",
    scopes="files:read",
    required="file",
    json=False,
    errors="file_not_found",
    missing={"file": "file_not_found"},
)
def info(call: Call) -> Json:
    """One file, with the messages in which it was shared."""
    file = _file(call)
    answer: Json = {"file": file_object(file, call.hub.base_url), "comments": []}
    if file.content is not None and len(file.content) < 100_000:
        answer["content"] = file.content.decode("utf-8", "replace")
    return answer


@method("files.list", tier="t3", scopes="files:read", json=False, errors="user_not_found")
def list_(call: Call) -> Json:
    """Files, newest first, in numbered pages."""
    channel, user = call.args.text("channel"), call.args.text("user")
    if user and user not in call.workspace.users:
        raise SlackError("user_not_found")
    found = [
        file
        for file in reversed(call.workspace.files.values())
        if file.completed and (not channel or channel in file.shares) and (not user or file.user == user)
    ]
    count = max(1, min(call.args.number("count", 100), 1000))
    number = max(1, call.args.number("page", 1))
    part = found[(number - 1) * count : number * count]
    paging = {"count": count, "total": len(found), "page": number, "pages": -(-len(found) // count)}
    return {"files": [file_object(file, call.hub.base_url) for file in part], "paging": paging}


@method(
    "files.delete",
    tier="t3",
    scopes="files:write",
    required="file",
    errors="file_not_found cant_delete_file",
    missing={"file": "file_not_found"},
)
def delete(call: Call) -> Json:
    """Delete one of the app's own files."""
    file = _file(call)
    if file.user != ids.BOT_USER:
        raise SlackError("cant_delete_file")
    del call.workspace.files[file.id]
    call.workspace.changes.bump()
    return {}
