"""What comes in: commands, clicks, forms, reactions, news of user groups. Each is handed to the desk, and acknowledged
when the desk is done with it: when the process is killed before, Slack tells the person that nothing happened.

The work runs in a task of its own and Slack waits for it only so long, so that its three seconds never depend on
the desk, and so that an error after the acknowledgement cannot take it back. An error is logged under a reference,
which the person who asked is told.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core.asks import Asker, Click, Command, Desk, Form, FormErrors, GroupChanged, OpenForm, Pin
from bot.slack.api import Api
from bot.slack.outcome import TROUBLE, Failure
from bot.slack.typed import command_text, unescape
from bot.slack.views import values_of, view_of

COMMANDS = ("/pipeline", "/dlq", "/cost", "/incident", "/runbook", "/oncall", "/review")
SUBMIT_LIMIT_S = 2.0
ACK_LIMIT_S = 0.5  # a desk needs some milliseconds; a longer wait would eat up Slack's three seconds
PUSHPIN = "pushpin"
GROUP_EVENTS = ("subteam_created", "subteam_updated", "subteam_members_changed")
Body = Mapping[str, Any]

log = structlog.get_logger(__name__)


class Listeners:
    """Registers every listener on a Bolt app; ``drain`` waits for the work that is still running."""

    def __init__(self, desk: Desk, api: Api) -> None:
        self._desk = desk
        self._api = api
        self._running: set[asyncio.Task[Any]] = set()

    def register(self, app: AsyncApp) -> None:
        """Everything that Slack may send; events that we do not want are answered and forgotten."""
        for command in COMMANDS:
            app.command(command)(self._on_command)
        app.action(re.compile(".*"))(self._on_click)
        app.view(re.compile(".*"))(self._on_submit)
        app.view_closed(re.compile(".*"))(self._on_closed)
        app.event("reaction_added")(self._on_reaction)
        for event in GROUP_EVENTS:
            app.event(event)(self._on_group)
        app.event(re.compile(".*"))(self._on_other)

    async def drain(self, timeout_s: float = 5.0) -> None:
        """Wait for what was accepted, before the process ends."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def _on_command(self, ack: AsyncAck, body: Body) -> None:
        asker = _asker(body)
        name = str(body.get("command", ""))
        asked = Command(asker=asker, name=name, text=command_text(name, str(body.get("text") or "")))
        await self._soon(asker, name, self._command(asked, str(body.get("trigger_id", ""))))
        await ack()

    async def _command(self, asked: Command, trigger: str) -> None:
        await self._show(await self._desk.command(asked), trigger)

    async def _on_click(self, ack: AsyncAck, body: Body) -> None:
        asker = _asker(body)
        action: Body = (body.get("actions") or [{}])[0]
        if action.get("url"):
            await ack()
            return
        asked = Click(
            asker=asker,
            action=str(action.get("action_id", "")),
            value=_chosen(action),
        )
        await self._soon(asker, asked.action, self._click(asked, str(body.get("trigger_id", ""))))
        await ack()

    async def _click(self, asked: Click, trigger: str) -> None:
        await self._show(await self._desk.click(asked), trigger)

    async def _on_submit(self, ack: AsyncAck, body: Body) -> None:
        """A form waits for the desk, so that a refusal stands at its field; at most two seconds."""
        view: Body = body.get("view") or {}
        asker = _asker(body)
        form = Form(
            asker=asker,
            name=str(view.get("callback_id", "")),
            values=values_of(view),
            context=str(view.get("private_metadata") or ""),
        )
        task = self._start(self._desk.submit(form))
        done, _ = await asyncio.wait({task}, timeout=SUBMIT_LIMIT_S)
        if not done:
            await ack()
            self._later(asker, form.name, self._submitted(task, asker))
            return
        error = task.exception()
        if isinstance(error, FormErrors) and error.errors:
            await ack(response_action="errors", errors=_at_fields(error, view))
            return
        await ack()
        if error is not None:
            await self._apologise(asker, form.name, error)

    async def _submitted(self, task: asyncio.Task[None], asker: Asker) -> None:
        """The form is closed already: what is wrong with it is told in words."""
        try:
            await task
        except FormErrors as refused:
            await self._tell(asker, f"The form could not be taken: {refused}")

    async def _on_closed(self, ack: AsyncAck) -> None:
        await ack()

    async def _on_other(self, ack: AsyncAck) -> None:
        await ack()

    async def _on_reaction(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        event: Body = body.get("event") or {}
        item: Body = event.get("item") or {}
        if event.get("reaction") != PUSHPIN or item.get("type") != "message":
            return
        asker = Asker(
            user=str(event.get("user", "")),
            channel=str(item.get("channel", "")),
            request_id=str(body.get("event_id", "")),
        )
        self._later(asker, ":pushpin:", self._pin(asker, str(item.get("ts", ""))))

    async def _pin(self, asker: Asker, ts: str) -> None:
        if await self._desk.incident_of(asker.channel) is None:
            return
        message = await self._message(asker.channel, ts)
        if message is None:
            return
        link = await self._api.call("chat.getPermalink", channel=asker.channel, message_ts=ts)
        author = str(message.get("user") or message.get("username") or message.get("bot_id") or "")
        text = unescape(str(message.get("text") or ""))
        permalink = str(link.get("permalink") or "")
        await self._desk.pin(Pin(asker=asker, ts=ts, author=author, text=text, permalink=permalink))

    async def _on_group(self, ack: AsyncAck, body: Body) -> None:
        event: Body = body.get("event") or {}
        group: Body = event.get("subteam") or {}
        told = GroupChanged(
            id=str(body.get("event_id", "")),
            group=str(event.get("subteam_id") or group.get("id") or ""),
            handle=str(group.get("handle") or ""),
        )
        await asyncio.wait({self._start(self._group(told))}, timeout=ACK_LIMIT_S)
        await ack()

    async def _group(self, told: GroupChanged) -> None:
        """There is nobody to apologise to; what is lost here the hourly reading finds."""
        try:
            await self._desk.group_changed(told)
        except Exception as error:
            log.error("slack_group_event_failed", group=told.group, exc_info=error)

    async def _message(self, channel: str, ts: str) -> Body | None:
        """The message itself, also when it is a reply in a thread."""
        exactly: dict[str, Any] = {
            "channel": channel,
            "latest": ts,
            "oldest": ts,
            "inclusive": True,
            "limit": 2,
        }
        for method, args in (
            ("conversations.history", exactly),
            ("conversations.replies", {**exactly, "ts": ts}),
        ):
            try:
                answer = await self._api.call(method, **args)
            except Failure as failure:
                if failure.code != "thread_not_found":
                    raise
                continue
            for message in answer.get("messages") or ():
                if message.get("ts") == ts:
                    return dict(message)
        return None

    async def _show(self, form: OpenForm | None, trigger: str) -> None:
        if form is not None:
            await self._api.call("views.open", once=True, trigger_id=trigger, view=view_of(form))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _later(self, asker: Asker, what: str, work: Awaitable[None]) -> asyncio.Task[None]:
        return self._start(self._guarded(asker, what, work))

    async def _soon(self, asker: Asker, what: str, work: Awaitable[None]) -> None:
        """Until it is done, or has taken as long as an acknowledgement can wait; then it goes on by itself."""
        await asyncio.wait({self._later(asker, what, work)}, timeout=ACK_LIMIT_S)

    async def _guarded(self, asker: Asker, what: str, work: Awaitable[None]) -> None:
        """The one place where an error after the acknowledgement ends."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - told to the person and logged; the process stays up
            await self._apologise(asker, what, error)

    async def _apologise(self, asker: Asker, what: str, error: BaseException) -> None:
        reference = secrets.token_hex(4)
        log.error("slack_request_failed", reference=reference, what=what, user=asker.user, exc_info=error)
        if isinstance(error, Failure) and "trigger_id" in error.code:
            words = f"{what}: the form opened too late for Slack. Please try again. (reference {reference})"
        else:
            words = f"{what} did not work, by a fault of Streamwatch. Reference for its log: {reference}"
        await self._tell(asker, words)

    async def _tell(self, asker: Asker, words: str) -> None:
        """Only for the person who asked; where no way is left, the log has it."""
        try:
            if asker.response_url:
                body = {"text": words, "response_type": "ephemeral", "replace_original": False}
                status, _ = await self._api.respond(asker.response_url, body)
                if status == 200:
                    return
            if asker.channel:
                await self._api.call("chat.postEphemeral", channel=asker.channel, user=asker.user, text=words)
            else:
                await self._api.call("chat.postMessage", channel=asker.user, text=words)
        except (Failure, *TROUBLE) as error:
            log.warning("slack_answer_lost", user=asker.user, error=str(error))


def _asker(body: Body) -> Asker:
    user: Any = body.get("user") or {}
    channel: Any = body.get("channel") or {}
    return Asker(
        user=str(body.get("user_id") or user.get("id") or ""),
        user_name=str(body.get("user_name") or user.get("username") or user.get("name") or ""),
        channel=str(body.get("channel_id") or channel.get("id") or ""),
        channel_name=str(body.get("channel_name") or channel.get("name") or ""),
        response_url=str(body.get("response_url") or ""),
        request_id=str(body.get("trigger_id") or ""),
    )


def _chosen(action: Body) -> str:
    option = action.get("selected_option")
    if isinstance(option, Mapping):
        return str(option.get("value") or "")
    for name in ("value", "selected_user", "selected_date", "selected_channel", "selected_conversation"):
        if action.get(name):
            return str(action[name])
    return ""


def _at_fields(refused: FormErrors, view: Body) -> dict[str, str]:
    """Slack takes errors only at inputs of the view; any other is shown at the first one."""
    inputs = [str(b["block_id"]) for b in view.get("blocks") or () if b.get("type") == "input"]
    first = inputs[0] if inputs else next(iter(refused.errors))
    placed: dict[str, str] = {}
    for field, words in refused.errors.items():
        at = field if field in inputs else first
        placed[at] = f"{placed[at]} {words}" if at in placed else words
    return placed
