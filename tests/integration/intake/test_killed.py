"""A notification that was answered with 2xx survives kill -9 of the process at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bot.clock import Clock
from bot.store.database import Database
from tests.integration.intake.conftest import notification

ROOT = Path(__file__).parents[3]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: str) -> int:
    body = notification(number)
    head = "POST /webhooks/cloud-monitoring?auth_token=bench HTTP/1.1\r\nHost: x\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(answer.split()[1])


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(400):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError("the server did not start")


async def _storm(port: int, server: subprocess.Popen[bytes], seed: int, accepted: set[str]) -> None:
    """Eight senders post without a pause until the server is gone; it is killed after some answers."""
    enough = random.Random(seed).randint(20, 300)

    async def sender(n: int) -> None:
        reader, writer = await _connect(port)
        try:
            for k in range(10_000):
                number = f"{seed}.{n}.{k}"
                if await _post(reader, writer, number) == 200:
                    accepted.add(number)
                if len(accepted) >= enough and server.poll() is None:
                    os.kill(server.pid, signal.SIGKILL)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    await asyncio.gather(*(sender(n) for n in range(8)))


@pytest.mark.parametrize("seed", [1, 2])
def test_accepted_notifications_survive_kill_9(tmp_path: Path, seed: int) -> None:
    """Eight senders at once; the process is killed in the middle of it."""
    path, port = tmp_path / "killed.db", _free_port()
    accepted: set[str] = set()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.intake.server", "durable", str(port), str(path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        asyncio.run(_storm(port, server, seed, accepted))
    finally:
        server.kill()
        server.wait(20)
    with Database(f"sqlite:///{path}", Clock(), create=False) as database:
        stored = {row.delivery_key.split(":")[0] for row in database.read(lambda tx: tx.inbox_batch(100_000))}
    assert len(accepted) >= 20
    assert accepted - stored == set()
