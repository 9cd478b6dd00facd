"""The same app over a socket, for a bot without a public address."""

from __future__ import annotations

import asyncio

from bot.clock import Clock
from bot.core.asks import Click, Command
from bot.core.delivery import Sent
from bot.slack.api import make_client
from bot.slack.app import SlackSettings, build_app, socket_mode
from bot.slack.sender import Sender
from sandbox.app import running
from sandbox.slack import ids
from tests.integration.slack_room.conftest import EmptyWorld, Slack, install
from tests.integration.slack_room.test_listeners import RecordingDesk, until
from tests.unit.slack.samples import leased, page


async def test_commands_and_clicks_arrive_over_a_socket() -> None:
    with running(lambda _: EmptyWorld()) as hub:
        install(hub)
        hub.socket_mode = True
        slack = Slack(hub.workspace.base_url)
        api_url = f"{slack.base_url}/api/"
        sender = Sender(make_client("xoxb-sandbox", api_url), "incidents", Clock())
        await sender.open()
        desk = RecordingDesk()
        settings = SlackSettings(signing_secret="unused", token="xoxb-sandbox", api_url=api_url)
        app = build_app(settings, desk, sender.api, Clock())
        socket = socket_mode(app.bolt, ids.APP_TOKEN)
        await socket.connect_async()  # type: ignore[no-untyped-call]
        try:
            answer = await slack.act("command", user="alice", channel="general", text="/oncall help")
            assert answer["status"] == 200
            await until(lambda: any(isinstance(a, Command) and a.name == "/oncall" for a in desk.asked))
            sent = await sender.send(leased(page()), None)
            assert isinstance(sent, Sent)
            where = {"channel": sent.result["channel"], "ts": sent.result["ts"]}
            await slack.act("click", user="alice", action_id="page_ack", **where)
            await until(lambda: any(isinstance(a, Click) for a in desk.asked))
            await app.listeners.drain()
        finally:
            await socket.close_async()  # type: ignore[no-untyped-call]
            await sender.close()
            await asyncio.sleep(0)
    assert len(desk.asked) == 2
