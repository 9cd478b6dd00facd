"""What the auditor takes from a timeline, event by event (rules: "Escalation").

It knows the events alone: what the folded incident made of them is what is to be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.core.incident import Event, instant
from bot.core.policy import Level, Policy


@dataclass(slots=True, kw_only=True)
class Call:
    """A page as the timeline tells it."""

    page: str
    step: str
    level: Level
    person: str
    epoch: int
    due: datetime
    made: datetime
    urgent: bool
    answered: bool = False


@dataclass(slots=True)
class KnownFact:
    begin: datetime
    known: datetime
    holds: bool = True


@dataclass(slots=True)
class Known:
    """One incident, read event by event."""

    policy: Policy = field(default_factory=Policy)
    severity: str = "info"
    active: bool = True
    recovering: bool = False
    epoch: int = 1
    cycle: int = 1
    opened: datetime | None = None
    clock: datetime | None = None  # unresolved time counts from here; every gap moves it
    round: datetime | None = None  # the steps of L1 count from here
    switched_on: datetime | None = None
    critical_from: datetime | None = None
    resolved: datetime | None = None
    acknowledged: bool = False
    by_hand: Level | None = None
    facts: dict[str, KnownFact] = field(default_factory=dict)
    snoozed: datetime | None = None
    deletion: datetime | None = None
    deletion_known: datetime | None = None
    calls: list[Call] = field(default_factory=list)
    done: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)  # step -> (due, fired at)
    emergencies: set[datetime] = field(default_factory=set)
    nobody: set[datetime] = field(default_factory=set)

    def read(self, e: Event) -> None:
        """Take one event in."""
        reader = _READERS.get(e.type)
        if reader is not None:
            reader(self, e)


def _opened(w: Known, e: Event) -> None:
    w.policy = Policy.from_dict(e.data["policy"])
    w.severity, w.opened = str(e.data["severity"]), e.at
    w.recovering = e.data.get("status") == "recovering"
    w.critical_from = e.at if w.severity == "critical" else None
    if w.severity != "info" and not w.recovering:
        w.clock = w.round = e.at


def _begin_clock(w: Known, at: datetime) -> None:
    if w.clock is None and w.severity != "info":
        w.clock = w.round = at


def _severity(w: Known, e: Event) -> None:
    before, w.severity = w.severity, str(e.data["to"])
    if not w.recovering:
        _begin_clock(w, e.at)
    held_back = w.snoozed is not None and e.at < w.snoozed
    if w.severity == "critical" != before:
        w.critical_from = e.at
    if before == "info" != w.severity or (w.severity == "critical" != before and held_back):
        w.switched_on = e.at


def _recovering(w: Known, _: Event) -> None:
    w.recovering = True


def _relapsed(w: Known, e: Event) -> None:
    w.recovering, w.switched_on = False, e.at
    _begin_clock(w, e.at)


def _acknowledged(w: Known, _: Event) -> None:
    w.acknowledged = True


def _unacknowledged(w: Known, e: Event) -> None:
    w.acknowledged, w.round, w.cycle = False, e.at, w.cycle + 1


def _resolved(w: Known, e: Event) -> None:
    w.active, w.resolved, w.snoozed = False, e.at, None


def _reopened(w: Known, e: Event) -> None:
    gap = e.at - w.resolved if w.resolved is not None else timedelta(0)
    if e.data.get("damped"):
        # One more flap: L1 was paged for it, and nothing begins anew.
        w.active, w.resolved, w.recovering, w.switched_on = True, None, False, e.at
        w.clock = None if w.clock is None else w.clock + gap
        return
    w.active, w.resolved, w.acknowledged, w.recovering = True, None, False, False
    w.cycle += 1
    if e.data.get("new_epoch"):
        w.epoch, w.by_hand, w.clock = w.epoch + 1, None, None
    if w.clock is None:
        w.round = None
        _begin_clock(w, e.at)
    else:
        w.clock, w.round = w.clock + gap, e.at


def _fact_began(w: Known, e: Event) -> None:
    w.facts[str(e.data["fact"])] = KnownFact(instant(e.data["begin"]) or e.at, e.at)


def _fact_ended(w: Known, e: Event) -> None:
    if (fact := w.facts.get(str(e.data["fact"]))) is not None:
        fact.holds = False


def _escalated(w: Known, e: Event) -> None:
    level = Level(e.data["level"])
    w.by_hand = level if w.by_hand is None else max(w.by_hand, level)


def _probed(w: Known, e: Event) -> None:
    before, w.deletion = w.deletion, instant(e.data.get("deletion_at"))
    if w.deletion is None:
        w.deletion_known = None
    elif before is None:
        w.deletion_known = e.at


def _snoozed(w: Known, e: Event) -> None:
    w.snoozed = instant(e.data["until"])


def _paged(w: Known, e: Event) -> None:
    d = e.data
    call = Call(
        page=d["page"], step=d["step"], level=Level(d["level"]), person=d["person"], epoch=int(d["epoch"]),
        due=instant(d["due_at"]) or e.at, made=e.at, urgent=bool(d.get("urgent", True)),
    )  # fmt: skip
    w.calls.append(call)


def _answered(w: Known, e: Event) -> None:
    named = {e.data.get("page"), *e.data.get("pages", ())}
    for call in w.calls:
        call.answered = call.answered or call.page in named


def _fired(w: Known, e: Event) -> None:
    for step in e.data["steps"]:
        w.done[str(step)] = (instant(e.data.get("due_at")) or e.at, e.at)


def _emergency(w: Known, e: Event) -> None:
    w.emergencies.add(e.at)


def _nobody(w: Known, e: Event) -> None:
    w.nobody.add(e.at)


_READERS: dict[str, Callable[[Known, Event], None]] = {
    "opened": _opened,
    "severity_changed": _severity,
    "recovering": _recovering,
    "relapsed": _relapsed,
    "acknowledged": _acknowledged,
    "unacknowledged": _unacknowledged,
    "resolved": _resolved,
    "reopened": _reopened,
    "fact_began": _fact_began,
    "fact_ended": _fact_ended,
    "escalated": _escalated,
    "probed": _probed,
    "snoozed": _snoozed,
    "paged": _paged,
    "page_acknowledged": _answered,
    "timer_fired": _fired,
    "emergency": _emergency,
    "nobody_on_call": _nobody,
}
