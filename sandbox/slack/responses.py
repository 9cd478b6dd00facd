"""What the app says in answer to an interaction: in the acknowledgement, or later to a response URL."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.slack import ids
from sandbox.slack.blocks import check_message, fill_ids
from sandbox.slack.hub import Hub
from sandbox.slack.methods.chat import invalid_blocks
from sandbox.slack.model import Channel, Ephemeral, Json, Message
from sandbox.slack.state import Workspace


def say(
    workspace: Workspace, channel: Channel, user: str, body: Json, origin: Message | Ephemeral | None
) -> None:
    """Show a message payload: to `user` alone unless it is in_channel, or in the place of `origin`.

    Raises SlackError for blocks that Slack refuses.
    """
    if body.get("delete_original"):
        if origin is not None:
            _remove(workspace, channel, origin)
        return
    if problems := check_message({name: body[name] for name in ("blocks", "attachments") if body.get(name)}):
        raise invalid_blocks(problems)
    text = str(body.get("text") or "")
    blocks = fill_ids(body.get("blocks") or [], lambda: workspace.ids.new("b"))
    if body.get("replace_original") and origin is not None:
        _replace(workspace, channel, origin, text, blocks, body)
        return
    ts, thread_ts = workspace.stamps.new(), body.get("thread_ts")
    if body.get("response_type") == "in_channel":
        message = Message(
            ts=ts, user=ids.BOT_USER, bot_id=ids.BOT, text=text, blocks=blocks, thread_ts=thread_ts
        )
        message.attachments = body.get("attachments") or []
        message.metadata = body.get("metadata") or None
        workspace.post(channel, message)
    else:
        whisper(workspace, channel, user, text, blocks=blocks, thread_ts=thread_ts)


def whisper(
    workspace: Workspace,
    channel: Channel,
    user: str,
    text: str,
    *,
    blocks: list[Json] | None = None,
    sender: str = ids.BOT_USER,
    thread_ts: str | None = None,
) -> None:
    """Show something to one person only."""
    ephemeral = Ephemeral(
        ts=workspace.stamps.new(),
        user=user,
        sender=sender,
        text=text,
        blocks=blocks or [],
        thread_ts=thread_ts,
    )
    workspace.whisper(channel, ephemeral)


def _replace(
    workspace: Workspace,
    channel: Channel,
    origin: Message | Ephemeral,
    text: str,
    blocks: list[Json],
    body: Json,
) -> None:
    """Visibility never changes: an ephemeral message stays one."""
    if isinstance(origin, Ephemeral):
        origin.text, origin.blocks = text, blocks
        workspace.touch(channel, origin)
    elif origin.ts in channel.messages:
        changes = {"text": text, "blocks": blocks, "attachments": body.get("attachments") or []}
        workspace.edit(channel, origin, ids.BOT_USER, changes)


def _remove(workspace: Workspace, channel: Channel, origin: Message | Ephemeral) -> None:
    if isinstance(origin, Message):
        if origin.ts in channel.messages:
            workspace.delete(channel, origin)
    elif origin in channel.ephemerals:
        channel.ephemerals.remove(origin)
        workspace.changes.bump()


async def response_url(request: Request) -> Response:
    """POST to a response URL: five times within thirty minutes, then 404 expired_url."""
    hub: Hub = request.app.state.hub
    try:
        body: Any = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return JSONResponse({"ok": False, "error": "invalid_payload"}, 400)
    ticket = hub.tickets.use(request.path_params["secret"])
    if ticket is None:
        return JSONResponse({"ok": False, "error": "expired_url"}, 404)
    shown = ("text", "blocks", "attachments", "delete_original")
    if not any(body.get(name) for name in shown):
        return JSONResponse({"ok": False, "error": "no_text"}, 400)
    if problems := check_message({name: body[name] for name in ("blocks", "attachments") if body.get(name)}):
        return JSONResponse(invalid_blocks(problems).body(), 400)
    say(hub.workspace, ticket.channel, ticket.user, body, ticket.origin)
    return PlainTextResponse("ok")
