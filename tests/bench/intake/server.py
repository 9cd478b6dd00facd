"""The servers that are measured: ``python -m tests.bench.intake.server durable|bare PORT FILE``.

``durable`` is the bot's own intake in front of a SQLite file; ``bare`` a Starlette route that reads the
body and answers. Both are served as the bot is: one worker, httptools, uvloop where it is installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.clock import Clock
from bot.serve import settle_garbage
from bot.store.database import Database
from bot.web.answering import Protocol
from bot.web.intake import Intake, IntakeSettings

TOKEN = "bench"


async def nothing(request: Request) -> Response:
    """Read the body, keep nothing, say yes."""
    await request.body()
    return JSONResponse({"status": "accepted"})


def bare() -> Any:
    """A route that does nothing."""
    return Starlette(routes=[Route("/webhooks/cloud-monitoring", nothing, methods=["POST"])])


def durable(path: str) -> Any:
    """The bot's intake; other paths get Starlette's 404."""
    database = Database(f"sqlite:///{path}", Clock(), create=True)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await intake.close()
        database.close()

    settings = IntakeSettings(monitoring_tokens=(TOKEN,))
    intake = Intake(database, settings, lambda: None, Starlette(lifespan=lifespan), clock=Clock())
    return intake


def main() -> None:
    """Serve until killed."""
    kind, port, path = sys.argv[1:]
    application = bare() if kind == "bare" else durable(path)
    print(os.getpid(), flush=True)
    settle_garbage()
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(port),
        log_level="error",
        access_log=False,
        http=Protocol,
        ws="none",
        server_header=False,
    )


if __name__ == "__main__":
    main()
