"""Plain values out of JSON that others wrote: whatever stands there, a value or none, never an exception."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bot.core.alert_model import read_rfc3339

NAME_MAX = 1_000  # characters; Google's own limit for display names is 512

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)


def read_text(value: object, limit: int = NAME_MAX) -> str:
    """A storable text of at most `limit` characters of a text, number or boolean; "" of anything else.

    NUL and lone surrogates are dropped: PostgreSQL stores neither.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**40):
        return str(value)
    if not isinstance(value, str):
        return ""
    short = value[: limit * 2]
    kept = short.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")
    return kept.strip()[:limit]


def read_number(value: object) -> float | None:
    """A finite number of a JSON number or a numeric text ("0.790"); None of anything else, a sentence too."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 400 or not _NUMBER.fullmatch(text):
            return None
        value = float(text)
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) != float("inf") and number == number else None  # NaN is unequal to itself


def read_moment(value: object) -> datetime | None:
    """An aware UTC time of epoch seconds or RFC 3339; None of the rest, and of 0: it stands for none."""
    seconds = read_number(value)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
        return read_rfc3339(value.strip()) if isinstance(value, str) and len(value) < 64 else None
    except (ValueError, OverflowError, OSError):
        return None
