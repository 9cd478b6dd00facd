"""How long an operation as a whole waits for the outside; every call that is made for it knows its end.

A deadline of each call alone adds up: calls that follow one another wait for one silence after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")
# What is asked after the end fails at once; zero would mean "for ever" to some clients.
_MOMENT_S: Final = 0.01
_left: ContextVar[Callable[[], float]] = ContextVar("left", default=lambda: float("inf"))


@contextmanager
def within(seconds: float, monotonic: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """What is asked inside has had its answer, or an error, so many seconds from now; an earlier end stays."""
    around, end = _left.get(), monotonic() + seconds
    token = _left.set(lambda: min(around(), end - monotonic()))
    try:
        yield
    finally:
        _left.reset(token)


def at_most(seconds: float) -> float:
    """The seconds that a call may take which would by itself wait so long."""
    return max(_MOMENT_S, min(seconds, _left.get()()))


class Together(ThreadPoolExecutor):
    """Threads that know the end of the operation that they work for."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, fn, *args, **kwargs)
