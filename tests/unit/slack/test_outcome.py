"""Promise: what was surely not accepted, refused for good, or in doubt is never confused."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.core.delivery import Ambiguous, NotSent, Refused
from bot.slack.outcome import failure_of
from bot.slack.pace import POST_BURST, Pace


def answered(status: int, data: Any, headers: dict[str, str] | None = None) -> SlackApiError:
    response = AsyncSlackResponse(
        client=None,
        http_verb="POST",
        api_url="",
        req_args={},
        data=data,
        headers=headers or {},
        status_code=status,
    )
    return SlackApiError("failed", response)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("status", "error", "once", "again"),
    [
        (429, "ratelimited", NotSent, NotSent),
        (200, "rate_limited", NotSent, NotSent),
        (200, "message_limit_exceeded", NotSent, NotSent),
        (500, "internal_error", Ambiguous, NotSent),
        (503, "service_unavailable", Ambiguous, NotSent),
        (200, "internal_error", Ambiguous, NotSent),
        (200, "fatal_error", Ambiguous, NotSent),
        (502, "", Ambiguous, NotSent),
        (200, "", Ambiguous, NotSent),
        (200, "is_archived", Refused, Refused),
        (200, "channel_not_found", Refused, Refused),
        (200, "invalid_auth", NotSent, NotSent),
        (200, "missing_scope", NotSent, NotSent),
    ],
)
def test_answers_of_slack(status: int, error: str, once: type, again: type) -> None:
    failed = answered(status, {"ok": False, "error": error})
    assert type(failure_of(failed, once=True).outcome) is once
    assert type(failure_of(failed, once=False).outcome) is again


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "reset"),
        aiohttp.ClientPayloadError(),
        AttributeError("'str' object has no attribute 'get'"),
    ],
)
def test_a_broken_connection_is_in_doubt(error: Exception) -> None:
    assert type(failure_of(error, once=True).outcome) is Ambiguous
    assert type(failure_of(error, once=False).outcome) is NotSent


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("0", 1), ("nonsense", 1), ("99999", 600), ("2.5", 2.5), ("nan", 1)]
)
def test_retry_after_is_kept_within_reason(header: str, seconds: float) -> None:
    failed = answered(429, {"ok": False, "error": "ratelimited"}, {"retry-after": header})
    outcome = failure_of(failed, once=True).outcome
    assert isinstance(outcome, NotSent)
    assert outcome.retry_in.total_seconds() == seconds


def test_a_channel_takes_a_small_burst_and_then_one_post_a_second() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    for _ in range(int(POST_BURST)):
        assert pace.wait("chat.postMessage", "C1") == 0
        pace.take("chat.postMessage", "C1")
    assert pace.wait("chat.postMessage", "C1") == pytest.approx(1.0)
    assert pace.wait("chat.postMessage", "C2") == 0
    now[0] += 1
    assert pace.wait("chat.postMessage", "C1") == 0


def test_a_held_channel_waits_and_others_go_on() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    pace.hold("chat.postMessage", "C1", 30)
    assert pace.wait("chat.postMessage", "C1") == pytest.approx(30)
    assert pace.wait("chat.postMessage", "C2") == 0
    now[0] += 31
    assert pace.wait("chat.postMessage", "C1") == 0


def test_a_clock_that_does_not_move_never_gives_more_than_the_burst() -> None:
    pace = Pace(lambda: 5.0)
    sent = 0
    while pace.wait("conversations.create") == 0:
        pace.take("conversations.create")
        sent += 1
    assert 10 <= sent <= 20
