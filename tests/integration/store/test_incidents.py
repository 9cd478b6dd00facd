"""Incidents, their events and alerts, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.clock import ManualClock
from bot.core.alert_model import Alert, Family, Kind, Severity
from bot.core.errors import KeyTaken
from bot.core.folding import evolve, fold
from bot.core.incident import Event
from bot.store.database import Database
from bot.store.engines import open_engines
from bot.store.tx import StoreTx
from tests.integration.store.making import SECOND, add, open_in, open_incident, row


def test_incident_comes_back_as_it_was_saved(database: Database) -> None:
    """The row is a faithful cache of the fold, policy and all."""
    made = open_incident(database)
    known = database.read(lambda tx: tx.incident(made.id))
    assert known == made
    assert database.read(lambda tx: fold(made.id, tx.events(made.id))) == made


def test_numbers_have_no_gaps_after_a_rollback(database: Database) -> None:
    """A transaction that fails gives its number back."""
    open_incident(database)
    with pytest.raises(KeyTaken):
        open_incident(database)
    assert open_incident(database, "other").id == 2


def test_second_open_incident_of_a_key_is_refused_and_leaves_nothing(database: Database) -> None:
    """One open incident per key; the loser's events are gone too."""
    first = open_incident(database)
    with pytest.raises(KeyTaken) as caught:
        open_incident(database)
    assert caught.value.key == first.key
    assert database.read(lambda tx: len(tx.incidents())) == 1
    assert database.read(lambda tx: tx.verify()) is None


def test_resolved_incident_frees_its_key_and_a_reopen_takes_it_again(database: Database) -> None:
    """Reopening while another holds the key is refused."""
    first = open_incident(database)
    add(database, first.id, "resolved")
    assert database.read(lambda tx: tx.open_incident(first.key)) is None
    newest = database.read(lambda tx: tx.last_incident(first.key))
    assert newest is not None
    assert newest.id == first.id
    add(database, first.id, "reopened")
    again = database.read(lambda tx: tx.open_incident(first.key))
    assert again is not None
    assert again.id == first.id
    add(database, first.id, "resolved")
    open_incident(database)
    with pytest.raises(KeyTaken):
        add(database, first.id, "reopened")


@pytest.mark.parametrize("data", [{"private": True}, {"family": "security"}])
def test_private_and_security_incidents_never_merge(database: Database, data: dict[str, object]) -> None:
    """Two of the same key may be open, and nobody finds them by it."""
    first = open_incident(database, **data)
    second = open_incident(database, **data)
    assert second.id == first.id + 1
    assert database.read(lambda tx: tx.open_incident(first.key)) is None


def test_racing_openers_make_one_incident(another: Callable[[], Database]) -> None:
    """Two replicas and four threads: one wins, the others are told."""
    replicas = [another(), another()]
    start, lost = threading.Barrier(4), []

    def opener(database: Database) -> None:
        start.wait()
        try:
            open_incident(database)
        except KeyTaken as error:
            lost.append(error.key)

    threads = [threading.Thread(target=opener, args=(replicas[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 3
    assert [i.id for i in replicas[0].read(lambda tx: tx.incidents(active=True))] == [1]


def test_racing_writers_keep_one_unbroken_chain(another: Callable[[], Database]) -> None:
    """Appends from two replicas at once: no number twice, none left out."""
    replicas = [another(), another()]
    number = open_incident(replicas[0]).id

    def noter(database: Database) -> None:
        for _ in range(10):
            add(database, number, "noted")

    threads = [threading.Thread(target=noter, args=(each,)) for each in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e.seq for e in replicas[0].read(lambda tx: tx.events(number))] == list(range(1, 22))
    assert replicas[0].read(lambda tx: tx.verify()) is None


def test_the_last_incident_of_a_key_is_read_after_whoever_changes_it(another: Callable[[], Database]) -> None:
    """Whoever would reopen it waits for another who does, and sees it open."""
    first, second = another(), another()
    made = open_incident(first)
    add(first, made.id, "resolved")
    read: list[bool] = []
    late = threading.Thread(
        target=lambda: read.append(second.write(lambda tx: tx.last_incident(made.key)).active)  # type: ignore[union-attr]
    )

    def reopen(tx: StoreTx) -> None:
        incident = tx.incident(made.id)
        assert incident is not None
        (event,) = tx.append(made.id, [Event(type="reopened", at=tx.now(), actor="alice", data={})])
        late.start()
        late.join(0.5)
        tx.save(evolve(incident, event), next_due_at=None)

    first.write(reopen)
    late.join()
    assert read == [True]


def test_due_incidents_come_oldest_first_and_only_when_due(database: Database, clock: ManualClock) -> None:
    """Due times are compared with the injected clock."""
    now = clock.now()
    for name, late in (("a", 3), ("b", 1), ("c", 60)):
        database.write(lambda tx, name=name, late=late: open_in(tx, name, due=now + late * SECOND))
    assert database.read(lambda tx: tx.due_incidents(10)) == []
    assert database.read(lambda tx: tx.next_due()) == now + SECOND
    clock.advance(5)
    assert database.write(lambda tx: tx.due_incidents(10)) == [2, 1]
    assert database.write(lambda tx: tx.due_incidents(1)) == [2]


def test_channel_finds_its_incident(database: Database) -> None:
    """By the channel's id; an unknown one finds nothing."""
    number = open_incident(database).id
    add(database, number, "channel_created", channel="C07", name="inc-0001-job-stopped")
    assert database.read(lambda tx: tx.incident_of_channel("C07")) == number
    assert database.read(lambda tx: tx.incident_of_channel("C08")) is None


@pytest.mark.parametrize(
    "attack",
    ["UPDATE events SET actor = 'mallory' WHERE seq = 2", "DELETE FROM events WHERE seq = 2"],
)
def test_timeline_is_append_only(database: Database, url: str, attack: str) -> None:
    """The database itself refuses to change or remove an event."""
    number = open_incident(database).id
    add(database, number, "noted", text="seen")
    engines = open_engines(url)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engines.writer.begin() as connection:
        connection.execute(sa.text(attack))
    engines.dispose()
    assert database.read(lambda tx: len(tx.events(number))) == 2


@pytest.mark.parametrize(
    ("attack", "seq"),
    [
        ("UPDATE events SET actor = 'mallory' WHERE seq = 2", 2),
        ("UPDATE events SET data = '{}' WHERE seq = 3", 3),
        ("DELETE FROM events WHERE seq = 2", 3),
        ("DELETE FROM events WHERE seq = 4", 4),
    ],
)
def test_verify_names_the_first_broken_event(database: Database, url: str, attack: str, seq: int) -> None:
    """Whoever switches the guard off is found by the chain."""
    number = open_incident(database).id
    for text in ("one", "two", "three"):
        add(database, number, "noted", text=text)
    assert database.read(lambda tx: tx.verify(number)) is None
    engines = open_engines(url)
    guards = (
        ["ALTER TABLE events DISABLE TRIGGER ALL"]
        if engines.postgres
        else ["DROP TRIGGER events_no_update", "DROP TRIGGER events_no_delete"]
    )
    with engines.writer.begin() as connection:
        for statement in (*guards, attack):
            connection.execute(sa.text(statement))
    engines.dispose()
    found = database.read(lambda tx: tx.verify())
    assert found is not None
    assert (found.incident, found.seq) == (number, seq)


def test_alert_is_kept_by_source_and_key(database: Database, clock: ManualClock) -> None:
    """The newest state of the alert, with its incident."""
    number = open_incident(database).id
    alert = Alert(
        source="cloud-monitoring",
        key="0.abc",
        state="open",
        title="Job\u202e stopped",
        severity=Severity.CRITICAL,
        kind=Kind.HEALTH,
        family=Family.STREAM,
        labels={"severity": "critical"},
        links=(("Runbook", "https://example.com/"),),
        started_at=clock.now() - timedelta(minutes=3),
        observed=0.5,
    )
    database.write(lambda tx: tx.put_alert(alert, incident=None))
    database.write(lambda tx: tx.put_alert(alert, incident=number, announced=True))
    known = database.read(lambda tx: tx.alert("cloud-monitoring", "0.abc"))
    assert known is not None
    assert (known.alert, known.incident, known.announced) == (alert, number, True)
    assert database.read(lambda tx: tx.alert("budget", "0.abc")) is None


@pytest.mark.usefixtures("clock")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=st.text(st.characters(categories=("L", "N", "P", "S", "Z", "C", "Cs"))),
    number=st.one_of(st.integers(), st.floats()),
)
def test_any_text_and_number_in_an_event_is_stored_and_verifies(
    database: Database, text: str, number: float
) -> None:
    """NUL, lone surrogates, huge integers, NaN: kept in a sayable form, never an error."""
    incident = database.write(lambda tx: open_in(tx, private=True, title=text))
    data = {"text": text, "number": number, text: [text]}
    stored = database.write(
        lambda tx: tx.append(incident.id, [Event(type="noted", at=tx.now(), actor=text, data=data)])
    )
    events = database.read(lambda tx: tx.events(incident.id))
    assert list(stored) == events[1:]
    found = database.read(lambda tx: tx.verify(incident.id))
    assert found is not None
    assert "counts 1" in found.reason


def _held(database: Database, hold: str) -> list[tuple[str, int, bool, int | None]]:
    found = database.read(lambda tx: tx.held(hold))
    return [(item.alert.key, item.notifications, item.waits, item.incident) for item in found]


def test_held_alerts_are_counted_and_wait_until_they_are_released(database: Database) -> None:
    """Each notification counts; what is released keeps its counts, and a later one waits again."""
    plain = Alert(source="s", key="a", state="open", title="t")

    def hold(key: str, name: str = "maintenance:1") -> None:
        def do(tx: StoreTx) -> None:
            tx.put_alert(replace(plain, key=key), incident=None)
            tx.hold_alert(name, "s", key)

        database.write(do)

    for key in ("b", "a", "a"):
        hold(key)
    hold("c", "run:x")
    assert _held(database, "maintenance:1") == [("a", 2, True, None), ("b", 1, True, None)]
    assert database.read(lambda tx: tx.waiting_holds()) == ["maintenance:1", "run:x"]
    made = open_incident(database)
    database.write(lambda tx: tx.put_alert(plain, incident=made.id))
    database.write(lambda tx: tx.release("maintenance:1"))
    assert _held(database, "maintenance:1") == [("a", 2, False, made.id), ("b", 1, False, None)]
    assert database.read(lambda tx: tx.waiting_holds()) == ["run:x"]
    assert database.read(lambda tx: tx.hold_of("s", "a")) == ("maintenance:1", False)
    assert database.read(lambda tx: tx.hold_of("s", "none")) is None
    hold("a", "run:y")
    assert database.read(lambda tx: tx.hold_of("s", "a")) == ("run:y", True)
    hold("c", "maintenance:1")
    assert _held(database, "maintenance:1")[2] == ("c", 1, True, None)


def test_an_alert_held_after_the_release_waits_again(database: Database) -> None:
    """One that was held in the moment of the end is found by the next turn."""
    database.write(
        lambda tx: tx.put_alert(Alert(source="s", key="a", state="open", title="t"), incident=None)
    )
    database.write(lambda tx: tx.hold_alert("maintenance:1", "s", "a"))
    database.write(lambda tx: tx.release("maintenance:1"))
    database.write(lambda tx: tx.hold_alert("maintenance:1", "s", "a"))
    assert _held(database, "maintenance:1") == [("a", 2, True, None)]


def test_what_fails_apart_is_taken_back_alone(database: Database, clock: ManualClock) -> None:
    """And the incident that it was about goes on from where it stood, timeline and state."""
    number = open_incident(database, due=clock.now()).id

    def note(tx: StoreTx, text: str, error: Exception | None = None) -> None:
        incident = tx.incident(number)
        assert incident is not None
        noted = Event(type="noted", at=tx.now(), actor="alice", data={"text": text})
        for event in tx.append(number, [noted]):
            tx.save(evolve(incident, event), next_due_at=None)
        tx.enqueue([row(text)])
        if error is not None:
            raise error

    def do(tx: StoreTx) -> list[Exception | None]:
        assert tx.due_incidents(10) == [number]
        lost = ValueError("poison")
        return [tx.apart(partial(note, tx, *words)) for words in (("one",), ("lost", lost), ("two",))]

    assert [str(error) for error in database.write(do)] == ["None", "poison", "None"]
    events = database.read(lambda tx: tx.events(number))
    assert [(e.seq, e.data.get("text")) for e in events] == [(1, None), (2, "one"), (3, "two")]
    assert database.read(lambda tx: tx.verify()) is None
    rows = [database.read(lambda tx, key=key: tx.outbox_state(key)) for key in ("one", "lost", "two")]  # type: ignore[misc]
    assert [found is not None for found in rows] == [True, False, True]


def test_what_is_put_off_is_due_then(database: Database, clock: ManualClock) -> None:
    """And not before, whatever it is due for."""
    number = open_incident(database, due=clock.now()).id
    until = clock.now() + SECOND
    database.write(lambda tx: [tx.put_off(each, until) for each in tx.due_incidents(10)])
    assert database.read(lambda tx: (tx.due_incidents(10), tx.next_due())) == ([], until)
    clock.advance(1)
    assert database.write(lambda tx: tx.due_incidents(10)) == [number]
