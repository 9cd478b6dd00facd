"""Steps of a runbook that end: an operation reported, or a person ticked it off.

What comes after a step follows by itself, in the transaction of the change (`walking` in an incident, `errands`
where there is none).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.core import book, lifecycle, walk
from bot.core.incident import Incident
from bot.core.refusal import Refused
from bot.core.runbook import SOMETHING_ELSE, Step
from bot.core.walk import Visit, Walk
from bot.desk import errands
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Run, Tx
from bot.desk.walking import find

NOTE_MAX = 500


def standing(tx: Tx, place: Mapping[str, Any]) -> Walk | None:
    """The run of a runbook at a place: {"incident": 7} or {"walk": id}."""
    if place.get("walk"):
        return errands.walk_of(tx, str(place["walk"]))
    incident = tx.incident(int(place["incident"])) if place.get("incident") else None
    return incident.walk if incident is not None and incident.active else None


def place_of(run: Run) -> dict[str, Any]:
    """Where the step of a run belongs."""
    return {"walk": run.reply.get("walk"), "incident": run.incident}


def must_stand(tx: Tx, place: Mapping[str, Any], ref: str) -> Visit:
    """The visit that a button or a plan is of. Raises Refused when the runbook has gone on since."""
    found = standing(tx, place)
    visit = found.at(ref) if found is not None else None
    if visit is not None:
        return visit
    past = next((v for v in found.visits if found.ref(v) == ref), None) if found is not None else None
    if past is not None and past.done_at is not None:
        raise Refused(f"This step of the runbook was done already, by {past.by}: {past.title}.", _hint(past))
    raise Refused("The runbook has gone on since; this step is not its turn any more.", _hint(past))


def _hint(past: Visit | None) -> str:
    again = "; the operation's own command plans it anew" if past is None or past.operation else ""
    return f"`/runbook status` shows where it stands{again}."


def finished(tx: Tx, house: House, run: Run, verdict: str, findings: Sequence[str], severity: str) -> None:
    """The operation of a step reported: note it, and go where its findings point."""
    found, place = find(house, run.step), place_of(run)
    walked = standing(tx, place)
    visit = walked.at(run.step) if walked is not None else None
    if walked is None or visit is None:
        return
    step = found[1] if found is not None else None
    data = walk.done(walked, visit, step, "done", findings, severity)
    _store(tx, house, place, lifecycle.BOT, {**data, "verdict": verdict})


def ticked(
    tx: Tx, house: House, place: Mapping[str, Any], ref: str, person: str, *, answer: str = "", note: str = ""
) -> Visit:
    """A person did a step, with their answer. Raises Refused when it is not its turn, or asks for an answer."""
    visit = must_stand(tx, place, ref)
    walked = standing(tx, place)
    assert walked is not None
    if visit.state == walk.RUNNING:
        raise Refused(f"{visit.operation} is being run for this step.", "Wait until it has reported.")
    found = find(house, ref)
    step = found[1] if found is not None else None
    if step is not None and step.answers and not answer:
        raise which_answer(step)
    state = f"done by {person}" + (f" ({answer.replace('_', ' ')})" if answer else "")
    data = walk.done(walked, visit, step, state, [answer] if answer else [], "unknown")
    note = note[:NOTE_MAX]
    _store(tx, house, place, person, {**data, "note": note, "answer": answer})
    where = int(place["incident"]) if place.get("incident") else None
    line = book.ticked(
        tx.now(), person, subject=str(place.get("walk") or ""), of=walked.title, item=visit.title, answer=answer,
        note=note, incident=where,
    )  # fmt: skip
    tx.write_down(line)
    return visit


def stopped(tx: Tx, house: House, place: Mapping[str, Any], person: str, reason: str) -> None:
    """A person ends the run."""
    walked = standing(tx, place)
    if walked is None or walked.ended_at is not None:
        raise Refused("No runbook is being carried out here.")
    data = {"runbook": walked.runbook, "reason": f"stopped by {person}" + (f": {reason}" if reason else "")}
    _store(tx, house, place, person, data, walk.ENDED)


def _store(
    tx: Tx, house: House, place: Mapping[str, Any], actor: str, data: Mapping[str, Any], kind: str = walk.STEP
) -> None:
    item = lifecycle.event(kind, tx.now(), actor, **data)
    if place.get("walk"):
        errands.change(tx, house, str(place["walk"]), [item])
        return
    incident = tx.incident(int(place["incident"]))
    if incident is not None:
        change(tx, house, incident, incident.id, [item])


def note_of_run(tx: Tx, house: House, run: Run, event: str, actor: str, **data: Any) -> None:
    """A phase of an operation that is a step of a runbook outside an incident."""
    if run.reply.get("walk") and event in walk.EVENTS:
        item = lifecycle.event(event, tx.now(), actor, ref=run.step, operation=run.operation, **data)
        errands.change(tx, house, str(run.reply["walk"]), [item])


def which_answer(step: Step) -> Refused:
    """The question back where a step has several ways on: nobody is taken along one that they did not choose."""
    ways = ", ".join(f"`{answer}`" for answer in (*step.answers, SOMETHING_ELSE))
    return Refused(
        f"Which answer? “{step.title}” has several ways on: {ways}. Nothing was ticked off.",
        f"`/runbook done {step.answers[0]}` with a note behind it, or the step's buttons.",
    )


def answer_of(step: Step | None, words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The answer that the words begin with ("" where it is none), and the words behind it: the note."""
    if step is None or not step.answers:
        return "", tuple(words)
    plain = [word.casefold().replace("-", "_").strip(",.:;") for word in words]
    for answer in sorted((*step.answers, SOMETHING_ELSE), key=len, reverse=True):
        for count in range(answer.count("_") + 1, 0, -1):
            if "_".join(plain[:count]) == answer.casefold():
                return answer, tuple(words[count:])
    return "", tuple(words)


def step_button(operation: str, label: str, params: Mapping[str, Any], incident: Incident) -> dict[str, Any]:
    """A button of a report that asks for an operation: its plan is shown before anything is done."""
    value = {"incident": incident.id, "operation": operation, "params": dict(params), "step": ""}
    return {"action": "step_run", "label": label, "value": json.dumps(value, separators=(",", ":"))}
