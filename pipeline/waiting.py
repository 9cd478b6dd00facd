"""Waiting for something, bounded by the injected clock and by the number of looks.

Domain time may run many times faster than real time: a bound in domain time alone would give up
before the first look, a bound in looks alone would wait for hours on a slow clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

_STEPS_S: Final = (0.5, 1.0, 1.0, 2.0, 2.0, 3.0)
_LONG_S: Final = 5.0


def looks(
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    deadline_s: float,
    *,
    least: int = 20,
    most: int = 360,
) -> Iterator[int]:
    """Yields 0, 1, 2 … with pauses between, until ``deadline_s`` of the injected clock is over.

    At least ``least`` looks are given, at most ``most``.  Pauses grow from half a second to 5 s of
    whatever ``sleep`` makes of it.
    """
    end = now() + timedelta(seconds=deadline_s)
    for look in range(most):
        yield look
        if look + 1 >= least and now() >= end:
            return
        sleep(_STEPS_S[look] if look < len(_STEPS_S) else _LONG_S)
