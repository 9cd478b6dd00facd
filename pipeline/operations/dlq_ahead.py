"""Pulling the next dead letters while the last are being sent: half of a fast replay is waiting for answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message


class Ahead:
    """One pull at most is under way; ``pull`` takes how many at most.  ``close`` gives what nobody took."""

    def __init__(self, pull: Callable[[int], list[Message]]) -> None:
        self._pull = pull
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="replay")
        self._next: Future[list[Message]] | None = None

    def begin(self, most: int) -> None:
        """Starts the next pull, if none is under way."""
        if self._next is None and most > 0:
            self._next = self._pool.submit(self._pull, most)

    def take(self, most: int) -> list[Message]:
        """What the pull under way brings, else a pull now; PipelineError when it failed."""
        under_way, self._next = self._next, None
        return self._pull(most) if under_way is None else under_way.result()

    def close(self) -> list[Message]:
        """Ends the thread; the messages that were pulled and not taken, to be given back."""
        left: list[Message] = []
        if self._next is not None:
            with suppress(PipelineError):
                left = self._next.result()
        self._next = None
        self._pool.shutdown()
        return left
