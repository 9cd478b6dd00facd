"""Calls of Slack's Web API, each counted, limited in time, and never repeated by the client itself.

slack_sdk resends a POST whose connection broke, which doubles messages; its retry handlers are off, since
retries belong to the outbox.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.core.delivery import HTTP_TIMEOUT, Leased, NotSent
from bot.slack.outcome import TROUBLE, Failure, failure_of
from bot.slack.pace import Pace

ENOUGH_S = 1.5
_DEADLINE: ContextVar[float | None] = ContextVar("slack_deadline", default=None)
DEFAULT_URL = "https://slack.com/api/"


class Clock(Protocol):
    """The clock of the process: ``now`` is the incident's time, ``wall`` real time, both aware UTC."""

    def now(self) -> datetime: ...
    def wall(self) -> datetime: ...
    def monotonic(self) -> float: ...


def make_client(token: str | None, api_url: str = DEFAULT_URL) -> AsyncWebClient:
    """A client for one workspace; no proxy is used to reach the own machine."""
    client = AsyncWebClient(
        token=token, base_url=api_url, timeout=int(HTTP_TIMEOUT.total_seconds()), retry_handlers=[]
    )
    if is_loopback(api_url):
        client.proxy = None
    return client


def is_loopback(url: str) -> bool:
    """True for an address on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Api:
    """Slack's methods by their names. Raises Failure, whose outcome says what the failure means."""

    def __init__(self, client: AsyncWebClient, pace: Pace) -> None:
        self.client = client
        self.pace = pace
        self._identity: Mapping[str, Any] = {}
        self._began: float | None = None  # Slack's epoch seconds at which our monotonic clock began

    async def open(self) -> None:
        """Keep connections between calls; without it every call opens its own."""
        if self.client.session is None or self.client.session.closed:
            timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT.total_seconds())
            # Below the keep-alive of common servers, so that a call rarely meets a connection just closed.
            connector = aiohttp.TCPConnector(limit=50, keepalive_timeout=3)
            self.client.session = aiohttp.ClientSession(timeout=timeout, connector=connector)

    async def close(self) -> None:
        """Close the connections."""
        if self.client.session is not None:
            await self.client.session.close()
            self.client.session = None

    async def call(self, method: str, *, once: bool = False, **args: Any) -> dict[str, Any]:
        """Call ``chat.postMessage`` and its like.

        once: the call is not idempotent, so a doubt about it is Ambiguous and not tried again blindly.
        """
        channel = str(args.get("channel") or "")
        function = cast(Callable[..., Awaitable[Any]], getattr(self.client, method.replace(".", "_")))
        seconds = self._time_left(once=once)
        self.pace.take(method, channel)
        try:
            async with asyncio.timeout(seconds):
                response = await function(**args)
        except TROUBLE as error:
            if isinstance(error, SlackApiError):
                self._hear_date(error.response)
            failure = failure_of(error, once=once)
            if isinstance(failure.outcome, NotSent) and failure.code.startswith("rate"):
                self.pace.hold(method, channel, failure.outcome.retry_in.total_seconds())
            raise failure from error
        self._hear_date(response)
        return dict(response.data)

    def first_try(self, row: Leased) -> float:
        """When the row was first tried, in epoch seconds of Slack's own clock; 0 where nobody can know.

        Ours may be hours away from it, and a look-up that begins too late finds nothing of what was accepted.
        """
        if self._began is None or row.age_s < 0:
            return 0.0
        return self._began + row.asked - row.age_s

    def _hear_date(self, response: Any) -> None:
        """Every answer says what time it is there, in whole seconds."""
        date = (getattr(response, "headers", None) or {}).get("Date", "")
        try:
            at = parsedate_to_datetime(str(date)).timestamp()
        except ValueError:
            return
        self._began = at - self.pace.monotonic()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All calls made inside end within ``seconds`` together: a lease bounds a whole send, not one call."""
        token = _DEADLINE.set(asyncio.get_running_loop().time() + seconds)
        try:
            yield
        finally:
            _DEADLINE.reset(token)

    def _time_left(self, *, once: bool = False) -> float:
        """Seconds for the next call. A call that must not be doubled is not begun in the last moments: it
        would only end in doubt, while the next try finds its preparations made."""
        deadline = _DEADLINE.get()
        full = HTTP_TIMEOUT.total_seconds()
        if deadline is None:
            return full
        left = deadline - asyncio.get_running_loop().time()
        if left < (ENOUGH_S if once else 0.05):
            raise Failure("out_of_time", NotSent(reason="out of time", retry_in=timedelta(milliseconds=200)))
        return min(left, full)

    async def respond(self, url: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str]]:
        """Post to a response_url; its status and headers. Raises Failure when there was no answer."""
        webhook = AsyncWebhookClient(
            url, timeout=int(HTTP_TIMEOUT.total_seconds()), session=self.client.session, retry_handlers=[]
        )
        webhook.proxy = self.client.proxy
        try:
            async with asyncio.timeout(self._time_left()):
                answer = await webhook.send_dict(dict(body))
        except TROUBLE as error:
            raise failure_of(error, once=False) from error
        return answer.status_code, answer.headers

    async def put_file(self, url: str, content: bytes) -> None:
        """Send a file's bytes to its upload address, which takes no token."""
        session = self.client.session or aiohttp.ClientSession()
        headers = {"Content-Type": "application/octet-stream"}
        try:
            async with (
                asyncio.timeout(self._time_left()),
                session.post(
                    url, data=io.BytesIO(content), headers=headers, proxy=self.client.proxy
                ) as answer,
            ):
                answer.raise_for_status()
        except TROUBLE as error:
            raise failure_of(error, once=False) from error
        finally:
            if session is not self.client.session:
                await session.close()

    async def identity(self) -> Mapping[str, Any]:
        """Who we are (auth.test), asked once: team_id, user_id, bot_id."""
        if not self._identity:
            self._identity = await self.call("auth.test")
        return self._identity

    @property
    def known_identity(self) -> Mapping[str, Any]:
        """Who we are as far as it is known by now, without a call."""
        return self._identity
