"""The bot's way through a runbook: read-only steps by itself, everything else offered as a button.

A step is a run of an operation whose id names incident, epoch, runbook and step, so that it runs
once however often it is asked for; a run that was killed is taken up again (reading is harmless).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.core import lifecycle
from bot.core.effects import line
from bot.core.incident import Incident
from bot.core.runbook import Runbook, Step, by_name, choose_next, unwrapped
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Run, Tx

BOT = lifecycle.BOT


def start_runbook(tx: Tx, house: House, incident: Incident) -> None:
    """Begin the incident's runbook; what cannot be run is said in the channel."""
    book = by_name(house.runbooks, incident.runbook) if incident.runbook else None
    key = f"runbook:{incident.name}:{incident.epoch}:{incident.runbook or 'none'}"
    if book is None:
        text = f"There is no runbook for {incident.kind} incidents; add one to the runbooks folder."
        tx.enqueue([line(incident, key, text)])
        return
    text = f"Runbook {book.title}: {len(book.steps)} steps; reading runs by itself, changes wait for you."
    tx.enqueue([line(incident, key, text)])
    if house.pipeline(incident.pipeline) is None:
        text = (
            f"{incident.pipeline} is not in pipelines.yaml, so nothing can be measured. "
            f"Follow the runbook by hand: `/runbook show {book.name}`."
        )
        tx.enqueue([line(incident, f"{key}:unclaimed", text)])
        return
    if book.steps:
        take(tx, house, incident, book, book.steps[0])


def step_id(incident: Incident, book: Runbook, step: Step) -> str:
    """The run id of a step: the same step of the same epoch is one run."""
    return f"step:{incident.name}:{incident.epoch}:{book.name}:{step.id}"


def take(tx: Tx, house: House, incident: Incident, book: Runbook, step: Step) -> None:
    """Go to a step: run it when it only reads, else offer it."""
    if step.run is None or not step.automatic:
        offer(tx, incident, book, step)
        return
    run = Run(
        id=step_id(incident, book, step),
        operation=step.run,
        pipeline=incident.pipeline,
        params=dict(step.params),
        state="asked",
        requested_by=BOT,
        created_at=tx.now(),
        incident=incident.id,
        step=f"{book.name}/{step.id}",
        risk=house.operations.get(step.run, "read"),
        reply={"in_incident": True, "own": True},
    )
    if tx.run(run.id) is None:
        tx.put_run(run)


def step_button(
    incident: Incident, operation: str, label: str, params: Mapping[str, Any], step: str = ""
) -> dict[str, Any]:
    """A button that asks for an operation: its plan is shown before anything is done."""
    value = {"incident": incident.id, "operation": operation, "params": dict(params), "step": step}
    return {"action": "step_run", "label": label, "value": json.dumps(value, separators=(",", ":"))}


def offer(tx: Tx, incident: Incident, book: Runbook, step: Step) -> None:
    """Show a step that a person decides or does, with its button."""
    place = [s.id for s in book.steps].index(step.id) + 1
    head = f"Step {place} of {len(book.steps)}, for you: {step.title}"
    name = f"{book.name}/{step.id}"
    if step.run is not None:
        buttons = [step_button(incident, step.run, f"Plan: {step.title}"[:75], step.params, name)]
    else:
        value = json.dumps({"incident": incident.id, "step": name}, separators=(",", ":"))
        buttons = [{"action": "step_done", "label": f"Done: {step.title}"[:75], "value": value}]
    key = f"offer:{incident.name}:{incident.epoch}:{book.name}:{step.id}"
    tx.enqueue([line(incident, key, f"{head}\n{unwrapped(step.prose)}".strip(), buttons=buttons)])


def find(house: House, name: str) -> tuple[Runbook, Step] | None:
    """The runbook and step behind ``runbook/step``."""
    stem, _, step_name = name.partition("/")
    book = by_name(house.runbooks, stem)
    step = book.step(step_name) if book is not None else None
    return (book, step) if book is not None and step is not None else None


def finished(
    tx: Tx, house: House, incident: Incident, name: str, verdict: str, findings: Sequence[str], severity: str
) -> Incident:
    """A step was carried out: note it, and go where its findings point."""
    found = find(house, name)
    if found is None or not incident.active:
        return incident
    book, step = found
    data = {"runbook": book.name, "step": name, "title": step.title, "state": "done", "verdict": verdict}
    after = change(tx, house, incident, incident.id, [lifecycle.event("step", tx.now(), BOT, **data)])
    following = choose_next(step, findings, severity)
    coming = book.step(following) if following is not None else None
    if coming is not None and f"{book.name}/{coming.id}" not in after.steps:
        take(tx, house, after, book, coming)
    return after


def ticked(tx: Tx, house: House, incident: Incident, name: str, person: str) -> Incident:
    """A person did a step of theirs."""
    found = find(house, name)
    if found is None or name in incident.steps:
        return incident
    book, step = found
    data = {"runbook": book.name, "step": name, "title": step.title, "state": f"done by {person}"}
    after = change(tx, house, incident, incident.id, [lifecycle.event("step", tx.now(), person, **data)])
    following = choose_next(step, (), "unknown")
    coming = book.step(following) if following is not None else None
    if coming is not None and f"{book.name}/{coming.id}" not in after.steps:
        take(tx, house, after, book, coming)
    return after
