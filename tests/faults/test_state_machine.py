"""Whatever happens in whatever order: the promises hold. A state machine over the whole bot, on both databases.

SQLite's files lie in memory (/dev/shm), PostgreSQL waits for no disk (conftest), and each example begins with a copy of
one migrated database: the time goes into examples.

Two replicas share a database and a Slack that fails; time stands until it is moved. Each rule is one happening; after
each the invariants are asked of what is stored and of what stands in Slack.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.escalation import timers
from bot.core.incident import Event, Incident
from bot.core.policy import Level
from bot.core.refusal import Refused
from bot.desk.change import decide
from bot.probe import POINTS
from bot.store.database import Database
from bot.store.migrate import migrate
from tests.e2e.alerts import alert
from tests.e2e.running import LONG
from tests.faults.conftest import fresh
from tests.faults.engine import Engine, furnished
from tests.faults.slack import Workspace, beside

START = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
HOUSE = furnished()
PIPELINES = ("orders", "line-1", "line-2")
CRASHES = [p for p in POINTS if p.startswith(("process", "timers", "deliver"))]
# Long enough for a lease, a step of the ladder, a few of them, and a night.
STEPS = (1.0, 7.0, 21.0, 65.0, 400.0, 30_000.0)
names = itertools.count(1)


class Crash(BaseException):
    """The process is gone: nothing after this moment was done."""


class Replica:
    """One engine that can be made to die at a named point; then another takes its place."""

    def __init__(self, url: str, clock: ManualClock, slack: Workspace) -> None:
        self._url, self._clock, self._slack = url, clock, slack
        self.database = Database(url, clock, create=True)
        self._be_born()

    def _be_born(self) -> None:
        self.dies_at, self.dead = "", False
        self.engine = Engine(self.database, HOUSE, beside(self._slack), self._clock, self._reached)

    def _reached(self, point: str) -> None:
        self.dead = self.dead or point == self.dies_at
        if self.dead:
            raise Crash(point)

    async def tick(self) -> None:
        """All that can be done now, or until it dies."""
        try:
            await self.engine.tick()
        except Crash:
            pass
        finally:
            await self.engine.deliverer.drain(30)
            if self.dies_at:
                self._be_born()


def once_each(incident: Incident, events: list[Event]) -> None:
    """No timer fires twice, and no page is made twice."""
    pages = Counter(e.data["page"] for e in events if e.type == "paged")
    steps = Counter(s for e in events if e.type == "timer_fired" for s in e.data["steps"])
    assert max([0, *pages.values(), *steps.values()]) <= 1, incident.name


def in_time(events: list[Event]) -> None:
    """Nobody is paged before the time."""
    for event in events:
        if event.type == "paged":
            assert datetime.fromisoformat(event.data["due_at"]) <= event.at


def none_for_l1_after_the_acknowledgement(incident: Incident, events: list[Event]) -> None:
    """L1's own steps and repeats end with it; they begin again only when it is taken back."""
    acked = False
    for event in events:
        if event.type == "acknowledged":
            acked = True
        elif event.type in ("unacknowledged", "reopened", "relapsed", "resolved"):
            acked = False
        own = event.type == "paged" and event.data["level"] == "L1" and ":c" in event.data["step"]
        assert not (own and acked), f"{incident.name}: {event.data['step']} after the acknowledgement"


class Bot(RuleBasedStateMachine):
    """Alerts, people, time, crashes and a failing Slack."""

    make: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)  # tasks that die with their replica
        self.clock = ManualClock(START)
        self.slack = Workspace(random.Random(0))
        self.url = type(self).make()
        self.replicas = [Replica(self.url, self.clock, self.slack) for _ in range(2)]
        self.number = 0
        self.open: dict[str, list[str]] = {name: [] for name in PIPELINES}

    def teardown(self) -> None:
        """What was promised is kept once nothing is in the way any more."""
        try:
            self.slack.trouble, self.slack.down = 0.0, False
            for _ in range(4):  # leases and waits of earlier tries end
                self.clock.advance(61)
                self._tick_both()
            self._all_is_sent()
        finally:
            for replica in self.replicas:
                replica.database.close()
            self.loop.close()

    # --- what happens -------------------------------------------------------------------------------------

    def _post(self, key: str, pipeline: str, state: str) -> None:
        body = json.dumps(alert(key, pipeline=pipeline, state=state)).encode()
        row = ("cloud-monitoring", f"{key}:{state}", body, "{}", "")
        self.replicas[0].database.put_many([row])

    @rule(pipeline=st.sampled_from(PIPELINES))
    def alert(self, pipeline: str) -> None:
        self.number += 1
        key = f"0.{self.number}"
        self.open[pipeline].append(key)
        self._post(key, pipeline, "open")

    @rule(pipeline=st.sampled_from(PIPELINES), again=st.booleans())
    def close(self, pipeline: str, again: bool) -> None:
        if self.open[pipeline]:
            key = self.open[pipeline][-1] if again else self.open[pipeline].pop(0)
            self._post(key, pipeline, "closed")

    @rule(person=st.sampled_from(["alice", "bob", "carol"]), which=st.integers(0, 5))
    def ack(self, person: str, which: int) -> None:
        active = [i for i, _ in self.stories if i.active]
        if not active:
            return
        incident = active[which % len(active)]
        with suppress(Refused):  # they were faster, or hold no level
            self.replicas[1].database.write(
                lambda tx: decide(
                    tx, HOUSE, incident.id, lambda i, now: lifecycle.acknowledge(i, person, now)
                )
            )

    @rule(by=st.sampled_from(STEPS))
    def advance(self, by: float) -> None:
        self.clock.advance(timedelta(seconds=by))

    @rule(who=st.integers(0, 1))
    def tick(self, who: int) -> None:
        self.loop.run_until_complete(self.replicas[who].tick())

    @rule(who=st.integers(0, 1), point=st.sampled_from(CRASHES))
    def crash(self, who: int, point: str) -> None:
        self.replicas[who].dies_at = point
        self.tick(who)

    @rule(share=st.sampled_from([0.0, 0.3, 0.9]), down=st.booleans())
    def slack_fault(self, share: float, down: bool) -> None:
        self.slack.trouble, self.slack.down = share, down and share > 0.5

    # --- what holds ---------------------------------------------------------------------------------------

    @property
    def stories(self) -> list[tuple[Incident, list[Event]]]:
        """Every incident with its timeline."""
        return self.replicas[0].database.read(
            lambda tx: [(i, list(tx.events(i.id))) for i in tx.incidents(limit=500)]
        )

    def _tick_both(self) -> None:
        for who in (0, 1):
            self.tick(who)

    @invariant()
    def the_promises(self) -> None:
        stories = self.stories
        self._open_ones_wait_for_something([i for i, _ in stories if i.active])
        assert self.slack.twice() == [], "something stands twice in Slack"
        keys = Counter(i.key for i, _ in stories if i.active)
        assert [key for key, times in keys.items() if times > 1] == [], "one problem, two incidents"
        for incident, events in stories:
            once_each(incident, events)
            in_time(events)
            none_for_l1_after_the_acknowledgement(incident, events)
        assert self.replicas[0].database.read(lambda tx: tx.verify()) is None, "a chain is broken"

    def _open_ones_wait_for_something(self, active: list[Incident]) -> None:
        next_due = self.replicas[0].database.read(lambda tx: tx.next_due())
        for incident in active:
            armed = timers(incident)
            exhausted = {Level.L1, Level.L2, Level.L3, Level.L4} <= incident.paged_levels()
            assert armed or exhausted or incident.status == "recovering", f"{incident.name} waits for nothing"
            assert next_due is not None or not armed, "the column knows nothing of what is armed"

    def _all_is_sent(self) -> None:
        stands = self.slack.pages()
        counts = self.replicas[0].database.read(lambda tx: tx.outbox_counts())
        assert counts["dead"] == 0
        for incident, _ in self.stories:
            for page in incident.pages.values():
                key = f"page:{page.id}:dm"
                state = self._state(key)
                assert state is not None, f"{key} was never written"
                assert stands[key] >= 1 or state[0] == "cancelled", f"{key} is lost: {state}"
        if not any(self._recovering()):
            assert counts["pending"] + counts["sending"] == 0 or not self._waits_for_nothing()

    def _state(self, key: str) -> tuple[Any, str] | None:
        return self.replicas[0].database.read(lambda tx: tx.outbox_state(key))

    def _recovering(self) -> Iterator[bool]:
        return (i.status == "recovering" for i, _ in self.stories)

    def _waits_for_nothing(self) -> bool:
        """Rows that wait for a channel which nobody asked for may wait."""
        return all(i.channel_id for i, _ in self.stories if i.wants_channel)


SETTINGS = settings(
    max_examples=250 if LONG else 16,
    stateful_step_count=60 if LONG else 30,
    deadline=None,
    derandomize=not LONG,
    database=None,
    phases=[Phase.generate, *([Phase.shrink] if os.environ.get("SHRINK") else [])],
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def memory() -> Iterator[Path]:
    """A folder that no disk slows down, where there is one."""
    home = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="streamwatch-state-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_promises_hold_whatever_happens(request: pytest.FixtureRequest, kind: str) -> None:
    with memory() as folder:
        if kind == "sqlite":
            first = folder / "first.db"
            migrate(f"sqlite:///{first}")

            def copied() -> str:
                return f"sqlite:///{shutil.copyfile(first, folder / f'{next(names)}.db')}"

            Bot.make = staticmethod(copied)
        else:
            server = request.getfixturevalue("postgres")
            url = fresh(server)
            migrate(url)
            Bot.make = staticmethod(lambda: fresh(server, like=url.rpartition("/")[2]))
        run_state_machine_as_test(Bot, settings=SETTINGS)
