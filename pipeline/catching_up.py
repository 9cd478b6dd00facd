"""Whether a pipeline that is behind catches up by itself, and by when: what waits falls, look by look.  Pure.

After a restart every worker is busy with what piled up. That looks like too few workers, and is none: what waits gets
less by the minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipeline.report import Evidence, clock, duration, number, plural

WINDOW_S: Final = 10 * 60.0  # of looks at what waits; Pub/Sub's figures come each minute
TOO_LONG_S: Final = 30 * 60.0  # longer than this nobody should wait: workers shorten it
_FRESH_S: Final = 4 * 60.0  # Pub/Sub's figures come up to minutes late
_LEAST_S: Final = 30.0  # between the first look and the last
_FALLEN: Final = 0.05  # by less than this it may be chance
_SHARE: Final = 0.05  # a subscription with less of what waits decides nothing

Looks = Sequence[tuple[datetime, float]]
"""How many messages waited in a subscription, and when; the oldest look first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchingUp:
    """What waits, by how much it falls each second, and when nothing of it will be left at this pace."""

    now: datetime
    waiting: float
    a_second: float
    done_at: datetime

    @property
    def left_s(self) -> float:
        return (self.done_at - self.now).total_seconds()

    @property
    def soon(self) -> bool:
        """Whether it can be waited for."""
        return self.left_s <= TOO_LONG_S

    @property
    def text(self) -> str:
        """ "12,480 messages wait, 41 fewer each second: done by about 10:25 UTC, in 5 min"."""
        digits = 0 if self.a_second >= 10 else 1
        return (
            f"{plural(round(self.waiting), 'message waits', 'messages wait')}, {number(self.a_second, digits)} fewer "
            f"each second: done by about {clock(self.done_at, self.now)}, in {duration(max(60.0, self.left_s))}"
        )

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return (
            Evidence("waiting", round(self.waiting), "messages", self.now),
            Evidence("fewer each second", round(self.a_second, 1), "messages"),
            Evidence("until nothing waits, about", round(self.left_s), "s"),
        )


def catching_up(queues: Mapping[str, Looks], now: datetime) -> CatchingUp | None:
    """None where nothing waits, where anything that waits grows or stands still, and where nobody could measure it."""
    fresh = {name: looks for name, looks in queues.items() if looks and _age(looks, now) <= _FRESH_S}
    if not fresh or len(fresh) < len(queues):
        return None
    waiting = sum(looks[-1][1] for looks in fresh.values())
    # Judged from the newest look: what has happened since is not known.
    ends: list[datetime] = []
    total = 0.0
    for looks in fresh.values():
        if looks[-1][1] < max(1.0, _SHARE * waiting):
            continue
        pace = _pace(looks)
        if pace is None:
            return None
        total += pace
        ends.append(looks[-1][0] + timedelta(seconds=looks[-1][1] / pace))
    if not ends:
        return None
    return CatchingUp(now=now, waiting=waiting, a_second=total, done_at=max(now, *ends))


def _age(looks: Looks, now: datetime) -> float:
    return (now - looks[-1][0]).total_seconds()


def _pace(looks: Looks) -> float | None:
    """Messages fewer each second while it has been falling without a break; None where it does not fall."""
    tail = list(_falling(looks))
    (until, last), (begin, first) = tail[0], tail[-1]
    seconds = (until - begin).total_seconds()
    if seconds < _LEAST_S or first - last < _FALLEN * first:
        return None
    return (first - last) / seconds


def _falling(looks: Looks) -> Iterable[tuple[datetime, float]]:
    """The newest looks, newest first, as long as each earlier one saw more."""
    above = None
    for look in reversed(looks):
        if above is not None and look[1] <= above:
            return
        above = look[1]
        yield look
