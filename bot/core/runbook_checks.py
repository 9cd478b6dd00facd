"""What is wrong with the ways through a runbook, however well each step is written. Pure.

A run must come to every step and to an end, must never turn in a circle by itself, and nothing may be destroyed
before a person looked (design, "Operations").
"""

from __future__ import annotations

from collections.abc import Iterator

from bot.core.runbook import CALENDAR_KINDS, Runbook, Step, targets


def circles(runbook: Runbook) -> tuple[tuple[Step, ...], ...]:
    """The circles in which the bot would turn by itself: reading steps alone, each circle told once.

    A circle with a person's step or a change in it is a way to look again, and no mistake.
    """
    found: dict[frozenset[str], tuple[Step, ...]] = {}
    for step in runbook.steps:
        circle = _back_to(runbook, step)
        if circle:
            found.setdefault(frozenset(member.id for member in circle), circle)
    return tuple(found.values())


def _back_to(runbook: Runbook, start: Step) -> tuple[Step, ...]:
    """A shortest way of reading steps from a step back to itself, or nothing."""
    if not start.automatic:
        return ()
    ways: list[tuple[Step, ...]] = [(start,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for goal in targets(way[-1]):
            step = runbook.step(goal)
            if goal == start.id:
                return way
            if step is not None and step.automatic and goal not in seen:
                seen.add(goal)
                ways.append((*way, step))
    return ()


def without_gate(runbook: Runbook) -> Iterator[tuple[Step, str]]:
    """Steps that a run can come to before any person looked, though they need one: (step, why).

    What destroys always needs one; in a checklist of the calendar, which nobody started, every change does.
    """
    unattended = runbook.kind in CALENDAR_KINDS
    for step in runbook.steps:
        if step.how == "destructive":
            why = f"{step.run} destroys"
        elif step.how == "change" and unattended:
            why = f"{step.run} changes something, and nobody asked for this checklist"
        else:
            continue
        if step.id in _unattended(runbook):
            yield step, why


def _unattended(runbook: Runbook) -> frozenset[str]:
    """The ids of the steps to which a way leads that passes no person's step."""
    waiting = [runbook.steps[0].id] if runbook.steps else []
    seen: set[str] = set()
    while waiting:
        step = runbook.step(waiting.pop())
        if step is None or step.id in seen:
            continue
        seen.add(step.id)
        if step.run is not None:
            waiting.extend(targets(step))
    return frozenset(seen)


def endless(runbook: Runbook) -> tuple[Step, ...]:
    """Steps from which no way leads to an end, in the document's order."""
    ending = {step.id for step in runbook.steps if _ends(step)}
    grown = True
    while grown:
        more = {step.id for step in runbook.steps if step.id not in ending and ending & set(targets(step))}
        ending |= more
        grown = bool(more)
    return tuple(step for step in runbook.steps if step.id not in ending)


def _ends(step: Step) -> bool:
    if any(branch.goto is None for branch in step.branches):
        return True
    return step.following is None and all(branch.when != "else" for branch in step.branches)
