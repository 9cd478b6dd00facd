"""Over real sockets: an answer that is written at once is the answer that uvicorn would have written."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from bot.clock import Clock
from bot.store.database import Database
from bot.web.answering import AVAILABLE, Protocol
from bot.web.intake import Intake, IntakeSettings

PATH = "/webhooks/cloud-monitoring?auth_token=a-token"
DEADLINE_S = 20.0


def _post(number: int, *headers: str, version: str = "1.1") -> bytes:
    incident = {"incident_id": f"0.{number}", "state": "open", "policy_name": "P"}
    body = json.dumps({"version": "1.2", "incident": incident}).encode()
    lines = [f"POST {PATH} HTTP/{version}", "Host: bot", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)).decode()
    status, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    body = await asyncio.wait_for(reader.readexactly(int(headers.get("content-length", "0"))), DEADLINE_S)
    return int(status.split()[1]), headers, body


@asynccontextmanager
async def _served(folder: Path, http: Any) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    listening = socket.create_server(("127.0.0.1", 0))
    with Database(f"sqlite:///{folder / 'inbox.db'}", Clock(), create=True) as database:
        settings = IntakeSettings(monitoring_tokens=("a-token",))
        intake = Intake(database, settings, lambda: None, Starlette(), clock=Clock())
        config = uvicorn.Config(
            intake, http=http, ws="none", access_log=False, log_config=None, server_header=False
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1], server
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, DEADLINE_S)
            await intake.close()


async def _talk(port: int, *sent: bytes, answers: int) -> list[tuple[int, dict[str, str], bytes]]:
    """Send all at once over one connection; that many answers, and whether the connection then ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(sent))
        return [await _answer(reader) for _ in range(answers)]
    finally:
        writer.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("header", ["Connection: keep-alive", "Connection: close", "Expect: 100-continue"])
async def test_an_answer_at_once_says_what_an_answer_in_parts_says(
    tmp_path: Path, version: str, header: str
) -> None:
    said = []
    for name, http in (("whole", Protocol), ("parts", "httptools")):
        (tmp_path / name).mkdir()
        async with _served(tmp_path / name, http) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_post(1, header, version=version))
            first = await _answer(reader)
            if first[0] == 100:
                first = await _answer(reader)
            writer.close()
            said.append((first[0], {k: v for k, v in first[1].items() if k != "date"}, first[2]))
            assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", first[1]["date"])
    assert said[0] == said[1]
    assert said[0][0] == 200
    assert json.loads(said[0][2]) == {"status": "accepted"}


def test_the_installed_uvicorn_offers_what_an_answer_at_once_needs() -> None:
    assert AVAILABLE


async def test_requests_sent_ahead_over_one_connection_are_answered_in_their_order(tmp_path: Path) -> None:
    async with _served(tmp_path, Protocol) as (port, _):
        refused = b"POST /webhooks/cloud-monitoring HTTP/1.1\r\nHost: bot\r\nContent-Length: 0\r\n\r\n"
        sent = (_post(1), refused, _post(1), _post(2))
        found = await _talk(port, *sent, answers=4)
    assert [status for status, _, _ in found] == [200, 401, 200, 200]
    bodies = [json.loads(found[n][2])["status"] for n in (0, 2, 3)]
    assert bodies == ["accepted", "duplicate", "accepted"]


async def test_a_closing_connection_is_closed_after_its_answer(tmp_path: Path) -> None:
    async with _served(tmp_path, Protocol) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_post(1, "Connection: close"))
        status, headers, _ = await _answer(reader)
        rest = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
    assert (status, headers["connection"], rest) == (200, "close", b"")


async def test_a_stopping_server_answers_what_it_has_read(tmp_path: Path) -> None:
    async with _served(tmp_path, Protocol) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, _, rest = _post(1, "Expect: 100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert (await _answer(reader))[0] == 100
        server.should_exit = True
        writer.write(rest)
        status, _, body = await _answer(reader)
        writer.close()
    assert status == 200
    assert json.loads(body) == {"status": "accepted"}
    assert server.server_state.total_requests == 1


async def test_an_idle_connection_is_closed_by_the_servers_own_timer(tmp_path: Path) -> None:
    async with _served(tmp_path, Protocol) as (port, server):
        server.config.timeout_keep_alive = 1
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_post(1))
        status, _, _ = await _answer(reader)
        ended = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
    assert (status, ended) == (200, b"")
