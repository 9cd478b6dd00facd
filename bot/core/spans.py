"""From when until when, as people type it: `for 8h`, `until 18:00`, `from tomorrow 09:00 until 2026-12-01`.

Times of day and days are those of the one who types. Pure; raises Refused in words for people.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.core.policy import parse_duration
from bot.core.refusal import Refused
from bot.core.rotation import DAY, instant_of

LONGEST = timedelta(days=366)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EXAMPLE = (
    "Write `for 8h`, `until 18:00`, or `from 2026-12-01 09:00 until 2026-12-03 09:00`, in your own zone."
)


def read_span(words: Sequence[str], now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, list[str]]:
    """(begin, end, the words that are left). Without `from` it begins now; an end is needed. Raises Refused."""
    left, begin, end, length = list(words), now, None, None
    while left and left[0].lower() in ("from", "until", "for"):
        word, rest = left[0].lower(), left[1:]
        if word == "for":
            length, left = _length(rest)
            continue
        moment, left = _moment(rest, begin if word == "until" else now, zone)
        if word == "from":
            begin = moment
        else:
            end = moment
    if end is None and length is not None:
        end = begin + length
    if end is None:
        raise Refused("From when until when?", EXAMPLE)
    if begin < now - timedelta(minutes=1):
        raise Refused("It cannot begin in the past.", EXAMPLE)
    if end <= begin:
        raise Refused("It ends before it begins.", EXAMPLE)
    if end - begin > LONGEST:
        raise Refused("It would last more than a year.", "For good, change the roster.")
    return max(begin, now), end, left


def _length(words: Sequence[str]) -> tuple[timedelta, list[str]]:
    """`8h`, or `8 h`."""
    for count in (1, 2):
        try:
            return parse_duration("".join(words[:count])), list(words[count:])
        except ValueError as error:
            wrong = error
        if not (words and words[0].isdigit()):
            break
    raise Refused(str(wrong), EXAMPLE)


def _moment(words: Sequence[str], after: datetime, zone: ZoneInfo) -> tuple[datetime, list[str]]:
    """A day, a time of day, or both; a time alone is the next such time after `after`, a day alone its begin."""
    left = list(words)
    day = _day(left[0], after.astimezone(zone).date()) if left else None
    if day is not None:
        left.pop(0)
    clock = _clock(left[0]) if left else None
    if clock is not None:
        left.pop(0)
    if day is None and clock is None:
        raise Refused(f"{words[0]!r} is no moment." if words else "Until when?", EXAMPLE)
    if day is not None:
        return instant_of(datetime.combine(day, clock or time(0)), zone), left
    today = after.astimezone(zone).date()
    found = instant_of(datetime.combine(today, clock or time(0)), zone)
    return (
        found if found > after else instant_of(datetime.combine(today + DAY, clock or time(0)), zone)
    ), left


def _clock(word: str) -> time | None:
    match = _TIME.fullmatch(word)
    return time(int(match[1]), int(match[2])) if match else None


def _day(word: str, today: date) -> date | None:
    low = word.lower()
    if low in ("today", "tomorrow"):
        return today + (DAY if low == "tomorrow" else timedelta(0))
    if low in _DAYS:
        return today + ((_DAYS.index(low) - today.weekday() - 1) % 7 + 1) * DAY
    try:
        return date.fromisoformat(word) if len(word) == 10 else None
    except ValueError:
        return None
