"""A private PostgreSQL for tests: own data folder, own free port, loopback, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

_USER = "postgres"


def binaries() -> Path | None:
    """The folder of the newest server that is installed, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).parent if path else None


def runnable() -> bool:
    """PostgreSQL refuses to run as root: then its own user must exist."""
    if binaries() is None:
        return False
    if os.geteuid() != 0:
        return True
    with suppress(KeyError):
        return bool(pwd.getpwnam(_USER))
    return False


@contextmanager
def private_server() -> Iterator[str]:
    """A running server; gives ``host:port`` (any password, user postgres)."""
    folder = binaries()
    assert folder is not None
    user = _USER if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="streamwatch-pg-"))
    if user:
        shutil.chown(home, user, user)
    data = home / "data"
    try:
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", _USER, "-A", "trust", "--no-sync", "-E", "UTF8"],
            check=True,
            capture_output=True,
            user=user,
            cwd=home,
        )
        port = _free_port()
        server = subprocess.Popen(
            [
                *(folder / "postgres", "-D", data, "-p", str(port), "-k", home, "-h", "127.0.0.1"),
                *("-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=32MB"),
            ],
            user=user,
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(port, server)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "the server ended at once"
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://{_USER}@127.0.0.1:{port}/postgres", connect_timeout=2).close()
            return
        with suppress(subprocess.TimeoutExpired):
            server.wait(0.05)
    raise AssertionError("the server did not become ready")
