"""What on-call makes due: hand-overs, weekly test pages, receipts that stay away. One turn, one transaction."""

from __future__ import annotations

from bot.desk import hand_overs, test_pages
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Tx


def due(tx: Tx, house: House) -> bool:
    """Whether a turn has anything to do; only reads, so that it may be asked every few seconds."""
    known = hand_overs.seen(tx)
    if known is None or hand_overs.changes(tx, house, known):
        return True
    roster = live(tx, house).roster
    return bool(test_pages.due(tx, roster) or test_pages.unanswered(tx, roster))


def turn(tx: Tx, house: House) -> int:
    """Do what is due; returns how many things were told or sent."""
    told = hand_overs.look(tx, house)
    test_pages.begin(tx)
    roster = live(tx, house).roster
    wanted, missing = test_pages.due(tx, roster), test_pages.unanswered(tx, roster)
    test_pages.send(tx, wanted)
    test_pages.report(tx, roster, missing)
    return told + len(wanted) + len(missing)
