"""``/oncall``: who is on call, and how people change that for a while (rules: "Escalation", Who)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from bot.core import groups, oncall
from bot.core import roster as rosters
from bot.core.asks import OpenForm
from bot.core.delivery import Outbound
from bot.core.oncall import Named, clock, zone_of
from bot.core.oncall_words import override_words, plan_table, receipt_lines, standing_lines
from bot.core.overrides import Override
from bot.core.policy import Level
from bot.core.receipts import RECEIPTS_FOR
from bot.core.refusal import Refused
from bot.core.roster import Person
from bot.core.spans import read_span
from bot.desk import membership
from bot.desk.answers import private
from bot.desk.asked import Asked, somebody
from bot.desk.telling import tell

Answers = list[Outbound] | OpenForm
HOW = "`/oncall override L1 @bob for 8h REASON`, `/oncall override L2 @dave from tomorrow 09:00 until 18:00`"


def now(asked: Asked) -> Answers:
    """now: who holds which level, until when and how they are reached; the next two weeks; whom to call"""
    roster, at, zone = asked.house.roster, asked.now, zone_of(asked.person)
    lines = standing_lines(roster, at, zone)
    lines += receipt_lines(roster, asked.tx.receipts(at - RECEIPTS_FOR), at)
    lines += [override_words(o, zone) for o in asked.tx.overrides(at)]
    lines += [f"{subject}: {contact.value}" for subject, contact in roster.contacts.items()]
    lines += groups.lines(roster, at)
    membership.want(asked.tx, asked.house)
    columns, rows, fixed = plan_table(roster, at, zone)
    lines += [fixed] if fixed else []
    head = f"On call now, {clock(at, zone)}"
    table = {"columns": columns, "rows": rows} if rows else None
    return [
        private(asked.asker, asked.key, head, form="list", lines=lines, **({"table": table} if table else {}))
    ]


# --- changing it ------------------------------------------------------------------------------------------


def override(asked: Asked) -> Answers:
    """override LEVEL [backup|emergency|@INSTEAD] @user for 8h|until TIME [from TIME] [REASON]: take it for a while"""
    words = list(asked.words)
    level = words.pop(0).upper() if words else ""
    if level not in tuple(Level):
        raise Refused("Which level? L1, L2, L3 or L4.", HOW)
    name = words.pop(0).lower() if words and words[0].lower() in oncall.FIRST else ""
    if name and level != Level.L1:
        raise Refused(f"{level} has no {name}; L1 alone has one.", HOW)
    people = _people(asked, words, most=2)
    if not people:
        raise Refused("Who takes it?", HOW)
    begin, end, rest = read_span(words, asked.now, zone_of(asked.person))
    instead, taker = (people[0], people[1]) if len(people) == 2 else (None, people[0])
    place, relieved = _place(asked, Level(level), name, instead, begin)
    if relieved == taker.name:
        raise Refused(f"{taker.name} holds {level} then already.", "`/oncall` shows who holds what.")
    _may(asked, Level(level), taker.name)
    made = asked.tx.put_override(
        Override(
            kind="override", person=taker.name, other=relieved, level=Level(level), place=place,
            begin=begin, end=end, reason=" ".join(rest)[:300], made_by=asked.name, made_at=asked.now,
        )
    )  # fmt: skip
    return _told(asked, made, "made")


def swap(asked: Asked) -> Answers:
    """swap @a @b for 8h|until TIME [from TIME] [REASON]: each holds what the other would"""
    words = list(asked.words)
    people = _people(asked, words, most=2)
    if len(people) == 1 and asked.person is not None:
        people.insert(0, asked.person)
    if len(people) != 2 or people[0].name == people[1].name:
        raise Refused("Which two people?", "`/oncall swap @alice @bob until friday 18:00`")
    begin, end, rest = read_span(words, asked.now, zone_of(asked.person))
    first, second = people[0].name, people[1].name
    for known in asked.tx.overrides(begin):
        if known.kind == "swap" and set(known.concerns()) == {first, second} and known.begin < end:
            # Twice would be not at all.
            raise Refused(
                f"Override {known.id} swaps them then already.", f"`/oncall cancel {known.id}` ends it."
            )
    level = _highest_of(asked, {first, second}, begin, end)
    if level is None:
        raise Refused(f"Neither {first} nor {second} holds a level then.", "`/oncall` shows who holds what.")
    _may(asked, level, "")
    made = asked.tx.put_override(
        Override(
            kind="swap", person=first, other=second, begin=begin, end=end, reason=" ".join(rest)[:300],
            made_by=asked.name, made_at=asked.now,
        )
    )  # fmt: skip
    return _told(asked, made, "made")


def cancel(asked: Asked) -> Answers:
    """cancel ID: end an override or a swap now"""
    digits = asked.words[0].lstrip("#") if asked.words else ""
    found = asked.tx.override(int(digits)) if re.fullmatch(r"[0-9]{1,9}", digits) else None
    if found is None or found.end <= asked.now:
        raise Refused(
            "There is no such override any more.", "`/oncall` lists those that hold or are to come."
        )
    if asked.person is None or asked.name not in (found.made_by, *found.concerns()):
        level = found.level or _highest_of(asked, set(found.concerns()), asked.now, found.end)
        _may(asked, level or Level.L1, "")
    ended = replace(found, end=max(found.begin, asked.now), cancelled_by=asked.name)
    asked.tx.put_override(ended)
    return _told(asked, found, "cancelled")


def _people(asked: Asked, words: list[str], most: int) -> list[Person]:
    """The people named at the beginning of the words, which are taken away."""
    found: list[Person] = []
    while words and len(found) < most:
        word = words[0]
        known = rosters.by_slack(asked.house.roster, word)
        if known is None and not word.startswith(("@", "<@")):
            break
        found.append(somebody(asked, word))
        words.pop(0)
    return found


def _place(asked: Asked, level: Level, name: str, instead: Person | None, begin: datetime) -> tuple[str, str]:
    """(the place's key, who would hold it then). A level with several holders needs to know which. Raises Refused."""
    there = [each for each in oncall.places(asked.house.roster) if each.level is level]
    if level is Level.L1 and name and not any(each.place == name for each in there):
        if isinstance(getattr(asked.house.roster.first, name), rosters.PhoneNumber):
            raise Refused("The emergency place is a number to dial, not a person.", HOW)
        return name, ""
    if instead is not None:
        mine = [each for each in there if each.holder.on_duty(begin) == instead.name]
        if not mine:
            raise Refused(f"{instead.name} does not hold {level} then.", "`/oncall` shows who holds what.")
        return mine[0].place, instead.name
    wanted = [
        each for each in there if each.place == (name or ("primary" if level is Level.L1 else each.place))
    ]
    if len(wanted) > 1:
        holders = ", ".join(each.holder.on_duty(begin) for each in wanted)
        raise Refused(
            f"{level} has several holders: {holders}.",
            f"Say whom: `/oncall override {level} @WHO @BY_WHOM for 8h`.",
        )
    if not wanted:
        return "primary" if level is Level.L1 else "1", ""
    return wanted[0].place, wanted[0].holder.on_duty(begin)


def _highest_of(asked: Asked, people: set[str], begin: datetime, end: datetime) -> Level | None:
    """The highest level that any of them holds at any time of the span."""
    roster = asked.house.roster
    found = {each.level for each in oncall.places(roster) if each.holder.on_duty(begin) in people}
    found |= {h.place.level for h in oncall.hand_overs(roster, begin, end) if h.incoming in people}
    return max(found, default=None)


def _may(asked: Asked, level: Level, taker: str) -> None:
    """Holders of the level or one above, and those who take turns in it. Whoever takes over may not alone: anybody
    on the roster could make themselves a technical lead, and approve what they asked for. Raises Refused."""
    who = [
        name
        for each in oncall.places(asked.house.roster)
        if each.level >= level
        for name in _turns(each, asked.now)
    ]
    if asked.person is not None and asked.name in who:
        return
    reason = "you do not take turns in this level" if asked.name == taker else "it is not yours to give"
    names = ", ".join(dict.fromkeys(who))
    raise Refused(f"You may not do that: {reason}.", f"These people may: {names}.")


def _turns(place: Named, at: datetime) -> tuple[str, ...]:
    base = getattr(place.holder, "base", place.holder)
    return (*(base.names() if base is not None else ()), place.holder.on_duty(at))


def _told(asked: Asked, o: Override, what: str) -> list[Outbound]:
    """The answer, and a direct message to everybody whom it is about, in their own zone."""
    roster, rows = asked.house.roster, []
    for name in o.concerns():
        person = roster.people.get(name)
        words = override_words(o, zone_of(person))
        if what == "cancelled":
            words = f"Cancelled by {asked.name}. It was: {words}"
        else:
            words += f". `/oncall cancel {o.id}` ends it."
        rows += tell(person, f"override:{o.id}:{what}:{name}", words)
    mine = override_words(o, zone_of(asked.person))
    missed = [name for name in o.concerns() if not (p := roster.people.get(name)) or not p.slack]
    answer = f"Cancelled. {mine}." if what == "cancelled" else f"{mine}. `/oncall cancel {o.id}` ends it."
    answer += f" Tell {', '.join(missed)} yourself: Slack does not know them." if missed else ""
    return [*rows, private(asked.asker, asked.key, answer)]


WORDS: Mapping[str, Callable[[Asked], Answers]] = {
    "now": now,
    "override": override,
    "swap": swap,
    "cancel": cancel,
}

CHANGING = ("override", "swap", "cancel")


def may_change(asked: Asked) -> bool:
    """Whether any level is theirs to give: whoever takes turns in one. For help alone."""
    there = oncall.places(asked.house.roster)
    return asked.person is not None and any(asked.name in _turns(each, asked.now) for each in there)
