"""What people ask at the front desk: answers that are true, and nothing changed where something is over."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle, review, signals
from bot.core.alert_model import Kind, Severity
from bot.core.asks import Asker, Click, Command, Form, FormErrors, OpenForm
from bot.core.delivery import Sent, settle
from bot.core.facts import Measured
from bot.core.incident import Incident
from bot.core.runbook import Runbook, Step
from bot.core.sentences import sentence
from bot.desk.change import change, fire_due
from bot.desk.front import FrontDesk
from bot.desk.ports import Store
from bot.slack.views import view_of
from bot.store.database import Database
from pipeline.operations import Operation
from tests.unit.desk.test_hand_overs import HOUSE, SUNDAY

ROOM = "C7"


class Office:
    """One database, its desk, and what it answered last."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store: Any = database
        self.told: list[dict[str, Any]] = []  # every answer, as its renderer gets it
        self._ids = itertools.count(1)
        self.house = HOUSE
        self.knows({})
        self.aread = database.aread

    def knows(self, operations: Mapping[str, Operation]) -> None:
        """The operations that may be asked for here."""
        self._desk = FrontDesk(
            store=cast(Store, self), house=lambda: self.house, registry=operations, wake=lambda: None
        )

    async def awrite(self, work: Callable[[Any], Any]) -> Any:
        return await self.store.awrite(work)

    def open(self, severity: str = "critical") -> Incident:
        def make(tx: Any) -> Incident:
            number = tx.next_number()
            first = lifecycle.opened(
                project="p", pipeline="orders", family="stream", title="Orders stopped", kind=Kind.HEALTH,
                severity=Severity(severity), policy=HOUSE.policy, now=tx.now(), actor="watch", reason="x",
            )  # fmt: skip
            room = lifecycle.event("channel_created", tx.now(), "streamwatch", channel=ROOM, name="inc")
            return change(tx, HOUSE, None, number, [first, room])

        return self.database.write(make)

    def tell(self, number: int, *kinds: str, **data: Any) -> None:
        def do(tx: Any) -> None:
            events = [lifecycle.event(kind, tx.now(), "dave", **data) for kind in kinds]
            change(tx, HOUSE, tx.incident(number), number, events)

        self.database.write(do)

    def incident(self, number: int = 1) -> Incident:
        found = self.database.read(lambda tx: tx.incident(number))
        assert found is not None
        return found

    def asker(self, who: str, channel: str = ROOM) -> Asker:
        return Asker(user=f"U{who.upper()}", channel=channel, request_id=f"r{next(self._ids)}")

    async def types(self, who: str, name: str, text: str, channel: str = ROOM) -> str:
        await self._desk.command(Command(asker=self.asker(who, channel), name=name, text=text))
        rows = self.database.write(lambda tx: tx.claim(100))
        for row in rows:
            self.database.write(lambda tx, r=row: tx.finish(r, settle(r, Sent())))  # type: ignore[misc]
        answers = [row.outbound.data for row in rows if row.outbound.key.startswith("answer:")]
        self.told += [dict(data) for data in answers]
        return "\n".join(str(line) for data in answers for line in (data["text"], *data.get("lines", ())))

    async def clicks(self, who: str, action: str, value: str) -> OpenForm | None:
        return await self._desk.click(Click(asker=self.asker(who), action=action, value=value))

    async def sends(self, who: str, form: str, context: str, **values: str) -> None:
        await self._desk.submit(Form(asker=self.asker(who), name=form, values=values, context=context))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(SUNDAY), create=True) as database:
        yield Office(database)


@pytest.mark.parametrize(
    ("form", "values"),
    [("review_edit", {"root_cause": "late"}), ("action_add", {"text": "late", "owner": "", "due": ""})],
)
async def test_a_form_that_was_open_while_the_review_was_closed_changes_nothing(
    office: Office, form: str, values: dict[str, str]
) -> None:
    office.open()
    office.tell(1, "resolved", reason="done")
    office.tell(1, "reviewed")
    before = office.incident()
    with pytest.raises(FormErrors, match="The review of INC-1 is closed"):
        await office.sends("dave", form, "1", **values)
    assert office.incident() == before


async def test_a_closed_review_takes_no_new_action_by_its_button_either(office: Office) -> None:
    office.open()
    office.tell(1, "action_added", id=1, text="add a test", owner="alice", due="2026-12-01")
    office.tell(1, "resolved", reason="done")
    office.tell(1, "reviewed")
    assert await office.clicks("dave", "action_add", "1") is None
    assert "The review of INC-1 is closed" in await office.types("dave", "/review", "actions add one more")
    await office.types("dave", "/review", "actions done 1")
    assert office.incident().actions[0].done_by == "dave", "what was to be done is done later all the same"


@pytest.mark.parametrize(
    ("severity", "said"),
    [("critical", "INC-1 is open again; L1 is paged."), ("info", "INC-1 is open again.")],
)
async def test_a_reopen_says_that_l1_is_paged_only_where_it_is(
    office: Office, severity: str, said: str
) -> None:
    office.open(severity)
    office.tell(1, "resolved", reason="done")
    assert await office.types("dave", "/incident", "reopen it is back") == said


async def test_an_escalation_says_who_is_paged(office: Office) -> None:
    office.open()
    told = await office.types("alice", "/incident", "escalate need help")
    assert told == "L2 is paged for INC-1 now: dave."


async def test_an_escalation_to_a_level_that_nobody_holds_says_so(office: Office) -> None:
    office.open()
    told = await office.types("alice", "/incident", "escalate L3 need help")
    assert told == "Nobody holds L3 or a level above; everybody on the roster is paged for INC-1 now."


@pytest.mark.parametrize("text", ["patterns ²", "patterns 99999", "patterns " + "9" * 5000])
async def test_a_number_of_days_that_is_none_is_asked_for_again(office: Office, text: str) -> None:
    assert "From 1 to 400" in await office.types("dave", "/review", text)


async def test_who_declares_while_an_alert_opens_the_same_learns_of_that_incident(office: Office) -> None:
    """The other incident was committed between the look and the insert, as on PostgreSQL with two replicas."""

    class Blind:
        """Sees no open incident the first time."""

        def __init__(self, tx: Any) -> None:
            self._tx = tx

        def __getattr__(self, name: str) -> Any:
            return (lambda _: None) if name == "open_incident" else getattr(self._tx, name)

    class Race:
        def __init__(self, database: Database) -> None:
            self._database, self._first = database, True

        async def awrite(self, work: Callable[[Any], Any]) -> Any:
            blind, self._first = self._first, False
            return await self._database.awrite(lambda tx: work(Blind(tx)) if blind else work(tx))

    assert "INC-1 is declared" in await office.types(
        "alice", "/incident", "declare critical it stopped", "C1"
    )
    office.store = Race(office.database)
    told = await office.types("dave", "/incident", "declare critical orders are late", "C1")
    assert "INC-1 is open for not named already: it stopped." in told


async def test_all_that_a_review_asks_for_can_be_stated(office: Office) -> None:
    office.open()
    office.tell(1, "resolved", reason="done")
    (form,) = [await office.clicks("dave", "review_edit", "1")]
    assert form is not None
    fields = [block["block_id"] for block in view_of(form)["blocks"]]
    await office.sends("dave", "review_edit", "1", **{name: f"said of {name}" for name in fields})
    events = office.database.read(lambda tx: tx.events(1))
    told = review.draft(office.incident(), events)
    assert all(f"said of {name}" in told for name in fields)
    assert review.NOT_STATED not in told
    stated = {sentence(office.incident(), e) for e in events if e.type == "review_stated"}
    assert {
        "dave stated the root cause.",
        "dave stated what went well.",
        "dave stated the learnings.",
    } <= stated


async def test_a_person_says_that_data_is_lost_and_l2_is_paged_at_once(office: Office) -> None:
    """Corruption, above all, is nothing that a probe could see."""
    office.open("info")
    assert "What was lost" in await office.types("alice", "/incident", "loss")
    told = await office.types("alice", "/incident", "loss over 2000 prices of 02:00 are wrong")
    assert told == "Data loss stands on INC-1's timeline: it is critical, and escalates at once."
    incident = office.incident()
    assert (incident.severity, [f.id for f in incident.holding]) == ("critical", ["data_loss"])
    assert ("dave", "L2") in [(p.person, p.level) for p in incident.pages.values()]
    assert "says so already" in await office.types("bob", "/incident", "loss and more")
    assert office.incident().pages.keys() == incident.pages.keys()


async def test_what_a_person_said_of_data_is_over_when_people_say_so_and_by_no_probe(office: Office) -> None:
    office.open()
    await office.types("alice", "/incident", "loss prices are wrong")

    def probe(minutes: float) -> None:
        cast(ManualClock, office.database.clock).advance(minutes * 60)

        def look(tx: Any) -> None:
            seen = (Measured(id="data_loss", on=False, text="none"), Measured(id="down", on=False))
            events = signals.probed(
                tx.incident(1), healthy=True, verdict="healthy", severity="ok", measured=seen, deletion_at=None,
                now=tx.now(),
            )  # fmt: skip
            if events:
                change(tx, HOUSE, tx.incident(1), 1, events)
            fire_due(tx, HOUSE, 1)

        office.database.write(look)

    for _ in range(4):
        probe(6)
    assert office.incident().active
    assert [f.id for f in office.incident().holding] == ["data_loss"]
    told = await office.types("dave", "/incident", "loss ended backfilled from the topic")
    assert told == "The data loss of INC-1 is over."
    assert office.incident().holding == ()
    for _ in range(4):
        probe(6)
    assert office.incident().status == "resolved"


@pytest.mark.parametrize(
    ("severity", "more"), [("critical", " L2 and above are still timed until it is resolved."), ("info", "")]
)
async def test_an_acknowledgement_says_what_is_still_timed_where_anything_is(
    office: Office, severity: str, more: str
) -> None:
    office.open(severity)
    assert await office.types("alice", "/incident", "ack") == f"You acknowledged INC-1.{more}"


async def test_a_runbook_that_is_offered_is_begun_once_however_often_its_button_is_pressed(
    office: Office,
) -> None:
    steps = (Step(id="look", title="Look", prose="", line=1),)
    book = Runbook(name="high-latency", title="High latency", kind="performance", steps=steps)
    office.house = replace(HOUSE, runbooks=(book,))
    office.open()
    await office.clicks("alice", "runbook_take", "1:high-latency")
    await office.clicks("alice", "runbook_take", "1:high-latency")
    begun = [e for e in office.database.read(lambda tx: tx.events(1)) if e.type == "runbook_started"]
    assert len(begun) == 1
