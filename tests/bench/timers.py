"""Timers in the store: what a tick costs while nothing is due, and how late 10,000 are that fall due in one minute.

The minute is lived through in the time that the work takes: the clock stands at the next due time while nothing is
due, and moves on by what each turn really took while something is. Nothing but idle waiting is left out.

How many pages can be made a second shows where all are overdue, as after an outage. In the minute itself a turn
takes whatever has fallen due since the last one, so that the slower it is, the more it does at once: between its
speed one by one and its speed in batches, the minute is always just filled, and its rate says nothing.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.escalation import next_due
from bot.core.folding import begin, evolve
from bot.core.incident import Event, Incident
from bot.core.paging import fire
from bot.core.policy import Level, Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.demo_postgres import Postgres, find_postgres
from bot.desk.house import House
from bot.desk.timers import Timers
from bot.store.database import Database
from bot.store.migrate import migrate
from bot.store.schema import incidents
from tests.bench.table import Figure, below, plain
from tests.support.servers import new_database

START = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
DUE, OVERDUE, SIZES, TICKS = 10_000, 2_000, (1_000, 100_000), 200
TICK_MS = 10.0
NAMES = ("alice", "bob", "carol", "dave", "erin")
ROSTER = Roster(
    people={name: Person(name=name, slack=f"U{name.upper()}") for name in NAMES},
    first=FirstLevel(primary=Always("alice"), backup=Always("bob")),
    upper={Level.L2: (Always("carol"),), Level.L3: (Always("dave"),), Level.L4: (Always("erin"),)},
)
HOUSE = House(roster=ROSTER, policy=Policy(), runbooks=(), pipelines=(), operations={})


def figures(home: Path) -> list[Figure]:
    """Both databases; PostgreSQL where it is installed."""
    found = _on(lambda name: f"sqlite:///{home / name}.db", "SQLite")
    binaries = find_postgres()
    if binaries is None:
        return [*found, plain("timers on PostgreSQL", "not installed")]
    with Postgres(binaries) as server:

        def fresh(name: str) -> str:
            url = new_database(server, name)
            migrate(url)
            return url

        return [*found, *_on(fresh, "PostgreSQL")]


def _on(address: Callable[[str], str], name: str) -> list[Figure]:
    with _opened(url := address("ticks")) as (database, clock):
        low, high = (_tick_ms(database, clock, url, size) for size in SIZES)
    with _opened(address("minute")) as (database, clock):
        _seed(database, clock, DUE)
        late = asyncio.run(_minute(database, clock))
    p50, p99 = (late[int(len(late) * part)] for part in (0.5, 0.99))
    with _opened(address("overdue")) as (database, clock):
        _seed(database, clock, OVERDUE)
        clock.advance(timedelta(minutes=2))
        per_second = OVERDUE / asyncio.run(_overdue(database, clock))
    return [
        below(f"tick with {SIZES[-1]:,} open incidents, nothing due, {name}", high, TICK_MS, "ms", 2),
        plain(f"  the same with {SIZES[0]:,}; ratio", f"{low:.2f} ms; {high / low:.1f}"),
        plain(f"{DUE:,} timers due in one minute, {name}: late p50 / p99", f"{p50:.2f} / {p99:.2f} s"),
        Figure(
            what=f"  pages made a second, {OVERDUE:,} overdue", value=f"{per_second:.0f}",
            aim=f"{DUE / 60:.0f} or more", met=per_second >= DUE / 60,
        ),
    ]  # fmt: skip


@contextmanager
def _opened(url: str) -> Iterator[tuple[Database, ManualClock]]:
    clock = ManualClock(START)
    with Database(url, clock, create=True) as database:
        yield database, clock


# --- a tick while nothing is due ----------------------------------------------------------------------------


def _incident(number: int, opened: datetime) -> tuple[list[Event], Incident]:
    """An incident whose L1 has acknowledged; L2 is due two hours after it opened."""
    first = lifecycle.opened(
        project="bench", pipeline=f"stream-{number}", family="stream", title="Watermark is old", kind=Kind.PERFORMANCE,
        severity=Severity.WARNING, policy=Policy(), now=opened, actor="cloud-monitoring", reason="bench", claimed=True,
    )  # fmt: skip
    state, told = begin(number, first), [first]
    for events in (fire(state, ROSTER, opened), None):
        more = lifecycle.acknowledge(state, "alice", opened) if events is None else events
        told += more
        for event in more:
            state = evolve(state, event)
    return told, replace(state, seq=len(told))


def _tick_ms(database: Database, clock: ManualClock, url: str, size: int) -> float:
    """The median of what the bot asks every second, with this many open incidents, each with timers."""
    known = database.read(lambda tx: len(tx.incidents(limit=SIZES[0])))
    if not known:
        _, one = _incident(1, START)
        database.write(lambda tx: tx.save(one, next_due_at=next_due(one)))
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        row = connection.execute(sa.select(incidents).where(incidents.c.id == 1)).mappings().one()
        for start in range(max(2, known + 1), size + 1, 5_000):
            numbers = range(start, min(start + 5_000, size + 1))
            copies = [{**row, **_own(n)} for n in numbers]
            connection.execute(sa.insert(incidents), copies)
    engine.dispose()
    return statistics.median(asyncio.run(_ticks(database, clock)))


async def _ticks(database: Database, clock: ManualClock) -> list[float]:
    ticking, times = _ticking(database, clock, []), []
    for _ in range(TICKS):
        began = time.perf_counter()
        await ticking.turn()
        times.append((time.perf_counter() - began) * 1000)
    return times


def _own(number: int) -> dict[str, object]:
    key = f"k{number}"
    due = START + timedelta(hours=2, seconds=number)
    return {"id": number, "corr_key": key, "open_key": key, "next_due_at": due}


# --- ten thousand in one minute -----------------------------------------------------------------------------


def _seed(database: Database, clock: ManualClock, size: int) -> None:
    """So many incidents that opened within one minute, so that each one's L2 is due within one minute."""

    def some(tx: object, numbers: Sequence[int]) -> None:
        for number in numbers:
            told, state = _incident(number, START + timedelta(seconds=60 * number / size))
            tx.append(number, told)  # type: ignore[attr-defined]
            tx.save(state, next_due_at=next_due(state))  # type: ignore[attr-defined]

    for start in range(1, size + 1, 500):
        numbers = range(start, min(start + 500, size + 1))
        database.write(lambda tx, numbers=numbers: some(tx, numbers))  # type: ignore[misc]
    clock.advance(timedelta(hours=1, minutes=59))


async def _minute(database: Database, clock: ManualClock) -> list[float]:
    """How late each was, in order, until its page was committed."""
    first, step = START + timedelta(hours=2), timedelta(seconds=60) / DUE
    late: list[float] = []
    rest: list[float] = []
    ticking = _ticking(database, clock, rest)
    while len(late) < DUE:
        began = time.perf_counter()
        did = await ticking.turn()
        took = time.perf_counter() - began
        if not did:
            clock.advance(rest.pop())
            continue
        clock.advance(took)
        # The earliest due comes first, so these are the next ones.
        due = [first + (len(late) + n + 1) * step for n in range(did)]
        late += [max(0.0, (clock.now() - at).total_seconds()) for at in due]
    return sorted(late)


async def _overdue(database: Database, clock: ManualClock) -> float:
    """The seconds until every page is made."""
    ticking, left = _ticking(database, clock, []), OVERDUE
    began = time.perf_counter()
    while left > 0:
        did = await ticking.turn()
        if not did:
            raise SystemExit(f"{left} overdue timers are not found")
        left -= did
    return time.perf_counter() - began


def _ticking(database: Database, clock: ManualClock, rest: list[float]) -> Timers:
    return Timers(
        store=database, house=lambda: HOUSE, monotonic=clock.monotonic, wake=lambda: None, rest=rest.append
    )
