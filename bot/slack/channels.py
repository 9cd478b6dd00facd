"""Channels: creating the incident's own, never taking another's; finding the announcement channel.

Slack has no idempotency key for a creation and answers ``name_taken`` without an id, so a creation that
ended in doubt is settled by looking for a channel of that name that we ourselves made since the first try.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.core.delivery import NotSent, Outcome, Refused, Sent
from bot.core.text import CHANNEL_NAME_MAX
from bot.slack.api import Api
from bot.slack.outcome import Failure
from bot.slack.people import PAGE, next_cursor

# Slack gives `created` in whole seconds, by its own clock.
CREATED_SLACK_S = 5.0
LAST_SUFFIX = 9
_LIVING: Mapping[str, Any] = {
    "types": "public_channel,private_channel",
    "exclude_archived": True,
    "limit": PAGE,
}
_ID = re.compile(r"[CG][A-Z0-9]{7,}")


def candidates(name: str) -> list[str]:
    """The name and its suffixes -2 to -9, each at most 80 characters."""
    suffixes = [f"-{n}" for n in range(2, LAST_SUFFIX + 1)]
    return [name, *(name[: CHANNEL_NAME_MAX - len(s)].rstrip("-") + s for s in suffixes)]


async def create(api: Api, name: str, *, private: bool) -> Outcome:
    """Create a channel, with a suffix where the name is taken. The result holds {channel, name}."""
    for candidate in candidates(name):
        try:
            answer = await api.call("conversations.create", once=True, name=candidate, is_private=private)
        except Failure as failure:
            if failure.code == "name_taken":
                continue
            return failure.outcome
        return _made(answer["channel"])
    return Refused(reason=f"name_taken: {name} and all its suffixes")


async def adopt(api: Api, name: str, since: float) -> Sent | None:
    """The channel that an earlier try made after all, or None. ``since``: the first try, by Slack's clock."""
    us = (await api.identity())["user_id"]
    names = candidates(name)
    found: list[Mapping[str, Any]] = []
    cursor = ""
    while True:
        # Whoever makes a channel is in it.
        answer = await api.call("users.conversations", **_LIVING, cursor=cursor)
        found += [
            channel
            for channel in answer.get("channels", ())
            if channel.get("name") in names
            and channel.get("creator") == us
            and float(channel.get("created") or 0) >= since - CREATED_SLACK_S
        ]
        if not (cursor := next_cursor(answer)):
            break
    if not found:
        return None
    return _made(min(found, key=lambda channel: names.index(channel["name"])))


def _made(channel: Mapping[str, Any]) -> Sent:
    return Sent(result={"channel": channel["id"], "name": channel.get("name", "")})


class Announcements:
    """The announcement channel, given by name or id; joined when it is public and we are not in it."""

    def __init__(self, api: Api, wanted: str) -> None:
        self._api = api
        self._wanted = wanted.removeprefix("#")
        self._id = ""
        self._cursor = ""

    @property
    def known(self) -> str:
        """Its id as far as it is known without a call."""
        return self._id

    def forget(self) -> None:
        """Look it up again before the next use (we were removed, or it was archived and made anew)."""
        self._id = ""

    async def channel(self) -> str:
        """Its id. Raises Failure; an absent channel is waited for, since a person may yet create it."""
        if self._id:
            return self._id
        channel = await (self._known() if _ID.fullmatch(self._wanted) else self._search())
        if channel is not None:
            if not channel.get("is_member"):
                await self._api.call("conversations.join", channel=channel["id"])
            self._id = str(channel["id"])
            return self._id
        reason = f"there is no channel #{self._wanted} for announcements"
        raise Failure("channel_not_found", NotSent(reason=reason, retry_in=timedelta(seconds=30)))

    async def _known(self) -> Mapping[str, Any] | None:
        try:
            answer = await self._api.call("conversations.info", channel=self._wanted)
        except Failure as failure:
            if failure.code == "channel_not_found":
                return None
            raise
        channel: Mapping[str, Any] = answer["channel"]
        return None if channel.get("is_archived") else channel

    async def _search(self) -> Mapping[str, Any] | None:
        """By its name, going on where it was broken off: one send may have no time for all of a large workspace."""
        while True:
            try:
                answer = await self._api.call("conversations.list", **_LIVING, cursor=self._cursor)
            except Failure as failure:
                if failure.code == "invalid_cursor":
                    self._cursor = ""
                raise
            for channel in answer.get("channels", ()):
                if channel.get("name") == self._wanted:
                    self._cursor = ""
                    found: Mapping[str, Any] = channel
                    return found
            if not (cursor := next_cursor(answer)):
                self._cursor = ""
                return None
            self._cursor = cursor
