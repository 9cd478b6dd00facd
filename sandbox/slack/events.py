"""The Events API: which events the app hears of, their envelope, and the retries."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from sandbox.slack import ids
from sandbox.slack.delivery import JSON, Delivery
from sandbox.slack.model import Channel, Json
from sandbox.slack.state import Workspace

if TYPE_CHECKING:
    from sandbox.slack.hub import Config

AT_ONCE = 20
_MESSAGE_KINDS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}


class Events:
    """Delivers each event in a task of its own: up to three retries, the same event_id throughout."""

    def __init__(self, delivery: Delivery, workspace: Workspace, config: Config) -> None:
        self._delivery = delivery
        self._workspace = workspace
        self._config = config
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.enabled = False

    def announce(self, kind: str, body: Json, channel: Channel | None) -> None:
        """Deliver an event if the app is subscribed to it and may see where it happened."""
        if not self.enabled or not self._wanted(kind, channel):
            return
        task = asyncio.get_running_loop().create_task(
            self._deliver(kind, self._envelope(kind, body, channel))
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Drop what is still to be delivered."""
        for task in self._tasks:
            task.cancel()

    async def verify(self) -> None:
        """The url_verification handshake, tried until the app is reachable (at most a minute)."""
        challenge = self._workspace.ids.new("challenge-")
        body = {"token": ids.VERIFICATION_TOKEN, "challenge": challenge, "type": "url_verification"}
        for _ in range(60):
            if await self._reachable():
                await self._delivery.slack("event", "url_verification", json.dumps(body).encode(), JSON, {})
                return
            await asyncio.sleep(1.0)

    async def _reachable(self) -> bool:
        for url in self._delivery.app_urls:
            host, _, port = url.rpartition("//")[2].partition("/")[0].partition(":")
            try:
                _, writer = await asyncio.open_connection(host, int(port or 80))
            except OSError:
                continue
            writer.close()
            return True
        return False

    def _wanted(self, kind: str, channel: Channel | None) -> bool:
        if kind == "message" and channel is not None:
            kind = _MESSAGE_KINDS[channel.kind]
        if kind not in self._config.events:
            return False
        return channel is None or ids.BOT_USER in channel.members or kind == "channel_rename"

    def _envelope(self, kind: str, body: Json, channel: Channel | None) -> Json:
        where = channel.id if channel is not None else ids.TEAM
        authorization = {
            "enterprise_id": None,
            "team_id": ids.TEAM,
            "user_id": ids.BOT_USER,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        return {
            "token": ids.VERIFICATION_TOKEN,
            "team_id": ids.TEAM,
            "api_app_id": ids.APP,
            "event": body,
            "type": "event_callback",
            "event_id": self._workspace.ids.new("Ev"),
            "event_time": self._workspace.epoch(),
            "authorizations": [authorization],
            "is_ext_shared_channel": False,
            "event_context": f"4-{kind}-{ids.TEAM}-{where}",
        }

    async def _deliver(self, kind: str, envelope: Json) -> None:
        body = json.dumps(envelope).encode()
        headers: dict[str, str] = {}
        for number, delay in enumerate((0.0, *self._config.retry_delays)):
            if delay:
                await asyncio.sleep(delay)
            async with self._slots:
                outcome = await self._delivery.slack("event", kind, body, JSON, headers)
            if outcome.error is None or outcome.no_retry:
                return
            headers = {"x-slack-retry-num": str(number + 1), "x-slack-retry-reason": outcome.reason}
