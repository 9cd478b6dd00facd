"""The furniture of an incident's channel: people, topic, bookmarks, the pin. All of it may be put twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from bot.core.delivery import Kind, NotSent, Outbound, Outcome, Refused, Sent
from bot.core.incident import Incident
from bot.core.text import checked_url, clean, cut
from bot.slack.api import Api
from bot.slack.outcome import Failure
from bot.slack.people import Directory
from bot.slack.render_incident import topic
from bot.slack.words import USER_ID

log = structlog.get_logger(__name__)
INVITED_MOST = 100
BOOKMARK_TITLE_MAX = 256
_IN_ALREADY = frozenset({"already_in_channel", "cant_invite_self"})
# Of the channel. Any other refusal may be of one person alone, and then the others are still invited.
_OF_CHANNEL = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "method_not_supported_for_channel_type"}
)


class Furniture:
    """Puts INVITE, TOPIC, BOOKMARK and PIN rows. Raises Failure."""

    def __init__(self, api: Api, directory: Directory) -> None:
        self._api = api
        self._directory = directory

    async def put(self, out: Outbound, incident: Incident | None, channel: str) -> Outcome:
        """Do what the row says in this channel."""
        match out.kind:
            case Kind.INVITE:
                return await self._invite([str(ref) for ref in out.data.get("people") or ()], channel)
            case Kind.BOOKMARK:
                return await self._bookmark(out.data.get("items") or (), channel)
            case Kind.TOPIC if incident is not None:
                return await self._allow(
                    "conversations.setTopic", set(), channel=channel, topic=topic(incident)
                )
            case Kind.PIN if incident is not None:
                ts = incident.headline_ts or str(out.data.get("ts") or "")
                if not ts:
                    return NotSent(reason="there is no headline yet", retry_in=timedelta(seconds=1))
                return await self._allow("pins.add", {"already_pinned"}, channel=channel, timestamp=ts)
            case _:
                return Refused(reason=f"a {out.kind} row without its incident")

    async def _allow(self, method: str, fine: set[str], **args: Any) -> Outcome:
        try:
            await self._api.call(method, **args)
        except Failure as failure:
            if failure.code not in fine:
                raise
        return Sent(result={"channel": args["channel"]})

    async def _invite(self, refs: Sequence[str], channel: str) -> Outcome:
        users: list[str] = []
        missing: list[str] = []
        for ref in dict.fromkeys(refs):
            user = await self._directory.find(ref)
            if user is not None and USER_ID.fullmatch(user):
                users.append(user)
            else:
                missing.append(ref)
        users = list(dict.fromkeys(users))[:INVITED_MOST]
        if users:
            missing += await self._call_in(channel, users)
        if missing:
            log.warning("not_invited", action="not_invited", channel=channel, people=missing)
        return Sent(result={"channel": channel, "people": users, "missing": missing})

    async def _call_in(self, channel: str, users: Sequence[str]) -> list[str]:
        """Invite them; those whom Slack does not let in. One bad name does not keep the others out."""
        try:
            answer = await self._api.call(
                "conversations.invite", channel=channel, users=list(users), force=True
            )
        except Failure as failure:
            if failure.code in _IN_ALREADY and len(users) == 1:
                return []
            if failure.code in _OF_CHANNEL or not isinstance(failure.outcome, Refused):
                raise
            if len(users) == 1:
                return list(users)
            return [left for user in users for left in await self._call_in(channel, [user])]
        errors = answer.get("errors") or ()
        return [
            str(e.get("user", "")) for e in errors if not e.get("ok") and e.get("error") not in _IN_ALREADY
        ]

    async def _bookmark(self, items: Sequence[Any], channel: str) -> Outcome:
        answer = await self._api.call("bookmarks.list", channel_id=channel)
        there = {bookmark.get("link") for bookmark in answer.get("bookmarks") or ()}
        for item in items:
            link = checked_url(str(item.get("link", "")))
            if link is None or link in there:
                continue
            title = cut(" ".join(clean(str(item.get("title") or link)).split()), BOOKMARK_TITLE_MAX)
            await self._api.call("bookmarks.add", channel_id=channel, title=title, type="link", link=link)
            there.add(link)
        return Sent(result={"channel": channel})
