"""Answers by the link of a page: as the person whom it was sent to, once (rules: "A page wakes").

Looking never answers. A link that is refused leaves an event, and words that say why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import access, lifecycle, links
from bot.core.access import Denied
from bot.core.incident import Incident
from bot.core.links import Link
from bot.core.receipts import receipt_of
from bot.core.refusal import Refused
from bot.core.sentences import when
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Store, Tx

NOTED_MOST = 1000
_NUMBER = re.compile(r"INC-([1-9][0-9]{0,8}):")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the reader of a link is told.

    state: ready (press the button), done, used, expired, over, denied, forged. ``incident`` is None where the
    link does not prove that its reader may know of it.
    """

    state: str
    said: str
    incident: Incident | None = None
    person: str = ""
    level: str = ""


_UNREADABLE = Answer(
    state="forged",
    said="This link is not genuine, or it was cut short on its way. Acknowledge in Slack: /incident ack.",
)


class LinkDesk:
    """Shows and takes the answers; those of test pages go to their receipts."""

    def __init__(
        self, *, store: Store, house: Callable[[], House], key: bytes, wake: Callable[[], None]
    ) -> None:
        self._store, self._house, self._key, self._wake = store, house, key, wake
        self._noted: set[int] = set()

    async def show(self, token: str) -> Answer:
        """What the link is for; changes nothing."""
        link = links.read(self._key, token)
        if link is None or not link.genuine:
            return _UNREADABLE
        if receipt_of(link.page):
            return await self._store.awrite(lambda tx: _tested(tx, link, pressed=False))
        return await self._store.aread(
            lambda tx: _judged(tx, self._house(), link, _incident(tx, link, False))
        )

    async def answer(self, token: str) -> Answer:
        """Acknowledge, if the link still may."""
        link = links.read(self._key, token)
        if link is None or (not link.genuine and not await self._worth_noting(link)):
            return _UNREADABLE
        if receipt_of(link.page) and link.genuine:
            return await self._store.awrite(lambda tx: _tested(tx, link, pressed=True))
        told = await self._store.awrite(lambda tx: _answered(tx, self._house(), link))
        self._wake()
        return told

    async def _worth_noting(self, link: Link) -> bool:
        """A forged link is noted at an incident that exists, once in a while: it must not cost everybody a lock."""
        found = await self._store.aread(lambda tx: _incident(tx, link, False))
        if found is None or found.id in self._noted:
            return False
        if len(self._noted) >= NOTED_MOST:
            self._noted.clear()
        self._noted.add(found.id)
        return True


def _tested(tx: Tx, link: Link, *, pressed: bool) -> Answer:
    """A test page: opening its link is written down as seen, the button as acknowledged."""
    found, now = tx.receipt(receipt_of(link.page)), tx.now()
    if found is None or found.person != link.person:
        return _UNREADABLE
    told = Answer(
        state="done", said="Your test page arrived, and its answer too. Thank you.", person=link.person
    )
    if found.acked_at is not None:
        return told
    if link.until <= now:
        return replace(told, state="expired", said=f"This link was good until {when(link.until)}.")
    seen = replace(found, seen_at=found.seen_at or now, acked_at=now if pressed else None)
    tx.put_receipt(seen)
    return told if pressed else replace(told, state="ready", said="A test page: answer it with the button.")


def _incident(tx: Tx, link: Link, lock: bool) -> Incident | None:
    match = _NUMBER.match(link.page)
    return tx.incident(int(match[1]), lock=lock) if match else None


def _answered(tx: Tx, house: House, link: Link) -> Answer:
    incident = _incident(tx, link, True)
    told = _judged(tx, house, link, incident)
    if incident is None:
        return told
    if told.state != "ready":
        _audit(tx, house, incident, link, told.state)
        return told
    # A page knows that it was answered; a call of the emergency step does not.
    if link.page not in incident.pages and not tx.once("ack_link", link.page):
        _audit(tx, house, incident, link, "used")
        return replace(told, state="used", said="This link was used before; it works once.")
    try:
        events = lifecycle.acknowledge(incident, link.person, tx.now(), page=link.page)
    except Refused as refused:
        _audit(tx, house, incident, link, "denied")
        return replace(told, state="denied", said=str(refused))
    told_how = [replace(e, data={**e.data, "via": "link"}) for e in events]
    after = change(tx, house, incident, incident.id, told_how)
    return replace(
        told, state="done", incident=after, said=f"{link.person} has acknowledged {incident.name}."
    )


def _judged(tx: Tx, house: House, link: Link, incident: Incident | None) -> Answer:
    """What the link is good for now."""
    if incident is None or not link.genuine:
        return _UNREADABLE
    page = incident.pages.get(link.page)
    told = Answer(
        state="ready", said="", incident=incident, person=link.person, level=str(page.level) if page else "L1"
    )
    now = tx.now()
    if page is not None and page.acked_at is not None:
        said = f"This page was answered at {when(page.acked_at)}; a link works once."
        return replace(told, state="used", said=said)
    if link.until <= now:
        said = f"This link was good until {when(link.until)}. Acknowledge in Slack: /incident ack {incident.name}."
        return replace(told, state="expired", said=said)
    return _allowed(tx, house, told, incident, link, now)


def _allowed(tx: Tx, house: House, told: Answer, incident: Incident, link: Link, now: datetime) -> Answer:
    if not incident.active:
        said = f"{incident.name} is {incident.status}; there is nothing left to acknowledge."
        return replace(told, state="over", said=said)
    decided = access.decide(live(tx, house).roster, link.person, now, "acknowledge", incident=incident)
    if isinstance(decided, Denied):
        said = f"{link.person} may not acknowledge any more: {decided.reason}."
        return replace(told, state="denied", said=said)
    return told


def _audit(tx: Tx, house: House, incident: Incident, link: Link, why: str) -> None:
    """Once an hour for each kind and person: whoever tries links must not fill the timeline."""
    now = tx.now()
    person = link.person if link.genuine else ""
    if tx.once("ack_refused", f"{incident.id}:{why}:{person}:{now:%Y-%m-%dT%H}"):
        told = lifecycle.event("ack_refused", now, lifecycle.BOT, why=why, person=person)
        change(tx, house, incident, incident.id, [told])
