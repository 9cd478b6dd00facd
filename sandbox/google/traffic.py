"""How many events the sources publish: a daily wave as a pure function of time.

Every series of the past is computed from this, so that any interval answers the same whenever it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, inf, pi, sin

DAY = 86_400.0
RIPPLE_S = 420.0
DAILY_SWING = 0.35
RIPPLE_SWING = 0.04


@dataclass(frozen=True, slots=True)
class Traffic:
    """A source: `base` events per second on average, most at 18:00 UTC and least at 06:00 UTC.

    In its `silences`, (begin, end) in epoch seconds that do not overlap, it publishes nothing.
    """

    base: float
    phase: float = 0.0
    silences: tuple[tuple[float, float], ...] = ()

    def rate(self, at: float) -> float:
        """Events per second at `at` (epoch seconds)."""
        if any(begin < at <= end for begin, end in self.silences):
            return 0.0
        daily = DAILY_SWING * sin(2 * pi * at / DAY - pi)
        ripple = RIPPLE_SWING * sin(2 * pi * at / RIPPLE_S + self.phase)
        return self.base * (1 + daily + ripple)

    def between(self, start: float, end: float) -> float:
        """Events published in (start, end], epoch seconds; 0 when the interval is empty."""
        if end <= start:
            return 0.0
        kept = self._total(end) - self._total(start)
        for begin, over in self.silences:
            first, last = max(start, begin), min(end, over)
            kept -= self._total(last) - self._total(first) if last > first else 0.0
        return max(0.0, kept)

    def silent_from(self, at: float) -> Traffic:
        """The same source without a word since `at`."""
        return replace(self, silences=(*self.speaking_from(at).silences, (at, inf)))

    def speaking_from(self, at: float) -> Traffic:
        """The same source, which speaks again since `at`."""
        return replace(self, silences=tuple((b, min(e, at)) for b, e in self.silences if b < at))

    def _total(self, at: float) -> float:
        # The antiderivative of rate(), so that sums over intervals add up exactly.
        daily = -DAILY_SWING * DAY / (2 * pi) * cos(2 * pi * at / DAY - pi)
        ripple = -RIPPLE_SWING * RIPPLE_S / (2 * pi) * cos(2 * pi * at / RIPPLE_S + self.phase)
        return self.base * (at + daily + ripple)
