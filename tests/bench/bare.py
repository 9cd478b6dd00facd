"""``python -m tests.bench.bare PORT``: an AsyncApp of bolt behind a Starlette route, and nothing else."""

from __future__ import annotations

import sys

import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def authorize() -> AuthorizeResult:
    """Everybody is the same bot; no call is made."""
    return AuthorizeResult(enterprise_id=None, team_id="T0SANDBOX", bot_token="xoxb-bench")


async def fine(_: Request) -> Response:
    """It is up."""
    return JSONResponse({"status": "ok"})


def main() -> None:
    """Serve until killed."""
    handler = AsyncSlackRequestHandler(AsyncApp(signing_secret="bench", authorize=authorize))

    async def events(request: Request) -> Response:
        return await handler.handle(request)

    app = Starlette(routes=[Route("/", fine), Route("/slack/events", events, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
