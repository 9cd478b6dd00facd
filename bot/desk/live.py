"""The roster as it stands in one transaction: the documents', with the overrides that people made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.core.oncall import with_overrides
from bot.core.overrides import Override
from bot.core.receipts import RECEIPTS_FOR, Receipt
from bot.core.roster import Roster
from bot.desk.house import House
from bot.desk.ports import Tx


def live(tx: Tx, house: House) -> House:
    """The house whose roster everybody in this transaction shall ask ("Rules: Escalation", Who). Never kept:
    the next transaction may find another override."""
    if house.live:
        return house
    return replace(house, roster=with_overrides(house.roster, tx.overrides(tx.now())), live=True)


def on_call(tx: Tx, house: House) -> tuple[Roster, Sequence[Override], Sequence[Receipt]]:
    """What a page about who is on call shows: the live roster, its overrides, the last week's receipts."""
    now = tx.now()
    return live(tx, house).roster, tx.overrides(now), tx.receipts(now - RECEIPTS_FOR)
