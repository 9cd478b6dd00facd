"""Reads a runbook: front matter, steps, and the ways between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.core.runbook import END, Branch, Runbook, Step, reachable
from bot.core.runbook_checks import circles, endless, without_gate
from bot.documents.markdown import Page, Section, take_apart
from bot.documents.mistakes import Notes, closest, shown, suggest
from bot.documents.runbook_front import read_front
from bot.documents.runbook_step import Way, read_block
from bot.documents.surroundings import Surroundings

_NUMBERING = re.compile(r"^\s*(?:step\s+)?\d+(?:\.\d+)*[.):]\s+", re.IGNORECASE)


def slug(title: str) -> str:
    """The id of a heading, as code hosts make it, without its numbering: `2. Restart it` -> `restart-it`."""
    words = re.sub(r"[^\w\s-]", "", _NUMBERING.sub("", title)).strip().lower()
    return re.sub(r"[\s-]+", "-", words).strip("-")


def read_runbook(name: str, text: str, known: Surroundings, notes: Notes) -> Runbook:
    """The runbook of this text; every mistake is noted, and what is wrong is left out."""
    page = take_apart(text, notes)
    front = read_front(page, known, notes)
    title, intro, sections = _headings(name, page, notes)
    steps, ways = _steps(sections, known, notes)
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
        thresholds=front.thresholds,
        contacts=front.contacts,
    )
    _note_unreachable(runbook, guesses, notes)
    _note_ways(runbook, notes)
    return runbook


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
    sections: Sequence[Section], known: Surroundings, notes: Notes
) -> tuple[tuple[Step, ...], dict[str, tuple[Way, ...]]]:
    steps: dict[str, Step] = {}
    ways: dict[str, tuple[Way, ...]] = {}
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
            steps[step_id], ways[step_id] = read_block(step, section.blocks[0], known, notes)
    return tuple(steps.values()), ways


def _connect(
    steps: Sequence[Step], ways: Mapping[str, Sequence[Way]], notes: Notes
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


def _note_ways(runbook: Runbook, notes: Notes) -> None:
    """What only shows when the steps are put together."""
    for circle in circles(runbook):
        names = " -> ".join(f"`{step.id}`" for step in (*circle, circle[0]))
        notes.add(
            circle[0].line,
            f"the bot would turn in a circle here: {names}",
            "Put a person's step between them, or lead one of them on.",
        )
    told = {step.id for circle in circles(runbook) for step in circle}
    for step in endless(runbook):
        # One trap is told once: what leads into it is in it as well.
        if not told & _behind_step(runbook, step.id):
            text = f"no way leads from {shown(step.title)} to an end"
            notes.add(step.line, text, "Let one branch lead to `end`.")
            told.add(step.id)
    for step, why in without_gate(runbook):
        notes.add(
            step.line,
            f"this step has no gate: {why}, and a way leads here that no person has passed",
            "Put a heading without `run` before it, where a person looks and says that it may be done.",
        )


def _behind_step(runbook: Runbook, step_id: str) -> frozenset[str]:
    return reachable(replace(runbook, steps=tuple(_rotated(runbook.steps, step_id))))
