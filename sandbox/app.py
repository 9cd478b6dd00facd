"""The composition root: the sandbox's Slack, its control interface, its page, and the server around them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from sandbox import phone
from sandbox.clock import Clock
from sandbox.google import bigquery_rest, rest_routes
from sandbox.listening import listen
from sandbox.slack import sim_act, sim_admin, sim_read
from sandbox.slack.api import api
from sandbox.slack.files import private, upload
from sandbox.slack.hub import Hub
from sandbox.slack.push import Signer
from sandbox.slack.responses import response_url
from sandbox.slack.sim_admin import WorldPort
from sandbox.slack.transport import Protocol

SLACK_ROUTES: tuple[BaseRoute, ...] = (
    Route("/api/{method}", api, methods=["GET", "POST"]),
    Route("/upload/v1/{secret}", upload, methods=["POST", "PUT"]),
    Route("/files-pri/{file}/{name:path}", private, methods=["GET"]),
    Route("/commands/{team}/{number}/{secret}", response_url, methods=["POST"]),
    Route("/actions/{team}/{number}/{secret}", response_url, methods=["POST"]),
)


def create_app(hub: Hub, world: WorldPort, *, google_port: int, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """The ASGI app. `google_port` is where Google's services listen; `pages` are the page's routes."""

    ringing = phone.Phone(hub.clock)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await hub.delivery.open()
        await ringing.open()
        hub.events.enabled = True
        handshake = asyncio.create_task(hub.events.verify())
        yield
        handshake.cancel()
        hub.events.enabled = False
        hub.events.cancel()
        await hub.delivery.close()
        ringing.close()

    async def link(socket: WebSocket) -> None:
        await hub.sockets.serve(socket)

    sockets = WebSocketRoute("/link/", link)
    routes = [*SLACK_ROUTES, sockets, *sim_act.routes, *sim_read.routes, *sim_admin.routes]
    routes += [*bigquery_rest.routes, *rest_routes.routes, *phone.routes, *pages]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.hub = hub
    app.state.world = world
    app.state.google_port = google_port
    app.state.signer = Signer()
    app.state.phone = ringing
    return app


class Server(uvicorn.Server):
    """uvicorn's server, which ends long polls and streams when it goes down."""

    def __init__(self, config: uvicorn.Config, hub: Hub, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._hub = hub
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wake whoever waits, then end."""
        self._hub.stopping.event.set()
        await self._hub.sockets.disconnect("link_disabled")
        self._hub.changes.bump()
        await super().shutdown(sockets)


def make_server(app: Starlette, hub: Hub, on_ready: Callable[[], None]) -> Server:
    """The server with the protocol that can cut a connection off; calls `on_ready` when it serves."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="websockets-sansio",
        # The clients ping by themselves; a second heartbeat would only make noise in a debugger.
        ws_ping_interval=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    return Server(config, hub, on_ready)


@contextmanager
def running(
    world: Callable[[Clock], WorldPort],
    *,
    app_url: str = "http://127.0.0.1:1",
    clock: Clock | None = None,
    limits: bool = False,
    google_port: int = 0,
    pages: Sequence[BaseRoute] = (),
) -> Iterator[Hub]:
    """Run the sandbox in a thread on a free port; for tests. Gives the hub, whose `base_url` is the address."""
    used = clock or Clock.from_env()
    hub = Hub(used, app_url=app_url, limits=limits)
    listener = listen(0)
    hub.workspace.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(hub, world(used), google_port=google_port, pages=pages)
    ready = threading.Event()
    server = make_server(app, hub, ready.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    if not ready.wait(20):
        raise RuntimeError("the sandbox did not start")
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)
        with contextlib.suppress(OSError):
            listener.close()
