"""The Slack room against the sandbox, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ruamel.yaml import YAML

from bot.clock import Clock
from bot.slack.api import make_client
from bot.slack.sender import Sender
from sandbox.app import running
from sandbox.slack.hub import Hub


class EmptyWorld:
    """No Google Cloud: these tests are about Slack."""

    def describe(self) -> dict[str, Any]:
        return {}

    def apply(self, body: object) -> dict[str, Any]:
        return {"applied": body}

    def reset(self) -> None:
        return None


class Slack:
    """The sandbox from outside, as INTERFACE says: faults in, state out."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.base_url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.base_url + path, json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def act(self, path: str, **body: Any) -> Any:
        status, answer = await self.post(f"/sim/{path}", body)
        assert status == 200, answer
        return answer

    async def fault(self, method: str, kind: str, **more: Any) -> None:
        await self.act("faults", method=method, kind=kind, count=more.pop("count", 1), **more)

    async def channel(self, name: str) -> dict[str, Any]:
        state = await self.get("/sim/state")
        found: dict[str, Any] = next(c for c in state["channels"] if name in (c["name"], c["id"]))
        return found

    async def calls(self, method: str) -> list[dict[str, Any]]:
        items = (await self.get("/sim/calls?since=0"))["items"]
        return [item for item in items if item["method"] == method]

    async def ours(self) -> list[dict[str, Any]]:
        """Every message of the bot, everywhere."""
        state = await self.get("/sim/state")
        return [m for c in state["channels"] for m in c["messages"] if m["user"] == "U0STREAMWATCH"]


def install(hub: Hub) -> None:
    """The app as the manifest asks for it, so that a missing scope fails here and not in production."""
    manifest = YAML(typ="safe").load((Path(__file__).parents[3] / "slack-manifest.yaml").read_text())
    hub.config.scopes = tuple(manifest["oauth_config"]["scopes"]["bot"])
    hub.config.events = tuple(manifest["settings"]["event_subscriptions"]["bot_events"])


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(lambda _: EmptyWorld()) as hub:
        install(hub)
        yield hub


@pytest.fixture
def slack(hub: Hub) -> Slack:
    return Slack(hub.workspace.base_url)


@pytest.fixture
async def sender(slack: Slack) -> AsyncIterator[Sender]:
    sender = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "incidents", Clock())
    await sender.open()
    yield sender
    await sender.close()
