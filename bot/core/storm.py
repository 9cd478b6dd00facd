"""A storm: more alerts in a minute, over more incidents, than anybody can read one by one.

Then one message in the announcement channel says how many came and what became of them, edited in
place, with counts that add up. All instants are aware UTC datetimes; a minute is a clock's minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.core.policy import Policy
from bot.core.text import counted

RECEIVED, OPENED, ASIDE, TOUCHED = "received", "opened", "aside", "touched"
KINDS = (ASIDE, OPENED, RECEIVED, TOUCHED)


@dataclass(slots=True)
class Tally:
    """What one batch of notifications came to: incidents that it touched, those that it opened, and pipelines whose
    incident opened as recovering, which nobody has looked at."""

    touched: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)

    def note(self, number: int, *, opened: bool) -> None:
        """An incident was changed."""
        self.touched.add(number)
        if opened:
            self.opened.add(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What came in some minutes. ``received`` = opened + folded + aside + dropped."""

    received: int = 0
    opened: int = 0
    aside: int = 0
    busiest: int = 0

    @property
    def folded(self) -> int:
        """Notifications that joined what was known, or said nothing new."""
        return self.received - self.opened - self.aside


def minute_of(at: datetime) -> int:
    """The number of a minute since 1970."""
    return int(at.timestamp() // 60)


def name_of(minute: int, kind: str) -> str:
    """The counter of a minute; names of fixed length are ordered as minutes are."""
    return f"minute:{minute:012d}:{kind}"


def total(counts: Mapping[str, int], first: int, last: int) -> Counts:
    """The sum over these minutes, both included."""
    minutes = range(first, last + 1)
    of = {kind: [counts.get(name_of(minute, kind), 0) for minute in minutes] for kind in KINDS}
    return Counts(
        received=sum(of[RECEIVED]), opened=sum(of[OPENED]), aside=sum(of[ASIDE]), busiest=max(of[RECEIVED])
    )


def storms(counts: Mapping[str, int], minute: int, policy: Policy) -> bool:
    """Whether this minute is one of a storm."""
    many = counts.get(name_of(minute, RECEIVED), 0) > policy.storm_alerts
    return many and counts.get(name_of(minute, TOUCHED), 0) >= policy.storm_incidents


def words(counts: Counts, incidents: int, first: int, last: int | None) -> str:
    """The message; ``last`` None: the storm goes on."""
    since = datetime.fromtimestamp(first * 60, UTC)
    head = f"Storm since {since:%Y-%m-%d %H:%M} UTC"
    if last is not None:
        end = datetime.fromtimestamp(last * 60 + 60, UTC)
        head = f"The storm is over, from {since:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    return (
        f"{head}: received {counts.received:,}, at most {counts.busiest:,} in a minute, over "
        f"{counted(incidents, 'incident')}. Opened an incident: {counts.opened:,}; folded into what was known: "
        f"{counts.folded:,}; unusable and set aside: {counts.aside:,}; dropped: 0."
    )
