"""How many events the sources publish: a daily wave as a pure function of time.

Every series of the past is computed from this, so that any interval answers the same whenever it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

DAY = 86_400.0
RIPPLE_S = 420.0
DAILY_SWING = 0.35
RIPPLE_SWING = 0.04


@dataclass(frozen=True, slots=True)
class Traffic:
    """A source: `base` events per second on average, most at 18:00 UTC and least at 06:00 UTC."""

    base: float
    phase: float = 0.0

    def rate(self, at: float) -> float:
        """Events per second at `at` (epoch seconds)."""
        daily = DAILY_SWING * sin(2 * pi * at / DAY - pi)
        ripple = RIPPLE_SWING * sin(2 * pi * at / RIPPLE_S + self.phase)
        return self.base * (1 + daily + ripple)

    def between(self, start: float, end: float) -> float:
        """Events published in (start, end], epoch seconds; 0 when the interval is empty."""
        return self._total(end) - self._total(start) if end > start else 0.0

    def _total(self, at: float) -> float:
        # The antiderivative of rate(), so that sums over intervals add up exactly.
        daily = -DAILY_SWING * DAY / (2 * pi) * cos(2 * pi * at / DAY - pi)
        ripple = -RIPPLE_SWING * RIPPLE_S / (2 * pi) * cos(2 * pi * at / RIPPLE_S + self.phase)
        return self.base * (at + daily + ripple)
