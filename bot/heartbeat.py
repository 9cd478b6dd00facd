"""The heartbeat: an address outside is called while all is well, so that silence wakes somebody.

It is withheld, not sent with bad news: whoever watches it must hear of a dead process in the same way as of a
living one that pages nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
import structlog

log = structlog.get_logger()
TIMEOUT_S = 10.0


class Heartbeat:
    """Calls ``url`` once a turn unless ``trouble`` names a reason not to."""

    def __init__(
        self, url: str, trouble: Callable[[], Awaitable[str]], monotonic: Callable[[], float]
    ) -> None:
        self._url = url
        self._trouble = trouble
        self._monotonic = monotonic
        self._sent_at: float | None = None
        self.withheld = ""
        self.failed = ""

    async def turn(self) -> int:
        """One beat, or none."""
        before, self.withheld = self.withheld, await self._trouble()
        if self.withheld:
            if not before:
                log.error("heartbeat_withheld", action="heartbeat_withheld", reason=self.withheld)
            return 0
        self.failed = await self._call()
        if self.failed:
            log.warning("heartbeat_failed", action="heartbeat_failed", reason=self.failed)
        else:
            self._sent_at = self._monotonic()
        return 0

    async def _call(self) -> str:
        """Why it did not arrive, "" when it did. The address may hold a secret, so no error is quoted."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self._url) as answer:
                return "" if answer.status < 400 else f"answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__

    def words(self) -> str:
        """For /healthz."""
        if self.withheld:
            return f"withheld: {self.withheld}"
        if self.failed:
            return f"did not arrive: {self.failed}"
        if self._sent_at is None:
            return "not sent yet"
        return f"sent {round(self._monotonic() - self._sent_at)} s ago"
