"""A door without a lock stays shut, and what came in once does not come in again."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.slack.guard import Guard

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
FORM = b"application/x-www-form-urlencoded"


class Door:
    """A guard, and what it let in."""

    def __init__(self, secret: str) -> None:
        self.passed: list[str] = []
        self._secret = secret
        self._guard = Guard(self._inner, secret, lambda: NOW)

    async def knock(self, body: bytes, content_type: bytes = FORM) -> int:
        """A request as Slack signs it; the answer's status, 200 when it was let in."""
        stamp = str(int(NOW.timestamp())).encode()
        signature = hmac.new(self._secret.encode(), b"v0:" + stamp + b":" + body, hashlib.sha256).hexdigest()
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/slack/events",
            "headers": [
                (b"content-type", content_type),
                (b"x-slack-request-timestamp", stamp),
                (b"x-slack-signature", f"v0={signature}".encode()),
            ],
        }
        await self._guard(scope, receive, send)
        return int(sent[0]["status"]) if sent else 200

    async def _inner(self, *_: Any) -> None:
        self.passed.append("in")


async def test_without_a_signing_secret_no_signature_is_right() -> None:
    """In Socket Mode alone there is no secret; a request signed with the empty key is refused."""
    door = Door("")
    assert await door.knock(b"command=%2Fincident&text=list") == 401
    assert door.passed == []


@pytest.mark.parametrize(
    "other", [FORM, b"Application/X-WWW-Form-URLencoded", b"text/plain", b"application/json"]
)
async def test_a_command_that_is_played_back_is_refused_whatever_type_it_is_given(other: bytes) -> None:
    """The signature covers time and body alone, so whoever plays a request back may change its headers."""
    door = Door("secret")
    body = b"command=%2Fdlq&text=replay&trigger_id=1.2.3"
    assert [await door.knock(body), await door.knock(body, other)] == [200, 401]
    assert door.passed == ["in"]


async def test_an_event_may_come_again_since_slack_repeats_them() -> None:
    door = Door("secret")
    body = b'{"type": "event_callback", "event_id": "Ev1"}'
    assert [await door.knock(body, b"application/json") for _ in range(2)] == [200, 200]
