"""The Bolt app, its way in over HTTP, and its way in over a socket."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult

from bot.core.asks import Desk
from bot.slack.api import DEFAULT_URL, Api, Clock, make_client
from bot.slack.guard import Forged, Guard, Receive, Scope, Send
from bot.slack.listeners import Listeners

__all__ = ["SlackApp", "SlackSettings", "build_app", "make_client", "socket_mode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSettings:
    """What the app needs of the settings."""

    signing_secret: str
    token: str
    api_url: str = DEFAULT_URL


@dataclass(frozen=True, slots=True)
class SlackApp:
    """``bolt`` for a socket, ``asgi`` to mount at POST /slack/events, ``listeners`` to drain at the end."""

    bolt: AsyncApp
    asgi: Guard
    listeners: Listeners


def build_app(
    settings: SlackSettings, desk: Desk, api: Api, clock: Clock, forged: Forged | None = None
) -> SlackApp:
    """The app for one workspace. ``api`` is the sender's, so that both share connections and pace; ``forged`` is
    told of requests that are not Slack's."""
    logger = logging.getLogger("slack_bolt.app")
    # On a bad signature Bolt logs the whole body; the guard answers those before.
    level = max(logger.getEffectiveLevel(), logging.WARNING)
    # While it is built, Bolt warns of SLACK_BOT_TOKEN in the environment, which it does not need.
    logger.setLevel(logging.ERROR)

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        # No call of auth.test here: an acknowledgement must not wait for Slack.
        known = api.known_identity
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_token=settings.token,
            bot_id=known.get("bot_id"),
            bot_user_id=known.get("user_id"),
        )

    bolt = AsyncApp(
        logger=logger,
        name="streamwatch",
        signing_secret=settings.signing_secret,
        client=make_client(None, settings.api_url),
        authorize=authorize,
        # Listeners acknowledge and return; without this Bolt would poll for the acknowledgement in 10 ms steps.
        process_before_response=True,
    )
    logger.setLevel(level)
    listeners = Listeners(desk, api)
    listeners.register(bolt)
    guard = Guard(_Entrance(bolt), settings.signing_secret, clock.wall, forged)
    return SlackApp(bolt, guard, listeners)


class _Entrance:
    """Bolt as a plain ASGI app; the guard has read and checked the body."""

    def __init__(self, bolt: AsyncApp) -> None:
        self._bolt = bolt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: bytes = (await receive())["body"]
        headers: dict[str, Any] = {}
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")] = value.decode("latin-1")
        request = AsyncBoltRequest(
            body=body.decode("utf-8"), query=scope.get("query_string", b"").decode("latin-1"), headers=headers
        )
        answer = await self._bolt.async_dispatch(request)
        out: list[tuple[bytes, bytes]] = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.first_headers_without_set_cookie().items()
        ]
        content = (answer.body or "").encode()
        out.append((b"content-length", str(len(content)).encode()))
        start: MutableMapping[str, Any] = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": out,
        }
        await send(start)
        await send({"type": "http.response.body", "body": content})


def socket_mode(app: AsyncApp, token: str) -> AsyncSocketModeHandler:
    """Hears the same things over a socket, for an app without a public address. connect_async() tries until Slack gives
    it one, as long as that takes, so nothing may wait for it; close_async() ends it."""
    return AsyncSocketModeHandler(app, token)
