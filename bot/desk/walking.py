"""What a runbook in an incident does next: which events follow from a change, and what leaves because of them.

`change` calls this in its transaction, so a step is taken, its run asked for and its button offered together with
the event that it follows from, or not at all; the incident's lock keeps two replicas from taking it twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.core import lifecycle, step_words, walk
from bot.core import roster as rosters
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.folding import evolve
from bot.core.incident import Event, Incident
from bot.core.rows import in_channel, line
from bot.core.runbook import SOMETHING_ELSE, Runbook, Step, by_name, label_of
from bot.core.sentences import waited
from bot.desk.house import House
from bot.desk.ports import Run, Tx

BOT = lifecycle.BOT
_BEGINS = frozenset({"channel_created", "kind_changed", "runbook_matched", "reopened"})


def follow(tx: Tx, house: House, incident: Incident, stored: Sequence[Event]) -> list[Event]:
    """The events of its runbook that follow from what was stored: the run begins, takes a step, or ends."""
    events: list[Event] = []
    if not incident.active or not incident.channel_id:
        return events
    if any(e.type in _BEGINS for e in stored) and (first := _begins(tx, house, incident, stored)) is not None:
        events.append(first)
        incident = evolve(incident, first)
    while incident.walk is not None and incident.walk.epoch == incident.epoch:
        book = by_name(house.runbooks, incident.walk.runbook)
        coming = walk.follow(incident.walk, book, holder(house, incident, tx.now()))
        if coming is None:
            break
        events.append(lifecycle.event(coming[0], tx.now(), BOT, **coming[1]))
        incident = evolve(incident, events[-1])
    return events


def _begins(tx: Tx, house: House, incident: Incident, stored: Sequence[Event]) -> Event | None:
    """The event that begins the incident's runbook; None, and a word in the channel, where it cannot be run."""
    standing = incident.walk
    again = any(e.type in ("channel_created", "reopened") for e in stored)
    if not again and standing is not None and standing.runbook == incident.runbook:
        return None
    book = by_name(house.runbooks, incident.runbook) if incident.runbook else None
    key = f"runbook:{incident.name}:{incident.epoch}:{incident.runbook or 'none'}"
    if book is None:
        text = f"There is no runbook for {incident.kind} incidents; add one to the runbooks folder."
        tx.enqueue([line(incident, key, text)])
        return None
    if not can_walk(house, incident, book):
        text = (
            f"{incident.pipeline} is not in pipelines.yaml, so nothing can be measured. "
            f"Follow the runbook {book.title} by hand: `/runbook show {book.name}`."
        )
        tx.enqueue([line(incident, key, text)])
        return None
    data = walk.started(book, standing, incident.epoch)
    return lifecycle.event(walk.STARTED, tx.now(), BOT, **data)


def can_walk(house: House, incident: Incident, book: Runbook) -> bool:
    """Whether the bot can carry it out: its pipeline is claimed, or nothing of it is an operation's."""
    return house.pipeline(incident.pipeline) is not None or all(step.run is None for step in book.steps)


def holder(house: House, incident: Incident, now: datetime) -> str:
    """Who has the incident: the assignee, whoever acknowledged, else the primary on call."""
    primary = rosters.primary(house.roster, now)
    return incident.assignee or incident.acked_by or (primary.name if primary is not None else "")


def reminders(house: House, incident: Incident, now: datetime) -> list[Event]:
    """The reminder of a step that has waited for too long, if it is due."""
    data = walk.reminder(incident.walk, now) if incident.active else None
    if data is None:
        return []
    name = holder(house, incident, now) or data["waits_for"]
    person = house.roster.people.get(name)
    mentions = [person.slack] if person is not None and person.slack else []
    return [lifecycle.event(walk.REMINDED, now, BOT, **{**data, "waits_for": name, "mentions": mentions})]


def next_reminder(incident: Incident) -> datetime | None:
    """When the next reminder is due, or None."""
    return walk.next_reminder(incident.walk) if incident.active else None


# --- what leaves ------------------------------------------------------------------------------------------


def act(tx: Tx, house: House, before: Incident | None, incident: Incident, stored: Sequence[Event]) -> None:
    """Ask for the runs and offer the buttons that these events stand for; take back those that lead nowhere now."""
    _close(tx, before, incident, stored)
    for item in stored:
        ref = str(item.data.get("ref", ""))
        found = find(house, ref) if ref else None
        if found is None or incident.walk is None or incident.walk.at(ref) is None:
            continue
        book, step = found
        if item.type == walk.TAKEN and step.automatic:
            tx.put_run(_run(tx, house, incident, step, ref))
        elif item.type == walk.TAKEN:
            tx.enqueue([_offer(house, incident, book, step, ref, f"offer:{incident.name}:{ref}")])
        elif item.type == walk.REMINDED:
            data = {
                "form": "text",
                "text": waited(item.data),
                "mentions": list(item.data.get("mentions", ())),
                "buttons": buttons(step, ref, {"incident": incident.id}),
            }
            tx.enqueue(
                [in_channel(incident, Kind.POST, f"offer:{incident.name}:{item.seq}", Priority.PAGE, data)]
            )
        elif item.type == walk.CUT_OFF:
            key, note = f"offer:{incident.name}:{item.seq}", step_words.unknown(step)
            tx.enqueue([_offer(house, incident, book, step, ref, key, note)])
        elif item.type == walk.FINISHED and item.data.get("failed"):
            key, note = f"offer:{incident.name}:{item.seq}", step_words.failed(step, str(item.data["failed"]))
            tx.enqueue([_offer(house, incident, book, step, ref, key, note)])


def _close(tx: Tx, before: Incident | None, after: Incident, stored: Sequence[Event]) -> None:
    """The message of the step that waited says what became of it, and has no buttons any more."""
    walked = before.walk if before is not None else None
    visit = walked.current if walked is not None else None
    if walked is None or visit is None:
        return
    ref = walked.ref(visit)
    ticked = next((e for e in stored if e.type == walk.STEP and e.data.get("ref") == ref), None)
    if after.active and after.walk is not None and after.walk.at(ref) is not None:
        return
    if visit.how == "read" and (ticked is None or ticked.actor == BOT):
        return
    over = "the runbook has gone on or ended" if after.active else f"{after.name} is {after.status}"
    state = str(ticked.data["state"]) if ticked is not None else f"not done, {over}"
    note = str(ticked.data.get("note", "")) if ticked is not None else ""
    data = {"form": "text", "text": step_words.closed(visit.place, visit.of, visit.title, state, note)}
    # It was offered once more with each reminder, and each time that its operation was cut off, or did not work.
    again = [e.seq for e in tx.events(after.id) if e.data.get("ref") == ref and offers_again(e)]
    first = [] if visit.how == "read" else [f"offer:{after.name}:{ref}"]
    keys = [*first, *(f"offer:{after.name}:{seq}" for seq in again)]
    tx.enqueue([in_channel(after, Kind.POST, key, Priority.NEWS, data, replaces=True) for key in keys])


def offers_again(item: Event) -> bool:
    """Whether a step is put before a person again because of this: they forget it, nobody knows what came of it, or
    it failed."""
    return item.type in (walk.CUT_OFF, walk.REMINDED) or (
        item.type == walk.FINISHED and bool(item.data.get("failed"))
    )


def find(house: House, ref: str) -> tuple[Runbook, Step] | None:
    """The runbook and step behind a reference."""
    stem, step_id = walk.step_of(ref)
    book = by_name(house.runbooks, stem)
    step = book.step(step_id) if book is not None else None
    return (book, step) if book is not None and step is not None else None


def _run(tx: Tx, house: House, incident: Incident, step: Step, ref: str) -> Run:
    """A reading of the bot's own. Its id names incident and visit, so that it is asked for once."""
    return Run(
        id=f"step:{incident.name}:{ref}",
        operation=step.run or "",
        pipeline=incident.pipeline,
        params=dict(step.params),
        state="asked",
        requested_by=BOT,
        created_at=tx.now(),
        incident=incident.id,
        step=ref,
        risk=house.operations.get(step.run or "", "read"),
        reply={"in_incident": True, "own": True},
    )


def _offer(
    house: House, incident: Incident, book: Runbook, step: Step, ref: str, key: str, note: str = ""
) -> Outbound:
    text = step_words.offered(
        step, book.place(step.id), len(book.steps), address(house, step), values_of(incident), note
    )
    place = {"incident": incident.id}
    return line(incident, key, text, buttons=buttons(step, ref, place, unknown=bool(note)))


def address(house: House, step: Step) -> str:
    """Where the step's contact is reached, "" where nobody is named."""
    found = house.roster.contacts.get(step.contact or "")
    return found.value if found is not None else ""


def values_of(incident: Incident) -> dict[str, str]:
    """What a draft may leave to be filled in."""
    return {
        "incident": incident.name,
        "pipeline": incident.pipeline,
        "title": incident.title,
        "severity": str(incident.severity),
        "since": f"{incident.opened_at:%Y-%m-%d %H:%M} UTC",
        "verdict": _trouble(incident).rstrip("."),
        "status": incident.last_status,
    }


def _trouble(incident: Incident) -> str:
    """What is wrong, as it was last measured; a look that found nothing wrong, or nothing at all, does not tell it."""
    if incident.probe_verdict and incident.measurable and incident.good_since is None:
        return incident.probe_verdict
    return next((fact.text for fact in incident.holding if fact.text), incident.title)


def buttons(step: Step, ref: str, place: Mapping[str, Any], *, unknown: bool = False) -> list[dict[str, Any]]:
    """The buttons of a step: the plan of its operation, or one for each answer, and one for a note.

    `place` is where the step is carried out: {"incident": 7} or {"walk": id}. `unknown`: its operation was begun
    before, so a person may also say that it is done.
    """
    found: list[dict[str, Any]] = []
    if step.run is not None:
        value = {**place, "operation": step.run, "params": dict(step.params), "step": ref}
        found.append(_button("step_run", f"Plan: {step.title}", value))
        if not unknown:
            return found
    if step.contact is not None and place.get("incident"):
        about = f"{place['incident']}:{step.contact}"
        found.append(
            {"action": "contact_draft", "label": f"Draft a message to {step.contact}", "value": about}
        )
    where = {**place, "step": ref}
    for answer in step.answers:
        found.append(_button("step_done", label_of(answer), {**where, "answer": answer}))
    if step.answers:
        found.append(_button("step_done", "Something else", {**where, "answer": SOMETHING_ELSE}))
    else:
        found.append(_button("step_done", f"Done: {step.title}", where))
    return [*found, _button("step_note", "Done, with a note", where)]


def _button(action: str, label: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"action": action, "label": label[:75], "value": json.dumps(value, separators=(",", ":"))}
