"""What the machine itself gave while something was measured: lateness without it says nothing about the product."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

STEP_S = 0.25
# Of the time, something that could have run had to wait for a processor.
STARVED = 0.25


class Machine:
    """Watches from ``__enter__`` to ``__exit__``; where the system does not tell (not Linux), every figure is 0."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._waits: list[tuple[float, float]] = []  # epoch seconds, seconds waited since the machine began
        self._first: tuple[int, int, int] = (0, 0, 0)
        self._last: tuple[int, int, int] = (0, 0, 0)

    def __enter__(self) -> Machine:
        self._first = _ticks()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._last = _ticks()

    def waited(self, since: float, until: float) -> float:
        """The share (0 to 1) of a time in which somebody waited for a processor; epoch seconds."""
        inside = [w for w in self._waits if since - STEP_S <= w[0] <= until + STEP_S]
        if len(inside) < 2 or inside[-1][0] <= inside[0][0]:
            return 0.0
        return min(1.0, (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]))

    def figures(self) -> dict[str, float]:
        """Per cent of the whole time."""
        busy, stolen, total = (b - a for a, b in zip(self._first, self._last, strict=True))
        ends = (self._waits[0][0], self._waits[-1][0]) if self._waits else (0.0, 0.0)
        return {
            "% processors busy": round(100 * busy / total) if total else 0,
            "% processors stolen": round(100 * stolen / total, 1) if total else 0,
            "% waited for one": round(100 * self.waited(*ends)),
        }

    def _watch(self) -> None:
        while not self._over.wait(STEP_S):
            self._waits.append((time.time(), _pressure_s()))


def _pressure_s() -> float:
    with contextlib.suppress(OSError):
        first = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
        return int(first.rpartition("=")[2]) / 1_000_000
    return 0.0


def _ticks() -> tuple[int, int, int]:
    """Busy, stolen and all ticks of the processors since the machine began."""
    with contextlib.suppress(OSError):
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        user, nice, system, idle, waiting, irq, soft, stolen = (int(n) for n in line.split()[1:9])
        busy = user + nice + system + irq + soft
        return busy, stolen, busy + idle + waiting + stolen
    return 0, 0, 0
