"""Delivers outbox rows to Slack and finds them again when nobody knows whether they arrived.

``send`` never raises for what Slack or the network did: it answers with an Outcome. Rules: "One way out",
"One owner of doubt".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.delivery import (
    DRAWING,
    DRAWINGS,
    HTTP_TIMEOUT,
    OPERATIONS,
    Ambiguous,
    Kind,
    Leased,
    LookupFailed,
    NotSent,
    Outbound,
    Outcome,
    Refused,
    Sent,
)
from bot.core.incident import Incident
from bot.slack.api import Api, Clock
from bot.slack.blocks import Message, Unrenderable
from bot.slack.channels import Announcements, adopt, create
from bot.slack.files import Uploads, find_file
from bot.slack.furniture import Furniture
from bot.slack.lookup import find_message
from bot.slack.outcome import Failure, retry_after
from bot.slack.pace import Pace
from bot.slack.pages import Pages
from bot.slack.people import Directory
from bot.slack.posts import edit, post, whisper
from bot.slack.render import references, render
from bot.slack.words import Frame
from pipeline.chart import Chart
from pipeline.picture import NotDrawn, Studio

log = structlog.get_logger()
SOON = timedelta(seconds=1)
_POSTS = frozenset({Kind.POST, Kind.HEADLINE, Kind.PAGE_MENTION, Kind.ANNOUNCE})
_METHODS = {
    Kind.CREATE_CHANNEL: "conversations.create",
    Kind.INVITE: "conversations.invite",
    Kind.TOPIC: "conversations.setTopic",
    Kind.BOOKMARK: "bookmarks.add",
    Kind.PIN: "pins.add",
    Kind.UPDATE: "chat.update",
    Kind.EPHEMERAL: "chat.postEphemeral",
    Kind.RESPOND: "response_url",
    Kind.FILE: "files.completeUploadExternal",
}
# The person is not in that channel, or we are not: what is meant for them alone reaches them directly.
_ELSEWHERE = frozenset({"user_not_in_channel", "not_in_channel", "channel_not_found", "is_archived"})


class Draw(Protocol):
    """A chart as PNG, within so many seconds."""

    def __call__(self, chart: Chart, *, deadline_s: float) -> bytes: ...


class Sender:
    """One workspace. Channels are names or ids, ``operations_channel`` "" is the announcements'; ``clock`` has
    now, wall and monotonic; ``draw`` blocks and raises NotDrawn (None:
    in processes of their own)."""

    def __init__(
        self,
        client: AsyncWebClient,
        announcement_channel: str,
        clock: Clock,
        operations_channel: str = "",
        draw: Draw | None = None,
    ) -> None:
        self._studio = Studio()
        self._draw: Draw = draw if draw is not None else self._studio
        self.pace = Pace(clock.monotonic)
        self.api = Api(client, self.pace)
        self.directory = Directory(self.api, clock.monotonic)
        self._announcements = Announcements(self.api, announcement_channel)
        self._operations = Announcements(self.api, operations_channel or announcement_channel)
        self._pages = Pages(self.api, self.directory, clock)
        self._uploads = Uploads(self.api)
        self._furniture = Furniture(self.api, self.directory)
        self._lane_channels: dict[str, str] = {}

    async def open(self) -> None:
        """Keep connections between sends; optional, inside the running loop."""
        await self.api.open()

    async def close(self) -> None:
        """Close what ``open`` opened, and end what is being drawn."""
        self._studio.close()
        await self.api.close()

    def ready_in(self, row: Leased) -> float:
        """Seconds until the row may go without offending Slack's limits; 0 when it may go now."""
        method = _METHODS.get(row.outbound.kind, "chat.postMessage")
        if row.outbound.kind in {*_POSTS, Kind.PAGE_DM} and row.result.get("ts"):
            method = "chat.update"
        if method == "response_url":
            return 0.0
        return self.pace.wait(method, self._lane_channels.get(row.outbound.lane, ""))

    async def send(self, row: Leased, incident: Incident | None) -> Outcome:
        """Send one row. ``incident`` is its incident as it stands now, so that old news never leaves."""
        if row.outbound.kind is Kind.PAGE_DM:
            known = {incident.id: incident} if incident else {}
            return (await self.send_pages([row], known))[0]
        content = b""
        if row.outbound.kind is Kind.FILE:
            try:
                content = await self._content(row)
            except NotDrawn as error:
                log.warning("not_drawn", action="not_drawn", key=row.outbound.key, error=str(error))
                if row.attempts < DRAWINGS:
                    return NotSent(reason=f"not drawn: {error}", retry_in=SOON)
                row = replace(row, outbound=_in_words(row.outbound))
        try:
            with self.api.within(HTTP_TIMEOUT.total_seconds()):
                return await self._send(row, incident, content)
        except Unrenderable as error:
            return Refused(reason=str(error))
        except Failure as failure:
            return self._settled(row.outbound, failure)
        except LookupFailed as error:
            return NotSent(reason=str(error), retry_in=SOON)

    async def send_pages(self, rows: Sequence[Leased], incidents: Mapping[int, Incident]) -> list[Outcome]:
        """Send PAGE_DM rows; those to one person become one message. Outcomes in the order of the rows."""
        with self.api.within(HTTP_TIMEOUT.total_seconds()):
            outcomes = await self._pages.send(rows, incidents)
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, Sent) and outcome.result.get("channel"):
                self._lane_channels[row.outbound.lane] = str(outcome.result["channel"])
        return outcomes

    async def look_up(self, row: Leased, incident: Incident | None) -> Sent | None:
        """What an earlier try of the row achieved: Sent, or None when it surely left nothing behind.

        Rows that may be repeated without harm, and those of which no trace can be read (a whisper, an
        answer by response_url), are None. Raises LookupFailed when Slack does not say.
        """
        try:
            with self.api.within(HTTP_TIMEOUT.total_seconds()):
                return await self._look_up(row, incident)
        except Failure as failure:
            raise LookupFailed(failure.code) from failure

    async def _look_up(self, row: Leased, incident: Incident | None) -> Sent | None:
        out = row.outbound
        if out.kind is Kind.CREATE_CHANNEL:
            return await adopt(self.api, str(out.data["name"]), self.api.first_try(row))
        if row.result.get("ts"):
            return None
        if out.kind is Kind.PAGE_DM:
            user = await self.directory.find(str(out.data.get("slack") or out.data.get("person") or ""))
            if user is None:
                return None
            return await find_message(
                self.api, await self.directory.dm(user), out.key, self.api.first_try(row)
            )
        if out.kind in _POSTS:
            channel = await self._channel(out, incident)
            thread = _thread(out, incident)
            return await find_message(self.api, channel, out.key, self.api.first_try(row), thread)
        if out.kind is Kind.FILE:
            return await self._find_upload(row, incident)
        return None

    async def _find_upload(self, row: Leased, incident: Incident | None) -> Sent | None:
        out = row.outbound
        channel = await self._channel(out, incident)
        if out.data.get("metadata"):
            return await find_message(self.api, channel, out.key, self.api.first_try(row))
        file_id = await find_file(self.api, row, channel)
        if file_id:
            return Sent(result={"channel": channel, "file": file_id})
        # Its words may have gone out alone.
        return await find_message(self.api, channel, out.key, self.api.first_try(row))

    async def _send(self, row: Leased, incident: Incident | None, content: bytes) -> Outcome:
        out = row.outbound
        match out.kind:
            case Kind.CREATE_CHANNEL:
                return await create(self.api, str(out.data["name"]), private=bool(out.data.get("private")))
            case Kind.INVITE | Kind.TOPIC | Kind.BOOKMARK | Kind.PIN:
                return await self._furniture.put(out, incident, await self._channel(out, incident))
            case Kind.EPHEMERAL:
                return await self._whisper(row, incident)
            case Kind.RESPOND:
                return await self._respond(row, incident)
            case Kind.FILE:
                return await self._file(row, incident, content)
            case Kind.UPDATE:
                message = await self._message(row, incident)
                return Sent(result=await edit(self.api, out.data["channel"], out.data["ts"], message))
            case _:
                return await self._post(row, incident)

    async def _post(self, row: Leased, incident: Incident | None) -> Outcome:
        out = row.outbound
        message = await self._message(row, incident)
        ts = str(row.result.get("ts") or "")
        if ts:
            channel = str(row.result.get("channel") or "") or await self._channel(out, incident)
            try:
                return Sent(result={**row.result, **await edit(self.api, channel, ts, message)})
            except Failure as failure:
                if failure.code != "message_not_found" and not await self._moved(out, channel, failure):
                    raise
                if out.kind not in (Kind.HEADLINE, Kind.ANNOUNCE):
                    return Sent(result=row.result)
        channel = await self._channel(out, incident)
        self._lane_channels[out.lane] = channel
        try:
            return Sent(result=await post(self.api, channel, message, thread=_thread(out, incident)))
        except Failure as failure:
            if failure.code not in _ELSEWHERE or incident is not None or not out.data.get("user"):
                raise
        return Sent(result=await self._nearby(channel, str(out.data["user"]), message))

    async def _moved(self, out: Outbound, channel: str, failure: Failure) -> bool:
        """What was said in public cannot be changed where it stands: whether another channel has taken that one's
        place. Raises Failure where there is none yet; the same one is joined again."""
        if not _public(out) or failure.code not in {"is_inactive", *_ELSEWHERE}:
            return False
        self._forget()
        return await self._channel(out, None) != channel

    async def _nearby(self, channel: str, ref: str, message: Message) -> dict[str, Any]:
        """In a channel that we are not in: joined where it is public, else to the person who asked there."""
        try:
            await self.api.call("conversations.join", channel=channel)
            return dict(await post(self.api, channel, message))
        except Failure as failure:
            user = await self.directory.find(ref)
            if user is None or isinstance(failure.outcome, NotSent | Ambiguous):
                raise
            return dict(await post(self.api, await self.directory.dm(user), message))

    async def _whisper(self, row: Leased, incident: Incident | None) -> Outcome:
        data = row.outbound.data
        user = await self.directory.find(str(data["user"]))
        if user is None:
            return Refused(reason=f"Slack knows no person {data['user']!r}")
        message = await self._message(row, incident)
        channel = await self._channel(row.outbound, incident)
        try:
            await whisper(self.api, channel, user, message)
        except Failure as failure:
            if failure.code not in _ELSEWHERE:
                raise
            return Sent(result=await post(self.api, await self.directory.dm(user), message))
        return Sent(result={"channel": channel})

    async def _respond(self, row: Leased, incident: Incident | None) -> Outcome:
        data = row.outbound.data
        message = await self._message(row, incident)
        body: dict[str, Any] = {
            "text": message.text,
            "blocks": list(message.blocks),
            "response_type": "in_channel" if data.get("in_channel") else "ephemeral",
            "replace_original": bool(data.get("replace")),
        }
        if data.get("in_channel"):
            body["metadata"] = message.metadata
        status, headers = await self.api.respond(str(data["response_url"]), body)
        if status == 200:
            return Sent()
        if status == 429:
            return NotSent(reason="ratelimited", retry_in=retry_after(headers))
        if status >= 500:
            return NotSent(reason=f"http_{status}", retry_in=SOON)
        if data.get("user") and data.get("channel") and not data.get("replace"):
            # Its half hour or its five uses are over; who asked still gets the answer.
            return await self._whisper(row, incident)
        return Refused(reason=f"response_url: http {status}")

    async def _content(self, row: Leased) -> bytes:
        """The bytes of the row's file, before anything leaves. Raises NotDrawn."""
        chart = row.outbound.data.get("chart")
        if not chart:
            return str(row.outbound.data["content"]).encode()
        if self._uploads.begun(row):
            return b""
        limit = DRAWING.total_seconds()
        return await asyncio.to_thread(self._draw, Chart.from_json(chart), deadline_s=limit)

    async def _file(self, row: Leased, incident: Incident | None, content: bytes) -> Outcome:
        out = row.outbound
        channel = await self._channel(out, incident)
        thread = _thread(out, incident)
        file_id = await self._uploads.share(row, channel, content, thread=thread)
        result: dict[str, Any] = {"channel": channel, "file": file_id}
        if out.data.get("metadata"):
            # A file carries no metadata: this line does, and it ends the row.
            text = f"{out.data.get('title') or out.data['filename']} is in this channel as a file."
            note = render(_note(out, text), Frame(incident=incident))
            result |= await post(self.api, channel, note, thread=thread)
        return Sent(result=result)

    async def _message(self, row: Leased, incident: Incident | None) -> Message:
        people = await self.directory.find_all(references(row.outbound))
        return render(row.outbound, Frame(incident=incident, people=people))

    async def _channel(self, out: Outbound, incident: Incident | None) -> str:
        """Where the row belongs. Raises Failure when the incident's channel does not exist yet."""
        if out.data.get("room") == OPERATIONS:
            return await self._operations.channel()
        if out.kind is Kind.ANNOUNCE:
            return await self._announcements.channel()
        wanted = str(out.data.get("channel") or "")
        if wanted:
            return wanted
        if to := str(out.data.get("to") or ""):
            user = await self.directory.find(to)
            if user is None:
                raise Failure("user_not_found", Refused(reason=f"Slack knows no person {to!r}"))
            return await self.directory.dm(user)
        if incident is not None and incident.channel_id:
            return incident.channel_id
        raise Failure("no_channel", NotSent(reason="the incident has no channel yet", retry_in=SOON))

    def _settled(self, out: Outbound, failure: Failure) -> Outcome:
        if _public(out) and failure.code in _ELSEWHERE:
            self._forget()
            return NotSent(reason=failure.code, retry_in=timedelta(seconds=10))
        return failure.outcome

    def _forget(self) -> None:
        self._announcements.forget()
        self._operations.forget()


def _public(out: Outbound) -> bool:
    """It goes to a channel that the settings name."""
    return out.kind is Kind.ANNOUNCE or bool(out.data.get("room"))


def _thread(out: Outbound, incident: Incident | None) -> str:
    """The headline's thread, for what would drown the channel."""
    wanted = out.data.get("thread")
    if isinstance(wanted, str):
        return wanted
    return incident.headline_ts if wanted and incident is not None else ""


def _note(out: Outbound, text: str) -> Outbound:
    data = {"text": text, "metadata": out.data["metadata"], "buttons": out.data.get("buttons", ())}
    return Outbound(
        key=out.key, kind=Kind.POST, lane=out.lane, priority=out.priority, incident=out.incident, data=data
    )


def _in_words(out: Outbound) -> Outbound:
    """The message that takes the place of a picture."""
    text = f"{out.data['comment']}\nThe picture of this chart could not be drawn; these are all its figures."
    return replace(out, kind=Kind.POST, data={**out.data, "form": "text", "text": text})
