"""What Slack hands out with an interaction: trigger ids (3 s, once), response URLs (5 uses, 30 minutes)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.slack import ids
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Ephemeral, Message

TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 30 * 60.0
RESPONSE_USES = 5


@dataclass(slots=True, kw_only=True)
class Trigger:
    """One interaction of a person, as far as it may open a view."""

    id: str
    user: str
    issued: float
    view: str | None = None
    used: bool = False


@dataclass(slots=True, kw_only=True)
class ResponseUrl:
    """One response URL; `origin` is the message of the interaction, if there was one."""

    secret: str
    channel: Channel
    user: str
    issued: float
    origin: Message | Ephemeral | None = None
    uses: int = 0


class Tickets:
    """Issues and checks both; `now` gives wall seconds, the limits can be scaled for tests."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.trigger_seconds = TRIGGER_SECONDS
        self.response_seconds = RESPONSE_SECONDS
        self._triggers: dict[str, Trigger] = {}
        self._responses: dict[str, ResponseUrl] = {}

    def clear(self) -> None:
        """Forget all; every id and URL given before is invalid."""
        self._triggers.clear()
        self._responses.clear()

    def trigger(self, user: str, view: str | None = None) -> str:
        """A fresh trigger id for an interaction, in `view` when it happened there."""
        now = self._now()
        # Spent ids are remembered only as long as their error can still be told apart.
        self._triggers = {k: t for k, t in self._triggers.items() if now - t.issued < 600}
        trigger_id = f"{int(now * 1000)}.{len(self._triggers) + 1}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(id=trigger_id, user=user, issued=now, view=view)
        return trigger_id

    def redeem(self, trigger_id: str) -> Trigger:
        """Use a trigger id. Raises invalid_, exchanged_ or expired_trigger_id."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._now() - trigger.issued > self.trigger_seconds:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def response_url(
        self, base_url: str, channel: Channel, user: str, origin: Message | Ephemeral | None = None
    ) -> str:
        """A fresh response URL."""
        secret = secrets.token_hex(12)
        self._responses[secret] = ResponseUrl(
            secret=secret, channel=channel, user=user, issued=self._now(), origin=origin
        )
        kind = "commands" if origin is None else "actions"
        return f"{base_url}/{kind}/{ids.TEAM}/{len(self._responses)}/{secret}"

    def use(self, secret: str) -> ResponseUrl | None:
        """Use a response URL once; None when it is unknown, expired or used up."""
        found = self._responses.get(secret)
        if found is None or found.uses >= RESPONSE_USES:
            return None
        if self._now() - found.issued > self.response_seconds:
            return None
        found.uses += 1
        return found
