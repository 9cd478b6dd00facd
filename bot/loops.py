"""Turns that are taken again and again: at once when woken, at the latest after a tick.

The wait is on the event loop's monotonic clock, so a wall clock that is set back stops nothing. A turn
that fails is logged and taken again, a little later each time; only cancelling ends a loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from bot.core.errors import StorageError

log = structlog.get_logger()
# A loop that fails tries less often, but whatever it waited for, it notices its return within this.
LONGEST_PAUSE_S = 5.0
CANCEL_AGAIN_S = 0.2


class Loop:
    """One turn taker. ``turn`` returns how much it did; more than nothing means: again at once."""

    def __init__(self, name: str, turn: Callable[[], Awaitable[int]], *, every_s: float) -> None:
        self.name = name
        self._turn = turn
        self._every = every_s
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._over = False
        self._good_at = time.monotonic()

    def age(self) -> float:
        """Seconds since the last turn that did not fail, or since the loop was made."""
        return time.monotonic() - self._good_at

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Take the next turn now."""
        self._woken.set()

    def wake_in(self, seconds: float) -> None:
        """Take a turn then as well, so that what falls due between two ticks is not late; replaces the last."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self.wake)

    async def stop(self) -> None:
        """End between two turns, or in the middle of a wait."""
        self._over = True
        if self._alarm is not None:
            self._alarm.cancel()
        while self._task is not None and not self._task.done():
            # Again, because a turn may lose one: asyncio.wait_for does, when what it waits for comes at that moment.
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_S)

    async def _run(self) -> None:
        failures = 0
        while not self._over:
            self._woken.clear()
            try:
                did = await self._turn()
                failures = 0
                self._good_at = time.monotonic()
            except StorageError as error:
                # A database that is away says the same in every loop, every time: a line is enough.
                did, failures = 0, failures + 1
                log.warning("turn_failed", action="turn_failed", loop=self.name, error=str(error))
            except Exception as error:
                did, failures = 0, failures + 1
                text = f"{type(error).__name__}: {error}"
                log.exception("turn_failed", action="turn_failed", loop=self.name, error=text[:300])
            if did and not failures:
                await asyncio.sleep(0)
                continue
            pause = min(self._every * (1 + failures), max(self._every, LONGEST_PAUSE_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
