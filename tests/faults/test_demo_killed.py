"""`make demo`, of which everything is killed from outside: the story goes on where it was, and tells how late it is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo_kept import holder
from bot.demo_postgres import find_postgres
from tests.e2e.running import LONG, ROOT, until
from tests.support.servers import free_port, require

PAGE = re.compile(r"^  (L\d \S+ +due \S+) .*?\((\d+) s on the fast clock", re.MULTILINE)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for temporary files that PostgreSQL's own user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="streamwatch-killed-"))
    folder.chmod(0o755)
    yield folder
    for mark in [*folder.glob("*/director.lock"), *folder.glob("*/*.pid")]:
        kill(mark)
    shutil.rmtree(folder, ignore_errors=True)


def kill(mark: Path) -> None:
    """kill -9 of whoever holds it."""
    if (pid := holder(mark)) is not None:
        os.kill(pid, signal.SIGKILL)


class Told:
    """One demo of a shell, and what it says."""

    def __init__(self, home: Path, *words: str) -> None:
        self._file = home / f"said-{len(list(home.glob('said-*')))}"
        with self._file.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "bot", "demo", *words],
                cwd=ROOT, env={**os.environ, "TMPDIR": str(home)}, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def text(self) -> str:
        """All of it so far."""
        return self._file.read_text(encoding="utf-8")

    def says(self, words: str) -> None:
        """Wait for it."""
        until(lambda: words in self.text or self.over, 120, f"it never said {words!r}", lambda: None)
        assert words in self.text, self.text

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.process.poll() is not None


@pytest.mark.parametrize("replicas", [1, 2] if LONG else [2])
def test_a_demo_of_which_everything_was_killed_goes_on_and_pages_once(home: Path, replicas: int) -> None:
    if replicas > 1:
        require("PostgreSQL", find_postgres())
    # The lease of a killed bot is a minute, in which nobody shall be paged a hundred times.
    words = ["--exit", "--scenario", "job_stuck", "--speed", "150", "--replicas", str(replicas)]
    # Of its own: another demo would take 8080 while its bot is dead.
    words += ["--port", str(free_port()), "--bot-port", str(free_port())]
    first = Told(home, *words)
    first.says("The alert opened")
    for mark in [*home.glob("*/director.lock"), *home.glob("*/bot*.pid"), *home.glob("*/server.pid")]:
        kill(mark)
    assert first.process.wait(40) == -signal.SIGKILL

    again = Told(home, "--continue")
    again.process.wait(240)
    assert again.process.returncode == 0, again.text
    assert "everything was killed at" in again.text
    assert "came out right" in again.text
    pages = PAGE.findall(again.text)
    assert {due[:2] for due, _ in pages} >= {"L1", "L2"}, again.text
    assert [due for due, times in Counter(due for due, _ in pages).items() if times > 1] == []
    assert max(int(late) for _, late in pages) > 60, "nothing was late, though all was dead"
    assert list(home.glob("streamwatch-*")) == [], "something is left behind"


def test_there_is_nothing_to_go_on_with_after_an_orderly_end(home: Path) -> None:
    told = Told(home, "--continue")
    assert told.process.wait(60) == 2
    assert "There is no demo to go on with" in told.text
