"""The connection below an answer: cutting it off, and waiting for the other side to hang up."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEY = "sandbox.transport"


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which also tells the application its transport."""

    def on_message_begin(self) -> None:
        """Called by the parser at the start of each request."""
        super().on_message_begin()
        self.scope[KEY] = self.transport  # type: ignore[literal-required]


class Aborted(Response):
    """Not an answer: the connection is reset instead."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        super().__init__()
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection; without a transport (another server) break off in mid-answer."""
        if self._transport is None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            # Linger of zero makes the kernel send a reset instead of an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        # uvicorn would call a missing answer a mistake unless it has noticed that nobody is there any more.
        while (await receive())["type"] != "http.disconnect":
            continue


def abort(request: Request) -> Response:
    """The response that resets the request's connection."""
    return Aborted(request.scope.get(KEY))


async def gone(request: Request, seconds: float) -> None:
    """Wait until the client hangs up or the server stops, `seconds` at most."""
    stopping: asyncio.Event = request.app.state.hub.stopping.event
    waits = {asyncio.ensure_future(_disconnected(request)), asyncio.ensure_future(stopping.wait())}
    _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
