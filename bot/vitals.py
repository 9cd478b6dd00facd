"""Is the bot well: its figures, its auditor, its heartbeat (rules: "Escalation", lateness)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bot.clock import Clock
from bot.core.errors import BotError
from bot.core.policy import Level, format_duration
from bot.desk.auditing import Auditor
from bot.heartbeat import Heartbeat
from bot.loops import Loop
from bot.store.database import Database

LATE = timedelta(seconds=60)  # real time; a page that is later withholds the heartbeat
SILENT_S = 30.0  # a loop that took no good turn for so long is not ticking
PATIENCE_S = 10.0  # for the database, which may wait much longer for a lock
AUDIT_S = 300.0  # and an auditor that ended no round for so long is not auditing
TICKING = ("inbox", "timers", "outbox", "post")


class Vitals:
    """What /healthz, /readyz, /metrics and the heartbeat tell."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        auditor: Auditor,
        heartbeat_url: str,
        groups: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._groups = groups
        self._database = database
        self._clock = clock
        self._auditor = auditor
        self.heartbeat = Heartbeat(heartbeat_url, self.trouble, clock.monotonic) if heartbeat_url else None
        self.loops: Sequence[Loop] = ()

    async def figures(self) -> dict[str, float]:
        """Numbers alone. Raises StorageError's kinds."""
        found = await self._database.aread(_figures)
        last = self._auditor.last
        return {
            **found,
            "pages_missing": float(len(self._auditor.standing())),
            "pages_twice": float(last.count("twice")),
            "pages_unasked": float(last.count("unasked")),
            "audit_age_s": round(self._auditor.age(), 3),
            "loop_age_s": round(max((loop.age() for loop in self._ticking()), default=0.0), 3),
            "heartbeat_withheld": float(bool(self.heartbeat and self.heartbeat.withheld)),
        }

    def details(self) -> dict[str, Any]:
        """What /healthz says besides the figures."""
        told: dict[str, Any] = {
            "audit": self._auditor.told(),
            "heartbeat": self.heartbeat.words() if self.heartbeat else "off: HEARTBEAT_URL is not set",
        }
        groups = self._groups()
        return {**told, "user_groups": groups} if groups else told

    async def can_store(self) -> bool:
        """Whether a notification could be stored now."""
        try:
            await self._database.awrite(lambda tx: tx.put_value("ready", True))
        except BotError:
            return False
        return True

    async def trouble(self) -> str:
        """Why the heartbeat must be withheld, "" when all is well."""
        try:
            if not await asyncio.wait_for(self.can_store(), PATIENCE_S):
                return "the database cannot store"
            found = await asyncio.wait_for(self.figures(), PATIENCE_S)
        except TimeoutError:
            return f"the database does not answer within {PATIENCE_S:g} s"
        except BotError:
            return "the database cannot be read"
        for loop in self._ticking():
            if loop.age() > SILENT_S:
                return f"the loop {loop.name} has not ticked for {round(loop.age())} s"
        late = timedelta(seconds=max(self._auditor.last.worst_s, found["overdue_s"]))
        if late / self._clock.speed > LATE:
            return f"a page is {format_duration(late)} late"
        if missing := self._auditor.standing():
            return f"the auditor misses {len(missing)} of the pages that are due"
        if self._auditor.age() > AUDIT_S:
            return "the auditor does not come round"
        return ""

    def _ticking(self) -> list[Loop]:
        return [loop for loop in self.loops if loop.name in TICKING]


def _figures(tx: Any) -> dict[str, float]:
    inbox, outbox = tx.inbox_counts(), tx.outbox_counts()
    now, due = tx.now(), tx.next_due()
    standing = tx.incidents(active=True, limit=500)
    waiting = [
        page
        for incident in standing
        for page in incident.pages.values()
        if page.sent_at is None and not page.failed and page.due_at < now - timedelta(seconds=5)
        # Called off: an acknowledgement cancels what L1 was not sent yet.
        if not (page.level is Level.L1 and incident.acked_by)
    ]
    return {
        "inbox_waiting": float(inbox.get("waiting", 0)),
        "inbox_dead": float(inbox.get("dead", 0)),
        "outbox_waiting": float(outbox.get("pending", 0) + outbox.get("sending", 0)),
        "outbox_dead": float(outbox.get("dead", 0)),
        "pages_late": float(len(waiting)),
        "late_s": max(((now - page.due_at).total_seconds() for page in waiting), default=0.0),
        "overdue_s": max(0.0, (now - due).total_seconds()) if due is not None else 0.0,
        "incidents_open": float(sum(1 for incident in standing if not incident.private)),
    }
