"""Delivery to the app: signed as Slack signs, measured against Slack's three seconds, and written down."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

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


class SocketPort(Protocol):
    """What delivery needs of Socket Mode."""

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""

    async def send(self, kind: str, payload: Json, seconds: float, retry: int, reason: str) -> Outcome:
        """Deliver an envelope and wait for its acknowledgement."""


def _payload(body: bytes, content_type: str) -> Json:
    """The payload of an envelope: what the body of the request would have said."""
    if content_type == JSON:
        payload: Json = json.loads(body)
        return payload
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return json.loads(fields["payload"]) if "payload" in fields else dict(fields)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Slack's signature v0 of a request body."""
    base = b"v0:" + str(timestamp).encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class Delivery:
    """Posts to the app and keeps a journal of it. Opened and closed with the server.

    Of several addresses of the app each gets its turn; one where nobody listens is passed over, as the balancer in
    front of replicas does. What was once accepted by a connection is not sent elsewhere.
    """

    def __init__(self, app_urls: Sequence[str], journal: Journal, clock: Clock) -> None:
        self.app_urls = tuple(app_urls)
        self._turn = 0
        self.ack_seconds = ACK_SECONDS
        self._journal = journal
        self._clock = clock
        self.socket: SocketPort | None = None
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
        """Deliver within three seconds: signed to /slack/events, or through a socket when the app opened one."""
        if self.socket is not None and self.socket.connected:
            return await self._through_socket(kind, name, body, content_type, extra)
        timestamp = int(self._clock.wall().timestamp())
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": sign(ids.SIGNING_SECRET, timestamp, body),
            **extra,
        }
        return await self.post(kind, name, "/slack/events", body, headers, self.ack_seconds)

    async def _through_socket(
        self, kind: str, name: str, body: bytes, content_type: str, extra: Mapping[str, str]
    ) -> Outcome:
        if self.socket is None:
            raise RuntimeError("no socket is open")
        retry, reason = int(extra.get("x-slack-retry-num", 0)), extra.get("x-slack-retry-reason", "")
        payload = _payload(body, content_type)
        outcome = await self.socket.send(kind, payload, self.ack_seconds, retry, reason)
        self._note(kind, name, "socket", outcome, retry)
        return outcome

    def _note(self, kind: str, name: str, path: str, outcome: Outcome, retry: int) -> None:
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
                "retry_num": retry,
            }
        )

    async def post(
        self, kind: str, name: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Outcome:
        """Deliver any request to the app and write down how it went."""
        started = time.monotonic()
        outcome = await self._send(path, body, headers, seconds, started)
        self._note(kind, name, path, outcome, int(headers.get("x-slack-retry-num", 0)))
        return outcome

    async def _send(
        self, path: str, body: bytes, headers: Mapping[str, str], seconds: float, started: float
    ) -> Outcome:
        if self._session is None:
            raise RuntimeError("delivery is not open")
        self._turn += 1
        first = self._turn % len(self.app_urls)
        outcome = failed(started, "dispatch_failed", "connection_failed")
        for url in (*self.app_urls[first:], *self.app_urls[:first]):
            left = aiohttp.ClientTimeout(total=max(0.01, seconds - (time.monotonic() - started)))
            try:
                return await self._post(self._session, url + path, body, headers, left, started)
            except TimeoutError:
                return failed(started, "operation_timeout", "http_timeout")
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
                return outcome
        return outcome

    async def _post(
        self,
        session: aiohttp.ClientSession,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        started: float,
    ) -> Outcome:
        async with session.post(
            url, data=body, headers=dict(headers), timeout=timeout, allow_redirects=False
        ) as answer:
            text = (await answer.read()).decode("utf-8", "replace")
            status = answer.status
            no_retry = answer.headers.get("x-slack-no-retry") == "1"
            content_type = answer.headers.get("content-type", "")
        fine = 200 <= status < 300
        return Outcome(
            status=status,
            ms=milliseconds(started),
            body=text,
            content_type=content_type,
            no_retry=no_retry,
            error=None if fine else "dispatch_failed",
            reason="" if fine else "http_error",
        )


def failed(started: float, error: str, reason: str) -> Outcome:
    """The outcome of a delivery without an answer, `started` on the monotonic clock."""
    return Outcome(status=None, ms=milliseconds(started), body="", error=error, reason=reason)


def milliseconds(started: float) -> int:
    """Whole milliseconds since `started` on the monotonic clock."""
    return round((time.monotonic() - started) * 1000)
