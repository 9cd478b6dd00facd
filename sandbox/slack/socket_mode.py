"""Socket Mode: the same deliveries over WebSockets that the app opens, each to one of them."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
import uuid
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.slack import ids
from sandbox.slack.delivery import JSON, Outcome, failed, milliseconds
from sandbox.slack.model import Json

MOST_CONNECTIONS = 10
TYPES = {"event": "events_api", "command": "slash_commands", "interaction": "interactive"}
REASONS = ("warning", "refresh_requested", "link_disabled", "too_many_websockets")


class Sockets:
    """The open connections, the tickets to open one, and the envelopes that wait for their acknowledgement."""

    def __init__(self) -> None:
        self._tickets: set[str] = set()
        self._open: list[WebSocket] = []
        self._waiting: dict[str, asyncio.Future[Json]] = {}

    @property
    def connected(self) -> bool:
        """Whether deliveries go through a socket now."""
        return bool(self._open)

    def ticket(self) -> str:
        """A ticket with which one connection can be opened."""
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, socket: WebSocket) -> None:
        """Answer a connection until it ends: hello, then the app's acknowledgements."""
        ticket = socket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await socket.close(1008)
            return
        self._tickets.discard(ticket)
        await socket.accept()
        if len(self._open) >= MOST_CONNECTIONS:
            await self._part(socket, "too_many_websockets")
            return
        self._open.append(socket)
        try:
            await socket.send_text(json.dumps(_hello(len(self._open))))
            while True:
                self._acknowledged(await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            return  # the other side is gone, or sent bytes, which Slack's protocol does not have
        finally:
            if socket in self._open:
                self._open.remove(socket)

    def _acknowledged(self, text: str) -> None:
        try:
            body: Any = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(str(body.get("envelope_id"))) if isinstance(body, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(body)

    async def send(self, kind: str, payload: Json, seconds: float, retry: int, reason: str) -> Outcome:
        """Deliver to one connection at random and wait for its acknowledgement."""
        started = time.monotonic()
        envelope_id = str(uuid.uuid4())
        envelope: Json = {
            "envelope_id": envelope_id,
            "type": TYPES[kind],
            "payload": payload,
            "accepts_response_payload": kind != "event",
        }
        if kind == "event":
            envelope |= {"retry_attempt": retry, "retry_reason": reason}
        self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        try:
            await random.choice(self._open).send_text(json.dumps(envelope))
            answer = await asyncio.wait_for(self._waiting[envelope_id], seconds)
        except TimeoutError:
            return failed(started, "operation_timeout", "http_timeout")
        except (WebSocketDisconnect, RuntimeError, OSError):
            return failed(started, "dispatch_failed", "connection_failed")
        finally:
            del self._waiting[envelope_id]
        said = answer.get("payload")
        body = "" if not said else said if isinstance(said, str) else json.dumps(said)
        kind_of_body = "" if isinstance(said, str) else JSON
        return Outcome(status=200, ms=milliseconds(started), body=body, content_type=kind_of_body)

    async def disconnect(self, reason: str) -> int:
        """Ask every connection to go, as Slack does when it refreshes its servers; returns how many."""
        sockets, self._open = self._open, []
        for socket in sockets:
            await self._part(socket, reason)
        return len(sockets)

    async def _part(self, socket: WebSocket, reason: str) -> None:
        frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}}
        try:
            await socket.send_text(json.dumps(frame))
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            return  # it was gone already, which is what was wanted


def _hello(connections: int) -> Json:
    return {
        "type": "hello",
        "num_connections": connections,
        "debug_info": {"host": "applink-sandbox", "build_number": 1, "approximate_connection_time": 18060},
        "connection_info": {"app_id": ids.APP},
    }
