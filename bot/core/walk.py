"""A runbook being carried out: where the run stands, folded from events. Pure.

A run visits steps one after the other. A visit is open until it is done; one whose operation was cut off is
`unknown` until a person says what came of it. A step that a way leads back to is visited again: the reference of a
visit counts both, so that no visit is ever carried out twice, however often it is asked for.

All instants are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot.core.policy import format_duration
from bot.core.runbook import Runbook, Step, choose_next

OPEN, RUNNING, UNKNOWN, DONE = "open", "running", "unknown", "done"
BOT = "streamwatch"

STARTED, TAKEN, STEP, REMINDED, ENDED = (
    "runbook_started", "step_taken", "step", "step_reminded", "runbook_ended",
)  # fmt: skip
BEGUN, FINISHED, CUT_OFF = "operation_started", "operation_finished", "operation_unknown"

EVENTS: frozenset[str] = frozenset({STARTED, TAKEN, STEP, REMINDED, ENDED, BEGUN, FINISHED, CUT_OFF})
"""The types of events that `fold` looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit of a step. `how` is Step.how, `place` its place among the `of` headings, from 1.

    `waits_for` is the person who had the run when the step was taken, "" for what the bot does itself. `goto` is
    the id of the step that comes after it, once it is done; None: none does.
    """

    step: str
    title: str
    how: str
    place: int
    of: int
    nth: int
    since: datetime
    state: str = OPEN
    operation: str = ""
    waits_for: str = ""
    remind_s: float = 0.0
    reminded_at: datetime | None = None
    done_at: datetime | None = None
    by: str = ""
    note: str = ""
    goto: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One run of a runbook; `number` counts the runs of one place (an incident, a channel)."""

    runbook: str
    title: str
    number: int
    by: str
    began_at: datetime
    epoch: int = 1
    visits: tuple[Visit, ...] = ()
    ended_at: datetime | None = None
    ended: str = ""
    ended_by: str = ""

    @property
    def worked(self) -> bool:
        """Whether a person has a hand in it: began or ended it, did a step, or had its operation begun."""
        people = {self.by, self.ended_by, *(visit.by for visit in self.visits)} - {"", BOT}
        return bool(people) or any(v.how != "read" and v.state in (RUNNING, UNKNOWN) for v in self.visits)

    @property
    def current(self) -> Visit | None:
        """The visit that is not done yet."""
        last = self.visits[-1] if self.visits else None
        return last if last is not None and last.state != DONE and self.ended_at is None else None

    def ref(self, visit: Visit) -> str:
        """The reference of a visit: unique among all runs of its place."""
        return f"{self.runbook}/{visit.step}#{self.number}.{visit.nth}"

    def at(self, ref: str) -> Visit | None:
        """The current visit, if this is its reference."""
        now = self.current
        return now if now is not None and self.ref(now) == ref else None


def step_of(ref: str) -> tuple[str, str]:
    """(runbook, step id) of a reference."""
    book, _, rest = ref.partition("/")
    return book, rest.partition("#")[0]


# --- what happens next, as the data of events -------------------------------------------------------------


def started(book: Runbook, walk: Walk | None, epoch: int = 1) -> dict[str, Any]:
    """The data of the event that begins a run, after the run `walk` of the same place, if there was one."""
    number = walk.number + 1 if walk is not None else 1
    return {
        "runbook": book.name,
        "title": book.title,
        "steps": len(book.steps),
        "number": number,
        "epoch": epoch,
    }


def follow(walk: Walk, book: Runbook | None, waits_for: str) -> tuple[str, dict[str, Any]] | None:
    """The event that must come now, by its type and data: the next step is taken, or the run ends.

    None while a visit is open, and after the end. `waits_for` is whoever a person's step waits for.
    """
    if walk.ended_at is not None or walk.current is not None:
        return None
    if book is None:
        return ENDED, {"runbook": walk.runbook, "reason": "the document is not there any more"}
    last = walk.visits[-1] if walk.visits else None
    goal = last.goto if last is not None else (book.steps[0].id if book.steps else None)
    step = book.step(goal) if goal is not None else None
    if step is not None:
        return TAKEN, taken(walk, book, step, waits_for)
    reason = "it is through" if goal is None else f"the document has no step {goal} any more"
    return ENDED, {"runbook": walk.runbook, "reason": reason}


def taken(walk: Walk, book: Runbook, step: Step, waits_for: str) -> dict[str, Any]:
    """The data of the event that takes a step."""
    nth = 1 + sum(1 for visit in walk.visits if visit.step == step.id)
    return {
        "runbook": book.name,
        "step": f"{book.name}/{step.id}",
        "ref": f"{book.name}/{step.id}#{walk.number}.{nth}",
        "title": step.title,
        "how": step.how,
        "place": book.place(step.id),
        "of": len(book.steps),
        "nth": nth,
        "operation": step.run or "",
        "waits_for": "" if step.automatic else waits_for,
        "remind_s": step.remind.total_seconds() if step.remind is not None else 0.0,
    }


def done(
    walk: Walk, visit: Visit, step: Step | None, state: str, findings: Collection[str], severity: str
) -> dict[str, Any]:
    """The data of the event that ends a visit; findings, or a person's answer, choose the way on."""
    return {
        "runbook": walk.runbook,
        "step": f"{walk.runbook}/{visit.step}",
        "ref": walk.ref(visit),
        "title": visit.title,
        "state": state,
        "goto": choose_next(step, findings, severity) if step is not None else None,
    }


# --- reminders --------------------------------------------------------------------------------------------


def next_reminder(walk: Walk | None) -> datetime | None:
    """When whoever has the current step is reminded of it; None when nobody is."""
    visit = walk.current if walk is not None else None
    if visit is None or not visit.remind_s:
        return None
    return (visit.reminded_at or visit.since) + timedelta(seconds=visit.remind_s)


def reminder(walk: Walk | None, now: datetime) -> dict[str, Any] | None:
    """The data of the reminder that is due, or None."""
    due = next_reminder(walk)
    visit = walk.current if walk is not None else None
    if walk is None or visit is None or due is None or due > now:
        return None
    return {
        "runbook": walk.runbook,
        "ref": walk.ref(visit),
        "title": visit.title,
        "waits_for": visit.waits_for,
        "since_s": (now - visit.since).total_seconds(),
    }


# --- in words ---------------------------------------------------------------------------------------------


def progress(walk: Walk | None, now: datetime, holder: str = "", since: str = "") -> str:
    """ "step 3 of 7, waiting for alice since 12 min: Restart the pipeline"; "" where nothing is being carried out.

    `holder` has the run now; without one, whoever had it when the step was taken. `since` stands for the time waited
    where the words are not written anew each minute: the instant.
    """
    visit = walk.current if walk is not None else None
    if visit is None:
        return ""
    # The bot begins a step of its own within the second; what it says of the wait would only be old.
    person = holder or visit.waits_for or "somebody"
    long = since or format_duration(max(now - visit.since, timedelta(0)))
    if visit.state == UNKNOWN:
        what = f"outcome unknown since {long}, waiting for {person}"
    elif visit.state == RUNNING or visit.how == "read":
        what = f"{visit.operation} is being run"
    else:
        what = f"waiting for {person} since {long}"
    return f"step {visit.place} of {visit.of}, {what}: {visit.title}"


# --- the fold ---------------------------------------------------------------------------------------------


def fold(walk: Walk | None, kind: str, at: datetime, actor: str, data: Mapping[str, Any]) -> Walk | None:
    """The run after one event; what is not about the current visit changes nothing."""
    if kind == STARTED:
        return Walk(
            runbook=data["runbook"],
            title=str(data.get("title", "")),
            number=int(data.get("number", 1)),
            epoch=int(data.get("epoch", 1)),
            by=actor,
            began_at=at,
        )
    if walk is None or walk.ended_at is not None:
        return walk
    if kind == ENDED:
        return replace(walk, ended_at=at, ended=str(data.get("reason", "")), ended_by=actor)
    if kind == TAKEN:
        return replace(walk, visits=(*walk.visits, _visit(at, data)))
    visit = walk.at(str(data.get("ref", "")))
    return walk if visit is None else _with(walk, _moved(visit, kind, at, actor, data))


def _visit(at: datetime, data: Mapping[str, Any]) -> Visit:
    return Visit(
        step=step_of(str(data["ref"]))[1],
        title=data["title"],
        how=data["how"],
        place=data["place"],
        of=data["of"],
        nth=data["nth"],
        since=at,
        operation=data.get("operation", ""),
        waits_for=data.get("waits_for", ""),
        remind_s=float(data.get("remind_s", 0.0)),
    )


def _moved(visit: Visit, kind: str, at: datetime, actor: str, data: Mapping[str, Any]) -> Visit:
    match kind:
        case "step":
            note = str(data.get("note") or data.get("verdict") or "")
            return replace(visit, state=DONE, done_at=at, by=actor, note=note, goto=data.get("goto"))
        case "step_reminded":
            return replace(visit, reminded_at=at)
        case "operation_started":
            return replace(visit, state=RUNNING)
        case "operation_unknown":
            return replace(visit, state=UNKNOWN, since=at)
        case "operation_finished" if data.get("failed"):
            return replace(visit, state=OPEN)
        case _:
            return visit


def _with(walk: Walk, visit: Visit) -> Walk:
    return replace(walk, visits=(*walk.visits[:-1], visit))
