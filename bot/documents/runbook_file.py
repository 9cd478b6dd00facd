"""Reads a runbook: front matter, steps, and the ways between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from bot.core.runbook import ELSE, END, KINDS, Branch, Runbook, Step, reachable
from bot.documents import reader
from bot.documents.markdown import Block, Page, Section, take_apart
from bot.documents.mistakes import Notes, closest, shown, suggest
from bot.documents.tree import Entries, Items, Tree, read_tree

_NUMBERING = re.compile(r"^\s*(?:step\s+)?\d+(?:\.\d+)*[.):]\s+", re.IGNORECASE)
_WHEN = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_FRONT = ["kind", "triggers", "owner", "last_reviewed", "next_review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A branch as written, with its line."""

    when: str
    goto: str | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Front:
    kind: str = "other"
    triggers: tuple[str, ...] = ()
    owner: str | None = None
    last_reviewed: date | None = None
    next_review: date | None = None


def slug(title: str) -> str:
    """The id of a heading, as code hosts make it, without its numbering: `2. Restart it` -> `restart-it`."""
    words = re.sub(r"[^\w\s-]", "", _NUMBERING.sub("", title)).strip().lower()
    return re.sub(r"[\s-]+", "-", words).strip("-")


def read_runbook(name: str, text: str, operations: Mapping[str, str], notes: Notes) -> Runbook:
    """The runbook of this text; every mistake is noted, and what is wrong is left out.

    `operations` are the known operations by name, with their risk (`read`, `change`, `destructive`).
    """
    page = take_apart(text, notes)
    front = _front(page, notes)
    title, intro, sections = _headings(name, page, notes)
    steps, ways = _steps(sections, operations, notes)
    steps, guesses = _connect(steps, ways, notes)
    runbook = Runbook(
        name=name,
        title=title,
        kind=front.kind,
        steps=steps,
        intro=intro,
        triggers=front.triggers,
        owner=front.owner,
        last_reviewed=front.last_reviewed,
        next_review=front.next_review,
    )
    _note_unreachable(runbook, guesses, notes)
    return runbook


def _front(page: Page, notes: Notes) -> _Front:
    tree = read_tree(page.front, notes, first_line=2) if page.front is not None else None
    if tree is None:
        if page.front is not None and not page.front.strip():
            notes.add(1, "the front matter is empty", f"Add `kind:` and one of {', '.join(KINDS)}.")
        return _Front()
    found = reader.entries(tree, notes, "the front matter", _FRONT)
    given = {key: value for key, value in found.items() if not reader.absent(value)}
    if "kind" not in given:
        notes.add(tree.line, "the front matter has no kind", f"Add `kind:` and one of {', '.join(KINDS)}.")
    kind = reader.choice(given["kind"], notes, "kind", KINDS) if "kind" in given else None
    triggers = reader.items(given["triggers"], notes, "triggers") if "triggers" in given else ()
    last = reader.day(given["last_reviewed"], notes, "last_reviewed") if "last_reviewed" in given else None
    following = reader.day(given["next_review"], notes, "next_review") if "next_review" in given else None
    if last and following and following <= last:
        notes.add(given["next_review"].line, "the next review is not after the last", "Set a later date.")
    return _Front(
        kind=kind or "other",
        triggers=tuple(trigger for item in triggers if (trigger := reader.text(item, notes, "a trigger"))),
        owner=reader.text(given["owner"], notes, "owner") if "owner" in given else None,
        last_reviewed=last,
        next_review=following,
    )


def _headings(name: str, page: Page, notes: Notes) -> tuple[str, str, Sequence[Section]]:
    """The title, the introduction, and the sections that are steps. A first heading of level 1 is a title."""
    sections = list(page.sections)
    title, intro = name.replace("-", " ").replace("_", " ").capitalize(), ""
    if sections and sections[0].level == 0:
        intro = sections[0].prose
        for block in sections[0].blocks:
            notes.add(block.line, "this step block stands before any heading", "Put a heading above it.")
        del sections[0]
    if sections and sections[0].level == 1 and not sections[0].blocks:
        title = sections[0].title or title
        intro = "\n\n".join(part for part in (intro, sections[0].prose) if part)
        del sections[0]
    if not sections:
        notes.add(
            1, "the runbook has no steps", "Add at least one heading, such as `## Look at the pipeline`."
        )
    return title, intro, sections


def _steps(
    sections: Sequence[Section], operations: Mapping[str, str], notes: Notes
) -> tuple[tuple[Step, ...], dict[str, tuple[_Way, ...]]]:
    steps: dict[str, Step] = {}
    ways: dict[str, tuple[_Way, ...]] = {}
    for section in sections:
        step_id = slug(section.title)
        if not step_id:
            notes.add(section.line, "this heading has no words", "Give the step a name in letters or digits.")
            continue
        if step_id in steps:
            notes.add(
                section.line,
                f"the heading {shown(section.title)} is there twice (first in line {steps[step_id].line})",
                "Give each step a name of its own.",
            )
            continue
        step = Step(id=step_id, title=section.title, prose=section.prose, line=section.line)
        steps[step_id] = step
        for extra in section.blocks[1:]:
            notes.add(extra.line, "this step has a second block", "Give it a heading of its own.")
        if section.blocks:
            steps[step_id], ways[step_id] = _with_block(step, section.blocks[0], operations, notes)
    return tuple(steps.values()), ways


def _with_block(
    step: Step, block: Block, operations: Mapping[str, str], notes: Notes
) -> tuple[Step, tuple[_Way, ...]]:
    mistakes_before = len(notes.mistakes)
    tree = read_tree(block.text, notes, first_line=block.line + 1)
    if tree is None:
        if len(notes.mistakes) == mistakes_before:
            notes.add(block.line, "the step block is empty", "Add `run: OPERATION`, or remove the block.")
        return step, ()
    found = reader.entries(tree, notes, "a step block", ["run", "with", "next"])
    run = reader.text(found["run"], notes, "run") if "run" in found else None
    if run is not None and run not in operations:
        notes.add(found["run"].line, f"there is no operation {shown(run)}", suggest(run, operations))
        run = None
    if "with" in found and "run" not in found:
        notes.add(found["with"].line, "`with` needs an operation", "Add `run: OPERATION`, or remove `with`.")
    params = reader.entries(found["with"], notes, "with") if "with" in found else {}
    ways = _ways(found["next"], notes) if "next" in found and not reader.absent(found["next"]) else ()
    return replace(
        step,
        run=run,
        risk=operations[run] if run is not None else None,
        params={key: reader.plain(value) for key, value in params.items()},
    ), ways


def _ways(tree: Tree, notes: Notes) -> tuple[_Way, ...]:
    if isinstance(tree, Items):
        notes.add(tree.line, "next must be a mapping", "Write it as {FINDING: STEP, else: STEP}.")
        return ()
    if not isinstance(tree, Entries):
        return (_Way(when=ELSE, goto=tree.text.strip(), line=tree.line),)
    ways = []
    for key, value in tree.entries:
        if not _WHEN.fullmatch(key.text):
            remedy = "Write the id of a finding (small letters, digits, _), a severity, or else."
            notes.add(key.line, f"{shown(key.text)} cannot be a finding", remedy)
            continue
        goto = END if reader.absent(value) else reader.text(value, notes, f"next, {key.text}")
        if goto is not None:
            ways.append(_Way(when=key.text, goto=goto, line=value.line))
    return tuple(ways)


def _connect(
    steps: Sequence[Step], ways: Mapping[str, Sequence[_Way]], notes: Notes
) -> tuple[tuple[Step, ...], frozenset[str]]:
    """The steps with their ways, and what unknown goals were probably meant to be."""
    ids = [step.id for step in steps]
    following = dict(zip(ids, [*ids[1:], None], strict=False))
    guesses: set[str] = set()
    connected = []
    for step in steps:
        branches = []
        for way in ways.get(step.id, ()):
            goal = _goal(way.goto or END, ids)
            if goal is None and slug(way.goto or END) != END:
                notes.add(way.line, f"there is no step {shown(way.goto or '')}", suggest(way.goto or "", ids))
                guesses.add(closest(way.goto or "", ids) or "")
                continue
            branches.append(Branch(way.when, goal))
        connected.append(replace(step, branches=tuple(branches), following=following[step.id]))
    return tuple(connected), frozenset(guesses)


def _goal(goto: str, ids: Sequence[str]) -> str | None:
    """The step that a branch names: by its id, its heading, or the first words of exactly one heading."""
    wanted = slug(goto)
    if wanted in ids:
        return wanted
    begun = [step_id for step_id in ids if wanted and step_id.startswith(wanted + "-")]
    return begun[0] if len(begun) == 1 else None


def _note_unreachable(runbook: Runbook, guesses: frozenset[str], notes: Notes) -> None:
    reached = reachable(runbook)
    for step in runbook.steps:
        # What a misspelt goal meant is told there already, and what follows it comes back with it.
        if step.id not in reached and not _behind(runbook, guesses, step.id):
            notes.add(
                step.line,
                f"no way leads to the step {shown(step.title)}",
                f"Name it (`{step.id}`) in the `next` of an earlier step, or remove it.",
            )


def _behind(runbook: Runbook, guesses: frozenset[str], step_id: str) -> bool:
    return any(
        step_id in reachable(replace(runbook, steps=tuple(_rotated(runbook.steps, guess))))
        for guess in guesses
    )


def _rotated(steps: Sequence[Step], first: str) -> list[Step]:
    """The steps with one of them put first, from which `reachable` then starts; none without that one."""
    start = [step for step in steps if step.id == first]
    return [*start, *(step for step in steps if step.id != first)] if start else []
