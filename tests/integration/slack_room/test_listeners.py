"""Promise: a Slack request is acknowledged well within its 3 s, whatever happens behind it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import uvicorn

from bot.clock import Clock
from bot.core.asks import Click, Command, Form, FormErrors, GroupChanged, OpenForm, Pin
from bot.core.delivery import Kind
from bot.slack.api import make_client
from bot.slack.app import SlackApp, SlackSettings, build_app
from bot.slack.sender import Sender
from sandbox.app import running
from tests.integration.slack_room.conftest import EmptyWorld, Slack, install
from tests.unit.slack.samples import leased, page, row

SECRET = "sandbox-signing-secret"


@dataclass
class RecordingDesk:
    """Notes what it is asked; ``answer`` says what it does about a command or click."""

    asked: list[Any] = field(default_factory=list)
    answer: Callable[[], Awaitable[OpenForm | None]] | None = None
    refuse: Exception | None = None
    submitting: asyncio.Event | None = None

    async def command(self, asked: Command) -> OpenForm | None:
        self.asked.append(asked)
        return await self.answer() if self.answer else None

    async def click(self, asked: Click) -> OpenForm | None:
        self.asked.append(asked)
        return await self.answer() if self.answer else None

    async def submit(self, asked: Form) -> None:
        self.asked.append(asked)
        if self.submitting is not None:
            await self.submitting.wait()
        if self.refuse is not None:
            raise self.refuse

    async def pin(self, asked: Pin) -> None:
        self.asked.append(asked)

    async def group_changed(self, event: GroupChanged) -> None:
        self.asked.append(event)
        if self.refuse is not None:
            raise self.refuse

    async def incident_of(self, channel: str) -> int | None:
        return 7 if channel == "C01GENERAL" else None


async def until(true: Callable[[], bool], within_s: float = 40.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


@dataclass
class Room:
    """The bot's Slack room, served over HTTP beside the sandbox."""

    url: str
    slack: Slack
    desk: RecordingDesk
    sender: Sender
    app: SlackApp

    async def heard(self, kind: type, within_s: float = 40.0) -> Any:
        """The first thing of this kind that the desk was asked, waited for."""
        async with asyncio.timeout(within_s):
            while True:
                for asked in self.desk.asked:
                    if isinstance(asked, kind):
                        return asked
                await asyncio.sleep(0.01)

    async def form_is_open(self, within_s: float = 40.0) -> None:
        async with asyncio.timeout(within_s):
            while True:
                if (await self.slack.get("/sim/state"))["views"]:
                    return
                await asyncio.sleep(0.05)

    async def whispered(self, contains: str, within_s: float = 40.0) -> str:
        """The text of an ephemeral message or DM that contains this, waited for."""
        async with asyncio.timeout(within_s):
            while True:
                state = await self.slack.get("/sim/state")
                for channel in state["channels"]:
                    for message in [*channel["ephemerals"], *channel["messages"]]:
                        if contains in message["text"]:
                            return str(message["text"])
                await asyncio.sleep(0.05)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture
async def room(listener: socket.socket) -> AsyncIterator[Room]:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with running(lambda _: EmptyWorld(), app_url=url) as hub:
        install(hub)
        slack = Slack(hub.workspace.base_url)
        api_url = f"{slack.base_url}/api/"
        sender = Sender(make_client("xoxb-sandbox", api_url), "incidents", Clock())
        await sender.open()
        desk = RecordingDesk()
        settings = SlackSettings(signing_secret=SECRET, token="xoxb-sandbox", api_url=api_url)
        app = build_app(settings, desk, sender.api, Clock())
        config = uvicorn.Config(app.asgi, log_level="warning", lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield Room(url, slack, desk, sender, app)
        if desk.submitting is not None:
            desk.submitting.set()
        await app.listeners.drain()
        server.should_exit = True
        await task
        await sender.close()


async def run(room: Room, text: str, command: str = "/incident") -> dict[str, Any]:
    body = {"user": "alice", "channel": "general", "text": f"{command} {text}"}
    answer: dict[str, Any] = await room.slack.act("command", **body)
    return answer


async def test_a_command_reaches_the_desk_as_it_was_typed(room: Room) -> None:
    answer = await run(room, 'assign 7 @bob <b> & "x"')
    assert answer["status"] == 200
    asked = await room.heard(Command)
    assert asked.name == "/incident"
    assert asked.text == 'assign 7 <@U02BOB> <b> & "x"'
    assert asked.asker.user == "U01ALICE"
    assert asked.asker.channel == "C01GENERAL"
    assert asked.asker.response_url.startswith("http")
    assert asked.asker.request_id


async def test_a_slow_desk_does_not_delay_the_acknowledgement(room: Room) -> None:
    never = asyncio.Event()

    async def slow() -> None:
        await never.wait()

    room.desk.answer = slow
    answer = await run(room, "list")
    assert answer["status"] == 200
    assert answer["ms"] < 1000
    never.set()


async def test_a_command_and_a_click_are_acknowledged_after_the_desk_has_stored_them(room: Room) -> None:
    """Who is killed in between has not said yes: Slack tells the person, who asks again."""
    sent = await room.sender.send(leased(page()), None)
    ts, channel = sent.result["ts"], sent.result["channel"]  # type: ignore[union-attr]
    stored = False

    async def working() -> None:
        nonlocal stored
        await asyncio.sleep(0.05)
        stored = True

    room.desk.answer = working
    for ask in (
        lambda: run(room, "resolve"),
        lambda: room.slack.act("click", user="alice", channel=channel, ts=ts, action_id="page_ack"),
    ):
        stored = False
        assert (await ask())["status"] == 200
        assert stored


async def test_a_desk_that_fails_is_told_with_a_reference_and_the_room_stays_up(room: Room) -> None:
    async def broken() -> None:
        raise RuntimeError("a fault inside")

    room.desk.answer = broken
    assert (await run(room, "list"))["status"] == 200
    told = await room.whispered("Reference for its log")
    assert "a fault inside" not in told
    room.desk.answer = None
    assert (await run(room, "list"))["status"] == 200


@pytest.mark.parametrize("command", ["/pipeline", "/dlq", "/cost", "/runbook", "/oncall", "/review"])
async def test_every_command_of_the_manifest_is_heard(room: Room, command: str) -> None:
    assert (await run(room, "help", command))["status"] == 200
    assert (await room.heard(Command)).name == command


async def test_a_button_reaches_the_desk_with_its_value(room: Room) -> None:
    sent = await room.sender.send(leased(page()), None)
    ts, channel = sent.result["ts"], sent.result["channel"]  # type: ignore[union-attr]
    await room.slack.act("click", user="alice", channel=channel, ts=ts, action_id="page_ack")
    asked = await room.heard(Click)
    assert (asked.action, asked.value) == ("page_ack", "7:1:L1:alice")
    assert asked.asker.user == "U01ALICE"


async def test_a_form_opens_is_refused_at_its_field_and_is_taken(room: Room) -> None:
    async def form() -> OpenForm:
        return OpenForm(name="declare", title="Declare an incident", context="ctx")

    room.desk.answer = form
    await run(room, "declare")
    await room.form_is_open()
    values = {
        "title": {"value": "Orders stopped"},
        "severity": {"value": "critical"},
        "kind": {"value": "health"},
    }
    room.desk.refuse = FormErrors({"title": "Say more"})
    refused = await room.slack.act("submit", user="alice", values=values)
    assert "Say more" in json.dumps(refused)
    room.desk.refuse = None
    await room.slack.act("submit", user="alice", values=values)
    asked = [a for a in room.desk.asked if isinstance(a, Form)][-1]
    assert (asked.name, asked.context) == ("declare", "ctx")
    assert asked.values == {"title": "Orders stopped", "severity": "critical", "kind": "health"}


@pytest.mark.parametrize("name", ["declare", "review_edit", "action_add"])
async def test_every_form_is_one_that_slack_takes(room: Room, name: str) -> None:
    async def form() -> OpenForm:
        values = {"root_cause": "<!channel> " * 500}
        return OpenForm(name=name, title="A title that is far too long for Slack", context="7", values=values)

    room.desk.answer = form
    await run(room, "x")
    await room.form_is_open()
    assert [c["ok"] for c in await room.slack.calls("views.open")] == [True]


async def test_a_slow_form_is_closed_in_time_and_its_refusal_told_in_words(room: Room) -> None:
    async def form() -> OpenForm:
        return OpenForm(name="action_add", title="Add", context="7")

    room.desk.answer = form
    await run(room, "x", "/review")
    await room.form_is_open()
    room.desk.submitting = asyncio.Event()
    room.desk.refuse = FormErrors({"text": "No such incident"})
    await room.slack.act("submit", user="alice", values={"text": {"value": "Fix it"}})
    room.desk.submitting.set()
    assert "No such incident" in await room.whispered("could not be taken")


async def test_a_pushpin_puts_the_message_before_the_desk_once_per_event(room: Room) -> None:
    said = await room.slack.act("message", user="bob", channel="general", text="We saw <b> & rolled back")
    ts = said.get("ts") or said["message"]["ts"]
    await room.slack.act("react", user="alice", channel="general", ts=ts, name="pushpin")
    pinned = await room.heard(Pin)
    assert (pinned.author, pinned.ts, pinned.text) == ("U02BOB", ts, "We saw <b> & rolled back")
    assert pinned.asker.user == "U01ALICE"
    assert pinned.asker.request_id
    assert pinned.permalink


async def test_news_of_a_user_group_reaches_the_desk_with_its_id_and_where_slack_tells_it_the_handle(
    room: Room,
) -> None:
    room.desk.refuse = RuntimeError("a fault inside")  # logged, and the room stays up
    made = await room.slack.act("usergroups", handle="owners", users=["erin"])
    await until(lambda: len(room.desk.asked) == 1)
    room.desk.refuse = None
    await room.slack.act("usergroups", handle="owners", users=["bob"])
    await until(lambda: len(room.desk.asked) == 3)
    told = [asked for asked in room.desk.asked if isinstance(asked, GroupChanged)]
    assert {asked.group for asked in told} == {made["id"]}
    assert sorted(asked.handle for asked in told) == ["", "owners", "owners"]
    assert len({asked.id for asked in told}) == 3


async def test_a_pushpin_on_a_reply_in_a_thread_is_found_too(room: Room) -> None:
    said = await room.slack.act("message", user="bob", channel="general", text="parent")
    parent = said.get("ts") or said["message"]["ts"]
    said = await room.slack.act("message", user="bob", channel="general", text="reply", thread_ts=parent)
    reply = said.get("ts") or said["message"]["ts"]
    await room.slack.act("react", user="alice", channel="general", ts=reply, name="pushpin")
    assert (await room.heard(Pin)).text == "reply"


async def test_an_answer_by_response_url_arrives_and_an_expired_one_is_whispered(room: Room) -> None:
    await run(room, "list")
    url = (await room.heard(Command)).asker.response_url
    answer = row(Kind.RESPOND, response_url=url, in_channel=False, replace=False, text="the list")
    assert type(await room.sender.send(leased(answer), None)).__name__ == "Sent"
    assert await room.whispered("the list")
    gone = row(
        Kind.RESPOND, response_url=url + "x", text="late answer", channel="C01GENERAL", user="U01ALICE"
    )
    assert type(await room.sender.send(leased(gone), None)).__name__ == "Sent"
    assert await room.whispered("late answer")
    lost = row(Kind.RESPOND, response_url=url + "x", text="nowhere")
    assert type(await room.sender.send(leased(lost), None)).__name__ == "Refused"


# --- the gate ---------------------------------------------------------------------------------------------


def signed(body: bytes, *, at: float | None = None, form: bool = True) -> dict[str, str]:
    stamp = str(int(at if at is not None else datetime.now(UTC).timestamp()))
    mark = hmac.new(SECRET.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mark}", "Content-Type": kind}


def typed() -> bytes:
    return urlencode(
        {
            "command": "/incident",
            "text": "list",
            "user_id": "U01ALICE",
            "channel_id": "C01GENERAL",
            "team_id": "T0SANDBOX",
            "trigger_id": "1.2.a",
        }
    ).encode()


async def status(room: Room, body: bytes, headers: dict[str, str]) -> int:
    address = f"{room.url}/slack/events"
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, data=io.BytesIO(body), headers=headers) as answer,
    ):
        return answer.status


async def test_a_request_played_back_is_refused(room: Room) -> None:
    body = typed()
    headers = signed(body)
    assert await status(room, body, headers) == 200
    assert await status(room, body, headers) == 401
    await room.app.listeners.drain()
    assert len(room.desk.asked) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"X-Slack-Request-Timestamp": "abc"}, 401),
        ({"X-Slack-Request-Timestamp": "9" * 400}, 401),
        ({"X-Slack-Signature": "v0=\u00fc"}, 401),
        ({"X-Slack-Signature": "v0=" + "0" * 64}, 401),
        ({"X-Slack-Signature": ""}, 401),
    ],
)
async def test_odd_headers_are_refused_without_a_fault(
    room: Room, change: dict[str, str], expected: int
) -> None:
    body = typed()
    assert await status(room, body, signed(body) | change) == expected
    assert room.desk.asked == []


async def test_old_future_and_unreadable_requests_are_refused(room: Room) -> None:
    body = typed()
    now = datetime.now(UTC).timestamp()
    assert await status(room, body, signed(body, at=now - 400)) == 401
    assert await status(room, body, signed(body, at=now + 400)) == 401
    assert await status(room, b"text=\xff\xfe", signed(b"text=\xff\xfe")) == 400
    big = b"x" * 1_048_577
    assert await status(room, big, signed(big)) == 413
    assert room.desk.asked == []


async def test_events_nobody_asked_for_are_answered(room: Room) -> None:
    body = json.dumps(
        {
            "type": "event_callback",
            "team_id": "T0SANDBOX",
            "event_id": "Ev1",
            "event": {"type": "channel_rename", "channel": {"id": "C1", "name": "x"}},
        }
    ).encode()
    assert await status(room, body, signed(body, form=False)) == 200


async def test_url_verification_is_answered_when_signed(room: Room) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "t"}).encode()
    headers = signed(body, form=False)
    async with (
        aiohttp.ClientSession() as session,
        session.post(room.url, data=body, headers=headers) as answer,
    ):
        assert answer.status == 200
        assert "abc" in await answer.text()
