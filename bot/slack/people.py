"""Who is who in Slack: references of the roster (id, e-mail, handle) to ids, and direct-message channels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bot.slack.api import Api
from bot.slack.outcome import Failure
from bot.slack.words import GROUP_ID, USER_ID

UNKNOWN_FOR_S = 60.0
LIST_FOR_S = 600.0
PAGE = 999
UNKNOWN_USER = frozenset({"users_not_found", "user_not_found"})


class Directory:
    """Looks people up and remembers them; what nobody knew is asked again after a minute."""

    def __init__(self, api: Api, monotonic: Callable[[], float]) -> None:
        self._api = api
        self._now = monotonic
        self._ids: dict[str, str] = {}
        self._unknown: dict[str, float] = {}
        self._handles: dict[str, str] = {}
        self._listed: dict[str, str] = {}
        self._cursor = ""
        self._listing = asyncio.Lock()
        self._listed_at: float | None = None
        self._dms: dict[str, str] = {}

    async def find(self, ref: str) -> str | None:
        """The id of a user or user group, None when there is none. Raises Failure."""
        ref = _bare(ref)
        if USER_ID.fullmatch(ref) or GROUP_ID.fullmatch(ref):
            return ref
        if not ref:
            return None
        if ref in self._ids:
            return self._ids[ref]
        if self._now() - self._unknown.get(ref, float("-inf")) < UNKNOWN_FOR_S:
            return None
        found = await (self._by_email(ref) if "@" in ref else self._by_handle(ref))
        if found is None:
            self._unknown[ref] = self._now()
        else:
            self._ids[ref] = found
        return found

    async def find_all(self, refs: Iterable[str]) -> dict[str, str]:
        """Those of ``refs`` that Slack knows. A failed look-up leaves a name without a ping: words that
        arrive without it are better than none."""
        found: dict[str, str] = {}
        for ref in refs:
            try:
                slack_id = await self.find(ref)
            except Failure:
                continue
            if slack_id is not None:
                found[ref] = slack_id
        return found

    async def dm(self, user: str) -> str:
        """The channel of direct messages with a user. Raises Failure."""
        if user not in self._dms:
            answer = await self._api.call("conversations.open", users=user)
            self._dms[user] = str(answer["channel"]["id"])
        return self._dms[user]

    def forget(self, ref: str, user: str) -> None:
        """Look this one up again before the next use: who left may come back as another."""
        self._ids.pop(_bare(ref), None)
        self._dms.pop(user, None)

    async def _by_email(self, email: str) -> str | None:
        try:
            answer = await self._api.call("users.lookupByEmail", email=email)
        except Failure as failure:
            if failure.code in UNKNOWN_USER:
                return None
            raise
        return str(answer["user"]["id"])

    async def _by_handle(self, handle: str) -> str | None:
        async with self._listing:
            if self._listed_at is None or self._now() - self._listed_at > LIST_FOR_S:
                await self._list()
        return self._handles.get(handle.casefold())

    async def _list(self) -> None:
        """Goes on where it was broken off: one send may have no time for all of a large workspace."""
        while True:
            try:
                answer = await self._api.call("users.list", limit=PAGE, cursor=self._cursor)
            except Failure as failure:
                if failure.code == "invalid_cursor":
                    self._cursor = ""
                raise
            for member in answer.get("members", ()):
                if member.get("deleted") or member.get("is_bot"):
                    continue
                profile = member.get("profile") or {}
                for name in (profile.get("display_name"), member.get("name")):
                    if name:
                        self._listed[str(name).casefold()] = str(member["id"])
            self._cursor = next_cursor(answer)
            if not self._cursor:
                break
        self._handles, self._listed = self._listed, {}
        self._listed_at = self._now()


def next_cursor(answer: Mapping[str, Any]) -> str:
    """Where the rest of a list begins, "" at its end."""
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")


def _bare(ref: str) -> str:
    ref = ref.strip()
    if ref.startswith("<@") and ref.endswith(">"):
        ref = ref[2:-1].partition("|")[0]
    return ref.removeprefix("slack:").removeprefix("@")
