"""Runbooks as data: a document that a person reads and the bot carries out.

A heading is a step. A step with an operation runs it and lets the findings of its report choose what comes
next; a step without one is a person's ("Outside interface: Files in runbooks").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

INCIDENT_KINDS: tuple[str, ...] = ("health", "quality", "cost", "performance", "security", "other")
"""The kinds of incident, each of which may have its runbook."""

CALENDAR_KINDS: tuple[str, ...] = ("daily", "weekly", "monthly")
"""The checklists of the operations calendar: carried out when their time comes, with no incident."""

GUIDE = "guide"
"""What belongs to no incident and no calendar: contacts, the review's steps, how documents are updated."""

KINDS: tuple[str, ...] = (*INCIDENT_KINDS, *CALENDAR_KINDS, GUIDE)

SEVERITIES: tuple[str, ...] = ("ok", "info", "warning", "critical", "unknown")
"""What a report's severity can be, and so what a branch may ask for."""

_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")

_BOLD = re.compile(r"\*\*(\S(?:[^*\n]*\S)?)\*\*")

_NAMES = {"bigquery": "BigQuery", "bigtable": "Bigtable", "google": "Google", "cloud": "Cloud"}

ELSE = "else"
END = "end"

SOMETHING_ELSE = "something_else"
"""The answer of a person whom no other fits at a step with several ways on: the way of `else`, chosen."""

SKIPS_GATE: Mapping[str, str] = {
    "yes": "would confirm for a person",
    "confirm": "would confirm for a person",
    "break_glass": "would go without a second person",
    "force": "would go past what the plan refuses",
}
"""Parameters that stand for somebody's decision, and so may not stand in a document."""

_PROCEDURES: Mapping[str, str] = {
    "health": "pipeline-health",
    "quality": "data-quality",
    "cost": "cost-spike",
    "performance": "performance",
    "security": "security",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRule:
    """What a parameter of an operation may be; `choices` empty and bounds None: anything of its type."""

    type: Literal["text", "whole", "number", "truth"] = "text"
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An operation as a runbook sees it. `risk`: `read`, `change`, `destructive`.

    `params` None and `findings` empty: nobody said which there are, so none is judged.
    """

    risk: str
    params: Mapping[str, ParameterRule] | None = None
    findings: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Branch:
    """When the report has this finding (its id) or this severity, go to this step; `goto` None ends the run.

    `when` is `else` for what no other branch caught. At a person's step it is an answer that they choose.
    """

    when: str
    goto: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One heading. `prose` is Markdown without the step's block; `line` is the heading's, counted from 1.

    `run` names an operation, whose `risk` is `read`, `change` or `destructive`; a person's step has neither.
    `following` is the id of the next heading, where a step without a matching branch goes. `contact` names
    whom a person writes to in this step (roster, contacts), `draft` what, and `remind` after how long whoever
    has the step is reminded of it.
    """

    id: str
    title: str
    prose: str
    line: int
    run: str | None = None
    risk: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    branches: tuple[Branch, ...] = ()
    following: str | None = None
    contact: str | None = None
    draft: str = ""
    remind: timedelta | None = None

    @property
    def how(self) -> str:
        """`read`, `change`, `destructive`, or `person`."""
        return (self.risk or "read") if self.run is not None else "person"

    @property
    def answers(self) -> tuple[str, ...]:
        """What a person may answer at their step, besides that it is done."""
        if self.run is not None:
            return ()
        return tuple(branch.when for branch in self.branches if branch.when != ELSE)

    @property
    def automatic(self) -> bool:
        """Whether the bot may run the step without being asked: it only reads."""
        return self.run is not None and self.risk == "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """One document. `name` is its file's stem; dates are calendar dates, None when the document has none."""

    name: str
    title: str
    kind: str
    steps: tuple[Step, ...]
    intro: str = ""
    triggers: tuple[str, ...] = ()
    owner: str | None = None
    last_reviewed: date | None = None
    next_review: date | None = None
    thresholds: Mapping[str, str] = field(default_factory=dict)
    contacts: tuple[str, ...] = ()

    def step(self, step_id: str) -> Step | None:
        """The step of this id, or None."""
        return next((step for step in self.steps if step.id == step_id), None)

    def place(self, step_id: str) -> int:
        """The place of a step among the headings, from 1; 0 for one that is not there."""
        return next((place for place, step in enumerate(self.steps, 1) if step.id == step_id), 0)


def choose_next(step: Step, finding_ids: Collection[str], severity: str) -> str | None:
    """The id of the step that comes after this one, or None at the end.

    The first branch in the document's order whose finding or severity holds decides, then `else`, then the
    next heading. For a person's step there is no report: pass their answer, if any, as the only finding, and
    the severity `unknown`.
    """
    for branch in step.branches:
        if branch.when != ELSE and (branch.when in finding_ids or branch.when == severity):
            return branch.goto
    for branch in step.branches:
        if branch.when == ELSE:
            return branch.goto
    return step.following


def targets(step: Step) -> tuple[str, ...]:
    """The ids of all steps that can come after this one, each once, in the order they are considered in."""
    ways = [branch.goto for branch in step.branches]
    if all(branch.when != ELSE for branch in step.branches):
        ways.append(step.following)
    return tuple(dict.fromkeys(way for way in ways if way is not None))


def reachable(runbook: Runbook) -> frozenset[str]:
    """The ids of all steps that a run can come to."""
    waiting = [runbook.steps[0].id] if runbook.steps else []
    seen: set[str] = set()
    while waiting:
        step = runbook.step(waiting.pop())
        if step is not None and step.id not in seen:
            seen.add(step.id)
            waiting.extend(targets(step))
    return frozenset(seen)


def for_kind(runbooks: Iterable[Runbook], kind: str) -> Runbook | None:
    """The runbook of an incident of this kind: the procedure of that name, else the first, or None."""
    fitting = sorted(
        (runbook for runbook in runbooks if runbook.kind == kind), key=lambda runbook: runbook.name
    )
    named = next((runbook for runbook in fitting if runbook.name == _PROCEDURES.get(kind)), None)
    return named or next(iter(fitting), None)


def by_name(runbooks: Iterable[Runbook], name: str) -> Runbook | None:
    """The runbook of this name, with or without `.md`; `-` and `_` are equal ("Rules: From notification to
    alert").
    """
    wanted = _plain(name)
    return next((runbook for runbook in runbooks if _plain(runbook.name) == wanted), None)


def _plain(name: str) -> str:
    return name.strip().casefold().removesuffix(".md").replace("_", "-")


def label_of(answer: str) -> str:
    """An answer as a button says it: "They go back", "BigQuery"."""
    words = " ".join(_NAMES.get(word, word) for word in answer.split("_"))
    return words[:1].upper() + words[1:]


def unwrapped(prose: str) -> str:
    """The prose with each paragraph and list item on one line: a chat breaks lines where its reader's window ends.

    A link to another page of the folder leads nowhere in a chat: its words stay, and of an address the address too.
    What is bold has one asterisk on each side there.
    """
    lines: list[str] = []
    fresh = True
    for raw in prose.splitlines():
        line = raw.strip()
        starts = (
            fresh or line.startswith(("- ", "* ", "> ", "#", "|", "```")) or line[:2].rstrip(".").isdigit()
        )
        if not line:
            fresh = True
            continue
        if starts or not lines:
            lines.append(line)
        else:
            lines[-1] = f"{lines[-1]} {line}"
        fresh = False
    return _BOLD.sub(r"*\1*", _LINK.sub(_spoken, "\n".join(lines)))


def _spoken(link: re.Match[str]) -> str:
    words, target = link.groups()
    return f"{words} ({target})" if "://" in target and target != words else words
