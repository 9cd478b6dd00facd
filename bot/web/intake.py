"""The way in for notifications: authenticate, check, commit to the inbox, then answer.

A raw ASGI application ahead of all routing, because a storm of alerts is when it must be fast.
Rules: "From notification to alert". Bodies, tokens and query strings are never logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs

from bot.clock import Clock
from bot.core.alert_model import Unusable
from bot.core.errors import StorageError
from bot.web.answering import EXTENSION
from bot.web.group_commit import PATIENCE_SECONDS, GroupCommit, Inbox
from bot.web.limits import BODY_LIMIT, Gone, Receive, TooLarge, Undecodable, read_body
from bot.web.notification import Arrival, from_message, from_push, from_webhook
from bot.web.oidc import Fetch, PushIdentity, Unverifiable, basic_credentials, bearer_token, fetch_json

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MONITORING_PATH = "/webhooks/cloud-monitoring"
PUBSUB_PATH = "/webhooks/pubsub"
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """Who may send. Several passwords or tokens are valid at once, so that they can be changed in
    peace; a source without any is refused always."""

    monitoring_user: str = ""
    monitoring_passwords: tuple[str, ...] = field(default=(), repr=False)
    monitoring_tokens: tuple[str, ...] = field(default=(), repr=False)
    push_audience: str = ""
    push_email: str = ""
    certs_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledMessage:
    """A Pub/Sub message that was pulled; ``subscription`` is its full name (projects/P/subscriptions/S)."""

    subscription: str
    message_id: str
    data: bytes
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Answer:
    start: MutableMapping[str, Any]
    body: MutableMapping[str, Any]
    whole: tuple[bytes, bytes] | None = None  # status line, then headers and body


def _answer(status: int, body: object, *headers: tuple[bytes, bytes]) -> _Answer:
    content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    kind = [] if body is None else [(b"content-type", b"application/json")]
    length = [] if status == 204 else [(b"content-length", str(len(content)).encode())]
    fields = [*kind, *length, *headers]
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return _Answer(
        {"type": "http.response.start", "status": status, "headers": fields},
        {"type": "http.response.body", "body": content},
        (b"HTTP/1.1 200 OK\r\n", lines + b"\r\n" + content) if status == 200 else None,
    )


_CLOSE = (b"connection", b"close")
_ACCEPTED = _answer(200, {"status": "accepted"})
_DUPLICATE = _answer(200, {"status": "duplicate"})
_TEST = _answer(200, {"status": "test"})
_STORED_DEAD = _answer(204, None)
_NOT_BASIC = _answer(
    401,
    {"error": "credentials are needed", "hint": "basic authentication, or ?auth_token="},
    (b"www-authenticate", b'Basic realm="streamwatch", charset="UTF-8"'),
)
_NOT_BEARER = _answer(
    401,
    {"error": "a valid token is needed", "hint": "push with an OIDC token of the configured account"},
    (b"www-authenticate", b'Bearer realm="streamwatch"'),
)
_NOT_POST = _answer(405, {"error": "only POST is answered here"}, (b"allow", b"POST"))
_TOO_LARGE = _answer(
    413, {"error": f"the body is over {BODY_LIMIT} bytes", "hint": "send one notification a request"}, _CLOSE
)
_LATER = _answer(
    503,
    {"error": "the notification cannot be stored now", "hint": "send it again"},
    (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
)


class Intake:
    """The two webhooks; everything else goes on to ``next_app``.

    ``on_commit`` is called on the event loop after each commit that brought something new.
    """

    def __init__(
        self,
        database: Inbox,
        settings: IntakeSettings,
        on_commit: Callable[[], None],
        next_app: App,
        *,
        clock: Clock,
        fetch: Fetch = fetch_json,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._next, self._clock = next_app, clock
        self._commit = GroupCommit(database, on_commit, patience=patience)
        user = settings.monitoring_user
        passwords = [f"{user}:{each}" for each in settings.monitoring_passwords if user and each]
        self._basic = [_digest(each.encode()) for each in passwords]
        self._tokens = [_digest(each.encode()) for each in settings.monitoring_tokens if each]
        self._identity = PushIdentity(
            audience=settings.push_audience,
            email=settings.push_email,
            certs_url=settings.certs_url,
            monotonic=clock.monotonic,
            fetch=fetch,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            path = scope["path"]
            if path == MONITORING_PATH:
                handle = self._monitoring
            elif path == PUBSUB_PATH:
                handle = self._pubsub
            else:
                return await self._next(scope, receive, send)
            try:
                answer = await handle(scope, receive) if scope["method"] == "POST" else _NOT_POST
            except TooLarge:
                answer = _TOO_LARGE
            except StorageError:
                answer = _LATER
            except Gone:
                return None
            if answer.whole is not None and "extensions" in scope:
                at_once = scope["extensions"].get(EXTENSION)
                if at_once is not None and at_once(*answer.whole):
                    return None
            await send(answer.start)
            await send(answer.body)
            return None
        return await self._next(scope, receive, send)

    async def store_pulled(self, messages: Sequence[PulledMessage]) -> list[bool]:
        """Commit pulled messages; False for those known already. Acknowledge them only after this.

        Raises StorageError's kinds: then leave them unacknowledged. Content never raises.
        """
        rows = [
            from_message(each.subscription, each.message_id, each.data, each.attributes, "pull").row
            for each in messages
        ]
        return list(await asyncio.gather(*(self._commit.put(row) for row in rows)))

    async def close(self) -> None:
        """Commit and answer what waits; later requests get 503."""
        await self._commit.close()

    async def _monitoring(self, scope: Scope, receive: Receive) -> _Answer:
        authorization, length = _headers(scope)
        if not self._knows(authorization, scope["query_string"]):
            return _NOT_BASIC
        body = await read_body(receive, length)
        try:
            arrival = from_webhook(body, self._clock.wall)
        except (Undecodable, Unusable) as error:
            hint = "send Cloud Monitoring's notification as it is: version 1.x with an incident"
            return _answer(400, {"error": str(error), "hint": hint})
        return _said(arrival, await self._commit.put(arrival.row))

    async def _pubsub(self, scope: Scope, receive: Receive) -> _Answer:
        authorization, length = _headers(scope)
        token = bearer_token(authorization) if authorization else None
        try:
            if token is None or not await self._identity.verify(token):
                return _NOT_BEARER
        except Unverifiable:
            return _LATER
        arrival = from_push(await read_body(receive, length))
        return _said(arrival, await self._commit.put(arrival.row))

    def _knows(self, authorization: bytes | None, query: bytes) -> bool:
        known = False
        given = basic_credentials(authorization) if authorization else None
        if given is not None:
            known |= _one_of(given, self._basic)
        if query and self._tokens:
            token = _token(query)
            if token is not None:
                known |= _one_of(token, self._tokens)
        return known


def _said(arrival: Arrival, new: bool) -> _Answer:
    if arrival.dead:
        return _STORED_DEAD
    if not new:
        return _DUPLICATE
    return _TEST if arrival.test else _ACCEPTED


def _headers(scope: Scope) -> tuple[bytes | None, bytes | None]:
    """(Authorization, Content-Length)."""
    authorization = length = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == b"content-length":
            length = value
    return authorization, length


def _token(query: bytes) -> bytes | None:
    """The one ``auth_token`` of a query string."""
    if query.startswith(b"auth_token=") and not any(mark in query for mark in b"&;%+"):
        return query[11:]
    try:
        found = parse_qs(query.decode("latin-1"), max_num_fields=20).get("auth_token", [])
    except ValueError:
        return None  # more fields than any sender of ours writes
    return found[0].encode("utf-8", "replace") if len(found) == 1 else None


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _one_of(given: bytes, digests: Sequence[bytes]) -> bool:
    """Digests of equal length are compared, every one of them, so that time tells nothing."""
    digest, found = _digest(given), False
    for each in digests:
        found |= compare_digest(digest, each)
    return found
