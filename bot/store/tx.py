"""One transaction of the store: all nouns together, as ``bot.desk.ports.Tx`` asks for them."""

from __future__ import annotations

from bot.store.evidence import Evidence
from bot.store.holds import Holds
from bot.store.inbox import Inbox
from bot.store.incidents import Incidents
from bot.store.oncall import OnCall
from bot.store.outbox import Outbox
from bot.store.runs import Runs


class StoreTx(Incidents, Holds, Inbox, Outbox, Runs, OnCall, Evidence):
    """What ``Database.write`` and ``Database.read`` hand to their function; useless afterwards."""
