"""The sandbox's Slack on a free port, with a small world and an app written with Bolt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.app import running
from sandbox.clock import Clock
from sandbox.listening import listen
from sandbox.slack import ids
from sandbox.slack.hub import Hub
from sandbox.slack.scopes import KNOWN_EVENTS

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
SAMPLES = SHARED / "samples" / "slack"
needs_shared = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared")


class SmallWorld:
    """A world with one figure, for tests of the interface alone."""

    def __init__(self, clock: Clock) -> None:
        self.scenario = "healthy"

    def describe(self) -> dict[str, Any]:
        return {"scenario": self.scenario}

    def apply(self, body: object) -> dict[str, Any]:
        if not isinstance(body, dict) or body.get("scenario") not in ("healthy", "job_failed"):
            raise ValueError("no such scenario")
        self.scenario = str(body["scenario"])
        return self.describe()

    def reset(self) -> None:
        self.scenario = "healthy"


class Sim:
    """The control interface, as a script uses it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.url = hub.base_url
        self.http = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.http.post(f"/sim/{path}", json=body)
        assert answer.status_code == status, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def get(self, path: str, status: int = 200, **params: Any) -> dict[str, Any]:
        answer = self.http.get(f"/sim/{path}", params=params)
        assert answer.status_code == status, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def channel(self, name: str) -> dict[str, Any]:
        for channel in self.get("state")["channels"]:
            if name in (channel["name"], channel["id"], channel["user"]):
                found: dict[str, Any] = channel
                return found
        raise AssertionError(f"no channel {name}")

    def wait(self, contains: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.get("wait", contains=contains, **{"timeout": 40, **params})["message"]
        return found


class App:
    """A Bolt app on a port of its own. Everything it hears is kept in `heard`."""

    def __init__(self) -> None:
        self.listener = listen(0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.heard: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.webhooks: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.refuse_events: dict[str, str] | None = None
        self._routes: list[Route] = []
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, bolt: AsyncApp) -> None:
        handler = AsyncSlackRequestHandler(bolt)

        async def slack(request: Request) -> Response:
            if request.headers["content-type"] == "application/json":
                self.headers.append(dict(request.headers))
                body = await request.json()
                self.heard.append(body)
                if self.refuse_events is not None and body["type"] == "event_callback":
                    return Response(status_code=500, headers=self.refuse_events)
            return await handler.handle(request)

        async def webhook(request: Request) -> Response:
            body = await request.json()
            self.webhooks.append((request.url.path, dict(request.headers), body))
            return JSONResponse({"status": "ok"})

        routes = [
            Route("/slack/events", slack, methods=["POST"]),
            Route("/webhooks/{name}", webhook, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", ws="none", access_log=False)
        self._server = uvicorn.Server(config)
        run = self._server.run
        self._thread = threading.Thread(target=run, kwargs={"sockets": [self.listener]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
        self.listener.close()


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    found = App()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def hub(app: App) -> Iterator[Hub]:
    with running(SmallWorld, app_url=app.url) as found:
        yield found


@pytest.fixture(scope="module")
def shared_sim(hub: Hub) -> Iterator[Sim]:
    found = Sim(hub)
    yield found
    found.http.close()


@pytest.fixture
def sim(shared_sim: Sim) -> Sim:
    """A workspace as after a start, without limits, with an app that hears everything."""
    shared_sim.post("reset")
    shared_sim.post(
        "config",
        events=list(KNOWN_EVENTS),
        limits=False,
        trigger_seconds=3,
        ack_seconds=3,
        burst=1.5,
        post_burst=10,
    )
    return shared_sim


@pytest.fixture
def client(sim: Sim) -> WebClient:
    return WebClient(token=ids.TOKEN, base_url=f"{sim.url}/api/")


def bolt_app(hub: Hub) -> AsyncApp:
    client = AsyncWebClient(token=ids.TOKEN, base_url=f"{hub.base_url}/api/")
    return AsyncApp(client=client, signing_secret=ids.SIGNING_SECRET, token=None)
