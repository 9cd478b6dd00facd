"""A PostgreSQL of one's own: a temporary cluster on a free loopback port, which may be killed and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.demo_kept import end_survivor, mark, write_pid

UP_S = 40.0


class NotStarted(RuntimeError):
    """PostgreSQL is there but did not start; carries the end of its output."""


def find_postgres() -> Path | None:
    """The folder with initdb and postgres of the newest PostgreSQL; STREAMWATCH_POSTGRES_BIN wins."""
    given = os.environ.get("STREAMWATCH_POSTGRES_BIN")
    on_path = shutil.which("initdb")
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True
    )
    candidates = [Path(given)] if given else [*installed, *([Path(on_path).parent] if on_path else [])]
    return next((c for c in candidates if (c / "initdb").is_file() and (c / "postgres").is_file()), None)


def unprivileged() -> str | None:
    """Whom to run it as: PostgreSQL refuses root. None where this process is nobody special."""
    if os.geteuid() != 0:
        return None
    known = Path("/etc/passwd").read_text(encoding="utf-8")
    return next((name for name in ("postgres", "nobody") if f"\n{name}:" in known), None)


class Postgres:
    """One server and its data, both gone after ``close``. Raises NotStarted when it does not come up.

    options: settings of the server, ``fsync=off``.
    home, port: of one whose director was killed; whatever lives of it is ended, and its data are there.
    """

    def __init__(
        self, binaries: Path, options: Sequence[str] = (), *, home: Path | None = None, port: int = 0
    ) -> None:
        self._binaries = binaries
        self._options = ("max_connections=100", *options)
        self._user = unprivileged()
        self._home = home or Path(tempfile.mkdtemp(prefix="streamwatch-pg-"))
        self._data = self._home / "data"
        self._mark = self._home / "server.pid"
        self._port = port or _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        if home is not None:
            end_survivor(self._mark)
            return
        if self._user is not None:
            shutil.chown(self._home, user=self._user)
        words = ["-D", str(self._data), "-U", "streamwatch", "-A", "trust", "-N", "-E", "UTF8"]
        done = self._run([str(binaries / "initdb"), *words])
        if done.returncode:
            self.close()
            raise NotStarted(f"initdb: {done.stderr[-1000:]}")

    @property
    def place(self) -> dict[str, Any]:
        """What another process needs to take it over: home and port."""
        return {"home": str(self._home), "port": self._port}

    @property
    def url(self) -> str:
        """DATABASE_URL of its first database."""
        return f"postgresql://streamwatch@127.0.0.1:{self._port}/postgres"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self._home / "log"

    @property
    def running(self) -> bool:
        """False when it was never started, was killed, or ended."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Start it (again), and wait until it answers; what committed before a kill is there."""
        end = time.monotonic() + UP_S
        while not self._up(end):
            # The children of a killed server need a moment to notice; until then their memory is in use.
            if time.monotonic() > end:
                raise NotStarted(self.log.read_text(errors="replace")[-1000:])
            time.sleep(0.2)

    def kill(self) -> None:
        """kill -9 of the server's main process."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    def restart(self) -> None:
        """As an administrator does it: every connection is cut."""
        self._end(signal.SIGINT)
        self.start()

    def close(self) -> None:
        """Stop it and remove its data."""
        self._end(signal.SIGINT)
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self, how: signal.Signals) -> None:
        if self._server is None or self._server.poll() is not None:
            return
        self._server.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(15)
        if self._server.poll() is None:
            self.kill()

    def _up(self, end: float) -> bool:
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-h", "127.0.0.1"]
        command += ["-p", str(self._port), "-k", str(self._home)]
        command += [word for option in self._options for word in ("-c", option)]
        with self.log.open("ab") as out, mark(self._mark) as held:
            self._server = subprocess.Popen(
                command,
                user=self._user,
                cwd=self._home,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(held,),
            )
            write_pid(held, self._server.pid)
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while self._server.poll() is None and time.monotonic() < end:
            if self._run(ready).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, user=self._user, cwd=self._home, capture_output=True, text=True, check=False
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
