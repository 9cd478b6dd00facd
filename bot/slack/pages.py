"""Delivering pages: at once, by direct message, and those of 30 s to one person as one message.

What was posted is remembered in memory only. After a restart a page starts a message of its own, and an
edit first looks whether its message lists more pages than the one that is to be edited.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.core.delivery import Leased, LookupFailed, Outcome, Refused, Sent
from bot.core.incident import Incident
from bot.slack.api import Api, Clock
from bot.slack.blocks import Unrenderable
from bot.slack.lookup import messages
from bot.slack.outcome import Failure
from bot.slack.people import Directory
from bot.slack.posts import GONE, edit, post
from bot.slack.render_page import PageItem, render_pages
from bot.slack.words import USER_ID, Frame

TOGETHER = timedelta(seconds=30)
TOGETHER_MOST = 8
REMEMBERED = 500
DND_TIMEOUT_S = 1.0


@dataclass(slots=True)
class _Bundle:
    """One page message and the pages that it lists, by their keys."""

    user: str
    channel: str
    ts: str
    at: datetime
    items: dict[str, PageItem] = field(default_factory=dict)


class Pages:
    """Sends PAGE_DM rows."""

    def __init__(self, api: Api, directory: Directory, clock: Clock) -> None:
        self._api = api
        self._directory = directory
        self._clock = clock
        self._latest: dict[str, _Bundle] = {}
        self._sent: OrderedDict[tuple[str, str], _Bundle] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def send(self, rows: Sequence[Leased], incidents: Mapping[int, Incident]) -> list[Outcome]:
        """Send page rows of any persons; the outcomes stand in the order of the rows."""
        by_person: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            data = row.outbound.data
            by_person.setdefault(str(data.get("slack") or data.get("person") or ""), []).append(index)
        answers = await asyncio.gather(
            *(self._person(ref, [rows[i] for i in places], incidents) for ref, places in by_person.items())
        )
        outcomes: list[Outcome] = [Refused(reason="no person to page")] * len(rows)
        for places, answer in zip(by_person.values(), answers, strict=True):
            for place, outcome in zip(places, answer, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _person(
        self, ref: str, rows: Sequence[Leased], incidents: Mapping[int, Incident]
    ) -> list[Outcome]:
        try:
            user = await self._directory.find(ref)
            if user is None or not USER_ID.fullmatch(user):
                return [Refused(reason=f"Slack knows no person {ref!r}")] * len(rows)
            channel = await self._directory.dm(user)
        except Failure as failure:
            return [failure.outcome] * len(rows)
        async with self._locks.setdefault(user, asyncio.Lock()):
            new = [row for row in rows if not row.result.get("ts") and not _settled(row)]
            fresh = await self._new(user, channel, [_item(row, incidents) for row in new])
            told = [
                await self._again(row, _item(row, incidents))
                if row.result.get("ts")
                else (Sent() if _settled(row) else fresh)
                for row in rows
            ]
        if any(isinstance(outcome, Refused) for outcome in told):
            self._directory.forget(ref, user)
            self._latest.pop(user, None)
        return told

    async def _new(self, user: str, channel: str, items: Sequence[PageItem]) -> Outcome:
        """Add to the message of the last 30 s, or post another."""
        if not items:
            return Sent()
        now = self._clock.now()
        bundle = self._latest.get(user)
        try:
            if bundle is None or not _joins(bundle, now, items):
                result = await self._post(user, channel, items, now)
            else:
                result = await self._join(bundle, items, now)
        except Unrenderable as error:
            return Refused(reason=str(error))
        except Failure as failure:
            return failure.outcome
        return Sent(result={**result, "dnd": await self._resting(user)})

    async def _join(self, bundle: _Bundle, items: Sequence[PageItem], now: datetime) -> dict[str, Any]:
        joined = {**bundle.items, **{item.key: item for item in items}}
        try:
            message = render_pages(list(joined.values()))
            result = await edit(self._api, bundle.channel, bundle.ts, message, once=True)
        except Failure as failure:
            if failure.code not in GONE:
                raise
            return await self._post(bundle.user, bundle.channel, items, now)
        bundle.items = joined
        return result

    async def _post(
        self, user: str, channel: str, items: Sequence[PageItem], now: datetime
    ) -> dict[str, Any]:
        result = await post(self._api, channel, render_pages(items))
        bundle = _Bundle(user, result["channel"], result["ts"], now, {item.key: item for item in items})
        self._latest[user] = bundle
        self._sent[(bundle.channel, bundle.ts)] = bundle
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        return result

    async def _again(self, row: Leased, item: PageItem) -> Outcome:
        """The page is out and its row was renewed: now its channel exists, so the message is edited."""
        channel, ts = str(row.result.get("channel", "")), str(row.result["ts"])
        bundle = self._sent.get((channel, ts))
        try:
            if bundle is None and await self._lists_more(channel, ts):
                return Sent(result=row.result)
            items = {**(bundle.items if bundle else {}), item.key: item}
            await edit(self._api, channel, ts, render_pages(list(items.values())))
        except Unrenderable as error:
            return Refused(reason=str(error))
        except Failure as failure:
            return Sent(result=row.result) if failure.code in GONE else failure.outcome
        if bundle is not None:
            bundle.items = items
        return Sent(result=row.result)

    async def _lists_more(self, channel: str, ts: str) -> bool:
        """True when a message from before a restart lists pages that this process does not know."""
        try:
            async for message in messages(self._api, channel, float(ts) - 1):
                if message.get("ts") == ts:
                    payload = (message.get("metadata") or {}).get("event_payload") or {}
                    return len(payload.get("pages") or ()) > 1
        except LookupFailed:
            return True
        return False

    async def _resting(self, user: str) -> bool | None:
        """Whether Slack holds its notifications back just now; None when it does not say. Asked after the
        page left, so that it never delays one."""
        try:
            async with asyncio.timeout(DND_TIMEOUT_S):
                answer = await self._api.call("dnd.info", user=user)
        except (Failure, TimeoutError):
            return None
        at = self._clock.wall().timestamp()
        quiet = answer.get("dnd_enabled") and (
            float(answer.get("next_dnd_start_ts") or 0) <= at < float(answer.get("next_dnd_end_ts") or 0)
        )
        snoozed = answer.get("snooze_enabled") and at < float(answer.get("snooze_endtime") or 0)
        return bool(quiet or snoozed)


def _joins(bundle: _Bundle, now: datetime, items: Sequence[PageItem]) -> bool:
    """Joining is an edit, which wakes nobody: a repeat, a further step of the same incident, and what comes
    after everything that is listed was answered, is posted."""
    listed = {item.data.get("incident") for item in bundle.items.values()}
    together = min((_together(item) for item in items), default=TOGETHER)
    return (
        timedelta(0) <= now - bundle.at <= together
        and len(bundle.items) + len(items) <= TOGETHER_MOST
        and not any(item.data.get("incident") in listed for item in items)
        and not all(_answered(item) for item in bundle.items.values())
    )


def _answered(item: PageItem) -> bool:
    return bool(item.data.get("acknowledged") or item.data.get("resolved"))


def _together(item: PageItem) -> timedelta:
    return item.frame.incident.policy.group if item.frame.incident is not None else TOGETHER


def _settled(row: Leased) -> bool:
    """A refresh of a page that never left, after somebody answered it elsewhere: nobody is woken for that."""
    data = row.outbound.data
    return bool(data.get("refresh") and (data.get("acknowledged") or data.get("resolved")))


def _item(row: Leased, incidents: Mapping[int, Incident]) -> PageItem:
    number = row.outbound.incident
    incident = incidents.get(number) if number is not None else None
    return PageItem(key=row.outbound.key, data=row.outbound.data, frame=Frame(incident=incident))
