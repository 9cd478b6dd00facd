"""Two replicas on one database: one frozen, both racing, the database restarted, the clock moved."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from bot.demo_postgres import Postgres
from tests.e2e.running import LONG
from tests.faults.conftest import fresh
from tests.faults.field import Field, field

SEEDS = range(5 if LONG else 1)
# The short form does each where it is most likely to break.
ON_POSTGRES = ["sqlite", "postgresql"] if LONG else ["postgresql"]
ON_SQLITE = ["sqlite", "postgresql"] if LONG else ["sqlite"]
FEW = 4 if LONG else 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_frozen_replica_sends_nothing_after_its_lease(url: str, tmp_path: Path, seed: int) -> None:
    points = ["deliver.claimed", "deliver.sending", "deliver.sent"] if LONG else ["deliver.sending"]
    with field(url, tmp_path, seed=seed) as place:
        place.start("b")
        for number, point in enumerate(points):
            a = place.start("a", STREAMWATCH_STOP_AT=point)
            for copy in range(FEW):
                place.post(place.replicas["b"], f"{number}x{copy}")
            place.until(lambda a=a: a.frozen, f"A was not frozen at {point}")  # type: ignore[misc]
            # A frozen writer of a SQLite file keeps everybody waiting; there B acts once A goes on.
            patience = time.monotonic() + (5.0 if url.startswith("sqlite") else 1000.0)
            place.until(
                lambda p=patience: not place.rows()["sending"] or time.monotonic() > p,  # type: ignore[misc]
                "B did not take over what A held",
            )
            a.send(signal.SIGCONT)
            place.until(lambda: not place.rows()["sending"], "A holds something")
            a.kill()
        place.until_told()
        place.judge()


@pytest.mark.parametrize("url", ON_POSTGRES, indirect=True)
def test_two_replicas_race_for_everything_and_each_thing_happens_once(url: str, tmp_path: Path) -> None:
    with field(url, tmp_path) as place:
        replicas = [place.start("a"), place.start("b")]
        for number in range(40 if LONG else 4):
            for replica in replicas:  # the same notification to both: one of them is the copy
                assert place.post(replica, f"{number}")
        place.until_told()
        place.judge()


def test_a_restarted_database_is_a_pause_and_no_loss(postgres: Postgres, tmp_path: Path) -> None:
    with field(fresh(postgres), tmp_path) as place:
        a, b = place.start("a"), place.start("b")
        for number in range(FEW):
            assert place.post(a, f"before{number}")
        postgres.restart()
        postgres.kill()
        postgres.start()
        assert a.alive
        assert b.alive
        for number in range(FEW):
            place.until(lambda n=number: place.post(a, f"after{n}"), "A stores nothing")  # type: ignore[misc]
        place.until_told()
        place.judge()


def told_of_the_clock(place: Field) -> bool:
    """Whether the announcement channel has the alarm."""
    return any(key.startswith("line:clock:") for key, *_ in place.slack.messages)


def climbed(place: Field) -> set[str]:
    """The pipelines whose incidents were paged to several levels."""
    return {i.pipeline for i, _ in place.stories() if len(i.pages) >= 4}


@pytest.mark.parametrize("url", ON_SQLITE, indirect=True)
@pytest.mark.parametrize("hours", [-1, 1] if LONG else [-1])
def test_a_clock_that_is_moved_stops_nobody_and_is_told(url: str, tmp_path: Path, hours: int) -> None:
    with field(url, tmp_path) as place:
        place.start("a")
        place.start("b")
        for number in range(FEW):
            assert place.post(place.replicas["a"], f"before{number}")
        place.moved.write_text(f"{hours * 3600}")
        place.until(lambda: told_of_the_clock(place), "nobody was told that the clock was moved")
        for number in range(FEW):
            assert place.post(place.replicas["a"], f"after{number}")
        if hours < 0:
            later = {f"line-after{number}" for number in range(FEW)}
            place.until(lambda: climbed(place) >= later, "the ladder stands still")
            place.moved.write_text("0")  # an hour that comes twice, as a mistaken clock is put right
        place.until_told()
        place.judge()
