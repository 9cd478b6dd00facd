"""The roster as it stands in one transaction: the documents', with the members of its user groups as they were last
read, and the overrides that people made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.core import groups
from bot.core.groups import Known
from bot.core.oncall import with_overrides
from bot.core.overrides import Override
from bot.core.receipts import RECEIPTS_FOR, Receipt
from bot.core.roster import Roster, group_refs
from bot.desk.house import House
from bot.desk.ports import Tx

GROUPS = "slack_groups"


def known_groups(tx: Tx) -> Known:
    """What was last read of the roster's user groups, by whichever replica."""
    return groups.from_json(tx.get_value(GROUPS))


def live(tx: Tx, house: House) -> House:
    """The house whose roster everybody in this transaction shall ask ("Rules: Escalation", Who). Never kept:
    the next transaction may find another override."""
    if house.live:
        return house
    roster = house.roster
    if group_refs(roster):
        roster = groups.with_groups(roster, known_groups(tx))
    return replace(house, roster=with_overrides(roster, tx.overrides(tx.now())), live=True)


def on_call(tx: Tx, house: House) -> tuple[Roster, Sequence[Override], Sequence[Receipt]]:
    """What a page about who is on call shows: the live roster, its overrides, the last week's receipts."""
    now = tx.now()
    return live(tx, house).roster, tx.overrides(now), tx.receipts(now - RECEIPTS_FOR)
