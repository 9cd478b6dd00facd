"""What becomes of timers that are due: who is paged, and what the channel is told.

The policy is frozen in the incident, the roster is not: who is paged is looked up when the page
falls due (rules: "Escalation", Who). ``fire`` is pure; the same facts and roster give the same events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import reach
from bot.core import roster as rosters
from bot.core.escalation import MERGING, Timer, TimerKind, timers
from bot.core.incident import Event, Incident, stamp
from bot.core.lifecycle import BOT, apply, event, resolve
from bot.core.policy import Level
from bot.core.roster import Person, PhoneNumber, Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """Timers that make one page: the first decides the step and the due time, all give reasons."""

    timers: tuple[Timer, ...]

    @property
    def first(self) -> Timer:
        return self.timers[0]

    @property
    def due_at(self) -> datetime:
        """When the earliest of them was due."""
        return min(t.due_at for t in self.timers)

    @property
    def rule(self) -> str:
        """The rule among these timers, "" where none is."""
        return next((t.rule for t in self.timers if t.rule), "")

    @property
    def reasons(self) -> list[str]:
        return list(dict.fromkeys(t.reason for t in self.timers))


def fire(incident: Incident, roster: Roster, now: datetime) -> list[Event]:
    """Everything that is due at ``now``, in the order of the due times; [] when nothing is."""
    events: list[Event] = []
    state = incident
    while state.active:
        armed = timers(state)
        due = [timer for timer in armed if timer.due_at <= now]
        if not due:
            break
        group = _group(state, due[0], armed)
        made = _act(state, group, roster, now)
        made += [*_contacts_too(state, group, roster, now), *reach.unreachable(state, made, roster, now)]
        steps = [timer.step for timer in group.timers]
        fired = event("timer_fired", now, BOT, steps=steps, due_at=stamp(group.due_at), kind=group.first.kind)
        events += [*made, fired]
        state = apply(state, [*made, fired])
    return events


def _group(incident: Incident, first: Timer, armed: Sequence[Timer]) -> _Due:
    """Two timers for one level within five minutes make one page with both reasons."""
    kinds = MERGING | {TimerKind.REPEAT}
    if first.kind not in kinds or first.level is Level.L1:
        return _Due(timers=(first,))
    near = [
        t
        for t in armed
        if t.kind in kinds
        and t.level is first.level
        and t.urgent == first.urgent
        and t.due_at - first.due_at <= incident.policy.merge
    ]
    # A repeat gives the page its step: that is what makes it go one level up when it is not answered either.
    return _Due(timers=tuple(sorted(near, key=lambda t: t.kind is not TimerKind.REPEAT)))


def _act(i: Incident, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    timer = due.first
    match timer.kind:
        case TimerKind.LADDER if timer.level is Level.L1:
            return _page_l1(i, due, roster, now)
        case TimerKind.L1_AGAIN:
            return _l1_again(i, due, roster, now)
        case TimerKind.BACKUP:
            return _backup(i, due, roster, now)
        case TimerKind.EMERGENCY:
            return _emergency(i, due, roster, now)
        case TimerKind.RULE if all(t.kind is TimerKind.RULE for t in due.timers):
            made = page_level(i, timer.level or Level.L2, due, roster, now)
            return [_noted(due, now)] if _had(i, timer.level, made) else made
        case TimerKind.LADDER | TimerKind.L2_CRITICAL | TimerKind.CLIMB if _just_paged(i, timer):
            return [_noted(due, now)]
        case TimerKind.LADDER | TimerKind.RULE | TimerKind.L2_CRITICAL | TimerKind.CLIMB | TimerKind.REPEAT:
            return page_level(i, timer.level or Level.L2, due, roster, now)
        case TimerKind.WARNING:
            return [event("warned", now, BOT, rule=timer.rule, level=timer.level, reason=timer.reason)]
        case TimerKind.ASK:
            return [event("asked", now, BOT, person=i.acked_by, reason=timer.reason)]
        case TimerKind.UNACKNOWLEDGE:
            return [event("unacknowledged", now, BOT, person=i.acked_by, reason=timer.reason)]
        case TimerKind.CONTACT:
            message = i.written[timer.rule]
            writer = roster.people.get(message.by)
            mentions = [writer.slack] if writer is not None and writer.slack else []
            data = {
                "subject": message.subject,
                "value": message.value,
                "by": message.by,
                "mentions": mentions,
            }
            return [event("contact_reminded", now, BOT, since=stamp(message.at), **data)]
        case TimerKind.RESOLVE:
            return resolve(i, now, BOT, timer.reason, confirmed=True)


def _had(i: Incident, level: Level | None, made: Sequence[Event]) -> bool:
    """The level was paged in this epoch, or everybody who would be paged in its place was."""
    if level in i.paged_levels():
        return True
    known = {(str(p.level), p.person) for p in i.pages.values() if p.epoch == i.epoch and not p.of_contact}
    asked = {(e.data["level"], e.data["person"]) for e in made if e.type == "paged"}
    return bool(asked) and asked <= known


def _just_paged(i: Incident, timer: Timer) -> bool:
    """The level was paged for another timer that fell due within five minutes of this one."""
    return any(
        p.level is timer.level
        and p.epoch == i.epoch
        and not p.of_contact
        and abs(timer.due_at - p.due_at) <= i.policy.merge
        and (p.urgent or not timer.urgent)
        for p in i.pages.values()
    )


def _noted(due: _Due, now: datetime) -> Event:
    """The level has this incident in hand: it gets the further reasons, and no second page."""
    first = due.first
    return event(
        "rule_noted",
        now,
        BOT,
        rule=due.rule,
        level=str(first.level),
        reasons=due.reasons,
        due_at=stamp(due.due_at),
    )


def _page(
    i: Incident, due: _Due, roster: Roster, person: Person, level: Level, now: datetime, **more: object
) -> Event:
    first = due.first
    return event(
        "paged",
        now,
        BOT,
        page=f"{i.name}:{first.step}:{person.name}",
        epoch=i.epoch,
        step=first.step,
        level=str(level),
        person=person.name,
        slack=person.slack,
        due_at=stamp(due.due_at),
        reasons=due.reasons,
        rule=due.rule,
        urgent=first.urgent,
        places=[str(place) for place in rosters.reached_by(roster, person, urgent=first.urgent)],
        **more,
    )


def _page_l1(i: Incident, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    person = rosters.primary(roster, now)
    if person is None:
        return page_level(i, Level.L1, due, roster, now)
    return [_page(i, due, roster, person, Level.L1, now)]


def _l1_again(i: Incident, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    """One page for all repeats that were missed: the rest of them are marked as fired with it."""
    person = rosters.primary(roster, now)
    timer = due.first
    # Counted from its own time, not from the end of a snooze that held it back.
    usual = (i.cycle_from or timer.due_at) + timer.count * i.policy.repeat
    missed = max(0, int((now - usual) / i.policy.repeat))
    prefix = timer.step.rsplit(":", 1)[0]
    skipped = [f"{prefix}:{timer.count + n}" for n in range(1, missed + 1)]
    events = [event("timer_fired", now, BOT, steps=skipped, kind="missed")] if skipped else []
    if person is None:
        return [*page_level(i, Level.L1, due, roster, now), *events]
    return [_page(i, due, roster, person, Level.L1, now), *events]


def _backup(i: Incident, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    """Backup who is the unanswering primary: the emergency step at once."""
    person = rosters.backup(roster, now)
    first = rosters.primary(roster, now)
    if person is None or (first is not None and person.name == first.name):
        return [*_emergency(i, due, roster, now), _spend_emergency(i, now)]
    return [_page(i, due, roster, person, Level.L1, now)]


def _spend_emergency(i: Incident, now: datetime) -> Event:
    return event("timer_fired", now, BOT, steps=[f"e{i.epoch}:c{i.cycle}:emergency"], kind="emergency")


def _emergency(i: Incident, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    """Mentions primary, backup and L2, and prints the number to dial; a person is paged."""
    last = rosters.emergency(roster, now)
    people = list(dict.fromkeys([*rosters.first_line(roster, now), *rosters.holders(roster, Level.L2, now)]))
    told = event(
        "emergency",
        now,
        BOT,
        due_at=stamp(due.due_at),
        number=last.number if isinstance(last, PhoneNumber) else "",
        numbers=[f"{p.name}: {p.phone}" for p in people if p.phone],
        mentions=[p.slack for p in people if p.slack],
        people=[p.name for p in people],
        reason=due.first.reason,
        calls=_calls(i, due, roster, people, isinstance(last, Person)),
    )
    return [told, _page(i, due, roster, last, Level.L1, now)] if isinstance(last, Person) else [told]


def _calls(
    i: Incident, due: _Due, roster: Roster, people: Sequence[Person], paged: bool
) -> list[dict[str, str]]:
    """The hook is called for the step as a whole; without one for all, the hooks of those whom it mentions.

    Not where the last resort is a person: their page calls it already.
    """
    if paged:
        return []
    names = [""] if roster.reach.hook else [p.name for p in people if p.hook]
    return [{"key": f"{i.name}:{due.first.step}:{name or 'emergency'}", "person": name} for name in names]


SECURITY_CONTACTS = ("security", "compliance")


def _contacts_too(i: Incident, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    """A suspected security incident is told to the security and compliance contacts too (rules: Security)."""
    secure = {rule.id for rule in i.policy.rules if rule.fact == "security"}
    if not any(t.kind is TimerKind.RULE and t.rule in secure for t in due.timers):
        return []
    made: list[Event] = []
    for subject in SECURITY_CONTACTS:
        made += contact(i, subject, due.first, due.reasons, roster, now)
    return made


def contact(
    i: Incident, subject: str, timer: Timer, reasons: Sequence[str], roster: Roster, now: datetime
) -> list[Event]:
    """Tell whoever is to be called about this subject: a person is paged, a mailbox gets a mail, a user group is
    mentioned in the channel and its members paged, a page to open is named there. [] where nobody is named."""
    found = roster.contacts.get(subject)
    if found is None:
        return []
    step = f"{timer.step}:contact:{subject}"
    note, group = f"you are the contact for {subject}", roster.members.get(found.value, rosters.Members())
    if found.kind == "group":
        note = f"{found.value} is the contact for {subject}; the first of you to acknowledge answers for all"
    due, people = _Due(timers=(replace(timer, step=step),)), rosters.contact_people(roster, found)
    pages = [_page(i, due, roster, person, Level.L2, now, note=note) for person in people]
    if found.kind == "person":
        return pages
    told = event(
        "contact_told", now, BOT, subject=subject, kind=found.kind, value=found.value,
        page=f"{i.name}:{step}", step=step, due_at=stamp(timer.due_at), reasons=list(reasons),
        mailed=found.kind == "mailbox" and roster.reach.mail,
        mentions=[group.id or found.value] if found.kind == "group" else [], people=[p.name for p in people],
    )  # fmt: skip
    return [told, *pages]


def page_level(i: Incident, level: Level, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    """Page everybody who holds the level; an empty level: the next up; nobody at all: everybody and the numbers."""
    filled = rosters.filled_level(roster, level, now)
    if filled is None:
        return _nobody(i, level, due, roster, now)
    events = []
    if filled is not level:
        events.append(event("level_empty", now, BOT, level=str(level), instead=str(filled)))
    people = rosters.holders(roster, filled, now)
    for person in people:
        events += _one(i, person, filled, due, roster, now)
    if filled is not Level.L1 and [p.name for p in people] == [i.acked_by] and _on_first(i, people[0]):
        # L2 who is the acknowledged L1 is paged once: the repeat is spent.
        steps = [f"{due.first.step}:repeat"]
        events.append(event("timer_fired", now, BOT, steps=steps, kind="same_person"))
    return _distinct(events)


def _distinct(events: Sequence[Event]) -> list[Event]:
    """Somebody who stands in for an unanswering person may hold the level too: one page all the same."""
    pages: set[str] = set()
    kept = []
    for item in events:
        if item.type == "paged" and item.data["page"] in pages:
            continue
        if item.type == "paged":
            pages.add(item.data["page"])
        kept.append(item)
    return kept


def _on_first(i: Incident, person: Person) -> bool:
    return person.name in _paged_at_first(i)


def _paged_at_first(i: Incident) -> set[str]:
    return {p.person for p in i.pages.values() if p.level is Level.L1 and p.epoch == i.epoch}


def _one(
    i: Incident, person: Person, level: Level, due: _Due, roster: Roster, now: datetime
) -> Iterable[Event]:
    """One person at two levels: acknowledged L1 is paged once, naming the level; an unanswering L1 is passed over."""
    if level is Level.L1 or not _on_first(i, person):
        yield _page(i, due, roster, person, level, now)
        return
    if i.acked_by == person.name:
        yield _page(i, due, roster, person, level, now, note=f"you hold {level} too")
        following = next((t for t in timers(i) if t.level and t.level > level and t.kind in MERGING), None)
        yield event(
            "same_person", now, BOT, person=person.name, level=str(level),
            next_level=str(following.level) if following else "",
            next_at=stamp(following.due_at if following else None),
        )  # fmt: skip
        return
    above = rosters.next_up(roster, level, now, without=_paged_at_first(i) - {i.acked_by})
    if above is None:
        yield _page(i, due, roster, person, level, now, note=f"you hold {level} too, and nobody stands above")
        return
    yield _page(
        i, due, roster, above[1], above[0], now, note=f"{person.name} holds {level} and did not answer as L1"
    )


def _nobody(i: Incident, level: Level, due: _Due, roster: Roster, now: datetime) -> list[Event]:
    people = rosters.everyone(roster)
    told = event(
        "nobody_on_call",
        now,
        BOT,
        level=str(level),
        numbers=[f"{who}: {number}" for who, number in rosters.numbers(roster)],
        mentions=[p.slack for p in people if p.slack],
        reason=due.first.reason,
    )
    return [
        told,
        *(_page(i, due, roster, person, level, now, note="nobody holds this level") for person in people),
    ]


def page_by_hand(
    i: Incident, level: Level, roster: Roster, now: datetime, by: str, reason: str
) -> list[Event]:
    """The page that ``/incident escalate`` makes at once."""
    timer = Timer(
        step=f"e{i.epoch}:hand:{level}:{now.isoformat()}",
        kind=TimerKind.CLIMB,
        due_at=now,
        level=level,
        reason=f"escalated by {by}" + (f": {reason}" if reason else ""),
    )
    made = page_level(i, level, _Due(timers=(timer,)), roster, now)
    return [*made, *reach.unreachable(i, made, roster, now)]


def contact_by_hand(
    i: Incident, subject: str, roster: Roster, now: datetime, by: str, reason: str
) -> list[Event]:
    """What ``/incident escalate data`` does: tell the contact of this subject; [] where there is none."""
    why = f"{by} asks for the {subject} contact" + (f": {reason}" if reason else "")
    step = f"e{i.epoch}:hand:{now.isoformat()}"
    timer = Timer(step=step, kind=TimerKind.CLIMB, due_at=now, reason=why)
    made = contact(i, subject, timer, [why], roster, now)
    return [*made, *reach.unreachable(i, made, roster, now)]


def next_level(i: Incident) -> Level:
    """The lowest level above L1 that was not paged in this epoch; L4 when all were."""
    return next((lv for lv in Level if lv is not Level.L1 and lv not in i.paged_levels()), Level.L4)
