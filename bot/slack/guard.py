"""The gate in front of Bolt: what is no request of Slack's ends here, with a 4xx that says why and no trace in a
log; of each reason the audit book is told at once, then a count, at most once a minute.

Slack's verifier raises on odd headers and on bodies that are no UTF-8, which would answer 500; and Bolt
does not notice a request that is played back. Commands and clicks are remembered by their signature for as
long as it is valid; events are not, since Slack itself repeats those.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
# (why, how many since it was last told, the address of the last one)
Forged = Callable[[str, int, str], None]

BODY_MAX = 1_048_576
VALID_FOR_S = 300
REMEMBERED = 20_000
TOLD_EVERY_S = 60
_TIMESTAMP = re.compile(rb"\d{1,12}")
_SIGNATURE = re.compile(rb"v0=[0-9a-f]{64}")


class Guard:
    """An ASGI app around another. ``wall`` gives real time (aware UTC)."""

    def __init__(
        self,
        app: AsgiApp,
        signing_secret: str,
        wall: Callable[[], datetime],
        forged: Forged | None = None,
    ) -> None:
        self._app = app
        self._forged = forged
        self._refused: dict[str, tuple[float, int]] = {}
        self._secret = signing_secret.encode()
        self._wall = wall
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a well-formed, signed request on, its body read; refuse any other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] != "POST":
            await _refuse(send, 405, "POST only")
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        body = await _read(headers, receive)
        if body is None:
            await _refuse(send, 413, f"more than {BODY_MAX} bytes")
            return
        refusal = self._refusal(headers, body)
        if refusal is not None:
            self._tell(refusal[1], str((scope.get("client") or ("unknown",))[0]))
            await _refuse(send, *refusal)
            return
        await self._app(scope, _replay(body), send)

    def _refusal(self, headers: MutableMapping[bytes, bytes], body: bytes) -> tuple[int, str] | None:
        # Without a secret (Socket Mode alone) nobody can sign: an empty key would let anybody.
        if not self._secret:
            return 401, "this bot has no signing secret, so nothing is taken here"
        timestamp = headers.get(b"x-slack-request-timestamp", b"")
        signature = headers.get(b"x-slack-signature", b"")
        if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
            return 401, "the signature or its timestamp is missing or malformed"
        now = self._wall().timestamp()
        if abs(now - int(timestamp)) > VALID_FOR_S:
            return 401, f"the timestamp is more than {VALID_FOR_S // 60} minutes off"
        expected = hmac.new(self._secret, b"v0:" + timestamp + b":" + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v0={expected}".encode(), signature):
            return 401, "the signature does not fit"
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            return 400, "the body is not UTF-8"
        # By the body, which is signed: the header that names its type is not, and Bolt does not ask it either.
        if not body.startswith(b"{") and self._again(signature, now):
            return 401, "this request was made already"
        return None

    def _tell(self, reason: str, client: str) -> None:
        if self._forged is None:
            return
        now = self._wall().timestamp()
        told, count = self._refused.get(reason, (0.0, 0))
        if abs(now - told) < TOLD_EVERY_S:
            self._refused[reason] = (told, count + 1)
            return
        self._refused[reason] = (now, 0)
        self._forged(reason, count + 1, client)

    def _again(self, signature: bytes, now: float) -> bool:
        while self._seen:
            oldest, at = next(iter(self._seen.items()))
            if now - at <= 2 * VALID_FOR_S and len(self._seen) <= REMEMBERED:
                break
            del self._seen[oldest]
        if signature in self._seen:
            return True
        self._seen[signature] = now
        return False


async def _read(headers: MutableMapping[bytes, bytes], receive: Receive) -> bytes | None:
    """The whole body; None when it is too long."""
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > BODY_MAX:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_MAX:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
