"""The sandbox's two clocks: the wall, and the domain time in which its world lives.

Signatures, message timestamps, rate limits and time-outs run on the wall clock, as they would against
the real services. What happens in the watched world (jobs, metrics, logs) runs on domain time, which may
go faster.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

VARIABLE = "STREAMWATCH_CLOCK"


class ClockError(ValueError):
    """STREAMWATCH_CLOCK is not `<wall epoch s>,<domain epoch s>,<speed>`."""


class Clock:
    """Gives `now()` (domain time) and `wall()` (real time), both aware UTC.

    `wall0` and `domain0` are epoch seconds that belong together; `speed` is domain seconds per wall second.
    `source` returns the wall clock's epoch seconds; tests hand in their own.
    """

    __slots__ = ("_domain0", "_source", "_speed", "_wall0")

    def __init__(
        self,
        wall0: float = 0.0,
        domain0: float = 0.0,
        speed: float = 1.0,
        *,
        source: Callable[[], float] = time.time,
    ) -> None:
        if not all(math.isfinite(value) for value in (wall0, domain0, speed)) or speed <= 0:
            raise ClockError(f"{VARIABLE}: numbers must be finite and the speed above 0")
        self._wall0, self._domain0, self._speed, self._source = wall0, domain0, speed, source

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Clock:
        """Read STREAMWATCH_CLOCK; without it, domain time is real time. Raises ClockError."""
        text = (os.environ if env is None else env).get(VARIABLE, "").strip()
        if not text:
            return cls()
        try:
            wall0, domain0, speed = (float(part) for part in text.split(","))
        except ValueError as error:
            problem = f"{VARIABLE} must be '<wall epoch s>,<domain epoch s>,<speed>': {text!r}"
            raise ClockError(problem) from error
        return cls(wall0, domain0, speed)

    @property
    def speed(self) -> float:
        """Domain seconds per wall second."""
        return self._speed

    def now(self) -> datetime:
        """Domain time, aware UTC."""
        return _utc(self._domain0 + (self._source() - self._wall0) * self._speed)

    def wall(self) -> datetime:
        """Real time, aware UTC."""
        return _utc(self._source())


def _utc(seconds: float) -> datetime:
    # fromtimestamp() refuses negative values on some platforms; adding to the epoch does not.
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
