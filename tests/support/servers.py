"""Real servers for tests: where they are found, how they are started on a free loopback port, how they end.

A suite that needs one says so by name: `require("Google's Pub/Sub emulator", find_pubsub_emulator())` skips where it
is absent, and fails instead when STREAMWATCH_REQUIRE_ALL=1.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import psycopg
import pytest

from bot.demo_postgres import Postgres, find_postgres

T = TypeVar("T")
READY_S = 60.0


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
    """A loopback port that nobody listens on, and that nobody gets by chance: below those from which the system
    takes a port for each connection, so that a server that is killed finds it free again."""
    chance = random.SystemRandom()
    while True:
        port = chance.randint(15_000, 31_999)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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


def find_faketime() -> Path | None:
    """libfaketime's library for programs with threads (Debian's package libfaketime)."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


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


@contextmanager
def private_postgres() -> Iterator[str]:
    """A PostgreSQL of our own in a temporary folder; gives its URL. Skips the test where none is found."""
    with postgres_server() as server:
        yield server.url


@contextmanager
def postgres_server(options: Sequence[str] = ()) -> Iterator[Postgres]:
    """The same as a server that may be killed and restarted."""
    with Postgres(require("PostgreSQL", find_postgres()), options) as server:
        yield server


def address_of(server: Postgres, database: str) -> str:
    """DATABASE_URL of one of its databases."""
    return f"{server.url.rpartition('/')[0]}/{database}"


def new_database(server: Postgres, name: str, like: str = "template1") -> str:
    """DATABASE_URL of a new database, empty or a copy of another."""
    statement = f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY file_copy"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement.encode())
    return address_of(server, name)


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


@contextmanager
def _running(
    command: Sequence[str],
    port: int,
) -> Iterator[None]:
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _wait_for_port(process, port, command[0], output)
            yield
        finally:
            process.terminate()
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
