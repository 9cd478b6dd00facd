"""Start to ready, memory with every Google client in use, and one command in a terminal."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.deployed import beyond_the_base
from tests.bench.house import ROOT, UP_S, Child, House, free_port, get, until
from tests.bench.table import Figure, below, plain

STARTS, CALLS = 3, 3
READY_S, MEMORY_MB = 2.0, 150.0
# What each waits for is the verdict's own words; together they use every client of the bot.
ASKED = (
    ("/pipeline health", "RUNNING"),
    ("/pipeline logs", "error lines"),
    ("/dlq peek", "dead-letter-sub"),
    ("/cost report", "orders-monthly"),
    ("/pipeline jobs", "RUNNING"),
)
_BARE = "tests.bench.bare"


def starts(house: House) -> list[Figure]:
    """Spawn to ready, without a database file and with one. Leaves a bot running on the last."""
    fresh, again = [], []
    for number in range(STARTS):
        fresh.append(house.start_bot(f"start{number}.db"))
        house.stop_bot()
        again.append(house.start_bot(f"start{number}.db"))
        if number + 1 < STARTS:
            house.stop_bot()
    return [
        below(f"start to ready, new database, median of {STARTS}", statistics.median(fresh), READY_S, "s"),
        below(f"start to ready, known database, median of {STARTS}", statistics.median(again), READY_S, "s"),
    ]


def memory(house: House) -> list[Figure]:
    """Resident memory of a bot as it is deployed: ready, with every Google client in use, and of bolt and
    Starlette alone. Leaves that bot running."""
    hidden = house.folder / "hidden"
    hidden.write_text("\n".join(beyond_the_base()))
    house.stop_bot()
    house.start_bot("start0.db", ("tests.bench.deployed", str(hidden)))
    assert house.bot is not None
    ready = house.bot.megabytes()
    seen = 0
    for text, answer in ASKED:
        house.command(text)
        seen = house.heard(answer, seen, 20)
    used = house.bot.megabytes()
    port = free_port()
    child = Child([_BARE, str(port)], house.folder / "bare.log")
    try:
        until(lambda: child.alive() and _answers(port), UP_S, "the bare server did not come up")
        bare = child.megabytes()
    finally:
        child.kill()
    return [
        plain("memory of bolt and Starlette alone", f"{bare:.0f} MB"),
        plain("memory of the bot as deployed, just ready", f"{ready:.0f} MB"),
        below("memory of the bot as deployed, Google's clients in use", used, MEMORY_MB, "MB", 0),
        plain("  / bolt and Starlette alone", f"{used / bare:.2f}"),
    ]


def _answers(port: int) -> bool:
    return bool(get(f"http://127.0.0.1:{port}/"))


def terminal(house: House) -> list[Figure]:
    """``python -m pipeline health`` against the warm sandbox."""
    times = [_timed(house.settings, house.folder) for _ in range(CALLS)]
    return [plain(f"`python -m pipeline health`, median of {CALLS}", f"{statistics.median(times):.1f} s")]


def _timed(settings: dict[str, str], folder: Path) -> float:
    env = {**settings, "DATABASE_URL": f"sqlite:///{folder / 'terminal.db'}"}
    with contextlib.closing((folder / "terminal.log").open("ab")) as out:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "health"],
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=out,
            timeout=60,
        )
    if done.returncode:
        raise SystemExit((folder / "terminal.log").read_text()[-2000:])
    return time.monotonic() - began
