"""/sim/*, looking: the state, waiting for a message, calls, deliveries, files, the stream of changes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sandbox.slack import find
from sandbox.slack.errors import Refused
from sandbox.slack.files import content_of
from sandbox.slack.hub import Hub
from sandbox.slack.model import Channel, Ephemeral, Json, Message
from sandbox.slack.sim import endpoint, hub_of, seconds, whole
from sandbox.slack.snapshot import ephemeral, message, snapshot

KEEP_ALIVE_SECONDS = 15.0
MOST_SECONDS = 600.0


async def state(request: Request) -> Json:
    """GET /sim/state."""
    return snapshot(hub_of(request))


async def wait(request: Request) -> Json:
    """GET /sim/wait?channel=&contains=&since=&timeout=: the first message that fits, or 408.

    The channel may be one that does not exist yet. `since` is a sequence number; an edited message counts
    as new again.
    """
    hub = hub_of(request)
    since, limit = whole(request, "since"), seconds(request, "timeout", 10.0, MOST_SECONDS)
    deadline = time.monotonic() + limit
    wanted, contains = request.query_params.get("channel", ""), request.query_params.get("contains", "")
    seen = since
    while True:
        now = hub.changes.seq
        for seq, channel, item in hub.workspace.since(seen):
            if _matches(hub, channel, item, wanted, contains):
                return {"seq": seq, "message": _shown(hub, channel, item)}
        seen = now if not wanted or hub.workspace.find_channel(wanted) else since
        left = deadline - time.monotonic()
        if left <= 0 or hub.stopping.event.is_set():
            raise Refused(f"no message within {limit:g} s", 408, seq=now)
        await hub.changes.wait(now, left)


def _matches(hub: Hub, channel: Channel, item: Message | Ephemeral, wanted: str, contains: str) -> bool:
    if wanted and hub.workspace.find_channel(wanted) is not channel:
        return False
    if isinstance(item, Message) and item.ts not in channel.messages:
        return False
    if not contains or contains in item.text:
        return True
    if any(contains in text for text in find.texts(item.blocks)):
        return True
    return isinstance(item, Message) and any(contains in text for text in find.texts(item.attachments))


def _shown(hub: Hub, channel: Channel, item: Message | Ephemeral) -> Json:
    hidden = isinstance(item, Ephemeral)
    body = ephemeral(item) if isinstance(item, Ephemeral) else message(hub, channel, item)
    return {**body, "channel": channel.id, "channel_name": channel.name, "ephemeral": hidden}


async def calls(request: Request) -> Json:
    """GET /sim/calls?since=: the Web API's calls."""
    return hub_of(request).calls.since(whole(request, "since"))


async def deliveries(request: Request) -> Json:
    """GET /sim/deliveries?since=: what was delivered to the app."""
    return hub_of(request).deliveries.since(whole(request, "since"))


async def file(request: Request) -> Response:
    """GET /sim/files/{id}: the bytes of a file."""
    found = hub_of(request).workspace.files.get(request.path_params["id"])
    if found is None or found.content is None:
        raise Refused("no such file", 404)
    return content_of(found)


async def events(request: Request) -> Response:
    """GET /sim/events: a server-sent event with the sequence number at every change."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(hub_of(request)), media_type="text/event-stream", headers=headers)


async def _stream(hub: Hub) -> AsyncIterator[str]:
    seq: Any = -1
    while not hub.stopping.event.is_set():
        if await hub.changes.wait(seq, KEEP_ALIVE_SECONDS):
            seq = hub.changes.seq
            yield f"id: {seq}\ndata: {seq}\n\n"
        else:
            yield ": still here\n\n"


routes = [
    Route("/sim/state", endpoint(state), methods=["GET"]),
    Route("/sim/wait", endpoint(wait), methods=["GET"]),
    Route("/sim/calls", endpoint(calls), methods=["GET"]),
    Route("/sim/deliveries", endpoint(deliveries), methods=["GET"]),
    Route("/sim/files/{id}", endpoint(file), methods=["GET"]),
    Route("/sim/events", endpoint(events), methods=["GET"]),
]
