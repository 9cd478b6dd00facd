"""One transaction of the store: all nouns together, as ``bot.desk.ports.Tx`` asks for them."""

from __future__ import annotations

import sqlalchemy as sa

from bot.core.delivery import LEASE
from bot.store.evidence import Evidence
from bot.store.holds import Holds
from bot.store.inbox import Inbox
from bot.store.incidents import Incidents
from bot.store.oncall import OnCall
from bot.store.outbox import Outbox
from bot.store.rounds import Rounds
from bot.store.runs import RUN_LEASE, Runs
from bot.store.schema import outbox, runs


class StoreTx(Incidents, Holds, Inbox, Outbox, Runs, OnCall, Rounds, Evidence):
    """What ``Database.write`` and ``Database.read`` hand to their function; useless afterwards."""

    def clock_set_back(self) -> None:
        """What waits is due now, and a lease ends no later than one that begins now: its holder's own deadline
        is on a clock that nobody moves."""
        wall = self.wall()
        pending = sa.text("state = 'pending'")
        late = sa.update(outbox).where(pending, outbox.c.not_before > wall)
        self._execute(late.values(not_before=wall))
        for table, longest in ((outbox, LEASE), (runs, RUN_LEASE)):
            end = wall + longest
            self._execute(sa.update(table).where(table.c.lease_until > end).values(lease_until=end))
