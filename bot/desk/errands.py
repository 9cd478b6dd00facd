"""A runbook carried out in a channel, with no incident: troubleshooting at the desk, checklists of the calendar.

Its state is its events, kept in a row among the runs of operations (state `walking`), which is locked while it is
changed; so it survives a restart, and no step is taken twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core import lifecycle, step_words, walk
from bot.core.delivery import Outbound
from bot.core.incident import Event
from bot.core.runbook import Runbook, Step, by_name
from bot.core.sentences import waited
from bot.core.walk import Walk
from bot.desk.answers import to
from bot.desk.house import House
from bot.desk.ports import Run, Tx
from bot.desk.walking import address, buttons, find, offers_again

WALKING, OVER = "walking", "walked"
_FAMILY = "runbook:"


def begin(
    tx: Tx, house: House, book: Runbook, *, walk_id: str, pipeline: str, channel: str, user: str, who: str
) -> Run:
    """Begin a runbook in a channel. The same `walk_id` again changes nothing.

    `user` is the Slack id of whoever reads the answers where the channel cannot be written to, `who` their name.
    """
    known = tx.run(walk_id)
    if known is not None:
        return known
    run = Run(
        id=walk_id,
        operation=f"{_FAMILY}{book.name}",
        pipeline=pipeline,
        params={},
        state=WALKING,
        requested_by=who,
        created_at=tx.now(),
        reply={"channel": channel, "user": user},
        plan={"events": []},
    )
    tx.put_run(run)
    tx.put_value(_here(channel), walk_id)
    change(tx, house, walk_id, [lifecycle.event(walk.STARTED, tx.now(), who, **walk.started(book, None))])
    return tx.run(walk_id) or run


def here(tx: Tx, channel: str) -> Run | None:
    """What is being carried out in a channel, or None."""
    known = tx.get_value(_here(channel)) if channel else None
    run = tx.run(str(known)) if known else None
    return run if run is not None and run.state == WALKING else None


def _here(channel: str) -> str:
    return f"walk:{channel}"


def walk_of(tx: Tx, walk_id: str) -> Walk | None:
    """Where a run stands, after its end too; None for an unknown one."""
    run = tx.run(walk_id)
    return _folded(events_of(run)) if run is not None and run.operation.startswith(_FAMILY) else None


def events_of(run: Run) -> list[Event]:
    """What happened in it, in order."""
    return [
        Event(type=raw["type"], at=datetime.fromisoformat(raw["at"]), actor=raw["actor"], data=raw["data"])
        for raw in run.plan.get("events", ())
    ]


def _folded(events: Iterable[Event]) -> Walk | None:
    state: Walk | None = None
    for item in events:
        state = walk.fold(state, item.type, item.at, item.actor, item.data)
    return state


def change(tx: Tx, house: House, walk_id: str, events: Sequence[Event]) -> None:
    """Store events and what follows from them: the next step, its run, its button. The one way in for change."""
    run = tx.run(walk_id)
    if run is None or run.state != WALKING:
        return
    kept = events_of(run)
    fresh = list(events)
    state = _folded([*kept, *fresh])
    while state is not None:
        coming = walk.follow(state, by_name(house.runbooks, state.runbook), run.requested_by)
        if coming is None:
            break
        fresh.append(lifecycle.event(coming[0], tx.now(), lifecycle.BOT, **coming[1]))
        state = _folded([*kept, *fresh])
    over = state is None or state.ended_at is not None
    tx.move_run(
        walk_id, [WALKING], OVER if over else WALKING, plan={"events": [_raw(e) for e in [*kept, *fresh]]}
    )
    tx.enqueue(
        [
            *_closed(run, [*kept, *fresh], _folded(kept), state),
            *_rows(tx, house, run, state, fresh, len(kept)),
        ]
    )


def _raw(event: Event) -> dict[str, Any]:
    return {"type": event.type, "at": event.at.isoformat(), "actor": event.actor, "data": dict(event.data)}


def remind(tx: Tx, house: House) -> int:
    """Remind whoever has had a step for too long, in every channel; returns how many were reminded."""
    reminded = 0
    for known in tx.runs_in(WALKING):
        # Locked, and as it stands by then: another replica may have reminded meanwhile.
        run = tx.run(known.id) if _reminder(tx, known) is not None else None
        data = _reminder(tx, run) if run is not None and run.state == WALKING else None
        if data is not None:
            change(tx, house, known.id, [lifecycle.event(walk.REMINDED, tx.now(), lifecycle.BOT, **data)])
            reminded += 1
    return reminded


def _reminder(tx: Tx, run: Run) -> dict[str, Any] | None:
    return walk.reminder(_folded(events_of(run)), tx.now())


def _closed(run: Run, events: Sequence[Event], before: Walk | None, after: Walk | None) -> list[Outbound]:
    """The messages of the step that waited: they say what became of it, and have no buttons any more."""
    visit = before.current if before is not None else None
    if before is None or visit is None:
        return []
    ref = before.ref(visit)
    if after is not None and after.at(ref) is not None:
        return []
    mine = [(n, e) for n, e in enumerate(events) if e.data.get("ref") == ref]
    ticked = next((e for _, e in mine if e.type == walk.STEP), None)
    state = str(ticked.data["state"]) if ticked is not None else "not done"
    note = str(ticked.data.get("note", "")) if ticked is not None else ""
    text = step_words.closed(visit.place, visit.of, visit.title, state, note)
    offers = [n for n, e in mine if (e.type == walk.TAKEN and visit.how != "read") or offers_again(e)]
    return [replace(_line(run, f"{run.id}:{n}", text, (), ()), replaces=True) for n in offers]


def _rows(
    tx: Tx, house: House, run: Run, state: Walk | None, fresh: Sequence[Event], before: int
) -> list[Outbound]:
    rows = []
    for place, item in enumerate(fresh, before):
        ref = str(item.data.get("ref", ""))
        found = find(house, ref) if ref else None
        current = state is not None and bool(ref) and state.at(ref) is not None
        words = ""
        shown: Sequence[Mapping[str, Any]] = ()
        if item.type == walk.STARTED:
            words = (
                f"Runbook {item.data['title']} for {run.pipeline or 'no pipeline'}, begun by {item.actor}: "
            )
            words += f"{item.data['steps']} steps; reading runs by itself, changes wait for you."
        elif item.type == walk.ENDED:
            words = f"Runbook {item.data['runbook']} ends: {item.data['reason']}."
        elif item.type == walk.REMINDED:
            words = waited(item.data)
            if found is not None and current:
                shown = buttons(found[1], ref, {"walk": run.id})
        elif found is not None and current:
            words, shown = _offered(tx, house, run, item, *found)
        if words:
            mentions = _mentions(house, item) if item.type == walk.REMINDED else []
            rows.append(_line(run, f"{run.id}:{place}", words, shown, mentions))
    return rows


def _offered(
    tx: Tx, house: House, run: Run, item: Event, book: Runbook, step: Step
) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """The words and buttons of a step that waits for a person; a reading is asked for instead."""
    ref, note = str(item.data["ref"]), ""
    if step.automatic:
        if item.type == walk.TAKEN:
            tx.put_run(_reading(tx, house, run, step, ref))
        return "", ()
    if item.type == walk.CUT_OFF:
        note = step_words.unknown(step)
    elif item.type == walk.FINISHED and item.data.get("failed"):
        note = step_words.failed(step, str(item.data["failed"]))
    elif item.type != walk.TAKEN:
        return "", ()
    values = {"pipeline": run.pipeline}
    text = step_words.offered(step, book.place(step.id), len(book.steps), address(house, step), values, note)
    return text, buttons(step, ref, {"walk": run.id}, unknown=bool(note))


def _reading(tx: Tx, house: House, run: Run, step: Step, ref: str) -> Run:
    return replace(
        run,
        id=f"{run.id}:{ref}",
        operation=step.run or "",
        params=dict(step.params),
        state="asked",
        created_at=tx.now(),
        updated_at=None,
        step=ref,
        risk=house.operations.get(step.run or "", "read"),
        reply={**run.reply, "walk": run.id, "own": True},
        plan={},
        attempts=0,
    )


def _mentions(house: House, item: Event) -> list[str]:
    person = house.roster.people.get(str(item.data["waits_for"]))
    return [person.slack] if person is not None and person.slack else []


def _line(
    run: Run, key: str, text: str, shown: Sequence[Mapping[str, Any]], mentions: Sequence[str]
) -> Outbound:
    reply = {**run.reply, "own": True}
    data = {"form": "text", "text": text, "buttons": list(shown), "mentions": list(mentions)}
    return to(reply, f"walk:{key}", None, **data)
