"""The bot drives a runbook through an incident: on a real database, with everything but Slack and Google."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.incident import Event, Incident
from bot.core.policy import Policy
from bot.core.refusal import Refused
from bot.core.roster import Always, Contact, FirstLevel, Person, Roster
from bot.core.runbook import SOMETHING_ELSE, Branch, Runbook, Step
from bot.desk import confirming, errands, runs, steps
from bot.desk.change import change, fire_due
from bot.desk.house import House
from bot.desk.ports import Run
from bot.store.database import Database
from pipeline.catalogue import Pipeline, load
from pipeline.operations.base import Plan, Risk
from pipeline.report import Finding, Report

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
BOOK = Runbook(
    name="pipeline-health",
    title="Pipeline health",
    kind="health",
    steps=(
        Step(
            id="look", title="Look", prose="", line=1, run="pipeline.health", risk="read", following="restart",
            branches=(Branch("stopped", "restart"), Branch("else", None)),
        ),
        Step(
            id="restart", title="Restart it", prose="Read the plan.", line=2, run="pipeline.restart", risk="change",
            following="tell",
        ),
        Step(
            id="tell", title="Tell them", prose="", line=3, contact="data", draft="{pipeline} was down since {since}.",
            remind=timedelta(minutes=30), branches=(Branch("they_knew", None), Branch("else", "look")),
        ),
    ),
)  # fmt: skip
CHECKLIST = Runbook(
    name="daily",
    title="Daily",
    kind="daily",
    steps=(
        Step(id="read", title="Read", prose="", line=1, run="pipeline.health", risk="read", following="sign"),
        Step(id="sign", title="Sign", prose="", line=2),
    ),
)


def orders() -> Pipeline:
    return load(ROOT / "runbooks" / "pipelines.yaml", "", "").pipelines[0]


PLAN = Plan(
    id="p", operation="pipeline.restart", pipeline="orders", params={}, summary="launch it again", effects=(),
    warnings=(), refusal=None, risk=Risk.CHANGE, made_at=NIGHT,
)  # fmt: skip
HOUSE = House(
    roster=Roster(
        people={"alice": Person(name="alice", slack="U01ALICE"), "bob": Person(name="bob", slack="U02BOB")},
        first=FirstLevel(primary=Always("alice")),
        contacts={"data": Contact(subject="data", kind="mailbox", value="data@example.com")},
    ),
    policy=Policy(),
    runbooks=(BOOK, CHECKLIST),
    pipelines=(orders(),),
    operations={"pipeline.health": "read", "pipeline.restart": "change"},
)


class Desk:
    """One database, and what people and operations do to it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(NIGHT)
        self.url = f"sqlite:///{folder / 'bot.db'}"
        self.database = Database(self.url, self.clock, create=True)

    def restart(self) -> None:
        """The process dies and another one takes over."""
        self.database.close()
        self.database = Database(self.url, self.clock, create=False)

    def open_incident(self) -> None:
        """INC-1 with its channel."""
        first = lifecycle.opened(
            project="demo-project", pipeline="orders", family="stream", title="Job stopped", kind=Kind.HEALTH,
            severity=Severity.CRITICAL, policy=HOUSE.policy, now=NIGHT, actor="watch", reason="x", claimed=True,
            runbook="pipeline-health",
        )  # fmt: skip
        self.database.write(lambda tx: change(tx, HOUSE, None, 1, [first]))
        self.tell("channel_created", channel="C07", name="inc-0001-x")

    def tell(self, kind: str, **data: Any) -> None:
        """One event of INC-1."""
        item = lifecycle.event(kind, self.clock.now(), "streamwatch", **data)
        self.database.write(lambda tx: change(tx, HOUSE, tx.incident(1), 1, [item]))

    def begin(self, run: Run) -> Run:
        """A change that was asked for is planned, confirmed by whoever asked, and begins."""
        who = run.requested_by
        self.database.write(lambda tx: runs.ask(tx, run))
        self.database.write(lambda tx: runs.planned(tx, HOUSE, run, PLAN))
        assert self.database.write(lambda tx: confirming.confirm(tx, HOUSE, run.id, who, {})) == ""
        begun = self.database.write(lambda tx: tx.claim_run("confirmed", "running"))
        assert begun is not None
        assert self.database.write(lambda tx: runs.started(tx, HOUSE, begun))
        return begun

    @property
    def incident(self) -> Incident:
        found = self.database.read(lambda tx: tx.incident(1, lock=False))
        assert found is not None
        return found

    @property
    def ref(self) -> str:
        """The reference of the step whose turn it is in INC-1."""
        walk = self.incident.walk
        return walk.ref(walk.current) if walk is not None and walk.current is not None else ""

    def events(self, kind: str) -> list[Event]:
        return [e for e in self.database.read(lambda tx: tx.events(1)) if e.type == kind]

    def run(self, run_id: str) -> Run:
        found = self.database.read(lambda tx: tx.run(run_id))
        assert found is not None, run_id
        return found

    def report(self, run: Run, *findings: str, severity: Any = "critical") -> None:
        """The operation of a reading answers."""
        found = report(run.operation, *findings, severity=severity)
        self.database.write(lambda tx: runs.read_done(tx, HOUSE, run, found))

    def tick(self, place: Mapping[str, Any], ref: str, person: str = "alice", **more: str) -> None:
        self.database.write(lambda tx: steps.ticked(tx, HOUSE, place, ref, person, **more))

    def said(self) -> list[dict[str, Any]]:
        """Everything that is said anywhere, in the order in which it was written down."""
        with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as file:
            return [json.loads(row[0]) for row in file.execute("SELECT data FROM outbox ORDER BY id")]

    def shown(self, key: str) -> dict[str, Any]:
        """What one message says now."""
        with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as file:
            found: dict[str, Any] = json.loads(
                file.execute("SELECT data FROM outbox WHERE key = ?", [key]).fetchone()[0]
            )
            return found

    def texts(self) -> list[str]:
        """The texts of it."""
        return [str(data.get("text", "")) for data in self.said()]


def report(operation: str, *findings: str, severity: Any = "critical") -> Report:
    made = tuple(Finding(found, severity, found) for found in findings)
    return Report(
        operation=operation, pipeline="orders", verdict="It is so.", severity=severity, as_of=NIGHT, findings=made
    )  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_reading_runs_by_itself_and_findings_choose_the_branch(desk: Desk) -> None:
    desk.open_incident()
    look = desk.run("step:INC-1:pipeline-health/look#1.1")
    assert (look.operation, look.pipeline, look.state) == ("pipeline.health", "orders", "asked")
    desk.report(look, "stopped")
    assert desk.ref == "pipeline-health/restart#1.1"
    offered = next(text for text in desk.texts() if "for you:" in text)
    assert offered == "Step 2 of 3, for you: Restart it\nRead the plan."
    taken = [(e.data["place"], e.data["waits_for"]) for e in desk.events("step_taken")]
    assert taken == [(1, ""), (2, "alice")]


def test_the_message_of_a_step_says_what_became_of_it_and_has_no_button_then(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    assert len(desk.shown("offer:INC-1:pipeline-health/restart#1.1")["buttons"]) == 1
    desk.tick({"incident": 1}, desk.ref, "bob", note="by hand <!channel>")
    told = desk.shown("offer:INC-1:pipeline-health/restart#1.1")
    assert told["text"] == "Step 2 of 3, done by bob: Restart it\nby hand <!channel>"
    assert "buttons" not in told
    waiting = "offer:INC-1:pipeline-health/tell#1.1"
    desk.tell("noted", text="something else")
    assert len(desk.shown(waiting)["buttons"]) == 4, "it waits still"
    desk.tell("resolved", auto=True)
    assert desk.shown(waiting)["text"] == "Step 3 of 3, not done, INC-1 is resolved: Tell them"


def test_a_step_that_was_offered_again_is_closed_in_both_places(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    asked = Run(
        id="run:1", operation="pipeline.restart", pipeline="orders", params={}, state="asked", risk="change",
        requested_by="alice", created_at=NIGHT, incident=1, step=desk.ref,
    )  # fmt: skip
    begun = desk.begin(asked)
    desk.database.write(lambda tx: runs.interrupted(tx, HOUSE, begun))
    desk.tick({"incident": 1}, desk.ref)
    told = [data for data in desk.said() if "Restart it" in str(data.get("text"))]
    assert [data["text"] for data in told] == ["Step 2 of 3, done by alice: Restart it"] * 2
    assert not any(data.get("buttons") for data in told)


def test_the_run_goes_on_where_it_stood_after_a_restart(desk: Desk) -> None:
    desk.open_incident()
    desk.restart()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    desk.restart()
    desk.tick({"incident": 1}, desk.ref, note="by hand, in the console")
    assert desk.ref == "pipeline-health/tell#1.1"
    assert desk.events("step")[-1].data["note"] == "by hand, in the console"


def test_a_report_that_comes_twice_takes_the_next_step_once(desk: Desk) -> None:
    desk.open_incident()
    look = desk.run("step:INC-1:pipeline-health/look#1.1")
    replicas = [Database(desk.url, desk.clock, create=False) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = report("pipeline.health", "stopped")
        list(pool.map(lambda d: d.write(lambda tx: runs.read_done(tx, HOUSE, look, found)), replicas))
    for replica in replicas:
        replica.close()
    assert [e.data["ref"] for e in desk.events("step_taken")] == [
        "pipeline-health/look#1.1",
        "pipeline-health/restart#1.1",
    ]


def test_two_people_who_tick_one_step_take_the_next_once(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    ref = desk.ref
    desk.tick({"incident": 1}, ref, "bob")
    with pytest.raises(Refused, match="done already, by bob"):
        desk.tick({"incident": 1}, ref, "alice")
    assert len(desk.events("step_taken")) == 3


def test_a_person_s_answer_chooses_the_branch_and_a_way_back_is_another_visit(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    desk.tick({"incident": 1}, desk.ref)
    offered = next(text for text in desk.texts() if "Tell them" in text and "for you" in text)
    assert "Write to: data@example.com (contact data)" in offered
    assert "orders was down since 2026-11-23 03:10 UTC." in offered
    ref = desk.ref
    with pytest.raises(
        Refused, match=r"Which answer\? “Tell them” .*`they_knew`, `something_else`.* Nothing was ticked"
    ):
        desk.tick({"incident": 1}, ref, note="called them")
    assert desk.ref == ref, "nobody is taken along a way that they did not choose"
    desk.tick({"incident": 1}, ref, answer=SOMETHING_ELSE)
    assert desk.ref == "pipeline-health/look#1.2"
    assert desk.run("step:INC-1:pipeline-health/look#1.2").state == "asked"
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.2"), "stopped")
    desk.tick({"incident": 1}, desk.ref)
    desk.tick({"incident": 1}, desk.ref, answer="they_knew")
    assert desk.ref == ""
    assert desk.events("runbook_ended")[-1].data["reason"] == "it is through"


@pytest.mark.parametrize(
    ("said", "answer", "note"),
    [
        ("they_knew", "they_knew", ""),
        ("They knew: called them", "they_knew", "called them"),
        ("they-knew, called them", "they_knew", "called them"),
        ("something else they were out", SOMETHING_ELSE, "they were out"),
        ("they were out", "", "they were out"),
        ("", "", ""),
    ],
)
def test_an_answer_is_understood_as_it_is_spoken(said: str, answer: str, note: str) -> None:
    tell = BOOK.step("tell")
    assert steps.answer_of(tell, said.split()) == (answer, tuple(note.split()))
    assert steps.answer_of(CHECKLIST.step("sign"), said.split()) == ("", tuple(said.split())), (
        "has one way on"
    )


def test_a_step_that_was_killed_is_unknown_and_asks(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    killed = Run(
        id="run:1", operation="pipeline.restart", pipeline="orders", params={}, state="asked", risk="change",
        requested_by="alice", created_at=NIGHT, incident=1, step=desk.ref,
    )  # fmt: skip
    killed = desk.begin(killed)
    with pytest.raises(Refused, match="is being run for this step"):
        desk.tick({"incident": 1}, desk.ref)
    desk.database.write(lambda tx: runs.interrupted(tx, HOUSE, killed))
    walk = desk.incident.walk
    assert walk is not None
    assert walk.current is not None
    assert walk.current.state == "unknown"
    assert any("was interrupted, and nobody knows how far it came" in text for text in desk.texts())
    desk.tick({"incident": 1}, desk.ref, note="the job runs")
    assert desk.ref == "pipeline-health/tell#1.1"


def test_a_plan_of_a_step_that_is_done_is_not_run_any_more(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    late = Run(
        id="run:2", operation="pipeline.restart", pipeline="orders", params={}, state="planned", risk="change",
        requested_by="alice", created_at=NIGHT, incident=1, step=desk.ref, plan={"made_at": NIGHT.isoformat()},
    )  # fmt: skip
    desk.database.write(lambda tx: tx.put_run(late))
    desk.tick({"incident": 1}, desk.ref, "bob")
    with pytest.raises(Refused, match="done already, by bob"):
        desk.database.write(lambda tx: confirming.confirm(tx, HOUSE, "run:2", "alice", {}))
    assert desk.run("run:2").state == "planned"


def test_a_reading_that_could_not_be_measured_goes_the_way_of_else(desk: Desk) -> None:
    desk.open_incident()
    look = desk.run("step:INC-1:pipeline-health/look#1.1")
    desk.database.write(lambda tx: runs.failed(tx, HOUSE, look, "permission denied"))
    assert desk.ref == ""
    assert "could not be measured: permission denied" in desk.events("step")[-1].data["verdict"]


def test_whoever_has_a_step_for_too_long_is_reminded_until_it_is_done(desk: Desk) -> None:
    desk.open_incident()
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    desk.tick({"incident": 1}, desk.ref)
    for _ in range(2):
        desk.clock.advance(timedelta(minutes=31))
        due = desk.database.write(lambda tx: tx.due_incidents(5))
        assert list(due) == [1]
        desk.database.write(lambda tx: fire_due(tx, HOUSE, 1))
    told = desk.events("step_reminded")
    assert [e.data["mentions"] for e in told] == [["U01ALICE"], ["U01ALICE"]]
    shown = [desk.shown(f"offer:INC-1:{e.seq}") for e in told]
    assert [len(data["buttons"]) for data in shown] == [4, 4], "what it reminds of can be done there"
    assert [data["mentions"] for data in shown] == [["U01ALICE"], ["U01ALICE"]]
    desk.tick({"incident": 1}, desk.ref, answer="they_knew")
    desk.clock.advance(timedelta(hours=1))
    desk.database.write(lambda tx: fire_due(tx, HOUSE, 1))
    assert len(desk.events("step_reminded")) == 2
    closed = [desk.shown(f"offer:INC-1:{e.seq}") for e in told]
    assert {data["text"] for data in closed} == {"Step 3 of 3, done by alice (they knew): Tell them"}
    assert not any(data.get("buttons") or data.get("mentions") for data in closed)


def test_a_reopened_incident_begins_its_runbook_again(desk: Desk) -> None:
    desk.open_incident()
    desk.tell("resolved", auto=True)
    assert desk.incident.walk is not None
    desk.tell("reopened", reason="again")
    assert desk.ref == "pipeline-health/look#2.1"
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    assert desk.ref == "pipeline-health/look#2.1", "the answer to an old question leads nowhere"


# --- outside an incident --------------------------------------------------------------------------------------


def begin(desk: Desk, book: Runbook) -> dict[str, Any]:
    desk.database.write(
        lambda tx: errands.begin(
            tx, HOUSE, book, walk_id="walk:1", pipeline="orders", channel="C01", user="U01ALICE", who="alice"
        )
    )
    return {"walk": "walk:1"}


def test_a_runbook_runs_at_the_desk_and_its_state_is_kept(desk: Desk) -> None:
    place = begin(desk, CHECKLIST)
    begin(desk, CHECKLIST)
    desk.restart()
    desk.report(desk.run("walk:1:daily/read#1.1"), "healthy", severity="ok")
    walk = desk.database.read(lambda tx: errands.walk_of(tx, "walk:1"))
    assert walk is not None
    assert walk.current is not None
    assert walk.current.title == "Sign"
    assert [text for text in desk.texts() if text.startswith(("Runbook", "Step"))] == [
        "Runbook Daily for orders, begun by alice: 2 steps; reading runs by itself, changes wait for you.",
        "Step 2 of 2, for you: Sign",
    ]
    desk.tick(place, "daily/sign#1.1", note="all green")
    assert "Step 2 of 2, done by alice: Sign\nall green" in desk.texts()
    assert not any(data.get("buttons") for data in desk.said())
    assert desk.run("walk:1").state == "walked"
    assert desk.database.read(lambda tx: errands.here(tx, "C01")) is None
    kept = errands.events_of(desk.run("walk:1"))
    assert [e.type for e in kept] == [
        "runbook_started", "step_taken", "step", "step_taken", "step", "runbook_ended",
    ]  # fmt: skip
    assert kept[-2].data["note"] == "all green"


def test_whoever_has_a_step_at_the_desk_for_too_long_is_reminded_there(desk: Desk) -> None:
    place = begin(desk, BOOK)
    desk.report(desk.run("walk:1:pipeline-health/look#1.1"), "stopped")
    desk.tick(place, "pipeline-health/restart#1.1")
    assert desk.database.write(lambda tx: errands.remind(tx, HOUSE)) == 0
    desk.clock.advance(timedelta(minutes=31))
    assert desk.database.write(lambda tx: errands.remind(tx, HOUSE)) == 1
    assert desk.database.write(lambda tx: errands.remind(tx, HOUSE)) == 0
    told = next(data for data in desk.said() if "has waited for alice for 31 min" in str(data.get("text")))
    assert (told["channel"], told["mentions"]) == ("C01", ["U01ALICE"])
    assert told["buttons"], "what it reminds of can be done there"


def test_two_replicas_that_look_at_once_remind_of_a_step_at_the_desk_once(desk: Desk) -> None:
    place = begin(desk, BOOK)
    desk.report(desk.run("walk:1:pipeline-health/look#1.1"), "stopped")
    desk.tick(place, "pipeline-health/restart#1.1")
    desk.clock.advance(timedelta(minutes=31))

    def late(tx: Any) -> int:
        listed = tx.runs_in(errands.WALKING)
        assert errands.remind(tx, HOUSE) == 1
        tx.runs_in = lambda _: listed
        return errands.remind(tx, HOUSE)

    assert desk.database.write(late) == 0


def test_a_change_at_the_desk_that_was_killed_asks_there(desk: Desk) -> None:
    begin(desk, BOOK)
    desk.report(desk.run("walk:1:pipeline-health/look#1.1"), "stopped")
    killed = Run(
        id="run:1", operation="pipeline.restart", pipeline="orders", params={}, state="asked", risk="change",
        requested_by="alice", created_at=NIGHT, step="pipeline-health/restart#1.1",
        reply={"channel": "C01", "user": "U01ALICE", "walk": "walk:1"},
    )  # fmt: skip
    killed = desk.begin(killed)
    desk.database.write(lambda tx: runs.interrupted(tx, HOUSE, killed))
    asked = next(data for data in desk.said() if "nobody knows how far" in str(data.get("text")))
    assert asked["channel"] == "C01"
    assert [json.loads(button["value"])["walk"] for button in asked["buttons"]] == ["walk:1"] * 3


def test_a_reading_that_finds_the_same_again_is_one_line_and_another_finding_a_report(desk: Desk) -> None:
    desk.open_incident()
    look = desk.run("step:INC-1:pipeline-health/look#1.1")
    desk.report(look, "stopped")
    for name, finding in (("again", "stopped"), ("other", "running")):
        more = replace(look, id=name, step="", state="asked")
        desk.database.write(lambda tx, run=more: tx.put_run(run))
        desk.report(more, finding)
    told = [
        data for data in desk.said() if data.get("metadata", {}).get("event_type") == "streamwatch_report"
    ]
    assert [data["form"] for data in told] == ["report", "text", "report"]
    assert "the findings are those of 2026-" in told[1]["text"]


@pytest.mark.parametrize(
    ("label", "named"),
    [("", ""), ("Wont_Start.md", "wont-start"), ("nothing", ""), ("daily", "")],
)
def test_the_runbook_that_a_policy_names_stands_for_its_kind(label: str, named: str) -> None:
    house = replace(HOUSE, runbooks=(BOOK, replace(BOOK, name="wont-start"), CHECKLIST))
    assert house.runbook_named(label, "health") == named
    assert house.runbook_named(label, "quality") == ""
    assert house.runbook_names() == {"health": "pipeline-health"}
