"""Socket Mode: Slack's own client, the same deliveries, over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import ids

from .conftest import Sim, bolt_app


@pytest.fixture
async def handler(sim: Sim) -> AsyncIterator[AsyncSocketModeHandler]:
    bolt = bolt_app(sim.hub)

    @bolt.command("/pipeline")
    async def pipeline(ack: Any, respond: Any) -> None:
        await ack("over the socket")
        await respond("and later")

    @bolt.event("app_mention")
    async def mention(event: dict[str, Any], say: Any) -> None:
        await say(f"heard <@{event['user']}>")

    web = AsyncWebClient(token=ids.TOKEN, base_url=f"{sim.url}/api/")
    found = AsyncSocketModeHandler(bolt, ids.APP_TOKEN, web_client=web, ping_interval=1)
    await found.connect_async()  # type: ignore[no-untyped-call]
    yield found
    await found.close_async()  # type: ignore[no-untyped-call]


async def test_commands_and_events_come_through_the_socket(sim: Sim, handler: AsyncSocketModeHandler) -> None:
    answer = await asyncio.to_thread(
        sim.post, "command", user="alice", channel="incidents", text="/pipeline health"
    )
    assert (answer["status"], answer["body"]) == (200, '{"text": "over the socket"}')
    assert (await asyncio.to_thread(sim.wait, "and later"))["ephemeral"] is True
    await asyncio.to_thread(sim.post, "message", user="bob", channel="incidents", text="@streamwatch hi")
    assert (await asyncio.to_thread(sim.wait, "heard <@U02BOB>"))["user"] == ids.BOT_USER
    items = sim.get("deliveries")["items"]
    assert {item["path"] for item in items if item["name"] in ("/pipeline", "app_mention")} == {"socket"}


async def test_client_comes_back_after_it_was_asked_to_go(sim: Sim, handler: AsyncSocketModeHandler) -> None:
    gone = await asyncio.to_thread(sim.post, "disconnect", reason="refresh_requested")
    assert gone == {"disconnected": 1}
    async with asyncio.timeout(40):
        while not sim.hub.sockets.connected:  # noqa: ASYNC110 (another process' connection has no event here)
            await asyncio.sleep(0.02)
    answer = await asyncio.to_thread(sim.post, "command", user="alice", channel="incidents", text="/pipeline")
    assert answer["status"] == 200


def test_socket_needs_the_app_level_token(sim: Sim, client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.apps_connections_open(app_token=ids.TOKEN)
    assert caught.value.response["error"] == "not_allowed_token_type"
    assert client.apps_connections_open(app_token=ids.APP_TOKEN)["url"].startswith("ws://127.0.0.1:")
