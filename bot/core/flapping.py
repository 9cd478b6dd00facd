"""Flapping: an alert that opens and closes again and again, measured by a score that decays.

Each opening of an alert policy whose last alert had closed adds one; the score halves in the policy's
half-life. From ``policy.flap_score`` on the incident flaps, until the score is below half of that. A
flapping incident recovers only after a longer quiet time, and its reopening pages nobody anew: it then
pages no more than one that stays open all the time.

All instants are aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaps:
    """How often and how much: ``score`` as of ``at``; ``title`` is the alert that flapped last."""

    count: int = 0
    score: float = 0.0
    at: datetime | None = None
    since: datetime | None = None  # when it began to flap; stays set when it is over
    title: str = ""


def decayed(flaps: Flaps, now: datetime, half_life: timedelta) -> float:
    """The score at ``now``; 0 where nothing flapped yet."""
    if flaps.at is None:
        return 0.0
    age = max(0.0, (now - flaps.at) / half_life)
    return float(flaps.score * 0.5**age)


def again(flaps: Flaps, now: datetime, title: str, half_life: timedelta, limit: float) -> Flaps:
    """One more flap at ``now``."""
    score = decayed(flaps, now, half_life) + 1.0
    flapped = is_flapping(flaps, now, half_life, limit)
    since = flaps.since if flapped else now if score >= limit else None
    return Flaps(count=flaps.count + 1, score=score, at=now, since=since, title=title)


def is_flapping(flaps: Flaps, now: datetime, half_life: timedelta, limit: float) -> bool:
    """Whether it flaps at ``now``: it began to, and the score has not fallen to half of what begins it."""
    return flaps.since is not None and decayed(flaps, now, half_life) >= limit / 2
