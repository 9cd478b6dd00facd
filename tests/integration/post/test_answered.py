"""Answers by a link, on a real database: as that person, once, while it is good, and never by looking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle, receipts
from bot.core.alert_model import Kind, Severity
from bot.core.incident import Incident
from bot.core.links import key_from, sign
from bot.core.policy import Level, Policy
from bot.core.receipts import Receipt
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.desk.answered import Answer, LinkDesk
from bot.desk.change import change, decide
from bot.desk.house import House
from bot.store.database import Database

START = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
KEY = key_from("secret")
ROSTER = Roster(
    people={name: Person(name=name, slack=f"U{name.upper()}") for name in ("alice", "bob", "mallory")},
    first=FirstLevel(primary=Always("alice"), backup=Always("bob")),
    upper={Level.L2: (Always("bob"),)},
)


@dataclass(slots=True)
class Desk:
    """A house with one critical incident, whose page to alice is out."""

    database: Database
    clock: ManualClock
    house: House
    links: LinkDesk

    def token(self, person: str = "alice", page: str = "INC-1:e1:c1:L1:alice", hours: float = 24) -> str:
        return sign(KEY, page, person, START + timedelta(hours=hours))

    def answer(self, token: str) -> Answer:
        return asyncio.run(self.links.answer(token))

    def show(self, token: str) -> Answer:
        return asyncio.run(self.links.show(token))

    def incident(self) -> Incident:
        found = self.database.read(lambda tx: tx.incident(1, lock=False))
        assert found is not None
        return found

    def refused(self) -> list[str]:
        events = self.database.read(lambda tx: tx.events(1))
        return [f"{e.data['why']}:{e.data['person']}" for e in events if e.type == "ack_refused"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock(START)
    database = Database(f"sqlite:///{tmp_path / 'desk.db'}", clock, create=True)
    house = House(roster=ROSTER, policy=Policy(), runbooks=(), pipelines=(), operations={})
    links = LinkDesk(store=database, house=lambda: house, key=KEY, wake=lambda: None)
    opened = lifecycle.opened(
        project="p", pipeline="orders", family="stream", title="Job stopped", kind=Kind("health"),
        severity=Severity("critical"), policy=Policy(), now=START, actor="watch", reason="it stopped",
    )  # fmt: skip
    database.write(lambda tx: change(tx, house, None, tx.next_number(), [opened]))
    yield Desk(database, clock, house, links)
    database.close()


def test_looking_changes_nothing_and_the_button_answers_once(desk: Desk) -> None:
    before = desk.incident()
    shown = desk.show(desk.token())
    assert (shown.state, shown.person, shown.level) == ("ready", "alice", "L1")
    assert desk.incident() == before
    assert desk.answer(desk.token()).state == "done"
    assert (desk.incident().acked_by, desk.incident().pages["INC-1:e1:c1:L1:alice"].acked_at) == (
        "alice",
        START,
    )
    assert desk.show(desk.token()).state == "used"
    assert desk.answer(desk.token()).state == "used"
    assert desk.refused() == ["used:alice"]


def test_an_old_link_is_refused_in_words_and_noted_once_an_hour(desk: Desk) -> None:
    old = desk.token(hours=-1)
    assert desk.show(old).state == "expired"
    assert desk.refused() == []
    for _ in range(3):
        told = desk.answer(old)
        assert (told.state, "was good until 2026-03-02 02:10 UTC" in told.said) == ("expired", True)
    assert desk.refused() == ["expired:alice"]
    assert not desk.incident().acked_by


def test_a_forged_link_tells_nothing_and_its_person_is_not_believed(desk: Desk) -> None:
    forged = sign(key_from("guessed"), "INC-1:e1:c1:L1:alice", "alice", START + timedelta(hours=1))
    told = desk.answer(forged)
    assert (told.state, told.incident) == ("forged", None)
    assert desk.refused() == ["forged:"]
    assert desk.answer("nonsense").state == "forged"
    assert not desk.incident().acked_by


def test_somebody_who_lost_the_right_cannot_answer_any_more(desk: Desk) -> None:
    assert desk.answer(desk.token("mallory", "INC-1:e1:hand:x:mallory")).state == "denied"
    assert desk.refused() == ["denied:mallory"]
    assert not desk.incident().acked_by


def test_nothing_is_left_to_answer_after_the_resolve(desk: Desk) -> None:
    def resolve(incident: Incident, now: datetime) -> list[lifecycle.Event]:
        return lifecycle.resolve(incident, now, "bob", "", confirmed=True)

    desk.database.write(lambda tx: decide(tx, desk.house, 1, resolve))
    told = desk.answer(desk.token())
    assert (told.state, "nothing left to acknowledge" in told.said) == ("over", True)
    assert desk.refused() == ["over:alice"]


def test_a_call_of_the_emergency_step_is_answered_once_too(desk: Desk) -> None:
    token = desk.token("bob", "INC-1:e1:c1:emergency:bob")
    assert desk.answer(token).state == "done"
    assert desk.answer(token).state == "used"


def test_a_test_page_is_seen_by_opening_and_answered_by_the_button(desk: Desk) -> None:
    made = Receipt(id="r1", person="alice", level="L1", method="email", made_at=START)
    desk.database.write(lambda tx: tx.put_receipt(made))
    token = desk.token(page=receipts.test_page("r1"))
    assert desk.show(token).state == "ready"
    assert desk.answer(token).state == "done"
    found = desk.database.read(lambda tx: tx.receipt("r1"))
    assert found == replace(made, seen_at=START, acked_at=START)
    assert desk.answer(desk.token("bob", receipts.test_page("r1"))).state == "forged"
