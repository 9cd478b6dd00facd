"""The bot without its edges, as a process that starts in an instant: the real store, processor, timers and deliverer.

`python -m tests.faults.engine DATABASE_URL SLACK_PORT WALL0 SPEED CLOCK_FILE` reads notifications from its input, one
JSON line each, commits them as the intake does and then says their key; everything else it does by itself until it
is killed. Its wall clock runs SPEED times as fast, so that a lease of 20 s ends soon, and is moved by as many seconds
as CLOCK_FILE says.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot import logs
from bot.clock import Clock
from bot.core.delivery import HTTP_TIMEOUT
from bot.core.errors import StorageError
from bot.core.policy import Level, Policy
from bot.desk.deliver import Deliverer
from bot.desk.house import House, claims_of
from bot.desk.processor import Processor
from bot.desk.timers import Timers
from bot.documents import load_roster
from bot.loops import Loop
from bot.probe import Probe, from_env, nowhere
from bot.store.database import Database
from pipeline import catalogue
from tests.faults.slack import Sender

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"
HURRY = timedelta(seconds=10)
# One step of the ladder every ten seconds, and nothing that depends on how long a page took to be answered.
POLICY = Policy(
    ladder={Level.L2: 3 * HURRY, Level.L3: 4 * HURRY, Level.L4: 5 * HURRY},
    backup=HURRY,
    emergency=2 * HURRY,
    l2_if_critical=timedelta(days=1),
    repeat=timedelta(days=1),
    unanswered=timedelta(days=1),
    merge=timedelta(seconds=1),
    rules=(),
)
LEVELS = {"L1", "L2", "L3", "L4"}


def furnished() -> House:
    """The shipped documents with a policy in seconds; no runbook, since nobody here asks Google."""
    pipelines = tuple(catalogue.load(RUNBOOKS / "pipelines.yaml", "demo-project", "europe-west1").pipelines)
    return House(
        roster=load_roster(RUNBOOKS / "roster.yaml"),
        policy=POLICY,
        runbooks=(),
        pipelines=pipelines,
        operations={},
        claims=claims_of(pipelines),
    )


class FastClock(Clock):
    """A wall clock that runs fast, which all processes of a test share, and that a file may move."""

    host_only = True

    def __init__(self, wall0: float, speed: float, moved: Path | None) -> None:
        super().__init__()
        self._began = wall0
        self.pace = speed
        self._file = moved

    def wall(self) -> datetime:
        """Since the test began, faster; and wherever it was moved."""
        shift = float(self._file.read_text() or 0) if self._file and self._file.exists() else 0.0
        ran = (time.time() - self._began) * self.pace
        return datetime.fromtimestamp(self._began, UTC) + timedelta(seconds=ran + shift)

    def now(self) -> datetime:
        """The same: these incidents live in this time."""
        return self.wall()

    def monotonic(self) -> float:
        """As fast, and moved by nobody."""
        return time.monotonic() * self.pace


class Engine:
    """One replica's loops."""

    def __init__(
        self, database: Database, house: House, sender: Sender, clock: Clock, probe: Probe = nowhere
    ) -> None:
        shared: dict[str, Any] = {
            "store": database,
            "house": lambda: house,
            "wake": self.wake,
            "probe": probe,
        }
        self.processor = Processor(**shared, record_budget=lambda new, row: None)
        self.timers = Timers(**shared, monotonic=clock.monotonic)
        self.deliverer = Deliverer(**shared, sender=sender, now=clock.now, monotonic=clock.monotonic)
        self.loops = [
            Loop("inbox", self.processor.turn, every_s=0.1),
            Loop("timers", self.timers.turn, every_s=0.05),
            Loop("outbox", self.deliverer.turn, every_s=0.05),
        ]

    def wake(self) -> None:
        """Something was committed."""
        for loop in self.loops:
            loop.wake()

    async def tick(self) -> None:
        """By hand, for a test that holds the clock: all that can be done now."""
        while (await self.processor.turn()) + (await self.timers.turn()) + (await self.deliverer.turn()):
            await self.deliverer.drain(60)


async def remote(port: int, speed: float) -> Callable[..., Any]:
    """Calls of a workspace that listens on a port of this machine; one connection each, like HTTP."""
    patience = HTTP_TIMEOUT.total_seconds() / speed

    async def call(method: str, *words: Any) -> dict[str, Any]:
        until = time.time() + patience
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(json.dumps([until, method, *words]).encode() + b"\n")
                said: dict[str, Any] = json.loads(await reader.readline())
            finally:
                writer.close()
            return said

    return call


def say(text: str) -> None:
    """One whole line, whichever thread says it."""
    os.write(1, f"{text}\n".encode())


def _take_in(database: Database, wake: Callable[[], None]) -> None:
    for line in sys.stdin:
        said = json.loads(line)
        body = json.dumps(said).encode()
        key = said["incident"]["incident_id"]
        try:
            database.put_many([("cloud-monitoring", f"{key}:{said['incident']['state']}", body, "{}", "")])
        except StorageError:
            say(f"503 {key}")
            continue
        say(key)
        wake()


async def serve(url: str, port: int, clock: FastClock, probe: Probe) -> None:
    """Until it is killed."""
    database = Database(url, clock, create=False, probe=probe)
    engine = Engine(database, furnished(), Sender(await remote(port, clock.pace)), clock, probe)
    loop = asyncio.get_running_loop()
    for each in engine.loops:
        each.start()
    wake = lambda: loop.call_soon_threadsafe(engine.wake)  # noqa: E731
    threading.Thread(target=_take_in, args=(database, wake), daemon=True).start()
    say("ready")
    await asyncio.Event().wait()


if __name__ == "__main__":
    logs.set_up("INFO")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    address, place, wall0, speed, moved = sys.argv[1:]
    asyncio.run(
        serve(address, int(place), FastClock(float(wall0), float(speed), Path(moved)), from_env(os.environ))
    )
