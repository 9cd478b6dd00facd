"""Who is in the user groups of the roster: asked of Slack every hour, when it tells of a change, before a right of
theirs counts, and on request.

What was read is kept in the database for every replica, and stays while Slack is away (`bot.core.groups`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from bot.core import groups
from bot.core.asks import GroupChanged
from bot.core.groups import Group, Known
from bot.core.roster import group_refs
from bot.desk.house import House
from bot.desk.live import GROUPS, known_groups
from bot.desk.ports import Store, Tx

log = structlog.get_logger()
WANTED = "slack_groups_wanted"
CHANGED = "slack_groups_changed"
AGAIN = timedelta(minutes=1)
"""After a failure, and for a group that was not read yet."""
ASKED = timedelta(seconds=5)
"""At most so often because somebody looks."""
READ_S = 20.0
BEFORE_A_CLICK_S = 1.5
BEFORE_A_RUN_S = 5.0


class Reader(Protocol):
    """What Slack knows of groups."""

    async def read(
        self, refs: Collection[str], now: datetime, seconds: float
    ) -> tuple[dict[str, Group], str]: ...


def want(tx: Tx, house: House) -> None:
    """Somebody looks at who is on call: the groups are read again soon."""
    if group_refs(house.roster):
        tx.put_value(WANTED, tx.now().isoformat())


def due(tx: Tx, house: House) -> bool:
    """Whether it is time to ask Slack: hourly, when it told of a change, after a failure soon again, for a new group at
    once, on request."""
    refs = group_refs(house.roster)
    if not refs:
        return False
    found, now = known_groups(tx), tx.now()
    if found.tried_at is None or found.tried_at > now:
        return True
    age = now - found.tried_at
    if _last_change(tx) != found.told and not found.error:
        return True
    wanted = tx.get_value(WANTED)
    if isinstance(wanted, str) and datetime.fromisoformat(wanted) > found.tried_at and age >= ASKED:
        return True
    soon = bool(found.error) or not set(refs) <= set(found.groups)
    return age >= (AGAIN if soon else groups.EVERY)


def _last_change(tx: Tx) -> str:
    """The event by which Slack last told of a change. By its name, not by its time: it may come while the groups are
    being read, and then they are read once more."""
    return str(tx.get_value(CHANGED) or "")


class Membership:
    """Asks Slack and keeps what it says."""

    def __init__(
        self,
        *,
        store: Store,
        house: Callable[[], House],
        reader: Reader,
        now: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._store, self._house, self._reader = store, house, reader
        self._now, self._wake = now, wake
        self.known = groups.NOTHING

    def house(self) -> House:
        """The house with the members last read, for those who have no transaction at hand."""
        house = self._house()
        return replace(house, roster=groups.with_groups(house.roster, self.known))

    async def turn(self) -> int:
        """Read them when it is time; 1 when Slack was asked."""
        house = self._house()
        if not self._named():
            return 0
        self.known = await self._store.aread(known_groups)
        if not await self._store.aread(lambda tx: due(tx, house)):
            return 0
        await self._read(READ_S)
        return 1

    async def changed(self, event: GroupChanged) -> None:
        """Slack tells that a group is another now: if the roster names it, ``wake`` has the next turn read it."""
        refs = self._named()
        if not refs:
            return
        known = await self._store.aread(known_groups)
        if groups.concerned(refs, known, event.group, event.handle):
            await self._store.awrite(lambda tx: tx.put_value(CHANGED, event.id))
            self._wake()

    async def before_a_click(self) -> None:
        """As Slack has them now, where it answers within a moment; else as they were last read."""
        if self._named():
            await self._read(BEFORE_A_CLICK_S)

    async def before_a_run(self) -> None:
        """The same for what is about to be carried out, with more patience."""
        if self._named():
            await self._read(BEFORE_A_RUN_S)

    def _named(self) -> tuple[str, ...]:
        return group_refs(self._house().roster)

    async def _read(self, seconds: float) -> None:
        refs = self._named()
        begun, told = await self._store.aread(lambda tx: (tx.now(), _last_change(tx)))
        read, error = await self._reader.read(refs, begun, seconds)
        if error:
            log.warning(
                "groups_not_read", action="groups", error=error, groups=[r for r in refs if r not in read]
            )

        def keep(tx: Tx) -> Known:
            after = groups.after(known_groups(tx), read, error, tx.now(), told)
            tx.put_value(GROUPS, after.as_json())
            return after

        self.known = await self._store.awrite(keep)

    def health(self) -> dict[str, Any]:
        """For /healthz; empty where the roster names no group."""
        return groups.health(self.house().roster, self._now())
