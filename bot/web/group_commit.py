"""Group commit: many requests wait for one durable transaction.

While the writer's thread commits one batch, the next one gathers on the event loop; a batch that
could start at once waits while turns of the loop bring more rows, so that requests which are already being
read join it. That is what makes synchronous=FULL cost next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

from bot.core.errors import StorageBusy, StorageError, StorageUnavailable

Row = tuple[str, str, bytes, str, str]

TURNS = 3
PATIENCE_SECONDS = 10.0
WAITING_LIMIT = 32 * 1024 * 1024  # bytes of bodies
BATCH_LIMIT = 1000

_log = logging.getLogger(__name__)


class Inbox(Protocol):
    """What the store gives: commit rows, all or none; True for each that is new."""

    def put_many(self, rows: Sequence[Row]) -> list[bool]:
        """(source, delivery key, body, meta as JSON text, reason why it is dead or "")."""
        ...


class _Batch:
    __slots__ = ("rows", "size", "waiters")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.waiters: list[asyncio.Future[bool]] = []
        self.size = 0


class GroupCommit:
    """One for each event loop; its thread starts with the first row and ends with ``close``.

    ``on_commit`` is called on the loop after each commit that brought something new.
    """

    def __init__(
        self, inbox: Inbox, on_commit: Callable[[], None], *, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._inbox, self._on_commit, self._patience = inbox, on_commit, patience
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._gathering = _Batch()
        self._committing: _Batch | None = None
        self._scheduled = False
        self._seen = 0
        self._late = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def put(self, row: Row) -> bool:
        """Wait until the row is durable; False when it was known already.

        Raises StorageError's kinds; a StorageBusy for lateness may still be followed by the commit,
        which the sender's retry will find.
        """
        loop = self._loop or self._start()
        if self._closed or self._late or self._gathering.size > WAITING_LIMIT:
            raise StorageBusy("the database does not keep up")
        waiter: asyncio.Future[bool] = loop.create_future()
        batch = self._gathering
        batch.rows.append(row)
        batch.waiters.append(waiter)
        batch.size += len(row[2])
        if self._committing is None and not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._turn, TURNS)
        return await waiter

    async def close(self) -> None:
        """Commit what waits, then end the thread. Later rows are refused."""
        while self._committing is not None or self._gathering.rows:
            waiting = [*self._gathering.waiters, *(self._committing.waiters if self._committing else [])]
            await asyncio.wait([each for each in waiting if not each.done()] or [self._moment()])
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _moment(self) -> asyncio.Future[None]:
        return asyncio.ensure_future(asyncio.sleep(0.01))

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, name="intake-writer", daemon=True)
        self._thread.start()
        return self._loop

    def _turn(self, left: int) -> None:
        """Wait as long as rows keep coming, and a few turns more; then commit."""
        assert self._loop is not None
        gathered = len(self._gathering.rows)
        left = TURNS if gathered > self._seen else left - 1
        if left > 0 and gathered < BATCH_LIMIT:
            self._seen = gathered
            self._loop.call_soon(self._turn, left)
            return
        self._scheduled, self._seen = False, 0
        self._hand_over()

    def _hand_over(self) -> None:
        """Give what has gathered to the writer. On the loop, while the writer is idle."""
        assert self._loop is not None
        batch, self._gathering = self._gathering, _Batch()
        self._committing = batch
        self._watch = self._loop.call_later(self._patience, self._too_late)
        self._queue.put(batch)

    def _too_late(self) -> None:
        """The commit takes too long: nobody is kept waiting, and nobody else is let in meanwhile."""
        self._late = True
        waiters = list(self._gathering.waiters)
        if self._committing is not None:
            waiters += self._committing.waiters
        self._gathering = _Batch()
        _fail(waiters, StorageBusy("the database does not keep up"))

    def _write(self) -> None:
        while (batch := self._queue.get()) is not None:
            result: list[bool] | StorageError
            try:
                result = self._inbox.put_many(batch.rows)
            except StorageError as error:
                result = error
            except Exception as error:  # noqa: BLE001  (a mistake of ours must not end the only writer)
                _log.exception("intake commit failed")
                result = StorageUnavailable(f"the commit failed ({type(error).__name__})")
            assert self._loop is not None
            if self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(self._committed, batch, result)

    def _committed(self, batch: _Batch, result: list[bool] | StorageError) -> None:
        self._committing, self._late = None, False
        if self._watch is not None:
            self._watch.cancel()
        if isinstance(result, StorageError):
            _log.warning("intake could not store %d notifications: %s", len(batch.rows), result)
            _fail(batch.waiters, result)
        else:
            for waiter, new in zip(batch.waiters, result, strict=True):
                if not waiter.done():
                    waiter.set_result(new)
            if any(result):
                self._on_commit()
        if self._gathering.rows and not self._scheduled:
            assert self._loop is not None
            self._scheduled = True
            self._loop.call_soon(self._turn, TURNS)


def _fail(waiters: Sequence[asyncio.Future[bool]], error: StorageError) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
