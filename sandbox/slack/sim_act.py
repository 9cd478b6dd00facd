"""/sim/*, acting as a person: commands, messages, clicks, forms, reactions, channels."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.routing import Route

from sandbox.slack import find, ids, interactions
from sandbox.slack.compose import compose
from sandbox.slack.errors import Refused
from sandbox.slack.model import Channel, Ephemeral, Json, Message, User
from sandbox.slack.sim import body_of, endpoint, hub_of


async def command(request: Request) -> Json:
    """POST /sim/command {user, channel, text}."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    channel = find.place(hub.workspace, body, user)
    typed = find.text(body, "text")
    if not typed.strip().startswith("/"):
        raise Refused("text must begin with a command such as /pipeline")
    _writable(channel)
    return await interactions.command(hub, user, channel, typed)


async def message(request: Request) -> Json:
    """POST /sim/message {user, channel, text, thread_ts?}. Who is not in a public channel joins it."""
    hub, body = hub_of(request), await body_of(request)
    workspace = hub.workspace
    user = find.person(workspace, body)
    channel = find.place(workspace, body, user)
    typed = find.text(body, "text")
    _writable(channel)
    thread_ts = body.get("thread_ts")
    if thread_ts is not None and (not isinstance(thread_ts, str) or thread_ts not in channel.messages):
        raise Refused(f"no message {thread_ts} to reply to", 404)
    workspace.join(channel, user.id)
    parent = channel.messages[thread_ts].thread_ts or thread_ts if thread_ts else None
    posted = workspace.post(
        channel,
        Message(
            ts=workspace.stamps.new(),
            user=user.id,
            text=compose(workspace, typed, labelled=False),
            thread_ts=parent,
            extra={"client_msg_id": workspace.ids.new("m")},
        ),
    )
    return {"ok": True, "channel": channel.id, "ts": posted.ts}


def _writable(channel: Channel) -> None:
    if channel.is_archived:
        raise Refused(f"#{channel.name} is archived", 409)


async def click(request: Request) -> Json:
    """POST /sim/click {user, channel, ts | view_id, action_id? | label?, confirm?, value?}."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    target = _in_view(request, body, user) if "view_id" in body else _in_message(request, body, user)
    if target.element.get("confirm") and body.get("confirm") is False:
        return {"status": None, "ms": 0, "body": "", "confirmed": False}
    return await interactions.click(hub, user, target, body)


def _in_view(request: Request, body: Json, user: User) -> find.Target:
    view = find.view(hub_of(request).workspace, body, user)
    block, element = find.choose(view.content.get("blocks", []), body)
    return find.Target(element=element, block=block, view=view)


def _in_message(request: Request, body: Json, user: User) -> find.Target:
    workspace = hub_of(request).workspace
    channel = find.place(workspace, body, user)
    found = find.message(workspace, body, channel, user)
    block, element = find.choose(_blocks(found), body)
    return find.Target(element=element, block=block, channel=channel, message=found)


def _blocks(message: Message | Ephemeral) -> list[Json]:
    if isinstance(message, Ephemeral):
        return message.blocks
    return message.blocks + [block for part in message.attachments for block in part.get("blocks", [])]


async def submit(request: Request) -> Json:
    """POST /sim/submit {user, view_id?, values}."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    view = find.view(hub.workspace, body, user)
    values = body.get("values", {})
    if not isinstance(values, dict):
        raise Refused("values must be an object of block ids")
    return await interactions.submit(hub, user, view, values)


async def close(request: Request) -> Json:
    """POST /sim/close {user, view_id?, all?}."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    view = find.view(hub.workspace, body, user)
    return await interactions.close(hub, user, view, everything=bool(body.get("all")))


async def react(request: Request) -> Json:
    """POST /sim/react {user, channel, ts, name, remove?}."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    channel = find.place(hub.workspace, body, user)
    _writable(channel)
    found = find.message(hub.workspace, body, channel, user)
    if isinstance(found, Ephemeral):
        raise Refused("Slack takes no reactions on messages that only you can see")
    name = find.text(body, "name").strip(":")
    remove = bool(body.get("remove"))
    if not re.fullmatch(r"[a-z0-9_+'-]+", name):
        raise Refused(f"{name!r} is not an emoji's name")
    if remove == (user.id not in found.reactions.get(name, [])):
        raise Refused(f"{user.name} has {'not' if remove else 'already'} reacted with {name}", 409)
    hub.workspace.react(channel, found, user.id, name, add=not remove)
    return {"ok": True}


async def create_channel(request: Request) -> Json:
    """POST /sim/channels {user, name, is_private?, invite_app?}: a person makes a channel."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    name = find.text(body, "name").lstrip("#")
    if not re.fullmatch(r"[\w-]{1,80}", name) or name != name.lower():
        raise Refused("a name has at most 80 lower-case letters, digits, - and _")
    if hub.workspace.name_taken(name):
        raise Refused(f"#{name} is taken", 409)
    channel = hub.workspace.create_channel(name, user.id, is_private=bool(body.get("is_private")))
    if body.get("invite_app"):
        hub.workspace.join(channel, ids.BOT_USER, inviter=user.id)
    return {"ok": True, "channel": channel.id}


async def archive_channel(request: Request) -> Json:
    """POST /sim/archive {user, channel}: a person archives a channel."""
    hub, body = hub_of(request), await body_of(request)
    user = find.person(hub.workspace, body)
    channel = find.place(hub.workspace, body, user)
    if channel.is_im or channel.id == ids.GENERAL:
        raise Refused("this conversation cannot be archived")
    _writable(channel)
    hub.workspace.archive(channel, user.id, archived=True)
    return {"ok": True}


routes = [
    Route("/sim/command", endpoint(command), methods=["POST"]),
    Route("/sim/message", endpoint(message), methods=["POST"]),
    Route("/sim/click", endpoint(click), methods=["POST"]),
    Route("/sim/submit", endpoint(submit), methods=["POST"]),
    Route("/sim/close", endpoint(close), methods=["POST"]),
    Route("/sim/react", endpoint(react), methods=["POST"]),
    Route("/sim/channels", endpoint(create_channel), methods=["POST"]),
    Route("/sim/archive", endpoint(archive_channel), methods=["POST"]),
]
