"""Pages by mail and by the hook: the address of the moment, the words, the link; then the room that sends.

The deliverer's second sender (``deliver.SenderPort``). Nobody can look up there whether something arrived, so what is
in doubt is sent again, recognisably (rules: "One owner of doubt").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bot.core import letters, links
from bot.core.delivery import Kind, Leased, Outcome, Refused, Sent
from bot.core.incident import Incident
from bot.core.letters import Call, Letter, Links
from bot.core.receipts import RECEIPTS_FOR, test_page
from bot.desk.house import House


class MailPort(Protocol):
    """Hands one mail in."""

    async def send(self, letter: Letter, attempts: int) -> Outcome: ...


class HookPort(Protocol):
    """Calls one address."""

    async def send(self, url: str, call: Call, attempts: int) -> Outcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Posts:
    """What this installation posts with. ``mail`` None: no server is set; ``hook_url`` empty: none for all."""

    hook: HookPort
    mail: MailPort | None
    sender: str
    hook_url: str = field(repr=False)
    link_key: bytes = field(repr=False)
    link_base: str


class Poster:
    """Sends the rows that do not go through Slack."""

    def __init__(
        self,
        posts: Posts,
        house: Callable[[], House],
        now: Callable[[], datetime],
        wall: Callable[[], datetime],
    ) -> None:
        self._posts, self._house, self._now, self._wall = posts, house, now, wall

    def ready_in(self, _: Leased) -> float:
        """Nobody paces pages here but the receiver's own answers."""
        return 0.0

    async def look_up(self, _row: Leased, _incident: Incident | None) -> Sent | None:
        """There is nothing to look up in: not known to be sent."""
        return None

    async def send_pages(self, rows: Sequence[Leased], incidents: Mapping[int, Incident]) -> list[Outcome]:
        """Each for itself."""
        return [await self.send(row, incidents.get(row.outbound.incident or 0)) for row in rows]

    async def send(self, row: Leased, incident: Incident | None) -> Outcome:
        """Send one row."""
        if incident is None:
            return await self._notice(row)
        if row.outbound.kind is Kind.PAGE_MAIL:
            return await self._mail(row, incident)
        return await self._hook(row, incident)

    async def _notice(self, row: Leased) -> Outcome:
        """Of no incident: the test page of ``receipt``. Its link goes to the receipt, and is good for as long."""
        data = row.outbound.data
        person = self._house().roster.people.get(str(data.get("person")))
        if not data.get("receipt") or person is None:
            return Refused(reason="its incident is not known")
        until = datetime.fromisoformat(str(data["due_at"])) + RECEIPTS_FOR
        found = Links(acknowledge=self._link(test_page(str(data["receipt"])), person.name, until))
        key = row.outbound.key
        if row.outbound.kind is Kind.PAGE_MAIL:
            if self._posts.mail is None or not person.email:
                return Refused(
                    reason="no mail server is set" if person.email else "the roster knows no address"
                )
            sender = self._posts.sender
            letter = letters.notice(key, data, person.email, found, sender=sender, at=self._wall())
            return await self._posts.mail.send(letter, row.attempts)
        url = person.hook or self._posts.hook_url
        if not url:
            return Refused(reason="no hook is set")
        return await self._posts.hook.send(url, letters.notice_call(key, data, found), row.attempts)

    async def _mail(self, row: Leased, incident: Incident) -> Outcome:
        data = row.outbound.data
        person = self._house().roster.people.get(str(data.get("person")))
        to = str(data.get("to") or (person.email if person is not None else "") or "")
        if self._posts.mail is None:
            return Refused(reason="no mail server is set")
        if not to:
            return Refused(reason="the roster knows no address")
        letter = letters.letter(
            incident, row.outbound.key, data, to, self._links(incident, data, to_person=not data.get("to")),
            sender=self._posts.sender, at=self._wall(),
        )  # fmt: skip
        return await self._posts.mail.send(letter, row.attempts)

    async def _hook(self, row: Leased, incident: Incident) -> Outcome:
        data = row.outbound.data
        person = self._house().roster.people.get(str(data.get("person")))
        url = (person.hook if person is not None else "") or self._posts.hook_url
        if not url:
            return Refused(reason="no hook is set")
        if row.outbound.kind is Kind.HOOK_RESOLVE:
            call = letters.taken_back(incident, data)
        else:
            call = letters.call(incident, data, self._links(incident, data, to_person=person is not None))
        return await self._posts.hook.send(url, call, row.attempts)

    def _links(self, incident: Incident, data: Mapping[str, object], *, to_person: bool) -> Links:
        base = self._house().base_url
        about = f"{base}/incidents/{incident.name}" if base else ""
        page = incident.pages.get(str(data["page"]))
        made = page.made_at if page is not None else datetime.fromisoformat(str(data["due_at"]))
        until = made + incident.policy.link
        if not to_person or until <= self._now():
            return Links(incident=about)
        link = self._link(str(data["page"]), str(data["person"]), until)
        return Links(acknowledge=link, incident=about, until=until)

    def _link(self, page: str, person: str, until: datetime) -> str:
        return f"{self._posts.link_base}/ack/{links.sign(self._posts.link_key, page, person, until)}"
