"""The one way out: lease, look up what is in doubt, send, settle, and write down what happened.

The deadline is taken before the claim, so a paused process may not start a send with a lease that
ran out; no network call happens inside a transaction (design, "One owner of doubt").
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from bot.core.delivery import (
    LEASE,
    MARGIN,
    POSTED,
    Kind,
    Leased,
    LookupFailed,
    NotSent,
    Outcome,
    Sent,
    longest,
    settle,
)
from bot.core.errors import StorageError
from bot.core.incident import Incident
from bot.desk.house import House
from bot.desk.ports import Store
from bot.desk.settling import HANDED_BACK, PACED, PAGES, settled
from bot.probe import Probe, nowhere

log = structlog.get_logger()
BATCH = 16


class SenderPort(Protocol):
    """What the Slack room does for the deliverer."""

    async def send(self, row: Leased, incident: Incident | None) -> Outcome: ...
    async def send_pages(
        self, rows: Sequence[Leased], incidents: Mapping[int, Incident]
    ) -> Sequence[Outcome]: ...
    async def look_up(self, row: Leased, incident: Incident | None) -> Sent | None: ...
    def ready_in(self, row: Leased) -> float: ...


class Deliverer:
    """Leases rows and sends them; any number of these may run against one database."""

    def __init__(
        self,
        *,
        store: Store,
        sender: SenderPort,
        house: Callable[[], House],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        wake: Callable[[], None] = lambda: None,
        on_page: Callable[[float], None] = lambda _: None,
        probe: Probe = nowhere,
        kinds: Sequence[Kind] = (),
    ) -> None:
        """``kinds``: what this one delivers; empty: everything."""
        self._kinds = tuple(kinds)
        self._store = store
        self._sender = sender
        self._house = house
        self._now = now
        self._monotonic = monotonic
        self._wake = wake
        self._on_page = on_page
        self._probe = probe
        self._busy: dict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._width = BATCH

    async def turn(self) -> int:
        """Claim what may go now and start sending it; returns how many rows were claimed."""
        room = self._width - len(self._tasks)
        if room <= 0:
            return 0
        asked = self._monotonic()
        deadline = asked + (LEASE - MARGIN).total_seconds()
        rows = await self._store.awrite(lambda tx: tx.claim(room, tuple(self._busy), self._kinds))
        if rows:
            self._probe("deliver.claimed")
        for group in _groups([replace(row, asked=asked) for row in rows]):
            lane = group[0].outbound.lane
            self._busy[lane] += 1
            task = asyncio.create_task(self._guarded(group, deadline))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(rows)

    async def drain(self, timeout_s: float) -> None:
        """Wait for the sends that are under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def _guarded(self, rows: Sequence[Leased], deadline: float) -> None:
        lane = rows[0].outbound.lane
        try:
            await self._deliver(rows, deadline)
        except StorageError as error:
            log.warning("deliver_failed", action="deliver_failed", key=rows[0].outbound.key, error=str(error))
        except Exception:
            log.exception("deliver_failed", action="deliver_failed", key=rows[0].outbound.key)
        finally:
            self._busy.pop(lane, None)
            self._wake()

    async def _deliver(self, rows: Sequence[Leased], deadline: float) -> None:
        numbers = sorted({row.outbound.incident for row in rows if row.outbound.incident is not None})
        found = await self._store.aread(lambda tx: [tx.incident(n, lock=False) for n in numbers])
        incidents = {i.id: i for i in found if i is not None}
        until = deadline - longest(rows[0].outbound).total_seconds()
        pending: list[Leased] = []
        late: list[Leased] = []
        for row in rows:
            if pending and self._monotonic() + MARGIN.total_seconds() > until:
                late.append(row)
                continue
            incident = incidents.get(row.outbound.incident or 0)
            ready = await self._prepare(row, incident, until, late)
            if ready is not None:
                pending.append(ready)
        if pending:
            self._probe("deliver.sending")
        # The last thing before the socket: a process that was frozen until here may not send any more.
        if self._monotonic() > until:
            late, pending = [*pending, *late], []
        if pending:
            await self._send(pending, incidents)
        if late:
            await self._hand_back(late)

    async def _send(self, pending: Sequence[Leased], incidents: Mapping[int, Incident]) -> None:
        if pending[0].outbound.kind is Kind.PAGE_DM:
            outcomes: Sequence[Outcome] = await self._sender.send_pages(pending, incidents)
        else:
            outcomes = [await self._sender.send(pending[0], incidents.get(pending[0].outbound.incident or 0))]
        self._probe("deliver.sent")
        for row, outcome in zip(pending, outcomes, strict=True):
            await self._settle(row, outcome)
        self._probe("deliver.settled")
        self._width = min(BATCH, self._width + 1)

    async def _hand_back(self, rows: Sequence[Leased]) -> None:
        """What did not fit into its lease. A machine or database this slow takes half as much from now on, and one
        more with each that gets out: with as much as before nothing might ever get out."""
        self._width = max(1, self._width // 2)
        log.warning("handed_back", action="handed_back", rows=len(rows), width=self._width)
        back = NotSent(reason=HANDED_BACK, retry_in=timedelta(0))
        await self._store.awrite(lambda tx: [tx.finish(row, settle(row, back)) for row in rows])

    async def _prepare(
        self, row: Leased, incident: Incident | None, until: float, late: list[Leased]
    ) -> Leased | None:
        """The row as it should be sent; None when it was settled, or has to be handed back (then in ``late``)."""
        wait = self._sender.ready_in(row)
        if wait > 0.05:
            await self._settle(row, NotSent(reason=PACED, retry_in=timedelta(seconds=wait)))
            return None
        repeat = False
        if row.ambiguous:
            # Looking sends nothing, and whether a send still fits is asked again before the socket: to ask here for
            # the time of both would be more than a lease where a picture is drawn first, and it would never leave.
            if self._monotonic() > until:
                late.append(row)
                return None
            try:
                sent = await self._sender.look_up(row, incident)
            except LookupFailed:
                count = await self._store.awrite(lambda tx: tx.counted_lookup(row))
                if count < (incident.policy if incident is not None else self._house().policy).lookups:
                    await self._settle(row, NotSent(reason="look-up failed", retry_in=timedelta(seconds=2)))
                    return None
                repeat = True
            else:
                if sent is not None:
                    await self._settle(row, sent)
                    return None
        if row.outbound.kind is Kind.HOOK_RESOLVE and not await self._told(row):
            await self._settle(row, Sent())
            return None
        if not await self._store.aread(lambda tx: tx.still_mine(row)):
            return None
        # Nothing can be looked up there: whoever gets it twice knows it by its Message-ID or dedup_key.
        repeat = repeat or (row.ambiguous and row.outbound.kind in POSTED)
        return _with(row, self._extras(row, repeat=repeat))

    async def _told(self, row: Leased) -> bool:
        """Whether the page that this takes back may have reached the hook at all."""
        return await self._store.aread(lambda tx: tx.attempted(row.outbound.data["of"]))

    def _extras(self, row: Leased, *, repeat: bool) -> dict[str, Any]:
        extras: dict[str, Any] = {"repeat": True} if repeat else {}
        due = row.outbound.data.get("due_at")
        if row.outbound.kind in PAGES and due:
            late = (self._now() - datetime.fromisoformat(due)).total_seconds()
            extras["late_s"] = max(0.0, late)
        return extras

    async def _settle(self, row: Leased, outcome: Outcome) -> None:
        house = self._house()
        try:
            await self._store.awrite(lambda tx: settled(tx, house, row, outcome))
        except StorageError:
            raise
        except Exception:
            # What it means for the incident cannot be told; that it left must be kept, or it would leave for ever.
            log.exception("not_told", action="not_told", key=row.outbound.key)
            await self._store.awrite(lambda tx: tx.finish(row, settle(row, outcome)))
        data = row.outbound.data
        if isinstance(outcome, Sent) and "late_s" in data and not data.get("refresh"):
            self._on_page(float(data["late_s"]))


def _groups(rows: Sequence[Leased]) -> list[list[Leased]]:
    """Page messages to one person leave together; everything else alone."""
    groups: dict[object, list[Leased]] = defaultdict(list)
    for row in rows:
        page = row.outbound.kind is Kind.PAGE_DM
        groups[("page", row.outbound.lane) if page else row.id].append(row)
    return list(groups.values())


def _with(row: Leased, extras: Mapping[str, Any]) -> Leased:
    if not extras:
        return row
    return replace(row, outbound=replace(row.outbound, data={**row.outbound.data, **extras}))
