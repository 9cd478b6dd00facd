"""`make chaos` that is told to stop leaves nothing running and nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.demo_postgres import find_postgres
from tests.support.servers import require

PATIENCE_S = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where all its temporary files are; PostgreSQL runs as somebody else and must be able to enter."""
    made = Path(tempfile.mkdtemp(prefix="streamwatch-stopped-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def running(folder: Path) -> list[str]:
    """The commands of all processes that were told this folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if str(folder) in command:
            found.append(command)
    return found


def until(good: Callable[[], object]) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + PATIENCE_S
    while not good():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_chaos_run_told_to_stop_stops_its_database_and_its_replicas(
    folder: Path, number: signal.Signals
) -> None:
    require("PostgreSQL", find_postgres())
    command = [sys.executable, "-m", "tests.faults.chaos", "--database", "postgresql", "--minutes", "5"]
    chaos = subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: any("tests.faults.engine" in c for c in running(folder))), "it did not begin"
        assert any("postgres" in c for c in running(folder))
        chaos.send_signal(number)
        assert until(lambda: chaos.poll() is not None), "it did not end"
        assert chaos.returncode != 0
        assert until(lambda: running(folder) == []), "something runs on"
        assert list(folder.iterdir()) == []
    finally:
        chaos.kill()
