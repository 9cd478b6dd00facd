"""A runbook walked without doing anything: every step, every way on, and what would be done. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.core.policy import format_duration
from bot.core.runbook import END, Runbook, Step, targets
from bot.core.text import counted as counted_of

MOST_WAYS = 10_000
"""Ways through are counted up to here: branches multiply."""


def dry_run(book: Runbook, contacts: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Lines for people: a summary, then each step in the order of the page with its ways on.

    `contacts` are addresses by subject, to be named where a step is a message to somebody.
    """
    lines = [_summary(book)]
    for place, step in enumerate(book.steps, 1):
        lines.append(f"{place}. {step.title}: {_would(step, contacts or {})}")
        lines += [f"    {when} -> {_goal(book, goal)}" for when, goal in _ways_on(step)]
    return tuple(lines)


def ways_through(book: Runbook) -> Iterator[tuple[str, ...]]:
    """Every way from the first step to an end, as ids; a way that comes back to a step it has passed stops there."""
    if not book.steps:
        return
    waiting: list[tuple[str, ...]] = [(book.steps[0].id,)]
    while waiting:
        way = waiting.pop()
        step = book.step(way[-1])
        goals = targets(step) if step is not None else ()
        on = [goal for goal in goals if goal not in way]
        if step is None or _may_end(step) or len(on) < len(goals) or not goals:
            yield way
        waiting += [(*way, goal) for goal in reversed(on)]


def _may_end(step: Step) -> bool:
    return any(goal is None for _, goal in _ways_on(step))


def _summary(book: Runbook) -> str:
    counted, longest, changing = 0, 0, 0
    changes = {step.id for step in book.steps if step.how in ("change", "destructive")}
    for way in ways_through(book):
        counted += 1
        longest = max(longest, len(way))
        changing += bool(changes & set(way))
        if counted == MOST_WAYS:
            break
    many = ("at least " if counted == MOST_WAYS else "") + counted_of(counted, "way")
    return (
        f"{counted_of(len(book.steps), 'step')}, {many} through, the longest with"
        f" {counted_of(longest, 'step')};"
        f" {changing} of them with a change."
    )


def _ways_on(step: Step) -> list[tuple[str, str | None]]:
    """Each branch with its goal, and what happens when none holds; None is the end."""
    ways = [(branch.when, branch.goto) for branch in step.branches]
    if all(when != "else" for when, _ in ways):
        ways.append(("else" if ways else "then", step.following))
    if len(ways) == 1:
        return [("then", ways[0][1])]
    return ways


def _goal(book: Runbook, goal: str | None) -> str:
    step = book.step(goal) if goal is not None else None
    return f"{book.place(step.id)}. {step.title}" if step is not None else END


def _would(step: Step, contacts: Mapping[str, str]) -> str:
    command = _command(step)
    match step.how:
        case "read":
            what = f"the bot runs `{command}`"
        case "change":
            what = f"offers the plan of `{command}`; whoever may confirms it"
        case "destructive":
            what = f"offers the plan of `{command}`; on production its name is typed and a second person approves it"
        case _:
            what = "waits for a person"
    if step.contact is not None:
        what += f", who writes to {contacts.get(step.contact) or f'the contact {step.contact}'}"
    if step.answers:
        what += f", who answers {', '.join(answer.replace('_', ' ') for answer in step.answers)} or something else"
    if step.remind is not None:
        what += f"; reminds after {format_duration(step.remind)}"
    return what


def _command(step: Step) -> str:
    words = [f"/{(step.run or '').replace('.', ' ')}"]
    for name, value in step.params.items():
        flag = f"--{name.replace('_', '-')}"
        words.append(flag if value is True else f"{flag} {value}")
    return " ".join(words)
