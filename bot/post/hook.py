"""One call of a hook by HTTP. Answers with an Outcome, never raises for what the receiver or the network did.

At least once is right here: the receiver knows a repeat by its dedup_key and the Idempotency-Key header. Where the
call goes is a secret (such addresses carry tokens), so no reason names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import aiohttp

from bot.core.delivery import HTTP_TIMEOUT, Ambiguous, NotSent, Outcome, Refused, Sent, back_off
from bot.core.letters import Call

_LATER = frozenset({408, 425, 429})
LONGEST_WAIT_S = 300.0


class Hook:
    """Calls hooks; one session for all of them."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, call: Call, attempts: int) -> Outcome:
        """Post the call; ``attempts`` is which try this is, for the wait before the next."""
        again = back_off(attempts)
        headers = {"Idempotency-Key": call.key, "User-Agent": "streamwatch"}
        try:
            session = self._open()
            async with session.post(url, json=call.body, headers=headers, allow_redirects=False) as answer:
                return _answered(answer.status, answer.headers, again)
        except aiohttp.InvalidURL:
            return Refused(reason="the hook's address cannot be used")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return NotSent(reason="the hook cannot be reached", retry_in=again)
        except TimeoutError:
            return Ambiguous(reason="the hook takes too long", retry_in=again)
        except (aiohttp.ClientError, OSError):
            return Ambiguous(reason="the hook's connection broke", retry_in=again)

    async def close(self) -> None:
        """Close the kept connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=HTTP_TIMEOUT.total_seconds(), connect=3.0)
            self._session = aiohttp.ClientSession(timeout=limit)
        return self._session


def _answered(status: int, headers: Mapping[str, str], again: timedelta) -> Outcome:
    if 200 <= status < 300:
        return Sent(result={"status": status})
    if status >= 500:
        wait = max(again, _asked_wait(headers)) if status == 503 else again
        return Ambiguous(reason=f"the hook answered HTTP {status}", retry_in=wait)
    if status in _LATER:
        return NotSent(reason=f"the hook answered HTTP {status}", retry_in=max(again, _asked_wait(headers)))
    return Refused(reason=f"the hook answered HTTP {status}")


def _asked_wait(headers: Mapping[str, str]) -> timedelta:
    """Retry-After in seconds, within reason; a date there counts as nothing."""
    asked = headers.get("Retry-After", "").strip()
    return timedelta(seconds=min(float(asked), LONGEST_WAIT_S)) if asked.isdecimal() else timedelta(0)
