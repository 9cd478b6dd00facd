"""A private critical incident asks for the review of its runbook in its own channel, and nowhere else."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle, rounds
from bot.core.alert_model import Kind, Severity
from bot.core.delivery import Kind as Sent
from bot.core.incident import Event
from bot.core.periods import latest
from bot.core.policy import Level
from bot.core.refusal import Refused
from bot.core.roster import Always, Person
from bot.core.sentences import sentence
from bot.desk import private_reviews, round_notes
from bot.desk.change import change
from bot.desk.ports import Tx
from bot.store.database import Database
from tests.unit.desk.test_runbook_in_incident import BOOK, HOUSE

FRIDAY = datetime(2026, 3, 6, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECURITY = replace(BOOK, name="security", kind="security", title="Security", owner="dave@example.com")
PEOPLE = {
    name: Person(name=name, slack=f"U0{name.upper()}", email=f"{name}@example.com")
    for name in ("alice", "carol", "dave")
}
TEAM = replace(
    HOUSE,
    runbooks=(SECURITY,),
    roster=replace(
        HOUSE.roster, people=PEOPLE, upper={Level.L2: (Always("carol"),), Level.L3: (Always("dave"),)}
    ),
)  # fmt: skip


class Vault:
    """One database with one private incident that is over."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(FRIDAY)
        self.url = f"sqlite:///{folder / 'bot.db'}"
        self.database = Database(self.url, self.clock, create=True)
        self.store(
            None,
            [
                lifecycle.opened(
                    project="p", pipeline="orders", family="security", title="zebrafish leaked", kind=Kind.SECURITY,
                    severity=Severity.CRITICAL, policy=TEAM.policy, now=FRIDAY, actor="alice", reason="x",
                    declared=True, runbook="security",
                ),
                lifecycle.event("channel_created", FRIDAY, "streamwatch", channel="C07", name="inc-0001-x"),
            ],
        )  # fmt: skip
        self.tell("resolved", reason="revoked")

    def store(self, before: Any, events: Sequence[Event]) -> None:
        self.database.write(lambda tx: change(tx, TEAM, before, 1, events))

    def tell(self, kind: str, **data: Any) -> None:
        item = lifecycle.event(kind, self.clock.now(), "alice", **data)
        self.database.write(lambda tx: change(tx, TEAM, tx.incident(1), 1, [item]))

    def ask(self) -> list[Event]:
        """The daily turn, and what it asked for so far."""
        self.database.write(lambda tx: private_reviews.ask(tx, TEAM))
        return [e for e in self.database.read(lambda tx: tx.events(1)) if e.type == "runbook_review_asked"]

    def said(self) -> list[tuple[str, int | None, dict[str, Any]]]:
        """(kind, incident, data) of every row to be sent."""
        with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as file:
            rows = file.execute("SELECT kind, incident, data FROM outbox ORDER BY id").fetchall()
        return [(str(kind), number, json.loads(data)) for kind, number, data in rows]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def test_it_asks_a_member_in_its_own_channel_with_a_button(vault: Vault) -> None:
    (asked,) = vault.ask()
    assert asked.data["person"] == "carol", "dave owns the runbook and knows nothing of the incident"
    (row,) = [row for row in vault.said() if "is to be reviewed" in str(row[2].get("text"))]
    assert (row[0], row[1]) == (str(Sent.POST), 1)
    assert row[2]["mentions"] == ["U0CAROL"]
    assert row[2]["buttons"] == [{"action": "runbook_reviewed", "label": "I have reviewed it", "value": "1"}]


def test_it_asks_three_times_and_then_lets_it_be(vault: Vault) -> None:
    counts = []
    for _ in range(14):
        counts.append(len(vault.ask()))
        vault.clock.advance(DAY)
    assert counts == [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]


def test_whoever_reviewed_it_ends_the_reminders_once(vault: Vault) -> None:
    vault.ask()

    def done(tx: Tx) -> None:
        incident = tx.incident(1)
        assert incident is not None
        private_reviews.done(tx, TEAM, incident, "alice")

    vault.database.write(done)
    vault.clock.advance(4 * DAY)
    assert len(vault.ask()) == 1
    with pytest.raises(Refused, match="was reviewed already"):
        vault.database.write(done)
    incident = vault.database.read(lambda tx: tx.incident(1, lock=False))
    events = vault.database.read(lambda tx: tx.events(1))
    assert incident is not None
    assert [sentence(incident, e) for e in events if e.type == "runbook_reviewed"] == [
        "alice has reviewed the runbook security."
    ]


def test_the_public_digest_does_not_tell_of_it(vault: Vault) -> None:
    vault.clock.advance(DAY)
    slot = latest(TEAM.calendar, "daily", vault.clock.now())
    assert slot is not None
    made = vault.database.write(lambda tx: round_notes.reviews(tx, TEAM, slot))
    words = " ".join("\n".join(rounds.digest(each, TEAM.calendar, str)) for each in made)
    assert "INC-1" not in words
    assert "zebrafish" not in words


def test_one_that_was_never_critical_asks_for_nothing(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.database.write(lambda tx: _lower(tx))
    assert vault.ask() == []


def _lower(tx: Tx) -> None:
    incident = tx.incident(1)
    assert incident is not None
    tx.save(replace(incident, critical_ever=False), next_due_at=None)
