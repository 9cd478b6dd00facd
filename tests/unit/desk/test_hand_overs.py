"""Hand-overs and weekly test pages: told once, at their time or with how late, to those whom they are about."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.asks import Asker, Click, Command
from bot.core.delivery import Leased, Refused, Sent
from bot.core.groups import Group, Known, Member
from bot.core.incident import Incident
from bot.core.policy import Policy
from bot.core.roster import Always, Contact, FirstLevel, Level, Person, Reach, Roster, Rotation
from bot.desk import oncall
from bot.desk.change import change
from bot.desk.front import FrontDesk
from bot.desk.house import House
from bot.desk.live import GROUPS
from bot.desk.settling import settled
from bot.store.database import Database

SUNDAY = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = ("alice", "bob", "carol", "dave")
PEOPLE = {name: Person(name=name, slack=f"U{name.upper()}", phone="+1-555-0100") for name in NAMES}
TURNS = Rotation(
    people=("alice", "bob"), every=timedelta(days=7), start=date(2026, 11, 16), hand_over=time(9)
)
ROSTER = Roster(
    people=PEOPLE,
    first=FirstLevel(primary=TURNS, backup=Always("carol")),
    upper={Level.L2: (Always("dave"),)},
)
LONG = Policy(ladder={Level.L2: 20 * HOUR})
HOUSE = House(roster=ROSTER, policy=Policy(), runbooks=(), pipelines=(), operations={})


class Night:
    """A database, its clock, and what is sent; looked at by one bot, or two."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock, self.house = database, clock, HOUSE
        self.refuse = ""
        self._desk = FrontDesk(store=database, house=lambda: self.house, registry={}, wake=lambda: None)
        self._ids = itertools.count(1)

    def look(self) -> list[dict[str, Any]]:
        """One turn, and all that it sends."""
        if self.database.read(lambda tx: oncall.due(tx, self.house)):
            self.database.write(lambda tx: oncall.turn(tx, self.house))
        assert not self.database.read(lambda tx: oncall.due(tx, self.house)), "one turn does all"
        return self.sent()

    def at(self, hours: float) -> list[dict[str, Any]]:
        """So many hours after Sunday 20:00, one turn."""
        self.clock.advance(SUNDAY + hours * HOUR - self.clock.now())
        return self.look()

    def sent(self) -> list[dict[str, Any]]:
        found: list[Leased] = []
        while rows := self.database.write(lambda tx: tx.claim(50)):
            found += rows
            for row in rows:
                out = (
                    Refused(reason="user_not_found")
                    if self.refuse and self.refuse in row.outbound.key
                    else Sent()
                )
                self.database.write(lambda tx, r=row, o=out: settled(tx, self.house, r, o))
        return [{**r.outbound.data, "key": r.outbound.key, "kind": str(r.outbound.kind)} for r in found]

    def incident(self, severity: str = "warning", kind: Kind = Kind.HEALTH) -> Incident:
        """One that alice has acknowledged in its channel."""

        def make(tx: Any) -> Incident:
            number = tx.next_number()
            first = lifecycle.opened(
                project="p", pipeline=f"orders{number}", family="stream", title="Orders stopped", kind=kind,
                severity=Severity(severity), policy=LONG, now=tx.now(), actor="watch", reason="it stopped",
            )  # fmt: skip
            room = lifecycle.event(
                "channel_created", tx.now(), "streamwatch", channel=f"C{number}", name="inc"
            )
            acked = lifecycle.event("acknowledged", tx.now(), "alice", person="alice")
            return change(tx, self.house, None, number, [first, room, acked])

        return self.database.write(make)

    def now(self, number: int) -> Incident:
        found = self.database.read(lambda tx: tx.incident(number, lock=False))
        assert found is not None
        return found

    def reads(self, **members: tuple[str, ...]) -> None:
        """From now on Slack is known to have said that these are in the groups of these handles."""
        found = {
            f"@{handle}": Group(
                id=f"S{handle.upper()}", read_at=self.clock.now(),
                members=tuple(Member(id=f"U{name.upper()}", name=name) for name in names),
            )
            for handle, names in members.items()
        }  # fmt: skip
        self.database.write(lambda tx: tx.put_value(GROUPS, Known(groups=found).as_json()))

    def asker(self, who: str) -> Asker:
        return Asker(user=f"U{who.upper()}", channel="C1", request_id=f"r{next(self._ids)}")

    async def types(self, who: str, name: str, text: str) -> str:
        await self._desk.command(Command(asker=self.asker(who), name=name, text=text))
        return " ".join(words(r) for r in self.sent() if r["key"].startswith("answer:"))

    async def presses(self, who: str, value: str) -> str:
        await self._desk.click(Click(asker=self.asker(who), action="oncall_test_ack", value=value))
        return " ".join(str(r["text"]) for r in self.sent() if r["key"].startswith("answer:"))


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    clock = ManualClock(SUNDAY)
    with Database(f"sqlite:///{tmp_path / 'night.db'}", clock, create=True) as database:
        found = Night(database, clock)
        assert found.look() == [], "the first look only remembers"
        yield found


def words(row: dict[str, Any]) -> str:
    return "\n".join([str(row["text"]), *row.get("lines", ())])


def to(rows: list[dict[str, Any]], who: str) -> str:
    found = [words(row) for row in rows if row.get("to") == f"U{who.upper()}"]
    assert len(found) == 1, rows
    return found[0]


def receipt_of(rows: list[dict[str, Any]], who: str) -> str:
    """The receipt's id on the button of somebody's test page."""
    return next(
        str(r["buttons"][0]["value"]) for r in rows if r["key"].startswith("test:") and f":{who}:" in r["key"]
    )


def told(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {str(r.get("to", r["kind"])): words(r) for r in rows if r["key"].startswith("handover:")}


def test_a_hand_over_is_told_to_everybody_whom_it_is_about_and_once(night: Night) -> None:
    incident = night.incident()
    night.sent()
    assert told(night.at(12.9)) == {}
    rows = night.at(13)
    found = told(rows)
    assert set(found) == {"announce", "UALICE", "UBOB"}
    assert "L1 primary: from alice to bob, at Mon 2026-11-23 09:00 UTC" in found["announce"]
    assert "late" not in found["announce"]
    assert f"{incident.name} warning, acknowledged, acknowledged by alice" in found["announce"]
    assert "it is yours until Mon 2026-11-30 09:00 UTC" in found["UBOB"]
    assert "State: warning, unresolved for 13 h" in found["UBOB"], "the brief"
    assert "next is L2 in 7 h" in found["UALICE"]
    assert "Yours until it is taken over" in found["UALICE"]
    assert told(night.at(14)) == {}


async def test_the_acknowledgement_stays_until_the_incoming_person_takes_over(night: Night) -> None:
    incident = night.incident()
    night.sent()
    rows = night.at(13)
    invited = [r["people"] for r in rows if r["kind"] == "invite" and "handover" in r["key"]]
    assert invited == [["UBOB"]]
    (line,) = [
        words(r) for r in rows if r["kind"] == "post" and "Hand-over: bob is L1 primary now" in words(r)
    ]
    assert "alice's acknowledgement stays until bob takes over" in line
    (button,) = next(r["buttons"] for r in rows if r.get("to") == "UBOB" and r["key"].startswith("handover"))
    assert (button["action"], button["value"]) == ("incident_ack", str(incident.id))
    assert night.now(incident.id).acked_by == "alice"
    assert "acknowledged by alice already" in await night.types("carol", "/incident", f"ack {incident.id}")
    assert "You acknowledged" in await night.types("bob", "/incident", f"ack {incident.id}")
    after = night.now(incident.id)
    assert (after.acked_by, after.assignee) == ("bob", "bob")


def test_a_hand_over_that_fell_into_an_outage_says_how_late_it_is(night: Night) -> None:
    found = told(night.at(16.5))
    assert "at Mon 2026-11-23 09:00 UTC, told 3 h 30 min late" in found["announce"]


def test_a_changed_roster_is_a_hand_over_that_no_rotation_explains(night: Night) -> None:
    first = replace(ROSTER.first, backup=Always("dave"))
    night.house = replace(HOUSE, roster=replace(ROSTER, first=first))
    found = told(night.at(1))
    assert "L1 backup: from carol to dave, because the roster was changed" in found["announce"]
    assert set(found) == {"announce", "UCAROL", "UDAVE"}


async def test_an_override_hands_over_when_it_begins_and_when_it_ends(night: Night) -> None:
    await night.types("alice", "/oncall", "override L1 @dave from 22:00 for 2h")
    assert told(night.at(1)) == {}
    assert "L1 primary: from alice to dave, at Sun 2026-11-22 22:00" in told(night.at(2))["announce"]
    assert "L1 primary: from dave to alice, at Mon 2026-11-23 00:00" in told(night.at(4))["announce"]


def test_a_private_incident_is_told_to_its_people_alone(night: Night) -> None:
    incident = night.incident("critical", Kind.SECURITY)
    night.sent()
    found = told(night.at(13))
    assert incident.name not in found["announce"]
    assert incident.name in found["UBOB"], "bob holds L1 now"
    assert incident.name in found["UALICE"], "it is assigned to alice"


def test_whoever_goes_from_one_place_to_another_is_told_of_both(night: Night) -> None:
    """Primary and backup change places: alice is relieved, and stands by; what she has in hand is hers still."""
    turns = replace(TURNS, people=("bob", "alice"))
    night.house = replace(HOUSE, roster=replace(ROSTER, first=FirstLevel(primary=TURNS, backup=turns)))
    night.at(0)
    incident = night.incident()
    night.sent()
    found = told(night.at(13))
    for who in ("UALICE", "UBOB"):
        assert "L1 primary: from alice to bob" in found[who]
        assert "L1 backup: from bob to alice" in found[who]
    assert found["UALICE"].startswith("You are on call now: L1 backup. 1 incident open.")
    assert found["UBOB"].startswith("You are on call now: L1 primary. 1 incident open.")
    assert f"Yours until it is taken over: {incident.name}" in found["UALICE"]
    assert "Yours until" not in found["UBOB"]


def test_two_replicas_tell_a_hand_over_once(night: Night) -> None:
    night.clock.advance(13 * HOUR)
    first = night.database.write(lambda tx: oncall.turn(tx, HOUSE))
    second = night.database.write(lambda tx: oncall.turn(tx, HOUSE))
    assert (first > 0, second) == (True, 0)


def test_whoever_is_on_call_gets_a_test_page_once_a_week(night: Night) -> None:
    """At ten on Monday, in their own zone; who comes on call later in the week, then."""
    assert [r for r in night.at(13.9) if r["key"].startswith("test:")] == []
    rows = night.at(14)
    assert {r["to"] for r in rows if r["key"].startswith("test:")} == {"UBOB", "UCAROL", "UDAVE"}
    assert "Nothing is wrong" in to(rows, "bob")
    assert [r for r in night.at(30) if r["key"].startswith("test:")] == []
    first = replace(ROSTER.first, backup=Always("alice"))
    night.house = replace(HOUSE, roster=replace(ROSTER, first=first))
    assert {r["to"] for r in night.at(31) if r["key"].startswith("test:")} == {"UALICE"}
    again = [r["key"] for r in night.at(14 + 7 * 24) if r["key"].startswith("test:2026-11-30")]
    assert len(again) == 2, "alice holds both places of L1 then"


async def test_the_receipt_says_sent_and_acknowledged_and_only_by_its_own_person(night: Night) -> None:
    rows = night.at(14)
    value = receipt_of(rows, "bob")
    assert "bob's" in await night.presses("carol", value)
    assert "Slack reaches you" in await night.presses("bob", value)
    receipt = night.database.write(lambda tx: tx.receipt(value))
    assert receipt is not None
    assert receipt.sent_at == receipt.acked_at == night.clock.now()
    assert "not known" in await night.presses("bob", "nothing")


async def test_a_receipt_that_stays_away_is_told_to_the_level_above_after_a_day(night: Night) -> None:
    rows = night.at(14)
    for who in ("carol", "dave"):
        value = receipt_of(rows, who)
        await night.presses(who, value)
    assert night.at(37.9) == []
    rows = night.at(38)
    assert {str(r.get("to", r["kind"])) for r in rows} == {"announce", "UDAVE"}
    assert "test page to bob (L1) by Slack is not acknowledged after 1 d" in to(rows, "dave")
    assert "+1-555-0100" in to(rows, "dave")
    assert night.at(39) == []


def test_a_test_page_that_cannot_be_sent_is_told_at_once(night: Night) -> None:
    night.refuse = "test:2026-11-23:bob"
    night.at(14)
    rows = night.look()
    assert "by Slack could not be sent: user_not_found" in to(rows, "dave")


def test_every_method_of_a_person_is_tested_with_a_receipt_of_its_own(night: Night) -> None:
    """Those that this installation can send by."""
    bob = replace(PEOPLE["bob"], email="bob@example.com", hook="https://example.com/hook")
    people = {**PEOPLE, "bob": bob}
    night.house = replace(HOUSE, roster=replace(ROSTER, people=people, reach=Reach(mail=True)))
    rows = {r["receipt"]: r for r in night.at(14) if ":bob:" in str(r.get("receipt"))}
    assert set(rows) == {f"2026-11-23:bob:{method}" for method in ("slack", "email", "hook")}
    mail = rows["2026-11-23:bob:email"]
    assert (mail["kind"], mail["subject"]) == ("page_mail", "Test page to L1: nothing is wrong")
    assert "by e-mail" in mail["text"]
    assert rows["2026-11-23:bob:hook"]["kind"] == "page_hook"
    receipts = night.database.read(lambda tx: tx.receipts(SUNDAY))
    assert {r.method for r in receipts if r.person == "bob" and r.sent_at} == {"slack", "email", "hook"}


def test_whoever_a_user_group_or_a_contact_stands_for_gets_a_test_page_too(night: Night) -> None:
    """By the members last read; who has a level besides has the test of that, and one alone."""
    contacts = {
        "data": Contact(subject="data", kind="group", value="@owners"),
        "security": Contact(subject="security", kind="person", value="alice"),
        "business": Contact(subject="business", kind="mailbox", value="business@example.com"),
    }
    groups = {Level.L1: ("@team",), Level.L2: ("@leads",)}
    night.house = replace(HOUSE, roster=replace(ROSTER, contacts=contacts, groups=groups))
    never = {str(r["to"]) for r in night.at(14) if r["key"].startswith("test:")}
    assert never == {"UALICE", "UBOB", "UCAROL", "UDAVE"}, "no group was read: it has nobody"
    night.reads(leads=("bob", "erin"), team=("gina",), owners=("erin", "sam"))
    rows = {r["to"]: words(r) for r in night.at(15) if r["key"].startswith("test:")}
    assert set(rows) == {"UERIN", "UGINA", "USAM"}, "bob had his: one a week"
    assert "Test page to L2, erin" in rows["UERIN"]
    assert "Test page to L1, gina" in rows["UGINA"]
    assert "Test page to the data contact, sam" in rows["USAM"]
    night.reads(leads=("bob", "erin"), team=("gina",), owners=("erin",))
    again = {r["to"] for r in night.at(14 + 7 * 24) if r["key"].startswith("test:2026-11-30")}
    assert again == {"UALICE", "UCAROL", "UDAVE", "UBOB", "UERIN", "UGINA"}, "sam has left"


async def test_a_member_of_a_contact_s_group_has_a_receipt_and_l2_is_told_where_it_stays_away(
    night: Night,
) -> None:
    contacts = {"data": Contact(subject="data", kind="group", value="@owners")}
    night.house = replace(HOUSE, roster=replace(ROSTER, contacts=contacts))
    night.reads(owners=("sam", "tess"))
    rows = night.at(14)
    assert "Slack reaches you" in await night.presses("sam", receipt_of(rows, "sam"))
    for who in ("bob", "carol", "dave"):
        await night.presses(who, receipt_of(rows, who))
    assert "test page to tess (the data contact) by Slack is not acknowledged" in to(night.at(38), "dave")
    shown = await night.types("bob", "/oncall", "")
    assert "Test page to sam by Slack: acknowledged" in shown
    assert "Test page to tess by Slack: sent" in shown


def test_test_pages_can_be_turned_off(night: Night) -> None:
    off = replace(ROSTER, test_page=replace(ROSTER.test_page, weekday=None))
    night.house = replace(HOUSE, roster=off)
    assert [r for r in night.at(14) if r["key"].startswith("test:")] == []
