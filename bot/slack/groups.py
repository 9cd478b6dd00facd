"""User groups as Slack has them: who is in the ones that the roster names (usergroups.list, usergroups.users.list)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from bot.core.groups import Group, Member
from bot.slack.api import Api
from bot.slack.outcome import Failure

REMEMBER_S = 3600.0
_GONE = frozenset({"no_such_subteam", "subteam_not_found"})


class UserGroups:
    """Reads groups; people are remembered for an hour, since a group's members change oftener than they do."""

    def __init__(self, api: Api, monotonic: Callable[[], float]) -> None:
        self._api = api
        self._now = monotonic
        self._people: dict[str, tuple[float, Member | None]] = {}

    async def read(
        self, refs: Collection[str], now: datetime, seconds: float
    ) -> tuple[dict[str, Group], str]:
        """(those that Slack told of, by how they were asked for; why it did not tell of the others, or "").

        refs: ids (S012ABCDEF) or handles (@data-leads). ``now`` is noted as the time of reading. Never raises for
        a Slack that is away.
        """
        found: dict[str, Group] = {}
        try:
            with self._api.within(seconds):
                answer = await self._api.call("usergroups.list")
                listed = [group for group in answer.get("usergroups") or () if not group.get("date_delete")]
                for ref in refs:
                    found[ref] = await self._group(_named(listed, ref), now)
        except Failure as failure:
            return found, failure.code
        return found, ""

    async def _group(self, listed: Mapping[str, Any] | None, now: datetime) -> Group:
        if listed is None:
            return Group(read_at=now, gone=True)
        group = str(listed.get("id") or "")
        try:
            answer = await self._api.call("usergroups.users.list", usergroup=group)
        except Failure as failure:
            if failure.code in _GONE:
                return Group(id=group, read_at=now, gone=True)
            raise
        people = [await self._member(str(user)) for user in answer.get("users") or ()]
        members = tuple(member for member in people if member is not None)
        return Group(id=group, handle=str(listed.get("handle") or ""), members=members, read_at=now)

    async def _member(self, user: str) -> Member | None:
        """Somebody of a group; None for an app and for an account that is closed."""
        known = self._people.get(user)
        if known is not None and self._now() - known[0] < REMEMBER_S:
            return known[1]
        info: Mapping[str, Any] = (await self._api.call("users.info", user=user)).get("user") or {}
        member = None
        if info and not info.get("deleted") and not info.get("is_bot"):
            profile = info.get("profile") or {}
            member = Member(
                id=user,
                name=str(info.get("name") or user),
                email=str(profile.get("email") or ""),
                tz=str(info.get("tz") or "UTC"),
            )
        self._people[user] = (self._now(), member)
        return member


def _named(listed: Collection[Mapping[str, Any]], ref: str) -> Mapping[str, Any] | None:
    handle = ref.removeprefix("@").casefold()
    for group in listed:
        if group.get("id") == ref or (ref.startswith("@") and str(group.get("handle")).casefold() == handle):
            return group
    return None
