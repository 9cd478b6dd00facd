"""What somebody did meanwhile is never written over: a change is of the incident as it stands, or it is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.errors import StorageBusy
from bot.core.incident import Event, Incident
from bot.core.runbook import by_name
from bot.desk import hand_overs, private_reviews
from bot.desk.change import change
from bot.desk.ports import Tx
from bot.store.database import Database
from tests.unit.desk.test_hand_overs import HOUR, HOUSE, SUNDAY
from tests.unit.desk.test_private_reviews import DAY, FRIDAY, TEAM, Vault


class Late:
    """A transaction in whose unlocked lists an incident stands as it was before somebody changed it."""

    def __init__(self, tx: Tx, stale: Incident) -> None:
        self._tx, self._stale = tx, stale

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def incidents(self, **_: Any) -> list[Incident]:
        return [self._stale]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(SUNDAY), create=True) as opened:
        yield opened


def stopped(database: Database) -> Incident:
    first = lifecycle.opened(
        project="p", pipeline="orders", family="stream", title="Orders stopped", kind=Kind.HEALTH,
        severity=Severity.WARNING, policy=HOUSE.policy, now=SUNDAY, actor="watch", reason="it stopped",
    )  # fmt: skip
    return database.write(lambda tx: change(tx, HOUSE, None, tx.next_number(), [first]))


def acknowledged(database: Database, made: Incident) -> None:
    acked = lifecycle.event("acknowledged", SUNDAY, "alice", person="alice")
    database.write(lambda tx: change(tx, HOUSE, tx.incident(made.id), made.id, [acked]))


def test_a_change_of_what_is_not_there_any_more_is_refused_and_changes_nothing(database: Database) -> None:
    made = stopped(database)
    acknowledged(database, made)
    note = Event(type="noted", at=SUNDAY, actor="bob", data={"text": "late"})
    with pytest.raises(StorageBusy, match="INC-1 was changed"):
        database.write(lambda tx: change(tx, HOUSE, made, made.id, [note]))
    standing = database.read(lambda tx: tx.incident(made.id))
    assert standing is not None
    assert standing.acked_by == "alice"
    assert not [e for e in database.read(lambda tx: tx.events(made.id)) if e.type == "noted"]


def test_a_hand_over_keeps_what_was_acknowledged_in_the_same_moment(database: Database) -> None:
    database.write(lambda tx: hand_overs.look(tx, HOUSE))
    made = stopped(database)
    acknowledged(database, made)
    cast(ManualClock, database.clock).advance(14 * HOUR)
    database.write(lambda tx: hand_overs.look(cast(Tx, Late(tx, made)), HOUSE))
    standing = database.read(lambda tx: tx.incident(made.id))
    assert standing is not None
    assert standing.acked_by == "alice"
    assert [
        e.data["to"] for e in database.read(lambda tx: tx.events(made.id)) if e.type == "handed_over"
    ] == ["bob"]


def test_asking_for_a_private_review_keeps_what_was_stated_in_the_same_moment(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    stale = vault.database.read(lambda tx: tx.incident(1))
    assert stale is not None
    assert by_name(TEAM.runbooks, stale.runbook) is not None
    vault.tell("review_stated", field="root_cause", text="a key in a log")
    vault.clock.advance(DAY)
    vault.database.write(lambda tx: private_reviews.ask(cast(Tx, Late(tx, stale)), TEAM))
    standing = vault.database.read(lambda tx: tx.incident(1))
    assert standing is not None
    assert standing.stated == {"root_cause": "a key in a log"}
    assert standing.updated_at == FRIDAY + DAY
    vault.database.close()
