"""Delivery to the app: signed as Slack signs, measured against Slack's three seconds, and written down."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp

from sandbox.clock import Clock
from sandbox.slack import ids
from sandbox.slack.journal import Journal
from sandbox.slack.model import Json

ACK_SECONDS = 3.0
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the app answered. `error` is operation_timeout or dispatch_failed, as Slack says; None if fine.

    `reason` is the word of the x-slack-retry-reason header; `status` is None when there was no answer.
    """

    status: int | None
    ms: int
    body: str
    content_type: str = ""
    no_retry: bool = False
    error: str | None = None
    reason: str = ""

    def json(self) -> Json | None:
        """The body as a JSON object, when it is one."""
        if JSON not in self.content_type and not self.body.lstrip().startswith("{"):
            return None
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Slack's signature v0 of a request body."""
    base = b"v0:" + str(timestamp).encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class Delivery:
    """Posts to the app and keeps a journal of it. Opened and closed with the server."""

    def __init__(self, app_url: str, journal: Journal, clock: Clock) -> None:
        self.app_url = app_url
        self.ack_seconds = ACK_SECONDS
        self._journal = journal
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the HTTP client; needs a running loop."""
        # A kept connection to an app that was restarted would fail a delivery that Slack would have made.
        connector = aiohttp.TCPConnector(force_close=True, limit=50)
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        """Give the HTTP client back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def form(self, kind: str, name: str, fields: Mapping[str, str]) -> Outcome:
        """Deliver a slash command or an interaction."""
        return await self.slack(kind, name, urlencode(fields).encode(), FORM, {})

    async def slack(
        self, kind: str, name: str, body: bytes, content_type: str, extra: Mapping[str, str]
    ) -> Outcome:
        """Deliver a signed request to /slack/events within three seconds."""
        timestamp = int(self._clock.wall().timestamp())
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": sign(ids.SIGNING_SECRET, timestamp, body),
            **extra,
        }
        return await self.post(kind, name, "/slack/events", body, headers, self.ack_seconds)

    async def post(
        self, kind: str, name: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Outcome:
        """Deliver any request to the app and write down how it went."""
        started = time.monotonic()
        outcome = await self._send(path, body, headers, seconds, started)
        self._journal.add(
            {
                "at": self._clock.wall().isoformat(),
                "kind": kind,
                "name": name,
                "path": path,
                "status": outcome.status,
                "ms": outcome.ms,
                "error": outcome.error,
                "reason": outcome.reason,
                "retry_num": int(headers.get("x-slack-retry-num", 0)),
            }
        )
        return outcome

    async def _send(
        self, path: str, body: bytes, headers: Mapping[str, str], seconds: float, started: float
    ) -> Outcome:
        if self._session is None:
            raise RuntimeError("delivery is not open")
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.post(
                self.app_url + path, data=body, headers=dict(headers), timeout=timeout, allow_redirects=False
            ) as answer:
                text = (await answer.read()).decode("utf-8", "replace")
                status = answer.status
                no_retry = answer.headers.get("x-slack-no-retry") == "1"
                content_type = answer.headers.get("content-type", "")
        except TimeoutError:
            return _failed(started, "operation_timeout", "http_timeout")
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            return _failed(started, "dispatch_failed", "connection_failed")
        fine = 200 <= status < 300
        return Outcome(
            status=status,
            ms=_ms(started),
            body=text,
            content_type=content_type,
            no_retry=no_retry,
            error=None if fine else "dispatch_failed",
            reason="" if fine else "http_error",
        )


def _failed(started: float, error: str, reason: str) -> Outcome:
    return Outcome(status=None, ms=_ms(started), body="", error=error, reason=reason)


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
