"""The roster as it stands in one transaction: the documents', with the overrides that people made."""

from __future__ import annotations

from dataclasses import replace

from bot.core.oncall import with_overrides
from bot.desk.house import House
from bot.desk.ports import Tx


def live(tx: Tx, house: House) -> House:
    """The house whose roster everybody in this transaction shall ask ("Rules: Escalation", Who). Never kept:
    the next transaction may find another override."""
    if house.live:
        return house
    return replace(house, roster=with_overrides(house.roster, tx.overrides(tx.now())), live=True)
