"""Real servers for tests: where they are found, how they are started on a free loopback port, how they end.

A suite that needs one says so by name: `require("Google's Pub/Sub emulator", find_pubsub_emulator())` skips where it
is absent, and fails instead when STREAMWATCH_REQUIRE_ALL=1.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import pytest

T = TypeVar("T")
READY_S = 30.0


class NotReady(RuntimeError):
    """A server was found but did not start; carries the end of its output."""


def require(name: str, found: T | None) -> T:
    """What was found; skips the test when it is None ("needs NAME"), or fails with STREAMWATCH_REQUIRE_ALL=1."""
    if found is not None:
        return found
    if os.environ.get("STREAMWATCH_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {name}, and STREAMWATCH_REQUIRE_ALL=1", pytrace=False)
    pytest.skip(f"needs {name}")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_pubsub_emulator() -> Path | None:
    """The emulator's jar: STREAMWATCH_PUBSUB_EMULATOR_JAR, else below gcloud's folder; None without java."""
    given = os.environ.get("STREAMWATCH_PUBSUB_EMULATOR_JAR")
    if shutil.which("java") is None:
        return None
    if given:
        return Path(given) if Path(given).is_file() else None
    root = _gcloud_root()
    jars = sorted(root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar")) if root else []
    return jars[-1] if jars else None


def find_bigtable_emulator() -> Path | None:
    """Google's cbtemulator below gcloud's folder, or on the path."""
    root = _gcloud_root()
    below = root / "platform" / "bigtable-emulator" / "cbtemulator" if root else None
    if below is not None and below.is_file():
        return below
    found = shutil.which("cbtemulator")
    return Path(found) if found else None


@contextmanager
def start_pubsub_emulator() -> Iterator[str]:
    """Google's Pub/Sub emulator on a free port; gives host:port. Skips the test where it is not found."""
    jar = require("Google's Pub/Sub emulator", find_pubsub_emulator())
    port = free_port()
    with _running(["java", "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"], port):
        yield f"127.0.0.1:{port}"


@contextmanager
def start_bigtable_emulator() -> Iterator[str]:
    """Google's Bigtable emulator on a free port; gives host:port. Skips the test where it is not found."""
    program = require("Google's Bigtable emulator", find_bigtable_emulator())
    port = free_port()
    with _running([str(program), "-host", "127.0.0.1", "-port", str(port)], port):
        yield f"127.0.0.1:{port}"


def find_postgres() -> Path | None:
    """The folder with initdb and postgres of the newest PostgreSQL; STREAMWATCH_POSTGRES_BIN wins."""
    given = os.environ.get("STREAMWATCH_POSTGRES_BIN")
    on_path = shutil.which("initdb")
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True
    )
    candidates = [Path(given)] if given else [*installed, *([Path(on_path).parent] if on_path else [])]
    return next((c for c in candidates if (c / "initdb").is_file() and (c / "postgres").is_file()), None)


@contextmanager
def private_postgres() -> Iterator[str]:
    """A PostgreSQL of our own in a temporary folder; gives its URL. Skips the test where none is found."""
    binaries = require("PostgreSQL", find_postgres())
    port = free_port()
    user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="streamwatch-pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        if user is not None:
            # PostgreSQL refuses to run as root.
            shutil.chown(folder, user=user)
            Path(folder).chmod(0o700)
        _run(
            [str(binaries / "initdb"), "-D", str(data), "-U", "streamwatch", "-A", "trust", "-N"],
            user,
            folder,
        )
        server = [
            str(binaries / "postgres"),
            "-D",
            str(data),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            folder,
        ]
        with _running(server, port, user=user, cwd=folder, stop=signal.SIGINT):
            url = f"postgresql://streamwatch@127.0.0.1:{port}/postgres"
            _wait_for_postgres(url)
            yield url


def find_chromium() -> Path | None:
    """Chromium or Chrome: STREAMWATCH_CHROMIUM, else the usual names on the path."""
    given = os.environ.get("STREAMWATCH_CHROMIUM")
    if given:
        return Path(given) if Path(given).is_file() else None
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    return Path(found) if found else None


def _gcloud_root() -> Path | None:
    program = shutil.which("gcloud")
    if program is None:
        return None
    # Asking gcloud takes a second of Python start-up, so look beside the program first.
    beside = Path(program).resolve().parent.parent
    if (beside / "platform").is_dir():
        return beside
    asked = subprocess.run(
        [program, "info", "--format=value(installation.sdk_root)"],
        capture_output=True,
        text=True,
        check=False,
    )
    root = Path(asked.stdout.strip()) if asked.returncode == 0 and asked.stdout.strip() else None
    return root if root is not None and root.is_dir() else None


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    known = Path("/etc/passwd").read_text(encoding="utf-8")
    return next((name for name in ("postgres", "nobody") if f"\n{name}:" in known), None)


def _run(command: Sequence[str], user: str | None, cwd: str) -> None:
    done = subprocess.run(command, user=user, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReady(f"{command[0]}: {done.stderr[-2000:] or done.stdout[-2000:]}")


@contextmanager
def _running(
    command: Sequence[str],
    port: int,
    *,
    user: str | None = None,
    cwd: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, user=user, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_for_port(process, port, command[0], output)
            yield
        finally:
            process.send_signal(stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait_for_port(process: subprocess.Popen[bytes], port: int, name: str, output: IO[str]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    output.seek(0)
    raise NotReady(f"{name} did not listen on {port}: {output.read()[-2000:]}")


def _wait_for_postgres(url: str) -> None:
    import psycopg

    deadline = time.monotonic() + READY_S
    while True:
        try:
            with psycopg.connect(url, connect_timeout=2):
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise NotReady(f"PostgreSQL does not answer: {error}") from error
            time.sleep(0.05)
