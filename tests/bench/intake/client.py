"""The load: wrk where it is installed, else a small client of our own (slower, so ratios shrink)."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.intake.servers import Running, pinned

_LUA = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One round: rates a second, times in milliseconds, processor time in microseconds a request."""

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: int


def measure(server: Running, connections: int, seconds: int) -> Measured:
    """Post single alerts, each with its own id, for some seconds."""
    body = server.home / "body.json"
    body.write_text(server.subject.body)
    before = server.cpu_seconds()
    if shutil.which("wrk"):
        count, micros, p50, p99, failed = _wrk(server, body, connections, seconds)
    else:
        count, micros, p50, p99, failed = asyncio.run(_own(server, connections, seconds))
    used = server.cpu_seconds() - before
    return Measured(
        rate=count / (micros / 1e6),
        p50=p50 / 1000,
        p99=p99 / 1000,
        cpu=used * 1e6 / max(1, count),
        failed=failed,
    )


def _wrk(server: Running, body: Path, connections: int, seconds: int) -> tuple[int, int, int, int, int]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_LUA)]
    command += [f"http://127.0.0.1:{server.port}", "--", server.subject.path, str(body)]
    done = subprocess.run(pinned(-1, command), capture_output=True, text=True, check=True)
    line = next(each for each in done.stdout.splitlines() if each.startswith("RESULT "))
    count, micros, p50, p99, statuses, errors = (int(word) for word in line.split()[1:])
    return count, micros, p50, p99, statuses + errors


async def post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Running, number: str
) -> bool:
    """Post one alert; True when it was accepted. Raises OSError or IncompleteReadError when cut off."""
    body = server.subject.body.replace("%ID%", number).encode()
    head = f"POST {server.subject.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = answer.partition(b"content-length: ")
    await reader.readexactly(int(rest.split(b"\r\n")[0]) if found else 0)
    return answer.split()[1] == b"200"


async def _own(server: Running, connections: int, seconds: int) -> tuple[int, int, int, int, int]:
    times: list[float] = []
    failed = 0
    end = time.monotonic() + seconds

    async def sender(n: int) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while (begun := time.monotonic()) < end:
            failed += not await post(reader, writer, server, f"0.{n:x}.{len(times):x}.{begun}")
            times.append(time.monotonic() - begun)
        writer.close()

    await asyncio.gather(*(sender(n) for n in range(connections)))
    times.sort()
    p50, p99 = (int(times[int(len(times) * share)] * 1e6) for share in (0.5, 0.99))
    return len(times), seconds * 1_000_000, p50, p99, failed


async def accepted_until_killed(server: Running, connections: int, count: int) -> set[str]:
    """Post until ``count`` were accepted, then kill -9 in the middle of it; the ids that were accepted."""
    accepted: set[str] = set()

    async def sender(n: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            for k in range(100_000):
                if await post(reader, writer, server, f"k{n}.{k}"):
                    accepted.add(f"k{n}.{k}")
                if len(accepted) >= count:
                    server.kill()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    await asyncio.gather(*(sender(n) for n in range(connections)))
    return accepted
