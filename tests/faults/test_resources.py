"""The whole bot while its database is locked or its disk full, and when it is told to stop in the middle of a send."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.alerts import alert
from tests.e2e.running import LONG, Stage, page_places, staged

LOCKED_S = 40.0 if LONG else 12.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One bot for the module; each test has a pipeline of its own."""
    with staged(tmp_path_factory.mktemp("resources")) as made:
        yield made


def locked(stage: Stage, seconds: float) -> threading.Thread:
    """Another writer holds the database for so long, from now on."""
    held = threading.Event()

    def hold() -> None:
        file = stage.folder / "streamwatch.db"
        with contextlib.closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            threading.Event().wait(seconds)
            other.execute("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(40)
    return thread


def paged_once(stage: Stage, count: int) -> None:
    """So many incidents, each told and paged, nothing twice."""
    stage.until_told(count, 90)
    places = Counter(page_places(stage.state()))
    assert [place for place, times in places.items() if times > 1] == []


def test_a_database_locked_for_a_moment_is_not_noticed(stage: Stage) -> None:
    holding = locked(stage, 1.0)
    assert stage.post(alert("0.short", pipeline="short")).accepted
    holding.join()
    paged_once(stage, 1)


def test_a_database_locked_for_long_is_a_503_that_the_source_repeats(stage: Stage) -> None:
    holding = locked(stage, LOCKED_S)
    refused = stage.post(alert("0.long", pipeline="long"))
    assert refused.status == 503
    holding.join()
    stage.until(lambda: stage.post(alert("0.long", pipeline="long")).accepted, 60, "it stores nothing again")
    paged_once(stage, 2)


def test_a_full_disk_is_a_503_until_there_is_room(stage: Stage) -> None:
    pid = stage.processes.pid("bot")
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, usual[1]))  # no file may grow beyond its first page
    try:
        refused = [stage.post(alert(f"0.full{n}", pipeline="full")) for n in range(3)]
        assert {answer.status for answer in refused} == {503}
        assert not [row for row in stage.incidents() if row["pipeline"] == "full"]
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)
    stage.until(lambda: stage.post(alert("0.full", pipeline="full")).accepted, 60, "it stores nothing again")
    paged_once(stage, 3)


def test_told_to_stop_in_the_middle_of_a_send_it_ends_in_time_and_nothing_is_twice(stage: Stage) -> None:
    stage.sandbox.post(
        "/sim/faults", {"method": "chat.postMessage", "kind": "timeout", "count": 2, "after_accept": True}
    )
    assert stage.post(alert("0.stop", pipeline="stopping")).accepted
    stage.until(
        lambda: any("INC-4:" in key for _, key in page_places(stage.state())),
        40,
        "Slack did not get the page",
    )
    os.kill(stage.processes.pid("bot"), signal.SIGTERM)
    end = time.monotonic() + 40
    while stage.processes.code("bot") is None and time.monotonic() < end:
        time.sleep(0.05)
    assert stage.processes.code("bot") == 0
    stage.start_bot()
    paged_once(stage, 4)


def test_the_files_hold_no_half_of_anything(stage: Stage) -> None:
    assert stage.rows("PRAGMA integrity_check") == [("ok",)]
    assert Path(stage.folder / "streamwatch.db").exists()
