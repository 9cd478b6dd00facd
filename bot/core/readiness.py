"""Does everything that pages reach somebody, at every instant of a year? A proof by walking the hand-overs. Pure.

Between two hand-overs nothing changes, so the walk looks at each of these spans once, not at minutes. What it
finds is named with its dates: mistakes, where a page would reach nobody, and warnings, where it would reach
somebody else than is meant, or by one way alone ("Rules: Escalation", Who, A page wakes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from bot.core import groups
from bot.core.oncall import Named, hand_overs, places, takers, with_overrides
from bot.core.oncall_words import override_words
from bot.core.overrides import Overridden, Override
from bot.core.policy import Level, Policy, format_duration
from bot.core.roster import CONTACTS, PhoneNumber, Roster, Way, group_refs, members, numbers, reached_by

UTC = ZoneInfo("UTC")
YEAR = timedelta(days=365)
SPANS_SHOWN = 3
Span = tuple[datetime, datetime]
Held = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    code: nobody, empty, unreachable, same_person, no_backup, no_emergency, slack_only, no_phone, no_zone,
        no_contact, contact_unreachable, group_unresolved, override_of_nobody.
    spans: when, as [from, to) in UTC; () where it has nothing to do with time.
    overrides: those that decide then who holds the places it is about, in words.
    """

    severity: Literal["mistake", "warning"]
    code: str
    text: str
    level: Level | None = None
    people: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    overrides: tuple[str, ...] = ()

    def words(self) -> str:
        """The finding in a sentence, with its first dates and the overrides that make it."""
        why = "".join(f". {each}" for each in self.overrides)
        if not self.spans:
            return self.text + why
        shown = ", ".join(_span(span) for span in self.spans[:SPANS_SHOWN])
        left = len(self.spans) - SPANS_SHOWN
        more = f" and {left} more times until {_day(self.spans[-1][1])}" if left > 0 else ""
        return f"{self.text} ({shown}{more}){why}"

    def as_json(self) -> dict[str, Any]:
        """The finding with all its dates, for scripts."""
        return {
            "severity": self.severity,
            "code": self.code,
            "text": self.text,
            "level": str(self.level) if self.level else None,
            "people": list(self.people),
            "spans": [{"from": begin.isoformat(), "to": end.isoformat()} for begin, end in self.spans],
            "overrides": list(self.overrides),
        }


@dataclass(frozen=True, slots=True)
class _Issue:
    """A finding without its dates, as it holds in one span."""

    severity: Literal["mistake", "warning"]
    code: str
    text: str
    level: Level | None = None
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What was found, mistakes first, and how far the proof reaches."""

    findings: tuple[Finding, ...]
    begin: datetime
    end: datetime
    spans: int

    @property
    def mistakes(self) -> tuple[Finding, ...]:
        """Where a page would reach nobody."""
        return tuple(f for f in self.findings if f.severity == "mistake")


def examine(
    roster: Roster,
    policy: Policy,
    now: datetime,
    length: timedelta = YEAR,
    overrides: Sequence[Override] = (),
) -> Readiness:
    """Walk the coming year (from `now`, aware UTC): the roster as it is written, with what people overrode."""
    strangers = tuple(_strangers(roster, overrides))
    roster = with_overrides(roster, overrides)
    when: dict[_Issue, list[Span]] = defaultdict(list)
    known: dict[tuple[str, ...], tuple[_Issue, ...]] = {}
    there, count, on_duty = places(roster), 0, set[str]()
    for begin, end, held in _spans(roster, there, now, now + length):
        count += 1
        state = tuple(held.values())
        if state not in known:
            known[state] = tuple(_issues(roster, policy, there, held))
            on_duty.update(name for name in state if name)
        for issue in known[state]:
            _extend(when[issue], begin, end)
    timed = [
        Finding(
            severity=i.severity, code=i.code, text=i.text, level=i.level, people=i.people,
            spans=tuple(spans) if spans != [(now, now + length)] else (),
            overrides=_deciding(there, i, spans),
        )
        for i, spans in when.items()
    ]  # fmt: skip
    found = [
        *timed,
        *strangers,
        *_people(roster, there, on_duty),
        *_contacts(roster),
        *_groups(roster, now),
    ]
    found.sort(key=lambda f: (f.severity != "mistake", f.level or "L9"))
    return Readiness(findings=tuple(found), begin=now, end=now + length, spans=count)


def _strangers(roster: Roster, overrides: Sequence[Override]) -> Iterator[Finding]:
    """Overrides that do nothing, since the roster does not know any more whom they name."""
    for each in overrides:
        gone = tuple(name for name in takers(each) if name not in roster.people)
        if gone:
            text = f"{override_words(each, UTC)}. It does nothing: {', '.join(gone)} is not on the roster any more"
            yield Finding(
                severity="warning", code="override_of_nobody", text=text, level=each.level, people=gone
            )


def _deciding(there: Sequence[Named], issue: _Issue, spans: Sequence[Span]) -> tuple[str, ...]:
    """The overrides by which the issue's level, or its people, stand as they do when it begins."""
    found: dict[int, str] = {}
    for begin, _ in spans:
        for place in there:
            mine = place.level is issue.level or place.holder.on_duty(begin) in issue.people
            by = place.holder.by(begin) if mine and isinstance(place.holder, Overridden) else None
            if by is not None:
                found[by.id] = override_words(by, UTC)
    return tuple(found[number] for number in sorted(found))


def _spans(
    roster: Roster, there: Sequence[Named], begin: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, Held]]:
    """(from, to, who holds which place) for every span between two hand-overs."""
    held = {place.key: place.holder.on_duty(begin) for place in there}
    for change in hand_overs(roster, begin, end):
        if change.at > begin:
            yield begin, change.at, held
            begin, held = change.at, dict(held)
        held[change.place.key] = change.incoming
    if begin < end:
        yield begin, end, held


def _extend(spans: list[Span], begin: datetime, end: datetime) -> None:
    if spans and spans[-1][1] == begin:
        spans[-1] = (spans[-1][0], end)
    else:
        spans.append((begin, end))


# --- one span ---------------------------------------------------------------------------------------------


def _issues(roster: Roster, policy: Policy, there: Sequence[Named], held: Held) -> Iterator[_Issue]:
    """What is wrong while these people hold these places."""
    at: dict[Level, tuple[str, ...]] = {
        level: tuple(
            dict.fromkeys(
                [
                    *(held[p.key] for p in there if p.level is level and held[p.key]),
                    *(p.name for ref in roster.groups.get(level, ()) for p in members(roster, ref)),
                ]
            )
        )
        for level in Level
    }
    for level, why in _targets(policy).items():
        yield from _target(roster, level, why, at)
    yield from _first_level(roster, held)
    alone = held.get("L1:primary", "")
    for level in (Level.L2, Level.L3, Level.L4):
        if alone and at[level] == (alone,):
            text = f"{alone} is the primary of L1 and holds {level} alone, so {level} adds nobody"
            yield _Issue("warning", "same_person", text, level, (alone,))


def _targets(policy: Policy) -> dict[Level, list[str]]:
    """Each level that anything pages, with what pages it, in words."""
    why: dict[Level, list[str]] = {Level.L1: ["the first page and its repeats"]}
    for level, after in policy.ladder.items():
        why.setdefault(Level(level), []).append(f"the ladder after {format_duration(after)}")
    why.setdefault(Level.L2, []).append("a critical incident that nobody acknowledges")
    for rule in policy.rules:
        why.setdefault(rule.to, []).append(f"rule {rule.id}")
    return dict(sorted(why.items()))


def _target(
    roster: Roster, level: Level, why: Sequence[str], at: Mapping[Level, tuple[str, ...]]
) -> Iterator[_Issue]:
    reasons = ", ".join(why)
    filled = next((each for each in Level if each >= level and at[each]), None)
    if filled is None:
        text = f"Nobody holds {level} or a level above: {reasons} can only page everybody on the roster"
        yield _Issue("mistake", "nobody", text, level)
        return
    if filled is not level:
        text = f"Nobody holds {level}; {', '.join(at[filled])} of {filled} gets its pages: {reasons}"
        yield _Issue("warning", "empty", text, level, at[filled])
        return
    deaf = [name for name in at[filled] if not _reached(roster, name)]
    if deaf and len(deaf) == len(at[filled]):
        text = f"No message reaches {', '.join(deaf)}, who hold{'s' * (len(deaf) == 1)} {level}: {reasons}"
        yield _Issue("mistake", "unreachable", text, level, tuple(deaf))
    elif deaf:
        text = f"No message reaches {', '.join(deaf)} of {level}; the others of {level} are reached"
        yield _Issue("warning", "unreachable", text, level, tuple(deaf))


def _first_level(roster: Roster, held: Held) -> Iterator[_Issue]:
    """L1's own steps: the primary alone is paged first, then the backup, then the last resort."""
    primary, backup = held.get("L1:primary", ""), held.get("L1:backup", "")
    if primary and not _reached(roster, primary):
        text = f"No message reaches {primary}, who is the primary of L1: the first page"
        yield _Issue("mistake", "unreachable", text, Level.L1, (primary,))
    if not backup:
        yield _Issue(
            "warning", "no_backup", "L1 has no backup: its emergency step comes at once then", Level.L1
        )
    elif backup == primary:
        text = f"{primary} is primary and backup of L1: the emergency step comes instead of the backup"
        yield _Issue("warning", "same_person", text, Level.L1, (primary,))
    if (
        not isinstance(roster.first.emergency, PhoneNumber)
        and not held.get("L1:emergency")
        and not numbers(roster)
    ):
        text = "L1 has no emergency place, and the roster no number: nobody can be dialled"
        yield _Issue("warning", "no_emergency", text, Level.L1)


def _reached(roster: Roster, name: str) -> bool:
    person = roster.people.get(name)
    return person is not None and bool(reached_by(roster, person))


# --- what has nothing to do with time -----------------------------------------------------------------------


def _people(roster: Roster, there: Sequence[Named], on_duty: Iterable[str]) -> Iterator[Finding]:
    names = [name for name in roster.people if name in set(on_duty)]
    levels = {n: sorted({p.level for p in there if n in p.holder.names()}) for n in names}

    def told(code: str, who: Sequence[str], text: str) -> Iterator[Finding]:
        if who:
            people = ", ".join(f"{name} ({', '.join(levels[name])})" for name in who)
            yield Finding(severity="warning", code=code, text=text.format(people=people), people=tuple(who))

    slack = [name for name in names if reached_by(roster, roster.people[name]) == (Way.DM,)]
    yield from told(
        "slack_only", slack, "Only Slack reaches {people}; a hook, or an e-mail address and SMTP_HOST, wakes"
    )
    silent = [name for name in names if not roster.people[name].phone]
    yield from told("no_phone", silent, "{people} cannot be dialled: the roster has no phone of theirs")
    nowhere = [name for name in names if not roster.people[name].tz_given]
    yield from told("no_zone", nowhere, "{people} have no tz: times are told to them in UTC")


def _groups(roster: Roster, now: datetime) -> Iterator[Finding]:
    for ref, told in zip(group_refs(roster), groups.lines(roster, now), strict=True):
        if not members(roster, ref):
            text = f"The Slack user group {told}"
            yield Finding(severity="warning", code="group_unresolved", text=text)


def _contacts(roster: Roster) -> Iterator[Finding]:
    missing = [subject for subject in CONTACTS if subject not in roster.contacts]
    if missing:
        text = f"There is no contact for {', '.join(missing)}"
        yield Finding(severity="warning", code="no_contact", text=text)
    for subject, contact in roster.contacts.items():
        if contact.kind == "person" and not _reached(roster, contact.value):
            text = f"No message reaches {contact.value}, the contact for {subject}"
            yield Finding(severity="warning", code="contact_unreachable", text=text, people=(contact.value,))
        if contact.kind == "mailbox" and not roster.reach.mail and subject in ("security", "compliance"):
            text = f"The contact for {subject} is a mailbox, and without SMTP_HOST no mail is sent to it"
            yield Finding(severity="warning", code="contact_unreachable", text=text)


def _span(span: Span) -> str:
    return f"{_day(span[0])} to {_day(span[1])}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
