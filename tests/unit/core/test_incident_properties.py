"""Rules that hold whatever happens, in whatever order (rules: "Escalation", "From alert to incident")."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Alert
from bot.core.correlation import PipelineClaims
from bot.core.escalation import timers
from bot.core.folding import fold
from bot.core.incident import Incident
from bot.core.paging import fire
from bot.core.policy import Level, Policy
from bot.core.refusal import Refused
from bot.desk.change import fire_due
from bot.desk.house import House
from bot.desk.receive import receive
from bot.desk.rehearse_memory import Memory
from bot.store.database import Database
from tests.unit.core.incident_case import START, Case, alert, minutes, roster

Deed = Callable[[Case], None]

# --- whatever happens to one incident ---

waits = st.sampled_from([0.5, 1, 4, 5, 10, 15, 16, 45, 61, 119, 240, 500])
people = st.sampled_from(["alice", "bob", "carol", "dave"])
keys = st.sampled_from(["a1", "a2"])
severities = st.sampled_from(["info", "warning", "critical"])
facts = st.sampled_from(["down", "error_rate", "cost", "persistent_minor"])


def snooze(length: float) -> Deed:
    return lambda c: c.do(lifecycle.snooze(c.incident, minutes(length), "later", c.now, "alice"))


def escalate(level: str) -> Deed:
    return lambda c: c.do(lifecycle.escalate(c.incident, Level(level), "", c.now, "alice"))


def later(wait: float) -> Deed:
    return lambda c: (c.to(c.minute(c.now) + wait), None)[1]


def sleep(wait: float) -> Deed:
    return lambda c: (c.asleep_to(c.minute(c.now) + wait), None)[1]


deeds: st.SearchStrategy[Deed] = st.one_of(
    waits.map(later),
    waits.map(sleep),
    people.map(lambda person: lambda c: c.ack(person)),
    st.tuples(keys, severities).map(lambda a: lambda c: c.alert(alert(a[0], severity=a[1]))),
    st.tuples(keys, st.booleans()).map(lambda a: lambda c: c.alert(alert(a[0], state="closed", proves=a[1]))),
    st.tuples(facts, st.sampled_from([True, False, None])).map(lambda f: lambda c: c.fact(f[0], f[1])),
    st.tuples(st.sampled_from([True, False, None]), st.sampled_from([None, 300.0])).map(
        lambda p: lambda c: c.probe(p[0], deletion=p[1])
    ),
    severities.map(lambda to: lambda c: c.severity(to)),
    st.just(lambda c: c.resolve()),
    st.just(lambda c: c.reopen()),
    waits.filter(lambda wait: wait < 480).map(snooze),
    st.sampled_from(["L2", "L3"]).map(escalate),
)  # fmt: skip

ROSTERS = {
    "full": roster(),
    "alone": roster(backup="alice", upper={"L2": ["alice"]}),
    "gaps": roster(backup=None, upper={"L3": ["dave", "bob"]}),
    "two": roster(upper={"L2": ["alice", "carol"], "L3": ["carol"], "L4": ["erin"]}),
    "nobody": roster(primary=None, backup=None, upper={}),
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ROSTERS)), severities, st.booleans(), st.lists(deeds, max_size=12))
def test_whatever_happens(on_call: str, severity: str, recovering: bool, story: Sequence[Deed]) -> None:
    case = Case(severity, kind="health", on_call=ROSTERS[on_call], recovering=recovering)
    for deed in story:
        try:
            deed(case)
        except Refused:
            continue
        check(case)
    check(case)


def check(case: Case) -> None:
    assert fire(case.incident, case.roster, case.now) == [], "firing twice at one instant makes nothing new"
    assert fold(case.incident.id, case.events) == case.incident, "the events are the incident"
    paged = case.of("paged")
    assert all(datetime.fromisoformat(e.data["due_at"]) <= e.at for e in paged), "no page is early"
    places = [(e.data["epoch"], e.data["step"], e.data["person"]) for e in paged]
    assert len(places) == len(set(places)), "one page = (incident, epoch, step, person)"
    assert set(case.incident.fired).isdisjoint(t.step for t in timers(case.incident)), "fired once is fired"
    assert case.incident.active or not timers(case.incident), "what is resolved pages nobody"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ROSTERS)), st.lists(st.integers(1, 400), max_size=20))
def test_an_unanswered_critical_incident_reaches_everybody_however_rarely_the_clock_is_looked_at(
    on_call: str, looks: Sequence[int]
) -> None:
    case = Case("critical", on_call=ROSTERS[on_call])
    at = 0
    for step in looks:
        at += step
        case.asleep_to(at)
    case.asleep_to(max(at, 481))
    case.asleep_to(max(at, 481) + 60)
    held = {name for level in case.roster.upper.values() for name in (h.person for h in level)}
    assert held <= {person for _, _, person in case.pages()}


# --- any order of the same notifications ---

HOUSE = House(
    roster=roster(),
    policy=Policy(),
    runbooks=(),
    pipelines=(),
    operations={},
    claims=(
        PipelineClaims(
            name="orders", project="demo-project", resources=frozenset({("job", "ecommerce-streaming")})
        ),
    ),
)


def outcome(incidents: Sequence[Incident]) -> list[tuple[object, ...]]:
    return [
        (
            i.status,
            i.severity,
            i.kind,
            sorted(a.key for a in i.open_alerts),
            sorted(f.id for f in i.holding),
        )
        for i in incidents
    ]


def in_memory(notifications: Sequence[Alert]) -> list[tuple[object, ...]]:
    memory = Memory(START)
    for place, item in enumerate(notifications):
        memory.at = START + timedelta(seconds=place)
        receive(memory, HOUSE, item, memory.at)  # type: ignore[arg-type]
    found = [memory.incident(number) for number in range(1, memory.next_number())]
    return outcome([i for i in found if i is not None])


PAIRS = {
    "one alert, closed": [alert("a"), alert("a", state="closed")],
    "two alerts, both closed": [
        alert("a"),
        alert("a", state="closed"),
        alert("b"),
        alert("b", state="closed"),
    ],
    "two alerts, one open": [alert("a"), alert("a", state="closed"), alert("b", severity="warning")],
    "copies": [alert("a"), alert("a"), alert("a", state="closed"), alert("a", state="closed")],
    "a close that proves nothing": [alert("a"), alert("a", state="closed", proves=False)],
    "two closes, one of which proves": [
        alert("a"),
        alert("a", state="closed", proves=False),
        alert("a", state="closed"),
    ],
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_any_order_of_the_same_notifications_ends_in_the_same_state(name: str) -> None:
    orders = {tuple(order) for order in permutations(range(len(PAIRS[name])))}
    ends = {json.dumps(in_memory([PAIRS[name][i] for i in order]), default=str) for order in orders}
    assert len(ends) == 1, ends


def test_the_store_and_the_rehearsals_memory_agree(tmp_path: Path) -> None:
    clock = ManualClock(START)
    notifications = [alert("a"), alert("b", severity="warning"), alert("a", state="closed")]
    with Database(f"sqlite:///{tmp_path / 'case.db'}", clock, create=True) as database:
        for item in notifications:
            database.write(lambda tx, item=item: receive(tx, HOUSE, item, tx.now()))  # type: ignore[misc]
            clock.advance(1)
        clock.advance(timedelta(minutes=20))
        database.write(lambda tx: fire_due(tx, HOUSE, 1))
        stored = database.read(lambda tx: tx.incident(1, lock=False))
        again = database.read(lambda tx: fold(1, tx.events(1)))
    assert stored is not None
    assert outcome_of(stored) == outcome_of(again)
    assert outcome([stored]) == in_memory(notifications)
    assert len([p for p in stored.pages.values() if p.level is Level.L2]) == 1


def outcome_of(incident: Incident | None) -> tuple[object, ...]:
    assert incident is not None
    return (
        incident.status,
        incident.severity,
        sorted(incident.fired),
        sorted(incident.pages),
        {name: fact.begin.astimezone(UTC) for name, fact in incident.facts.items()},
    )
