"""Reads whoever holds a place on the roster: a person's name, a rotation, or layers that follow the sun."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from bot.core.rotation import DAY, WEEK, Always, FollowTheSun, Holder, Layer, Rotation, gaps
from bot.documents import reader
from bot.documents.mistakes import Notes, shown, suggest
from bot.documents.tree import Entries, Items, Tree

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_ROTATION = ("rotation", "people", "start", "hand_over", "weekday", "tz")
_HOUR, _MORNING = timedelta(hours=1), time(9)
_MOST_LAYERS = 24
# Gaps open where zones change their clocks on different days, which days those are moves from year to year.
_CHECKED = (date(2026, 1, 1), date(2031, 1, 1))


def holder(tree: Tree, what: str, people: Collection[str], notes: Notes) -> Holder | None:
    """Who holds this place. None after noting what is wrong; `what` names the place for people."""
    if isinstance(tree, Entries):
        keys = {key.text for key, _ in tree.entries}
        return (
            _layers(tree, what, people, notes) if "layers" in keys else _rotation(tree, what, people, notes)
        )
    if isinstance(tree, Items):
        notes.add(
            tree.line,
            f"{what}: a list is not possible",
            "Write one name, or {rotation: weekly, people: [...]}.",
        )
        return None
    name = _name(tree, what, people, notes)
    return Always(name) if name is not None else None


def zone(tree: Tree | None, notes: Notes, what: str, default: str = "UTC") -> str:
    """The IANA name of a time zone; the default without one, and after noting that there is no such zone."""
    written = reader.text(tree, notes, what) if tree is not None else None
    if tree is None or written is None:
        return default
    try:
        ZoneInfo(written)
    except (KeyError, ValueError, OSError):
        remedy = suggest(written, sorted(available_timezones()))
        remedy = remedy if remedy.startswith("Did") else "Write a name such as Europe/Berlin or UTC."
        notes.add(tree.line, f"{what}: {shown(written)} is not a time zone", remedy)
        return default
    return written


def _name(tree: Tree, what: str, people: Collection[str], notes: Notes) -> str | None:
    name = reader.text(tree, notes, what)
    if name is None or not people:
        return None
    if name not in people:
        notes.add(tree.line, f"{what}: there is no person {shown(name)}", suggest(name, people))
        return None
    return name


def _rotation(tree: Entries, what: str, people: Collection[str], notes: Notes) -> Rotation | None:
    if not any(key.text == "rotation" for key, _ in tree.entries):
        notes.add(
            tree.line,
            f"{what}: neither a person nor a rotation nor layers",
            "Write a name, {rotation: weekly, people: [...], start: 2026-01-05}, or {layers: [...]}.",
        )
        return None
    found = reader.entries(tree, notes, what, _ROTATION)
    return _turns(found, tree.line, what, people, notes, tz="UTC", hand_over=_MORNING)


def _turns(
    found: Mapping[str, Tree],
    line: int,
    what: str,
    people: Collection[str],
    notes: Notes,
    *,
    tz: str,
    hand_over: time,
) -> Rotation | None:
    """The rotation of these keys; `tz` and `hand_over` stand in for those that are not written."""
    length = _length(found["rotation"], notes, f"{what}, rotation")
    names = _names(found.get("people"), line, what, people, notes)
    start = _start(found.get("start"), line, what, notes)
    at = time_of_day(found["hand_over"], notes, f"{what}, hand_over") if "hand_over" in found else hand_over
    here = zone(found.get("tz"), notes, f"{what}, tz", tz)
    if "weekday" in found and not _fits(found["weekday"], start, length, what, notes):
        return None
    if length is None or start is None or at is None or not names:
        return None
    return Rotation(people=names, every=length, start=start, hand_over=at, tz=here)


def _length(tree: Tree, notes: Notes, what: str) -> timedelta | None:
    written = reader.text(tree, notes, what)
    if written is None:
        return None
    word = written.casefold()
    if word in {"daily", "weekly"}:
        return DAY if word == "daily" else WEEK
    if not word[:1].isdigit():
        notes.add(tree.line, f"{what}: {shown(written)} is not possible", "Write daily, weekly, or 12h, 3d.")
        return None
    length = reader.duration(tree, notes, what)
    if length is not None and length < _HOUR:
        notes.add(tree.line, f"{what}: {shown(written)} is too short", "Write a duration from 1h to 30d.")
        return None
    return length


def _names(tree: Tree | None, line: int, what: str, people: Collection[str], notes: Notes) -> tuple[str, ...]:
    listed = reader.items(tree, notes, f"{what}, people") if tree is not None else ()
    if not listed and not isinstance(tree, Entries):
        notes.add(
            line if tree is None else tree.line,
            f"{what}: the rotation has no people",
            "Add `people: [NAME, NAME]` in the order of their turns.",
        )
    found = [_name(item, f"{what}, people", people, notes) for item in listed]
    return tuple(name for name in found if name is not None)


def _start(tree: Tree | None, line: int, what: str, notes: Notes) -> date | None:
    if tree is None:
        notes.add(
            line,
            f"{what}: the rotation has no start",
            "Add `start: 2026-01-05`, when the first person begins.",
        )
        return None
    start = reader.day(tree, notes, f"{what}, start")
    if start is not None and not 2000 <= start.year <= 2100:
        notes.add(tree.line, f"{what}, start: {start} is far away", "Write a day from 2000 to 2100.")
        return None
    return start


def _fits(tree: Tree, start: date | None, length: timedelta | None, what: str, notes: Notes) -> bool:
    """Whether the weekday is the start's: two days for one hand-over would leave open whose week is the first."""
    weekday = reader.choice(tree, notes, f"{what}, weekday", WEEKDAYS)
    if weekday is None or start is None or length is None:
        return False
    if length % WEEK:
        notes.add(tree.line, f"{what}: weekday is for weeks", "Write `rotation: weekly`, or remove weekday.")
        return False
    if start.weekday() == WEEKDAYS.index(weekday):
        return True
    near = start - timedelta(days=(start.weekday() - WEEKDAYS.index(weekday)) % 7)
    notes.add(
        tree.line,
        f"{what}: the start {start} is a {WEEKDAYS[start.weekday()]}, not a {weekday}",
        f"Write `start: {near}`, or another weekday.",
    )
    return False


def time_of_day(tree: Tree, notes: Notes, what: str, *, end: bool = False) -> time | None:
    """A time of day; as an `end`, 24:00 is midnight."""
    written = reader.text(tree, notes, what)
    if written is None:
        return None
    if end and written == "24:00":
        return time(0)
    match = _TIME.fullmatch(written)
    if match is None:
        notes.add(tree.line, f"{what}: {shown(written)} is not a time of day", 'Write it like "09:00".')
        return None
    return time(int(match[1]), int(match[2]))


def _layers(tree: Entries, what: str, people: Collection[str], notes: Notes) -> FollowTheSun | None:
    listed = reader.entries(tree, notes, what, ["layers"])["layers"]
    members = reader.items(listed, notes, f"{what}, layers")
    if not 1 <= len(members) <= _MOST_LAYERS:
        notes.add(
            listed.line,
            f"{what}: {len(members)} layers are not possible",
            f"Write 1 to {_MOST_LAYERS}, each with `from`, `to` and a person or a rotation.",
        )
        return None
    found = [_layer(item, f"{what}, layer {n}", people, notes) for n, item in enumerate(members, 1)]
    layers = tuple(layer for layer in found if layer is not None)
    if len(layers) < len(members):
        return None
    holes = gaps(layers, *_CHECKED)
    if holes:
        begin, end = holes[0]
        more = f" (and {len(holes) - 1} more such gaps until {_CHECKED[1]:%Y})" if len(holes) > 1 else ""
        notes.add(
            listed.line,
            f"{what}: nobody is on duty from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC{more}",
            "Let the hours overlap, on days when clocks change too: the layer written first holds then.",
        )
        return None
    return FollowTheSun(layers)


def _layer(tree: Tree, what: str, people: Collection[str], notes: Notes) -> Layer | None:
    found = reader.entries(tree, notes, what, ["from", "to", "person", *_ROTATION])
    if not isinstance(tree, Entries):
        if reader.absent(tree):
            notes.add(tree.line, f"{what} is empty", "Write {from: ..., to: ..., tz: ..., person: NAME}.")
        return None
    for key in ("from", "to"):
        if key not in found:
            notes.add(tree.line, f"{what} has no `{key}`", f'Add `{key}: "08:00"`, a time of day in its tz.')
    begin = time_of_day(found["from"], notes, f"{what}, from") if "from" in found else None
    end = time_of_day(found["to"], notes, f"{what}, to", end=True) if "to" in found else None
    tz = zone(found.get("tz"), notes, f"{what}, tz")
    who = _who(found, tree.line, what, people, notes, tz=tz, hand_over=begin or _MORNING)
    if begin is None or end is None or who is None:
        return None
    return Layer(holder=who, begin=begin, end=end, tz=tz)


def _who(
    found: Mapping[str, Tree],
    line: int,
    what: str,
    people: Collection[str],
    notes: Notes,
    *,
    tz: str,
    hand_over: time,
) -> Always | Rotation | None:
    if ("person" in found) == ("rotation" in found):
        notes.add(
            line,
            f"{what}: who holds it is not clear",
            "Write exactly one: `person: NAME`, or `rotation: weekly` with people and start.",
        )
        return None
    if "rotation" in found:
        # The zone was read and told with the layer's hours; here it would be told twice.
        turns = {key: value for key, value in found.items() if key != "tz"}
        return _turns(turns, line, what, people, notes, tz=tz, hand_over=hand_over)
    name = _name(found["person"], f"{what}, person", people, notes)
    return Always(name) if name is not None else None
