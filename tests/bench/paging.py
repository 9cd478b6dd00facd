"""Pages through the running bot: due to accepted by Slack, restart to first tick; and a year rehearsed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta

from bot.core.rehearsal import AlertArrives, FactChanges, Happening, Outage, PersonActs, Rehearsal
from bot.desk.rehearse import rehearse
from tests.bench import storm
from tests.bench.house import House, until
from tests.bench.table import Figure, below, plain
from tests.bench.timers import HOUSE

PAGES, ACCEPTED_S, UP_S = 100, 5.0, 60.0
DATABASE = "paging.db"
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
YEAR_S = 30.0


def figures(house: House) -> list[Figure]:
    """Start a bot of its own in this house, and end it."""
    house.stop_bot()
    house.start_bot(DATABASE)
    late = _accepted(house)
    restart = _restart(house)
    house.stop_bot()
    p50, p99 = storm.share(late, 0.5), storm.share(late, 0.99)
    return [
        below(f"due to accepted by Slack, {PAGES} pages at once, p99", p99, ACCEPTED_S, "s", 2),
        plain("  the same, p50", f"{p50:.2f} s"),
        plain("restart (kill -9, spawn) to the first tick done", f"{restart:.2f} s"),
        _year(),
    ]


def _accepted(house: House) -> list[float]:
    """Seconds from due to accepted of each page that left as a direct message."""
    asyncio.run(storm.post_all(house, PAGES, PAGES))
    query = "SELECT data FROM events WHERE type = 'page_delivered'"

    def sent() -> list[float]:
        told = [json.loads(text) for (text,) in _rows(house, query)]
        first = {d["page"]: float(d["late_s"]) for d in told if d["place"] == "direct message"}
        return list(first.values()) if len(first) >= PAGES else []

    return list(until(sent, UP_S, f"{PAGES} pages did not go out"))


def _restart(house: House) -> float:
    """A timer that was due long ago is seen to by the first tick: its due time is then another."""
    house.stop_bot()
    with contextlib.closing(sqlite3.connect(house.folder / DATABASE)) as database, database:
        database.execute("UPDATE incidents SET next_due_at = 1 WHERE id = 1")
    began = time.monotonic()
    house.start_bot(DATABASE)
    until(
        lambda: not _rows(house, "SELECT 1 FROM incidents WHERE next_due_at = 1"),
        UP_S,
        "the bot does not tick",
    )
    return time.monotonic() - began


def _rows(house: House, query: str) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(house.folder / DATABASE, timeout=10)) as database:
        return list(database.execute(query))


def _year() -> Figure:
    """A year of on-call: an incident a day, each seventh critical, facts, outages, snoozes and escalations."""
    happenings = [item for day in range(365) for item in _day(day)]
    began = time.perf_counter()
    story = rehearse(Rehearsal(name="year", start=YEAR, happenings=tuple(happenings)), HOUSE)
    took = time.perf_counter() - began
    pages = len(story.pages())
    return below(f"a year of on-call rehearsed ({pages:,} pages)", took, YEAR_S, "s")


def _day(day: int) -> list[Happening]:
    begin = YEAR + timedelta(days=day, minutes=day * 37 % 1000)

    def at(minutes: float) -> datetime:
        return begin + timedelta(minutes=minutes)

    severity = "critical" if day % 7 == 0 else "info" if day % 5 == 0 else "warning"
    alert = {"pipeline": f"stream-{day % 9}", "kind": "performance", "severity": severity}
    found: list[Happening] = [
        AlertArrives(at(0), alert),
        PersonActs(at(7 + day % 30), "alice", "ack"),
        AlertArrives(at(200 + day % 90), {**alert, "state": "closed"}),
        PersonActs(at(330), "alice", "resolve"),
    ]
    if day % 3 == 0:
        found.append(FactChanges(at=at(3), name="degraded", on=True, pipeline=str(alert["pipeline"])))
        found.append(FactChanges(at=at(190), name="degraded", on=False, pipeline=str(alert["pipeline"])))
    if day % 11 == 0:
        found.append(Outage(at(4), "bot" if day % 2 else "slack", timedelta(minutes=9)))
    if day % 13 == 0:
        found.append(PersonActs(at(60), "alice", "snooze", timedelta(hours=2)))
        found.append(PersonActs(at(70), "alice", "escalate"))
    return found
