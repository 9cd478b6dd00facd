"""What a failed call to Slack means: not accepted, refused for good, or nobody knows.

Rules: "One owner of doubt". Slack says of ``internal_error`` and ``fatal_error`` that part of the call may
have succeeded; with timeouts, resets and 5xx they are ambiguous. A connection that was never opened and a
rate limit are certain: nothing was accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.core.delivery import Ambiguous, NotSent, Outcome, Refused

# All that a call of slack_sdk over aiohttp can raise; AttributeError is its answer to a 200 that is no JSON.
TROUBLE = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError)

RATE_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded", "accesslimited"})
DOUBTFUL = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
# A person mends these by installing the app anew or with another scope; the message must outlive that.
UNTIL_MENDED = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_expired",
        "token_revoked",
        "missing_scope",
        "no_permission",
        "org_login_required",
        "team_access_not_granted",
        "two_factor_setup_required",
    }
)
MENDED_IN = timedelta(seconds=30)
REFUSED_CONNECTION_IN = timedelta(seconds=2)
RATE_LIMIT_DEFAULT_S = 1.0


class Failure(Exception):
    """A call that did not succeed. ``code`` is Slack's error name, or a word for what the network did."""

    def __init__(self, code: str, outcome: NotSent | Refused | Ambiguous) -> None:
        super().__init__(code)
        self.code = code
        self.outcome: Outcome = outcome


def failure_of(error: BaseException, *, once: bool) -> Failure:
    """The meaning of an exception of a call. ``once``: the call must not be repeated blindly.

    A call that may be repeated (an update, a pin, a topic) is simply tried again after a doubt.
    """
    if isinstance(error, SlackApiError):
        return _of_answer(error, once=once)
    reason = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Failure(reason, NotSent(reason=f"no connection: {reason}", retry_in=REFUSED_CONNECTION_IN))
    return _doubt(reason, once=once)


def _of_answer(error: SlackApiError, *, once: bool) -> Failure:
    response: Any = error.response
    status, headers = _envelope(response)
    code = _code(response)
    if status == 429 or code in RATE_LIMITED:
        wait = retry_after(headers)
        return Failure(code or "ratelimited", NotSent(reason=code or "ratelimited", retry_in=wait))
    if status >= 500 or not code or code in DOUBTFUL:
        return _doubt(code or f"http_{status}", once=once)
    if code in UNTIL_MENDED:
        return Failure(code, NotSent(reason=code, retry_in=MENDED_IN))
    return Failure(code, Refused(reason=code))


def _doubt(reason: str, *, once: bool) -> Failure:
    if once:
        return Failure(reason, Ambiguous(reason=reason))
    return Failure(reason, NotSent(reason=reason, retry_in=timedelta(seconds=1)))


def _envelope(response: Any) -> tuple[int, Mapping[str, str]]:
    """Status and headers, of slack_sdk's own answer or of aiohttp's where the body was no JSON."""
    status = getattr(response, "status_code", None) or getattr(response, "status", None) or 0
    return int(status), getattr(response, "headers", None) or {}


def _code(response: Any) -> str:
    data = getattr(response, "data", response)
    return str(data.get("error") or "") if isinstance(data, Mapping) else ""


def retry_after(headers: Mapping[str, str]) -> timedelta:
    """The Retry-After header, at least a second and at most ten minutes."""
    raw = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        seconds = float(raw)
    except ValueError:
        seconds = RATE_LIMIT_DEFAULT_S
    return timedelta(seconds=min(max(RATE_LIMIT_DEFAULT_S, seconds), 600.0))
