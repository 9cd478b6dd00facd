"""The heartbeat against a real HTTP receiver, and what /healthz, /metrics and the terminal say of pages."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo_world import get
from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import ROOT, Stage
from tests.support.servers import free_port


class Receiver:
    """A web server that writes down who called."""

    def __init__(self, folder: Path) -> None:
        self.port, self._log = free_port(), folder / "receiver.log"
        (folder / "beat").write_text("")
        command = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)

    def beats(self) -> int:
        return self._log.read_text(errors="replace").count('"GET /beat?key=secret HTTP')


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    started = Receiver(tmp_path)
    yield started
    started.process.kill()
    started.process.wait(10)


def healthz(stage: Stage) -> dict[str, object]:
    return dict(get(f"{stage.app_url}/healthz"))


def test_it_beats_while_all_is_well_and_is_silent_while_nothing_can_be_stored(
    staging: Staging, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{receiver.port}/beat?key=secret"
    stage = staging(env={"HEARTBEAT_URL": url, "HEARTBEAT_EVERY": "1s"})
    stage.until(lambda: receiver.beats() >= 2, 40, "no heartbeat came")
    assert str(healthz(stage)["heartbeat"]).startswith("sent ")
    assert stage.post(alert("beating")).status == 200
    stage.until(lambda: healthz(stage)["audit"]["pages"], 40, "the auditor did not come round")  # type: ignore[index]
    figures = healthz(stage)
    assert (figures["status"], figures["pages_missing"], figures["audit"]["missing"]) == ("ok", 0.0, 0)  # type: ignore[index]

    def accepted() -> str:
        with urllib.request.urlopen(f"{stage.app_url}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        lines = text.splitlines()
        return next(
            (x for x in lines if x.startswith("streamwatch_page_lateness_seconds_count")), "0"
        ).split()[-1]

    stage.until(lambda: float(accepted()) >= 1, 40, "no page's lateness was measured")
    assert "secret" not in (stage.folder / "bot.log").read_text(errors="replace")
    _silent_while_locked(stage, receiver)
    asked = subprocess.run(
        [sys.executable, "-m", "bot", "audit", "pages"], env={**os.environ, **stage.env}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "every page that was due was made, none twice, none without a rule" in asked.stdout


def _silent_while_locked(stage: Stage, receiver: Receiver) -> None:
    with contextlib.closing(sqlite3.connect(stage.folder / "streamwatch.db", isolation_level=None)) as other:
        stage.until(lambda: _locks(other), 40, "the database could not be locked")
        stage.until(
            lambda: str(healthz(stage)["heartbeat"]).startswith("withheld: "),
            60,
            "the heartbeat was not withheld",
        )
        silent = receiver.beats()
        other.execute("ROLLBACK")
    stage.until(lambda: receiver.beats() > silent, 60, "the heartbeat did not come back")


def _locks(other: sqlite3.Connection) -> bool:
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True
