"""The operations calendar: rounds begin when their time comes, are measured, told, ticked off, reminded of.

A round is a row unique for its period, so replicas begin it once; one that fell into an outage begins late and says so.
Readings are runs of operations like any other; this only looks whether they have ended. A turn is one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bot.core import book, lifecycle, periods, rounds
from bot.core.asks import OpenForm
from bot.core.delivery import OPERATIONS, Kind, Outbound, Priority
from bot.core.incident import instant, stamp
from bot.core.periods import Slot
from bot.core.refusal import Refused
from bot.core.roster import Person
from bot.core.rounds import Item, Reading, Round
from bot.core.runbook import CALENDAR_KINDS, ELSE, SOMETHING_ELSE, for_kind
from bot.core.text import clean, cut
from bot.desk import round_notes
from bot.desk.answers import private
from bot.desk.asked import Asked, need
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Run, Tx
from bot.desk.runs import FINISHED

SINCE = "calendar.since"
PATIENCE = timedelta(minutes=10)
"""Wall time after which a digest is written although a reading has not ended."""


def due(tx: Tx, house: House) -> bool:
    """Whether a turn has anything to do; only reads."""
    if instant(tx.get_value(SINCE)) is None or _slots(tx, house):
        return True
    return any(_measured(tx, each) or rounds.overdue(each, tx.now()) for each in tx.open_rounds())


def turn(tx: Tx, house: House) -> int:
    """Do what is due; returns how much it did. What was due before the bot first ran is nobody's."""
    if tx.get_value(SINCE) is None:
        tx.put_value(SINCE, stamp(tx.now()))
        round_notes.baseline(tx, house)
        return 1
    house = live(tx, house)
    did = sum(_begin(tx, house, slot) for slot in _slots(tx, house))
    for known in tx.open_rounds():
        this = tx.round(known.id)
        if this is None:
            continue
        if _measured(tx, this):
            _post(tx, house, this)
            did += 1
        elif items := rounds.overdue(this, tx.now()):
            _remind(tx, house, this, items)
            did += 1
    return did


# --- beginning --------------------------------------------------------------------------------------------


def _slots(tx: Tx, house: House) -> list[Slot]:
    """The periods that are due and were not begun; of those that were slept through only the newest."""
    since = instant(tx.get_value(SINCE))
    found = [periods.latest(house.calendar, kind, tx.now()) for kind in CALENDAR_KINDS]
    return [
        slot
        for slot in found
        if slot is not None
        and since is not None
        and slot.due_at > since
        and for_kind(house.runbooks, slot.kind) is not None
        and tx.round(slot.id) is None
    ]


def _begin(tx: Tx, house: House, slot: Slot) -> int:
    page = for_kind(house.runbooks, slot.kind)
    if page is None:
        return 0
    last = next(iter(tx.rounds(slot.kind, 1)), None)
    since = last.due_at if last is not None else instant(tx.get_value(SINCE)) or slot.due_at
    new = rounds.from_runbook(
        page, slot, tx.now(),
        pipelines=[p.name for p in house.pipelines],
        owner=round_notes.owner_of(house.roster, page, tx.now()),
        missed=periods.missed(house.calendar, slot.kind, since, slot),
        contacts={subject: contact.value for subject, contact in house.roster.contacts.items()},
    )  # fmt: skip
    before = {(r.pipeline, r.title): r.severity for r in last.readings} if last is not None else {}
    readings = [replace(r, before=before.get((r.pipeline, r.title), "")) for r in new.readings]
    if not tx.begin_round(replace(new, readings=tuple(readings), began_wall=tx.wall())):
        return 0
    for old in tx.open_rounds():
        if old.kind == slot.kind and old.id != new.id:
            store(tx, house, rounds.lapsed(old, tx.now()))
    for reading in readings:
        tx.put_run(_run(tx, house, reading))
    return 1


def ask_for_reviews(tx: Tx, house: House) -> None:
    """The day's round of runbooks to review, where there is a reason that was not told yet."""
    slot = periods.latest(house.calendar, "daily", tx.now())
    for more in round_notes.reviews(tx, house, slot) if slot is not None else ():
        _open(tx, house, more)


def _run(tx: Tx, house: House, reading: Reading) -> Run:
    return Run(
        id=reading.run,
        operation=reading.operation,
        pipeline=reading.pipeline,
        params=dict(reading.params),
        state="asked",
        requested_by=lifecycle.BOT,
        created_at=tx.now(),
        risk=house.operations.get(reading.operation, "read"),
        reply={"quiet": True, "own": True},
    )


# --- measured, and told -----------------------------------------------------------------------------------


def _measured(tx: Tx, this: Round) -> bool:
    if this.state != rounds.MEASURING:
        return False
    if this.began_wall is not None and tx.wall() - this.began_wall > PATIENCE:
        return True
    found = (tx.run(reading.run) for reading in this.readings)
    return all(run is None or run.state in FINISHED for run in found)


def _post(tx: Tx, house: House, this: Round) -> None:
    """All readings have ended: the digest is written, with what is for a person."""
    readings = tuple(_read(tx, reading) for reading in this.readings)
    notes, drawn = round_notes.notes(tx, house, this, readings)
    _open(tx, house, replace(this, readings=readings, notes=tuple(notes)))
    for chart in drawn:
        title = f"{chart.title}, {this.id.partition(':')[2]}"
        data = {"room": OPERATIONS, "title": title, **chart.as_file()}
        # In one lane, so that they come in their order and one is drawn at a time.
        key, lane = f"round:{this.id}:{chart.name}", f"round:{this.id}:charts"
        tx.enqueue([Outbound(key=key, kind=Kind.FILE, lane=lane, priority=Priority.FURNITURE, data=data)])


def _open(tx: Tx, house: House, this: Round) -> None:
    if this.state == rounds.MEASURING and this.kind == rounds.REVIEW and not tx.begin_round(this):
        return
    now = tx.now()
    store(tx, house, rounds.settled(replace(this, state=rounds.OPEN, posted_at=now), now))


def _read(tx: Tx, reading: Reading) -> Reading:
    run = tx.run(reading.run)
    if run is None or run.state != "done":
        error = run.error if run is not None else ""
        return replace(reading, severity="unknown", verdict=f"not measured: {error or 'it did not end'}")
    severity, verdict = str(run.report.get("severity", "unknown")), str(run.report.get("verdict", ""))
    return replace(reading, severity=severity, verdict=verdict)


def store(tx: Tx, house: House, this: Round) -> None:
    """Keep a round as it stands, and let its digest show that."""
    tx.put_round(this)
    if this.posted_at is None:
        return
    head, *lines = rounds.digest(this, house.calendar, lambda owner: owner)
    data = {
        "room": OPERATIONS, "form": "list", "text": head, "lines": lines, "buttons": rounds.buttons(this),
        "metadata": {"event_type": "streamwatch_round", "event_payload": {"round": this.id, "state": this.state}},
    }  # fmt: skip
    key = f"round:{this.id}"
    row = Outbound(key=key, kind=Kind.POST, lane=key, priority=Priority.NEWS, replaces=True, data=data)
    tx.enqueue([row])


def _remind(tx: Tx, house: House, this: Round, items: Sequence[Item]) -> None:
    now = tx.now()
    after = rounds.reminded(this, items, now)
    tx.put_round(after)
    people = [_person(house, item.owner) for item in items]
    names = ", ".join(dict.fromkeys(item.owner or "nobody yet" for item in items))
    lines = [f"- {item.title} (owner {item.owner or 'nobody yet'})" for item in items]
    nth = max(item.reminded for item in after.items if item.id in {each.id for each in items})
    data = {
        "room": OPERATIONS,
        "form": "list",
        "text": f"Not ticked off yet, {names}: {this.title}, {this.id.partition(':')[2]} (reminder {nth}).",
        "lines": lines,
        "mentions": list(dict.fromkeys(p.slack for p in people if p is not None and p.slack)),
        "buttons": rounds.buttons(this),
    }
    key = f"round:{this.id}:remind:{'+'.join(f'{i.id}.{i.reminded}' for i in items)}"
    tx.enqueue([Outbound(key=key, kind=Kind.POST, lane="operations", priority=Priority.NEWS, data=data)])


def _person(house: House, name: str) -> Person | None:
    return house.roster.people.get(name)


# --- people -----------------------------------------------------------------------------------------------


def _named(asked: Asked, value: str) -> tuple[Mapping[str, str], Round]:
    wanted: Mapping[str, str] = json.loads(value)
    need(asked, "respond")
    this = asked.tx.round(str(wanted["round"]))
    if this is None:
        raise Refused("This checklist is not known any more.")
    return wanted, this


def tick(asked: Asked, value: str, *, answer: str = "", note: str = "") -> list[Outbound]:
    """A click on a digest's button, or its form: the item is ticked off. Raises Refused."""
    wanted, this = _named(asked, value)
    item = str(wanted["item"])
    chosen = answer or str(wanted.get("answer") or "")
    note = cut(clean(note), 500)
    after = rounds.tick(this, item, asked.name, asked.now, answer=chosen, note=note)
    store(asked.tx, asked.house, after)
    title = next(each.title for each in after.items if each.id == item)
    of = f"{this.title}, {this.id.partition(':')[2]}"
    line = book.ticked(asked.now, asked.name, subject=this.id, of=of, item=title, answer=chosen, note=note)
    asked.tx.write_down(line)
    if this.kind == rounds.REVIEW:
        round_notes.reviewed(asked.tx, asked.house, item)
    left = len(after.waiting)
    said = f"Ticked off. {left} left." if left else "Ticked off. Nothing is left."
    return [private(asked.asker, asked.key, said)]


def note_form(asked: Asked, value: str) -> OpenForm:
    """A click on “With a note”. Raises Refused when the item is not open."""
    wanted, this = _named(asked, value)
    item = next((each for each in this.waiting if each.id == wanted["item"]), None)
    if item is None:
        raise Refused("This item is not open any more.")
    ways = [way for way in item.leads if way != ELSE]
    answers = " ".join([*ways, SOMETHING_ELSE] if ways else [])
    return OpenForm(name="step_note", title=item.title, context=value, values={"answers": answers})


def is_round(context: str) -> bool:
    """Whether a form's context names an item of a round."""
    return '"round"' in context
