"""One sequence number that rises with every change of the workspace, and a way to wait for the next."""

from __future__ import annotations

import asyncio


class Changes:
    """Counts changes; used from one asyncio loop only."""

    __slots__ = ("_event", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self._event = asyncio.Event()

    def bump(self) -> int:
        """Note a change, wake everyone who waits, return the new number."""
        self.seq += 1
        event, self._event = self._event, asyncio.Event()
        event.set()
        return self.seq

    async def wait(self, after: int, timeout: float) -> bool:
        """Return True as soon as the number is above `after`, False after `timeout` seconds."""
        if self.seq > after:
            return True
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return False
        return True
