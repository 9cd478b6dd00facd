"""One incident on a clock that stands until it is moved, with nothing but the core around it.

Whatever a test does with it, the auditor looks on: it wants nothing before it is due, and nothing after it was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.core import lifecycle, signals
from bot.core.alert_model import Alert, Kind, Severity
from bot.core.auditor import audit, owed
from bot.core.correlation import family
from bot.core.escalation import next_due
from bot.core.facts import Measured
from bot.core.folding import begin, evolve
from bot.core.incident import Event, Incident
from bot.core.paging import fire
from bot.core.policy import Level, Policy
from bot.core.roster import Always, FirstLevel, Holder, Person, PhoneNumber, Roster

INSTANT = timedelta(microseconds=1)
START = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")
PEOPLE = {name: Person(name=name, slack=f"U{name.upper()}", phone=f"+1-{name}") for name in NAMES}


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def roster(
    *,
    primary: str | None = "alice",
    backup: str | None = "bob",
    emergency: Holder | PhoneNumber | None = PhoneNumber("+1-555-DATA-ENG"),  # noqa: B008 -- frozen
    upper: Mapping[str, Sequence[str]] | None = None,
) -> Roster:
    levels = {"L2": ["carol"], "L3": ["dave"], "L4": ["erin"]} if upper is None else upper
    return Roster(
        people=PEOPLE,
        first=FirstLevel(
            primary=Always(primary) if primary else None,
            backup=Always(backup) if backup else None,
            emergency=emergency,
        ),
        upper={Level(level): tuple(Always(name) for name in names) for level, names in levels.items()},
    )


def alert(
    key: str = "a1",
    *,
    severity: str = "critical",
    kind: str = "health",
    state: str = "open",
    proves: bool = True,
    facts: Sequence[str] = (),
) -> Alert:
    return Alert(
        source="cloud-monitoring",
        key=key,
        state="closed" if state == "closed" else "open",
        title=f"alert {key}",
        severity=Severity(severity),
        stated=Severity(severity),
        kind=Kind(kind),
        project="demo-project",
        resource_labels={"job_name": "ecommerce-streaming"},
        proves_recovery=proves and state == "closed",
        facts=tuple(facts),
    )


class Case:
    """Open an incident, let time pass, see who was paged. Minutes count from the opening."""

    def __init__(
        self,
        severity: str = "critical",
        *,
        kind: str = "performance",
        policy: Policy | None = None,
        on_call: Roster | None = None,
        declared: bool = False,
        recovering: bool = False,
    ) -> None:
        self.roster = on_call or roster()
        self.now = START
        self.events: list[Event] = []
        first = lifecycle.opened(
            project="demo-project",
            pipeline="orders",
            family=str(family(Kind(kind))),
            title="trouble",
            kind=Kind(kind),
            severity=Severity(severity),
            policy=policy or Policy(),
            now=START,
            actor="cloud-monitoring",
            reason="it says so",
            claimed=True,
            declared=declared,
            recovering=recovering,
        )
        self.incident: Incident = begin(7, replace(first, seq=1))
        self.events.append(replace(first, seq=1))
        self.fire()

    def store(self, events: Sequence[Event]) -> None:
        for event in events:
            numbered = replace(event, seq=self.incident.seq + 1)
            self.events.append(numbered)
            self.incident = evolve(self.incident, numbered)

    def fire(self) -> None:
        self.store(fire(self.incident, self.roster, self.now))
        assert owed(self.events, self.now) == [], "the auditor agrees that nothing is owed any more"

    def do(self, events: Sequence[Event]) -> None:
        self.store(events)
        self.fire()

    def to(self, minute: float) -> Case:
        """Time passes; what is due is done when it is due."""
        end = START + minutes(minute)
        while (due := next_due(self.incident)) is not None and due <= end:
            if due > self.now:
                assert owed(self.events, due - INSTANT) == [], "the auditor agrees that nothing is due yet"
            self.now = max(due, self.now)
            self.fire()
        self.now = end
        assert audit(7, self.events, self.now).disagreements == ()
        return self

    def asleep_to(self, minute: float) -> Case:
        """Time passes and nobody looks at the clock; then what was due is done."""
        self.now = START + minutes(minute)
        self.fire()
        return self

    # what people and sources do

    def ack(self, person: str = "alice") -> None:
        self.do(lifecycle.acknowledge(self.incident, person, self.now))

    def severity(self, to: str) -> None:
        self.do(lifecycle.set_severity(self.incident, Severity(to), "judged", self.now, "alice"))

    def resolve(self, actor: str = "alice") -> None:
        self.do(lifecycle.resolve(self.incident, self.now, actor, "mended", confirmed=True))

    def reopen(self) -> None:
        self.do(lifecycle.reopen(self.incident, self.now, "alice", "again"))

    def fact(self, name: str, on: bool | None = True, since: float | None = None) -> None:
        from bot.core.facts import from_measurements

        at = START + minutes(since) if since is not None else None
        self.do(from_measurements(self.incident, [Measured(id=name, on=on, since=at)], self.now, "watch"))

    def end(self, name: str) -> None:
        """The fact ends at once (its hysteresis is tested elsewhere)."""
        self.do([lifecycle.event("fact_ended", self.now, "watch", fact=name)])

    def alert(self, new: Alert) -> None:
        if new.is_open:
            more = signals.alert_opens(
                self.incident, new, began_at=self.now, note=None, now=self.now, runbooks={}
            )
        else:
            more = signals.alert_closes(self.incident, new, self.now)
        self.do(more)

    def probe(self, healthy: bool | None, *, deletion: float | None = None, **facts: bool | None) -> None:
        self.do(
            signals.probed(
                self.incident,
                healthy=healthy,
                verdict="measured",
                severity="ok" if healthy else "critical",
                measured=[Measured(id=name, on=on) for name, on in facts.items()],
                deletion_at=START + minutes(deletion) if deletion is not None else None,
                now=self.now,
            )
        )

    # what came of it

    def status(self) -> str:
        return str(self.incident.status)

    def minute(self, at: datetime) -> float:
        return (at - START).total_seconds() / 60

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type == kind]

    def at(self, kind: str) -> list[float]:
        return [self.minute(event.at) for event in self.of(kind)]

    def pages(self, level: str = "") -> list[tuple[float, str, str]]:
        return [
            (self.minute(e.at), str(e.data["level"]), str(e.data["person"]))
            for e in self.of("paged")
            if not level or e.data["level"] == level
        ]

    def reasons(self, level: str) -> list[list[str]]:
        return [list(e.data["reasons"]) for e in self.of("paged") if e.data["level"] == level]
