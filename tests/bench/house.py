"""The sandbox and the bot as processes, on loopback and free ports, ended by process id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UP_S = 40.0
_OURS = ("SLACK_", "GOOGLE_", "PUBSUB_", "MONITORING_", "STREAMWATCH_", "DATABASE_URL")


def free_port() -> int:
    """A port that was free a moment ago."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(good: Callable[[], Any], seconds: float, trouble: str) -> Any:
    """The first true answer, asked again every 5 ms; a refused connection is no answer yet. Ends the run
    with ``trouble`` when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := good():
                return found
        time.sleep(0.005)
    raise SystemExit(f"{trouble} (waited {seconds:.0f} s)")


def get(url: str, *, timeout: float = 30) -> Any:
    """GET JSON. Raises OSError's kinds."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return json.loads(answer.read())


class Child:
    """``python -m module``; its output goes to a file."""

    def __init__(self, module: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=ROOT,
                env={**clean, **(env or {}), "PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def alive(self) -> bool:
        """Raises SystemExit with the end of its output when it ended by itself."""
        if self._process.poll() is not None:
            raise SystemExit(
                f"a process ended with {self._process.returncode}:\n{self.log.read_text()[-2000:]}"
            )
        return True

    def megabytes(self) -> float:
        """Resident memory, its own and shared, in MB of 10^6 bytes."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kib * 1024 / 1e6

    def kill(self) -> None:
        """kill -9."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(20)


class House:
    """A running sandbox without rate limits, and a bot that is started (again) on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.app_url = f"http://127.0.0.1:{self.port}"
        args = ["sandbox", "--port", "0", "--google-port", "0", "--app-url", self.app_url, "--no-limits"]
        self.sandbox = Child(args, folder / "sandbox.log")
        self.bot: Child | None = None
        try:
            self.url: str = until(self._said, UP_S, "the sandbox did not say where it listens")
            until(lambda: get(f"{self.url}/sim/state"), UP_S, "the sandbox did not come up")
            self.settings = self._settings()
        except BaseException:
            self.sandbox.kill()
            raise

    def __enter__(self) -> House:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_bot()
        self.sandbox.kill()

    def _said(self) -> str:
        self.sandbox.alive()
        lines = self.sandbox.log.read_text(errors="replace").splitlines()
        return next((line.split()[-1].rstrip("/") for line in lines if line.startswith("sandbox: http")), "")

    def _settings(self) -> dict[str, str]:
        port = self.url.rsplit(":", 1)[1]
        out = subprocess.run(
            [sys.executable, "-m", "sandbox", "env", "--port", port],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def start_bot(self, database: str, module: Sequence[str] = ("bot", "serve")) -> float:
        """Start it on a file of this name; the seconds from the spawn to the first 200 of /readyz."""
        env = {
            **self.settings,
            "DATABASE_URL": f"sqlite:///{self.folder / database}",
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "PUBLIC_URL": self.app_url,
            "PULL_SUBSCRIPTIONS": "streamwatch-alerts,streamwatch-budgets",
            "LOG_LEVEL": "WARNING",
        }
        began = time.monotonic()
        self.bot = bot = Child(module, self.folder / "bot.log", env)
        until(lambda: bot.alive() and self._ready(), UP_S, "the bot did not become ready")
        return time.monotonic() - began

    def stop_bot(self) -> None:
        """kill -9."""
        if self.bot is not None:
            self.bot.kill()
            self.bot = None

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200

    def healthz(self) -> dict[str, Any]:
        """The bot's own figures."""
        return dict(get(f"{self.app_url}/healthz"))

    def command(self, text: str, *, user: str = "alice", channel: str = "incidents") -> float:
        """Type a slash command; milliseconds to its acknowledgement. Raises SystemExit when there was none."""
        body = json.dumps({"user": user, "channel": channel, "text": text}).encode()
        request = urllib.request.Request(
            f"{self.url}/sim/command", data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=40) as answer:
            said = json.loads(answer.read())
        if said["status"] != 200:
            raise SystemExit(f"{text} was not acknowledged: {said}")
        return float(said["ms"])

    def heard(self, contains: str, since: int, seconds: float) -> int:
        """Wait for an answer with this text; its sequence number."""
        query = urllib.parse.urlencode({"contains": contains, "since": since, "timeout": seconds})
        return int(get(f"{self.url}/sim/wait?{query}", timeout=seconds + 10)["seq"])
