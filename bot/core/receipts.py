"""The weekly test page: what was sent to whom by which method, and its receipt. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.roster import Way

WAYS = {"slack": "Slack", "email": "e-mail", "hook": "hook"}
"""Methods in words."""
METHODS = {Way.DM: "slack", Way.HOOK: "hook", Way.MAIL: "email"}
"""The roster's keys of the ways of a page."""
RECEIPTS_FOR = timedelta(days=8)
"""How far back the last week's receipts are shown."""


_TEST = "test:"


def test_page(receipt: str) -> str:
    """The name by which the link of a test page knows its receipt."""
    return _TEST + receipt


def receipt_of(page: str) -> str:
    """The receipt that a link's page names; "" for a page of an incident."""
    return page.removeprefix(_TEST) if page.startswith(_TEST) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One method of one person in one week. Instants are aware UTC.

    id: "2026-11-23:alice:slack", the day on which the week's test was due in their zone.
    seen_at: when its link was opened. Slack does not tell that; there it stays None.
    """

    id: str
    person: str
    level: str
    method: str
    made_at: datetime
    sent_at: datetime | None = None
    seen_at: datetime | None = None
    acked_at: datetime | None = None
    failed: str = ""
    reported_at: datetime | None = None

    @property
    def words(self) -> str:
        """What became of it, in a few words."""
        if self.acked_at is not None:
            return f"acknowledged {self.acked_at:%Y-%m-%d %H:%M} UTC"
        if self.failed:
            return f"FAILED ({self.failed})"
        if self.seen_at is not None:
            return f"seen {self.seen_at:%Y-%m-%d %H:%M} UTC, not acknowledged"
        if self.sent_at is not None:
            return f"sent {self.sent_at:%Y-%m-%d %H:%M} UTC, not acknowledged"
        return "waits to be sent"
