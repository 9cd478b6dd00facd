"""The one clock: the incident's time, real time, and a time that never goes back.

``now()`` is the time in which incidents live; it equals real time unless STREAMWATCH_CLOCK says
``<wall epoch s>,<domain epoch s>,<speed>`` (a rehearsal that runs fast). ``wall()`` is always real
time: leases, retries and signatures are about the network. ``monotonic()`` is for deadlines inside
this process. All instants are aware UTC datetimes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bot.core.errors import ConfigError

VARIABLE = "STREAMWATCH_CLOCK"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Real time by default; ``wall0``, ``domain0`` (epoch seconds that belong together) and ``speed``
    (domain seconds per real second) make it run elsewhere or faster."""

    # A database may answer for the host (replicas share its clock); a clock in hand may not be asked twice.
    host_only = False

    def __init__(self, wall0: float = 0.0, domain0: float = 0.0, speed: float = 1.0) -> None:
        if not all(math.isfinite(value) for value in (wall0, domain0, speed)) or speed <= 0:
            raise ConfigError(f"{VARIABLE}: numbers must be finite and the speed above 0")
        self._wall0 = EPOCH + timedelta(seconds=wall0)
        self._domain0 = EPOCH + timedelta(seconds=domain0)
        self._speed = speed

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Clock:
        """Read STREAMWATCH_CLOCK; unset means real time. Raises ConfigError when it is malformed."""
        text = (os.environ if env is None else env).get(VARIABLE, "").strip()
        if not text:
            return cls()
        try:
            wall0, domain0, speed = (float(part) for part in text.split(","))
        except ValueError as error:
            raise ConfigError(f"{VARIABLE} must be '<wall s>,<domain s>,<speed>', not {text!r}") from error
        return cls(wall0, domain0, speed)

    @property
    def speed(self) -> float:
        """Domain seconds that pass in one real second."""
        return self._speed

    def wall(self) -> datetime:
        """Real time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        return time.monotonic()

    def now(self) -> datetime:
        """The incident's time."""
        return self.domain_of(self.wall())

    def domain_of(self, wall: datetime) -> datetime:
        """The incident's time at a moment of real time."""
        return self._domain0 + (wall - self._wall0) * self._speed


class ManualClock(Clock):
    """A clock that stands until it is advanced; for tests and rehearsals."""

    host_only = True

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("the start must be an aware datetime")
        super().__init__()
        self._at = start.astimezone(UTC)
        self._ticks = 0.0

    def wall(self) -> datetime:
        """Where the clock stands; incident's time and real time are the same here."""
        return self._at

    def monotonic(self) -> float:
        """The sum of all advances that were forward."""
        return self._ticks

    def advance(self, by: timedelta | float) -> datetime:
        """Move by a duration or by seconds (below zero: the wall clock is set back); the new time."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._at += step
        self._ticks += max(0.0, step.total_seconds())
        return self._at
