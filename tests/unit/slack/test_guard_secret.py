"""A door without a lock stays shut."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

from bot.slack.guard import Guard

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


async def test_without_a_signing_secret_no_signature_is_right() -> None:
    """In Socket Mode alone there is no secret; a request signed with the empty key is refused."""
    passed: list[str] = []
    sent: list[MutableMapping[str, Any]] = []
    body = b"command=%2Fincident&text=list"
    stamp = str(int(NOW.timestamp())).encode()
    signature = hmac.new(b"", b"v0:" + stamp + b":" + body, hashlib.sha256).hexdigest()

    async def inner(*_: Any) -> None:
        passed.append("in")

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/slack/events",
        "headers": [
            (b"x-slack-request-timestamp", stamp),
            (b"x-slack-signature", f"v0={signature}".encode()),
        ],
    }
    await Guard(inner, "", lambda: NOW)(scope, receive, send)
    assert passed == []
    assert sent[0]["status"] == 401
