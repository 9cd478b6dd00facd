"""The auditor on duty: every open incident's timeline is held against the rules, again and again.

It only reads, a few timelines a turn, so that it stays cheap however many incidents are open. A disagreement
must stand for a while before it is told: a page that falls due while an audit runs is no mistake. It is told
once, whatever number of replicas see it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bot.core.auditor import DISAGREEMENTS, Audit, Finding, audit
from bot.core.delivery import Outbound
from bot.core.rows import line
from bot.desk.ports import Store, Tx
from bot.desk.telling import announce

log = structlog.get_logger()
BATCH, MOST = 25, 10_000
ROUND_S = 10.0  # between two rounds over all open incidents
STANDS_S = 30.0  # how long a disagreement must stand before it is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What the last whole round over the open incidents found."""

    incidents: int = 0
    pages: int = 0
    findings: tuple[Finding, ...] = ()

    def count(self, kind: str) -> int:
        """How many findings of this kind."""
        return sum(1 for finding in self.findings if finding.kind == kind)

    @property
    def worst_s(self) -> float:
        """How late the latest page that is missing or not out yet is, in seconds of the incident's time."""
        late = (f.late.total_seconds() for f in self.findings if f.kind in ("missing", "unsent"))
        return max(late, default=0.0)


class Auditor:
    """Audits ``BATCH`` incidents a turn; a round is all that are open."""

    def __init__(
        self, *, store: Store, monotonic: Callable[[], float], wake: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._monotonic = monotonic
        self._wake = wake
        self._left: list[int] = []
        self._found: list[Finding] = []
        self._seen: dict[str, float] = {}
        self._audited = self._pages = 0
        self._under_way = False
        self._ended = self._next = monotonic()
        self.last = Round()

    def age(self) -> float:
        """Seconds since the last whole round, or since the start."""
        return self._monotonic() - self._ended

    async def turn(self) -> int:
        """Audit the next few; returns 0, because nothing waits for it."""
        if not self._under_way:
            if self._monotonic() < self._next:
                return 0
            self._left = await self._store.aread(_numbers)
            self._found, self._audited, self._pages = [], 0, 0
            self._under_way = True
        batch, self._left = self._left[:BATCH], self._left[BATCH:]
        for found in await self._store.aread(lambda tx: _audits(tx, batch)):
            self._audited += 1
            self._pages += found.pages
            self._found += found.findings
        if not self._left:
            await self._end()
        return 0

    async def _end(self) -> None:
        now = self._monotonic()
        self.last = Round(incidents=self._audited, pages=self._pages, findings=tuple(self._found))
        self._under_way, self._ended, self._next = False, now, now + ROUND_S
        odd = [f for f in self._found if f.kind in DISAGREEMENTS]
        self._seen = {f.key: self._seen.get(f.key, now) for f in odd}
        loud = [f for f in odd if now - self._seen[f.key] >= STANDS_S]
        if loud:
            for finding in loud:
                log.error(finding.words(), action="audit", kind=finding.kind, incident=finding.incident)
            if await self._store.awrite(lambda tx: tell(tx, loud)):
                self._wake()

    def standing(self) -> tuple[Finding, ...]:
        """Missing pages that have stood long enough to be more than the moment between due and done."""
        now = self._monotonic()
        return tuple(
            f
            for f in self.last.findings
            if f.kind == "missing" and now - self._seen.get(f.key, now) >= STANDS_S
        )

    def told(self) -> Mapping[str, Any]:
        """For /healthz: figures alone, because whoever asks may not see every incident."""
        kinds = ("missing", "unsent", "failed", "late", "missed", "twice", "unasked")
        return {
            "incidents": self.last.incidents,
            "pages": self.last.pages,
            **{kind: self.last.count(kind) for kind in kinds},
            "worst_s": round(self.last.worst_s, 3),
            "age_s": round(self.age(), 1),
        }


def _numbers(tx: Tx) -> list[int]:
    return [incident.id for incident in tx.incidents(active=True, limit=MOST)]


def _audits(tx: Tx, numbers: Sequence[int]) -> list[Audit]:
    now = tx.now()
    return [audit(number, tx.events(number), now) for number in numbers]


def tell(tx: Tx, findings: Sequence[Finding]) -> int:
    """Say each disagreement aloud, once for ever; returns how many were new."""
    rows: list[Outbound] = []
    for finding in findings:
        if not tx.once("audit", finding.key):
            continue
        number = int(finding.incident.removeprefix("INC-"))
        incident = tx.incident(number, lock=False)
        if incident is None:
            continue
        text = f"ALARM, the escalation and its auditor disagree. {finding.words()}"
        if finding.kind == "missing":
            text += f" Page by hand: `/incident escalate {finding.incident}`."
        key = f"audit:{finding.key}"
        rows.append(line(incident, key, text) if incident.private else announce(key, text))
    tx.enqueue(rows)
    return len(rows)
