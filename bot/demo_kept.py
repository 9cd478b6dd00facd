"""What a demo keeps in its folder: enough to be taken up when every process of it was ended by ``kill -9``.

The sandbox is the world outside, Slack and Google Cloud, and has to live on: what stood there is nowhere else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "streamwatch-demo-"
_FILE, _SEEN, _LOCK = "demo.json", "seen", "director.lock"


@dataclass(slots=True, kw_only=True)
class Kept:
    """One demo. ``falls`` are the times, (last seen, back again) in epoch seconds, in which all of it was dead."""

    folder: Path
    exit_: bool
    scenario: str
    speed: float
    clock: Mapping[str, str]
    ports: tuple[int, ...]
    sandbox_port: int
    postgres: Mapping[str, Any] = field(default_factory=dict)
    alert: str = ""
    done: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    falls: list[tuple[float, float]] = field(default_factory=list)

    def save(self) -> None:
        """Whoever is killed in the middle leaves the old or the new."""
        new = self.folder / f"{_FILE}.new"
        new.write_text(json.dumps({**asdict(self), "folder": ""}), encoding="utf-8")
        new.replace(self.folder / _FILE)
        self.seen()

    def did(self, what: str) -> None:
        """A part of the story that is not told again."""
        self.done.append(what)
        self.save()

    def tell(self, text: str) -> None:
        """A line for the transcript."""
        self.told.append(text)
        self.save()

    def seen(self) -> None:
        """The demo lives at this moment."""
        (self.folder / _SEEN).touch()

    def last_seen(self) -> float:
        """When it last said so, in epoch seconds."""
        return (self.folder / _SEEN).stat().st_mtime

    def domain(self, wall: float) -> float:
        """The incident's time, in epoch seconds, at a moment of real time."""
        if not self.clock:
            return wall
        wall0, domain0, speed = (float(part) for part in self.clock["STREAMWATCH_CLOCK"].split(","))
        return domain0 + (wall - wall0) * speed


def interrupted() -> list[Kept]:
    """Demos of this user that nobody ended in order, the newest first."""
    found = []
    for file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_FILE}"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            if file.stat().st_uid == os.geteuid() and holder(file.with_name(_LOCK)) is None:
                found.append(_read(file))
    return sorted(found, key=Kept.last_seen, reverse=True)


def _read(file: Path) -> Kept:
    told = json.loads(file.read_text(encoding="utf-8"))
    told |= {"folder": file.parent, "ports": tuple(told["ports"])}
    told["falls"] = [(begin, end) for begin, end in told["falls"]]
    return Kept(**told)


@contextmanager
def directing(folder: Path) -> Iterator[None]:
    """While this process directs the demo in that folder."""
    with mark(folder / _LOCK) as file:
        write_pid(file, os.getpid())
        yield


@contextmanager
def mark(path: Path) -> Iterator[int]:
    """A file that is locked as long as any process has the descriptor that this gives. However a process ends, the
    system lets go of its lock, so nobody is taken for another who has the same id later."""
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def write_pid(file: int, pid: int) -> None:
    """Who holds the mark."""
    os.ftruncate(file, 0)
    os.pwrite(file, str(pid).encode(), 0)


def holder(path: Path) -> int | None:
    """The id of the process that holds a mark; None when it ended, or there is none."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                if found := file.read():
                    return int(found)
                time.sleep(0.01)  # it is just being started
            else:
                return None
    return None


class Survivor:
    """A process of a demo whose director was killed: as much of Popen as the next director needs."""

    def __init__(self, path: Path, pid: int) -> None:
        self._path = path
        self.pid = pid

    @property
    def returncode(self) -> int | None:
        """Nobody but its parent, who is gone, was told."""
        return self.poll()

    def poll(self) -> int | None:
        """None while it lives."""
        return None if holder(self._path) == self.pid else -signal.SIGKILL

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._send(signal.SIGKILL)

    def wait(self, timeout: float = 40.0) -> int:
        """Until it ended, or for so long."""
        end = time.monotonic() + timeout
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        return self.poll() or 0

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def end_survivor(path: Path) -> None:
    """kill -9 of what holds a mark, and wait until all that came of it is gone."""
    if (pid := holder(path)) is not None:
        left = Survivor(path, pid)
        left.kill()
        left.wait()
