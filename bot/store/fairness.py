"""A lock that is granted in the order in which it was asked for.

An ordinary lock may be taken again at once by the thread that has just released it; the intake,
which commits without a pause in a storm, would starve the processor of what it takes in.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

from bot.core.errors import StorageBusy


class FairLock:
    """Used with ``with``; waits at most ``timeout`` seconds, then raises StorageBusy."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._guard = threading.Lock()
        self._held = False
        self._queue: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Event()
            self._queue.append(turn)
        if turn.wait(self._timeout):
            return
        with self._guard:
            if not turn.is_set():
                self._queue.remove(turn)
                raise StorageBusy("another writer of this process holds the database")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            if self._queue:
                # Handed on, never free in between: that is what keeps the order.
                self._queue.popleft().set()
            else:
                self._held = False
