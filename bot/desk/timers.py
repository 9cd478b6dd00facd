"""The tick: what is due is done, by whichever replica comes first; and an alarm when the clock was moved.

When something is due stands in a column, compared with the database's clock (PostgreSQL) or the host's
(SQLite); the tick itself runs on the monotonic clock, so that no change of the other can stop it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from bot.core.delivery import Priority
from bot.core.errors import KeyTaken, StorageError
from bot.core.incident import Incident
from bot.core.policy import format_duration
from bot.core.rows import announce, line
from bot.desk.change import fire_due
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Store, Tx
from bot.probe import Probe, nowhere

log = structlog.get_logger()
AT_ONCE = 20
# After so long an incident whose timers could not be worked out is tried again.
STUCK = timedelta(minutes=1)
# A clock that is kept by a time service is moved by less in one step.
MOVED = timedelta(seconds=10)


class Timers:
    """One turn does what is due now. ``rest`` is told in how many seconds of the incident's time the next is due."""

    def __init__(
        self,
        *,
        store: Store,
        house: Callable[[], House],
        monotonic: Callable[[], float],
        wake: Callable[[], None],
        rest: Callable[[float], None] = lambda _: None,
        probe: Probe = nowhere,
    ) -> None:
        self._store = store
        self._house = house
        self._monotonic = monotonic
        self._wake = wake
        self._rest = rest
        self._probe = probe
        self._seen: tuple[datetime, float, float] | None = None

    async def turn(self) -> int:
        """Fire what is due; returns how many incidents were looked at."""
        asked = self._monotonic()
        left, wall = await self._store.aread(_look)
        await self._watch_clock(wall, asked)
        if left is None or left > 0:
            if left is not None:
                self._rest(left)
            return 0
        try:
            did = await self._store.awrite(self._fire)
        except Exception as error:
            if isinstance(error, StorageError) and not isinstance(error, KeyTaken):
                raise
            did = await self._apart()
        if did:
            self._probe("timers.committed")
            self._wake()
        return did

    def _fire(self, tx: Tx) -> int:
        due = tx.due_incidents(AT_ONCE)
        house = live(tx, self._house()) if due else self._house()
        for number in due:
            fire_due(tx, house, number)
        if due:
            self._probe("timers.before_commit")
        return len(due)

    async def _apart(self) -> int:
        """The same, each incident by itself: one whose timers cannot be worked out stands in nobody's way."""
        did, stuck = await self._store.awrite(lambda tx: _fire_apart(tx, self._house()))
        for number, error in stuck:
            what = f"{type(error).__name__}: {error}"[:500]
            log.error("timers_stuck", action="timers_stuck", incident=number, error=what, exc_info=error)
        return did

    async def _watch_clock(self, wall: datetime, asked: float) -> None:
        """Compare the clock that due times are compared with to the one that nobody can move."""
        answered = self._monotonic()
        seen, self._seen = self._seen, (wall, answered, answered - asked)
        if seen is None:
            return
        moved = (wall - seen[0]) - timedelta(seconds=answered - seen[1])
        # Nobody knows when between a question and its answer the clock was read: this process may have been frozen.
        if abs(moved) <= MOVED + timedelta(seconds=answered - asked + seen[2]):
            return
        log.warning("clock_moved", action="clock_moved", seconds=moved.total_seconds())
        await self._store.awrite(lambda tx: clock_moved(tx, moved))
        self._wake()


def _fire_apart(tx: Tx, house: House) -> tuple[int, list[tuple[int, Exception]]]:
    """How many were looked at; those that failed, put off, and people told of each once a day."""
    due, stuck = tx.due_incidents(AT_ONCE), []
    house = live(tx, house)
    for number in due:
        error = tx.apart(partial(fire_due, tx, house, number))
        if error is None:
            continue
        stuck.append((number, error))
        tx.put_off(number, tx.now() + STUCK)
        text = (
            f"INC-{number}: its timers cannot be worked out, so they page nobody. Look after it yourselves; "
            f"the log says why. It is tried again every {format_duration(STUCK)}."
        )
        key, private = f"stuck:INC-{number}:{tx.wall():%Y-%m-%d}", _private(tx, number)
        row = line(private, f"line:{key}", text, priority=Priority.PAGE) if private else None
        tx.enqueue([row or announce(key, text, Priority.PAGE)])
    return len(due), stuck


def _private(tx: Tx, number: int) -> Incident | None:
    """The incident, if it can be read and is private: its own channel alone may know of it."""
    found: list[Incident | None] = []
    tx.apart(lambda: found.append(tx.incident(number, lock=False)))
    incident = found[0] if found else None
    return incident if incident is not None and incident.private else None


def clock_moved(tx: Tx, moved: timedelta) -> None:
    """Tell people once, and let nothing wait for a time of day that was past already."""
    back = moved < timedelta(0)
    if back:
        tx.clock_set_back()
    if not tx.once("clock", f"{tx.wall():%Y-%m-%dT%H:%M}"):
        return
    what = (
        "What falls due from now on comes later by as much; nothing is dropped."
        if back
        else "What fell due in between is done now; nothing is done twice."
    )
    # Measured to a second or two: of hours, the nearest minute is what was meant.
    step = 60 if abs(moved) > timedelta(minutes=10) else 1
    by = format_duration(timedelta(seconds=step * round(abs(moved).total_seconds() / step)))
    text = f"The clock was set {'back' if back else 'forward'} by {by}. {what}"
    tx.enqueue([announce(f"clock:{tx.wall().isoformat()}", text)])


def _look(tx: Tx) -> tuple[float | None, datetime]:
    """Seconds of the incident's time until a timer is due (None: none is armed), and the clock."""
    due = tx.next_due()
    return (None if due is None else (due - tx.now()).total_seconds()), tx.wall()
