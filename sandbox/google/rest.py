"""Google's services over HTTP: how a request is read, answered under the world's lock, and refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from email import message_from_bytes
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.google.errors import Refused, invalid
from sandbox.google.http_errors import answer_of
from sandbox.google.services.base import page
from sandbox.google.world import World

Json = dict[str, Any]
MOST_BYTES = 10 * 1024 * 1024


class Call:
    """One request, read: its path's names, its query, its body, and the upload that came with it."""

    def __init__(self, request: Request, world: World, body: Json, media: bytes | None) -> None:
        self.path: dict[str, str] = {key: str(value) for key, value in request.path_params.items()}
        self.query = request.query_params
        self.body, self.media, self.world = body, media, world

    def number(self, name: str) -> int | None:
        """A whole number of the query. Raises Refused INVALID_ARGUMENT."""
        text = self.query.get(name)
        if text is None or text == "":
            return None
        if not (text.isascii() and text.isdigit()):
            raise invalid(f"Invalid value for {name}: {text}")
        return int(text)

    def page(self, items: list[Any], *, size: str = "pageSize") -> tuple[list[Any], Json]:
        """One page of a list, and {nextPageToken} when there is another. `size` names the query's field."""
        token = self.query.get("pageToken") or ""
        shown, following = page(items, self.number(size) or 0, token, default=50, maximum=1000)
        return list(shown), {"nextPageToken": following} if following else {}


# (call, now in epoch seconds) -> the answer.
Handler = Callable[[Call, float], Json]


def endpoint(
    method: str,
    handler: Handler,
    prepare: Callable[[World, float], None] | None = None,
    *,
    empty: int = 200,
) -> Callable[[Request], Any]:
    """The ASGI endpoint of a method ("bigquery.tables/get"), which injected errors can name.

    `prepare` brings what the method looks at up to date, inside the same turn of the world; `empty` is the
    status of an empty answer.
    """

    def answer(request: Request, raw: bytes) -> Response:
        world = request.app.state.world
        if not isinstance(world, World):
            raise Refused("UNIMPLEMENTED", "No world of Google's stands behind this sandbox.")
        body, media = _body(request, raw)
        with world.turn() as now:
            world.faults.check(f"/{method}")
            world.usage.check(method, world.specs[0].project)
            if prepare is not None:
                prepare(world, now)
            found = handler(Call(request, world, body, media), now)
        return JSONResponse(found) if found or empty == 200 else Response(status_code=empty)

    async def respond(request: Request) -> Response:
        raw = await request.body()
        try:
            return await asyncio.to_thread(answer, request, raw)
        except Refused as refused:
            status, body = answer_of(refused)
            return JSONResponse(body, status_code=status)

    return respond


def _body(request: Request, raw: bytes) -> tuple[Json, bytes | None]:
    media: bytes | None = None
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/related"):
        message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw)
        parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
        if len(parts) != 2 or not all(isinstance(part, bytes) for part in parts):
            raise invalid("A multipart upload has two parts.")
        raw, media = (part if isinstance(part, bytes) else b"" for part in parts)
    elif len(raw) > MOST_BYTES:
        raise invalid(f"Request payload size exceeds the limit: {MOST_BYTES} bytes.")
    try:
        body = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received: it is not an object.")
    return body, media
