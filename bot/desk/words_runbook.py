"""``/runbook``: read a runbook, carry it out in an incident or in any channel, tick its steps off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.core import lifecycle, rounds, walk
from bot.core.access import Action
from bot.core.asks import OpenForm
from bot.core.delivery import Outbound
from bot.core.dry_run import dry_run
from bot.core.incident import Incident
from bot.core.refusal import Refused
from bot.core.runbook import SOMETHING_ELSE, Runbook, Step, by_name, unwrapped
from bot.core.sentences import when
from bot.core.walk import Visit, Walk
from bot.desk import errands, steps
from bot.desk.answers import private
from bot.desk.asked import Asked, need
from bot.desk.change import change, load
from bot.desk.walking import can_walk, find
from pipeline.operations import complete_word

Answers = list[Outbound] | OpenForm


def _told(asked: Asked, text: str, lines: Sequence[str] | None = None) -> Answers:
    if lines is None:
        return [private(asked.asker, asked.key, text)]
    return [private(asked.asker, asked.key, text, form="list", lines=list(lines))]


def _book(asked: Asked) -> Runbook:
    names = [b.name for b in asked.house.runbooks]
    if not asked.words:
        raise Refused("Which runbook?", f"There are: {', '.join(names)}.")
    found = by_name(asked.house.runbooks, asked.words[0])
    if found is None:
        guess = complete_word(asked.words[0], names)
        raise Refused(
            f"There is no runbook {asked.words[0]}.",
            f"Did you mean {guess}?" if guess else f"There are: {', '.join(names)}.",
        )
    return found


PROSE_SHOWN = 10


def list_(asked: Asked) -> Answers:
    """list: the runbooks there are"""
    lines = [f"{b.name}: {b.title} ({b.kind}, {len(b.steps)} steps)" for b in asked.house.runbooks]
    return _told(asked, f"{len(lines)} runbooks", lines or ["none"])


def show(asked: Asked) -> Answers:
    """show NAME: read one"""
    book = _book(asked)
    lines = []
    for place, step in enumerate(book.steps, 1):
        how = f"runs {step.run}" if step.run else "for a person"
        lines.append(f"{place}. {step.title} ({how})")
        prose = [f"    {part}" for part in unwrapped(step.prose).splitlines()]
        lines += [*prose[:PROSE_SHOWN], *(["    …"] if len(prose) > PROSE_SHOWN else [])]
    head = [book.title, unwrapped(book.intro)]
    if book.thresholds:
        head.append("Thresholds: " + ", ".join(f"{name} {value}" for name, value in book.thresholds.items()))
    for subject in book.contacts:
        contact = asked.house.roster.contacts.get(subject)
        head.append(f"Contact {subject}: {contact.value if contact is not None else 'nobody is named'}")
    return _told(asked, "\n".join(part for part in head if part), lines)


# --- carrying out -----------------------------------------------------------------------------------------


def run(asked: Asked) -> Answers:
    """run NAME [--dry-run] [--pipeline P]: carry it out here; reading runs by itself, changes wait for you"""
    book = _book(asked)
    if "--dry-run" in asked.words:
        contacts = {name: contact.value for name, contact in asked.house.roster.contacts.items()}
        head = f"Dry run of {book.title}: nothing is done. Every step and where it can lead:"
        return _told(asked, head, dry_run(book, contacts))
    incident = _incident(asked)
    return _run_here(asked, book) if incident is None else _run_in(asked, incident, book)


def _run_in(asked: Asked, incident: Incident, book: Runbook) -> Answers:
    need(asked, "respond", incident)
    if not incident.active:
        raise Refused(f"{incident.name} is {incident.status}.")
    if not can_walk(asked.house, incident, book):
        raise Refused(
            f"{incident.pipeline} is not in pipelines.yaml, so nothing can be measured.",
            f"`/runbook show {book.name}` reads it.",
        )
    data = walk.started(book, incident.walk, incident.epoch)
    item = lifecycle.event(walk.STARTED, asked.now, asked.name, **data)
    change(asked.tx, asked.house, incident, incident.id, [item])
    return _told(asked, f"{book.title} runs in this channel.")


def _incident(asked: Asked) -> Incident | None:
    number = asked.tx.incident_of_channel(asked.asker.channel) if asked.asker.channel else None
    return asked.tx.incident(number) if number is not None else None


def _run_here(asked: Asked, book: Runbook) -> Answers:
    need(asked, "respond")
    standing = errands.here(asked.tx, asked.asker.channel)
    if standing is not None:
        name = standing.operation.partition(":")[2]
        raise Refused(f"{name} is being carried out in this channel.", "`/runbook stop` ends it.")
    pipeline = _pipeline(asked, book)
    errands.begin(
        asked.tx,
        asked.house,
        book,
        walk_id=f"walk:{asked.key}",
        pipeline=pipeline,
        channel=asked.asker.channel,
        user=asked.asker.user,
        who=asked.name,
    )
    return _told(asked, f"{book.title} runs in this channel. `/runbook status` shows where it stands.")


def _pipeline(asked: Asked, book: Runbook) -> str:
    names = [p.name for p in asked.house.pipelines]
    words = list(asked.words)
    named = next((w.partition("=")[2] for w in words if w.startswith("--pipeline=")), "")
    if "--pipeline" in words[:-1]:
        named = words[words.index("--pipeline") + 1]
    if named and named not in names:
        guess = complete_word(named, names)
        hint = f"Did you mean {guess}?" if guess else f"There are: {', '.join(names)}."
        raise Refused(f"There is no pipeline {named} in pipelines.yaml.", hint)
    if named or len(names) == 1:
        return named or names[0]
    if all(step.run is None for step in book.steps):
        return ""
    raise Refused("Which pipeline?", f"Name it with --pipeline. There are: {', '.join(names) or 'none'}.")


# --- where it stands --------------------------------------------------------------------------------------


def _place(asked: Asked) -> tuple[dict[str, Any], Walk]:
    """Where a runbook is carried out that this channel knows, and how far it is. Raises Refused."""
    incident = _incident(asked)
    if incident is not None:
        need(asked, "respond", incident)
        if incident.walk is not None:
            return {"incident": incident.id}, incident.walk
    elif (standing := errands.here(asked.tx, asked.asker.channel)) is not None:
        need(asked, "respond")
        found = errands.walk_of(asked.tx, standing.id)
        if found is not None:
            return {"walk": standing.id}, found
    raise Refused("No runbook is being carried out in this channel.", "`/runbook run NAME` begins one.")


def status(asked: Asked) -> Answers:
    """status: where the runbook of this channel stands, and who ticked what"""
    _, walked = _place(asked)
    incident = _incident(asked)
    held = (incident.assignee or incident.acked_by) if incident is not None else ""
    where = walk.progress(walked, asked.now, held) or f"ended: {walked.ended or 'the incident is over'}"
    lines = [_line(visit) for visit in walked.visits]
    return _told(asked, f"{walked.title}, begun {when(walked.began_at)} by {walked.by}: {where}", lines)


def _line(visit: Visit) -> str:
    if visit.done_at is None:
        return f"now: {visit.place}. {visit.title} ({visit.state})"
    note = f": {visit.note}" if visit.note else ""
    return f"done {when(visit.done_at)} by {visit.by}: {visit.place}. {visit.title}{note}"


def done(asked: Asked) -> Answers:
    """done [STEP] [ANSWER] [NOTE]: tick off the step that waits, with what came of it"""
    place, walked = _place(asked)
    visit = walked.current
    if visit is None:
        raise Refused(f"{walked.title} has no step that waits.", "`/runbook status` shows what was done.")
    ref = walked.ref(visit)
    found = find(asked.house, ref)
    words = _after_step(asked, visit, found[0] if found is not None else None)
    answer, rest = steps.answer_of(found[1] if found is not None else None, words)
    return _ticked(asked, place, ref, answer, " ".join(rest))


def _after_step(asked: Asked, visit: Visit, book: Runbook | None) -> tuple[str, ...]:
    """The words without the step that they may begin with. Raises Refused when that is another step."""
    words = asked.words
    named = _step_named(book, words[0]) if words and book is not None else None
    if named is None:
        return words
    if named.id != visit.step:
        raise Refused(
            f"It is not the turn of “{named.title}”: step {visit.place}, “{visit.title}”, waits.",
            "`/runbook done` ticks that one off; `/incident note` writes down what was done besides.",
        )
    return words[1:]


def _step_named(book: Runbook, word: str) -> Step | None:
    """The step of this place or id."""
    plain = word.casefold().strip(".,:")
    if re.fullmatch(r"[0-9]{1,4}", plain):
        place = int(plain)
        return book.steps[place - 1] if 1 <= place <= len(book.steps) else None
    return book.step(plain)


def _ticked(asked: Asked, place: Mapping[str, Any], ref: str, answer: str, note: str) -> Answers:
    visit = steps.ticked(asked.tx, asked.house, place, ref, asked.name, answer=answer, note=note)
    where = "on the timeline" if place.get("incident") else "in the audit book"
    return _told(asked, f"Ticked off, and {where}: {visit.title}.")


def stop(asked: Asked) -> Answers:
    """stop [REASON]: end the runbook of this channel; what was done stays on the timeline"""
    place, walked = _place(asked)
    steps.stopped(asked.tx, asked.house, place, asked.name, asked.rest)
    return _told(asked, f"{walked.title} is ended.")


def rounds_(asked: Asked) -> Answers:
    """rounds: the last checklists of the calendar, and who ticked what"""
    need(asked, "read")
    lines = [rounds.summary(each) for each in asked.tx.rounds(limit=20)]
    return _told(asked, "The last rounds of the operations calendar", lines or ["none yet"])


# --- buttons and forms ------------------------------------------------------------------------------------


def _may(asked: Asked, place: Mapping[str, Any]) -> None:
    incident = load(asked.tx, int(place["incident"])) if place.get("incident") else None
    need(asked, "respond", incident)


def take(asked: Asked, value: str) -> Answers:
    """A click on the offer of a runbook that fits better."""
    number, _, name = value.partition(":")
    book = by_name(asked.house.runbooks, name)
    if book is None:
        raise Refused(f"There is no runbook {name} any more.", "`/runbook list` shows the ones there are.")
    incident = load(asked.tx, int(number))
    standing = incident.walk if incident.walk is not None and incident.walk.ended_at is None else None
    if standing is not None and (standing.runbook, standing.epoch) == (book.name, incident.epoch):
        raise Refused(
            f"{book.title} is being carried out already.", "`/runbook status` shows where it stands."
        )
    return _run_in(asked, incident, book)


def done_by_button(asked: Asked, value: str) -> Answers:
    """A click on a step's button: it is done, with the answer that stands on the button."""
    wanted = json.loads(value)
    _may(asked, wanted)
    _ticked(asked, wanted, str(wanted["step"]), str(wanted.get("answer") or ""), "")
    return []  # The message that was clicked says it, to everybody.


def note_form(asked: Asked, value: str) -> Answers:
    """A click on “Done, with a note”: the form that asks for it, and for the answer where there is one."""
    wanted = json.loads(value)
    _may(asked, wanted)
    ref = str(wanted["step"])
    visit = steps.must_stand(asked.tx, wanted, ref)
    found = find(asked.house, ref)
    answers = found[1].answers if found is not None else ()
    answers = (*answers, SOMETHING_ELSE) if answers else ()
    return OpenForm(name="step_note", title=visit.title, context=value, values={"answers": " ".join(answers)})


def done_by_form(asked: Asked, context: str, values: Mapping[str, str]) -> Answers:
    """The form sent: the step is done, with its note."""
    wanted = json.loads(context)
    _may(asked, wanted)
    _ticked(asked, wanted, str(wanted["step"]), values.get("answer", ""), values.get("note", ""))
    return []


WORDS: Mapping[str, Callable[[Asked], Answers]] = {
    "list": list_,
    "show": show,
    "run": run,
    "status": status,
    "done": done,
    "stop": stop,
    "rounds": rounds_,
}

NEEDS: Mapping[str, Action] = {"run": "respond", "status": "respond", "done": "respond", "stop": "respond"}
