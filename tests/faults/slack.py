"""A Slack at the deliverer's port: it keeps what it took, and fails in every way that the real one can.

It remembers each message by its outbox key, which is what message metadata is for, so a look-up finds what was
accepted though nobody was told.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bot.core.delivery import Ambiguous, Kind, Leased, LookupFailed, NotSent, Outcome, Sent
from bot.core.incident import Incident

PAGES = (Kind.PAGE_DM, Kind.PAGE_MENTION)
SOON = timedelta(seconds=1)


@dataclass(slots=True)
class Workspace:
    """What stands in Slack, whoever wrote it. Shared by all replicas; safe among threads.

    ``trouble`` is the share of calls that meet a fault; ``down``: nothing is taken at all.
    """

    chance: random.Random
    trouble: float = 0.0
    down: bool = False
    messages: list[tuple[str, str, str]] = field(default_factory=list)  # key, kind, lane
    rooms: dict[str, str] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)  # of the first message of each key
    came: dict[str, list[float]] = field(default_factory=dict)  # when each came, in epoch seconds
    marked: list[str] = field(default_factory=list)  # repeats that said so
    faults: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, posts: Sequence[tuple[str, str, str, str, str]]) -> dict[str, Any]:
        """Post (key, kind, lane, name, mark) as one message, all or none, as pages to one person are: {"ok", "results"}
        or {"fault": definite | doubt}; in doubt it may have been taken.

        ``mark`` is what people read on a message that may be a repeat.
        """
        with self.lock:
            fault = self._fault()
            if self.down or fault in ("limited", "refused"):
                return {"fault": "definite"}
            if fault == "failed before":
                return {"fault": "doubt"}
            results = []
            for key, kind, lane, name, mark in posts:
                if mark and key in self.places:
                    self.marked.append(key)
                results.append(self._keep(key, kind, lane, name))
            return {"fault": "doubt"} if fault == "failed after" else {"ok": True, "results": results}

    def find(self, key: str, name: str) -> dict[str, Any]:
        """Look up: {"found": result or None}, or a fault."""
        with self.lock:
            if self.down or self._fault():
                return {"fault": "definite"}
            if name:
                return {"found": {"channel": self.rooms[name], "name": name} if name in self.rooms else None}
            place = self.places.get(key)
            return {"found": None if place is None else {"ts": f"{place}.0", "channel": "C1"}}

    def _fault(self) -> str:
        if self.chance.random() >= self.trouble:
            return ""
        self.faults += 1
        return self.chance.choice(("limited", "refused", "failed before", "failed after"))

    def _keep(self, key: str, kind: str, lane: str, name: str) -> dict[str, Any]:
        if name:
            self.rooms.setdefault(name, f"C{len(self.rooms) + 1:04d}")
            return {"channel": self.rooms[name], "name": name}
        self.places.setdefault(key, len(self.messages))
        self.came.setdefault(key, []).append(time.time())
        self.messages.append((key, kind, lane))
        return {"ts": f"{len(self.messages) - 1}.0", "channel": "C1"}

    def pages(self) -> Counter[str]:
        """How often each page stands in each of its places, by its outbox key."""
        with self.lock:
            return Counter(key for key, kind, _ in self.messages if kind in PAGES)

    def twice(self) -> list[str]:
        """Keys of messages that stand there more than once, beyond repeats that say so: those are sent where three
        look-ups in a row failed (rules: "Escalation", A page wakes)."""
        with self.lock:
            said = Counter(self.marked)
            return [k for k, times in Counter(k for k, *_ in self.messages).items() if times - said[k] > 1]


class Sender:
    """The deliverer's port, on a call that reaches a workspace somewhere."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    async def send(self, row: Leased, incident: Incident | None) -> Outcome:
        """Post a row, or edit what it posted before (which nothing can double)."""
        return (await self.send_pages([row], {}))[0]

    async def send_pages(
        self, rows: Sequence[Leased], incidents: Mapping[int, Incident]
    ) -> Sequence[Outcome]:
        """Those of one person as one message: however many they are, within the time of one call."""
        outcomes: dict[int, Outcome] = {r.id: Sent(result=r.result) for r in rows if r.result.get("ts")}
        persons = {row.outbound.lane for row in rows if row.id not in outcomes}
        for person in persons:
            fresh = [row for row in rows if row.outbound.lane == person and row.id not in outcomes]
            outcomes.update(zip((row.id for row in fresh), await self._post(fresh), strict=True))
        return [outcomes[row.id] for row in rows]

    async def _post(self, rows: Sequence[Leased]) -> Sequence[Outcome]:
        try:
            said = await self._call("take", [_words(row) for row in rows])
        except (OSError, ValueError, TimeoutError):
            return [Ambiguous(reason="reset", retry_in=SOON)] * len(rows)
        if said.get("ok"):
            return [Sent(result=result) for result in said["results"]]
        if said["fault"] == "doubt":
            return [Ambiguous(reason="http_500", retry_in=SOON)] * len(rows)
        return [NotSent(reason="ratelimited", retry_in=SOON)] * len(rows)

    async def look_up(self, row: Leased, incident: Incident | None) -> Sent | None:
        """By its key. Raises LookupFailed."""
        if row.result.get("ts"):
            return None
        out = row.outbound
        name = str(out.data["name"]) if out.kind is Kind.CREATE_CHANNEL else ""
        try:
            said = await self._call("find", out.key, name)
        except (OSError, ValueError, TimeoutError) as error:
            raise LookupFailed("reset") from error
        if "fault" in said:
            raise LookupFailed("http_500")
        return Sent(result=said["found"]) if said["found"] else None

    def ready_in(self, row: Leased) -> float:
        """This Slack has no limits."""
        return 0.0


def _words(row: Leased) -> tuple[str, str, str, str, str]:
    out = row.outbound
    name = str(out.data["name"]) if out.kind is Kind.CREATE_CHANNEL else ""
    mark = "(may be a repeat)" if out.data.get("repeat") else ""
    return out.key, out.kind.value, out.lane, name, mark


def beside(workspace: Workspace) -> Sender:
    """A sender in the workspace's own process."""

    async def call(method: str, *words: Any) -> dict[str, Any]:
        said: dict[str, Any] = getattr(workspace, method)(*words)
        return said

    return Sender(call)
