"""The weekly test page: to each method of everybody whom a page may go to, with its receipt.

Once a week for each person: at the roster's time in their own zone, or when they come on call, or into a user
group of the roster, later in that week. It goes the way of any message; a receipt that stays away is told to the
level above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import oncall
from bot.core import roster as rosters
from bot.core.delivery import Kind, Leased, Outbound, Outcome, Priority, Refused, Sent
from bot.core.incident import instant, stamp
from bot.core.policy import Level, format_duration
from bot.core.receipts import METHODS, RECEIPTS_FOR, WAYS, Receipt
from bot.core.refusal import Refused as No
from bot.core.roster import Person, Roster
from bot.desk.answers import private
from bot.desk.asked import Asked
from bot.desk.ports import Tx
from bot.desk.telling import announce, tell

SINCE = "oncall.tests_since"
_POSTED = {"email": Kind.PAGE_MAIL, "hook": Kind.PAGE_HOOK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A test page that is due, by one method: to a person as a holder of a level, or as the contact for a subject."""

    id: str
    person: Person
    level: str
    method: str


def due(tx: Tx, roster: Roster) -> list[Wanted]:
    """The test pages to send now; none for a time that lies before the bot first ran."""
    begun, now = instant(tx.get_value(SINCE)), tx.now()
    if begun is None or roster.test_page.weekday is None:
        return []
    sent = {receipt.id for receipt in tx.receipts(now - RECEIPTS_FOR)}
    return [wanted for wanted in _of_this_week(roster, begun, now) if wanted.id not in sent]


def _of_this_week(roster: Roster, begun: datetime, now: datetime) -> Iterator[Wanted]:
    test = roster.test_page
    for name, level in oncall.paged(roster, now).items():
        person = roster.people[name]
        slot = oncall.slot(test.weekday or 0, test.at, now, oncall.zone_of(person))
        if slot <= begun:
            continue
        week = f"{slot.astimezone(oncall.zone_of(person)):%Y-%m-%d}"
        for method in (METHODS[way] for way in rosters.reached_by(roster, person)):
            yield Wanted(id=f"{week}:{name}:{method}", person=person, level=level, method=method)


def begin(tx: Tx) -> None:
    """Remember when tests began, the first time."""
    if tx.get_value(SINCE) is None:
        tx.put_value(SINCE, stamp(tx.now()))


def send(tx: Tx, wanted: Sequence[Wanted]) -> None:
    """Write down each test page and put it into the outbox."""
    for each in wanted:
        if tx.receipt(each.id) is not None:
            continue
        tx.put_receipt(
            Receipt(
                id=each.id, person=each.person.name, level=each.level, method=each.method, made_at=tx.now()
            )
        )  # fmt: skip
        tx.enqueue(_message(each, tx.now()))


def _message(wanted: Wanted, now: datetime) -> list[Outbound]:
    """To Slack with a button; a mail and a call of the hook take the way of pages, with their signed link."""
    how = "Press the button" if wanted.method == "slack" else "Open the link"
    text = (
        f"Test page to {_role(wanted.level)}, {wanted.person.name}: this is how Streamwatch reaches you by "
        f"{WAYS[wanted.method]}. Nothing is wrong. {how} to say that it does."
    )
    if wanted.method in _POSTED:
        key = f"test:{wanted.id}"
        data = {
            "receipt": wanted.id, "person": wanted.person.name, "level": wanted.level, "text": text,
            "subject": f"Test page to {_role(wanted.level)}: nothing is wrong", "due_at": stamp(now),
        }  # fmt: skip
        kind = _POSTED[wanted.method]
        return [Outbound(key=key, kind=kind, lane=key, priority=Priority.ANSWER, data=data)]
    button = {"action": "oncall_test_ack", "label": "This test page reached me", "value": wanted.id}
    metadata = {"event_type": "streamwatch_test_page", "event_payload": {"receipt": wanted.id}}
    more = {"buttons": [button], "receipt": wanted.id, "metadata": metadata}
    return tell(wanted.person, f"test:{wanted.id}", text, **more)


def _role(level: str) -> str:
    """A level is its own name; a contact is known by its subject."""
    return level if level in list(Level) else f"the {level} contact"


def settled(tx: Tx, row: Leased, outcome: Outcome) -> None:
    """What became of a test page's message."""
    receipt = tx.receipt(str(row.outbound.data["receipt"]))
    if receipt is None:
        return
    if isinstance(outcome, Sent) and receipt.sent_at is None:
        tx.put_receipt(replace(receipt, sent_at=tx.now()))
    elif isinstance(outcome, Refused):
        tx.put_receipt(replace(receipt, failed=outcome.reason[:200]))


def acknowledge(asked: Asked, receipt_id: str) -> list[Outbound]:
    """The button of a test page: only its own person can say that it arrived. Raises Refused."""
    receipt = asked.tx.receipt(receipt_id)
    if receipt is None:
        raise No("This test page is not known any more.")
    if asked.person is None or asked.name != receipt.person:
        raise No(f"This test page is {receipt.person}'s.")
    if receipt.acked_at is None:
        asked.tx.put_receipt(replace(receipt, acked_at=asked.now))
    return [
        private(asked.asker, asked.key, f"Noted: {WAYS[receipt.method]} reaches you. `/oncall` shows it.")
    ]


# --- what stays away --------------------------------------------------------------------------------------


def unanswered(tx: Tx, roster: Roster) -> list[Receipt]:
    """Test pages that failed, or whose acknowledgement is missing for too long, and that nobody was told of."""
    now = tx.now()
    return [
        receipt
        for receipt in tx.receipts(now - RECEIPTS_FOR)
        if receipt.acked_at is None
        and receipt.reported_at is None
        and (receipt.failed or receipt.made_at + roster.test_page.answer_within <= now)
    ]


def report(tx: Tx, roster: Roster, missing: Sequence[Receipt]) -> None:
    """Tell the announcement channel and the level above, once each."""
    now = tx.now()
    for receipt in missing:
        known = tx.receipt(receipt.id)
        if known is None or known.reported_at is not None:
            continue
        tx.put_receipt(replace(known, reported_at=now))
        text = _missing(receipt, roster, now)
        tx.enqueue([announce(f"test:{receipt.id}:missing", text)])
        # Nothing is above a contact; whoever asks them is L2.
        above = Level(receipt.level).up if receipt.level in list(Level) else Level.L2
        found = rosters.next_up(roster, above, now, without={receipt.person}) if above else None
        if found is not None:
            tx.enqueue(tell(found[1], f"test:{receipt.id}:missing:{found[1].name}", text))


def _missing(receipt: Receipt, roster: Roster, now: datetime) -> str:
    way = WAYS.get(receipt.method, receipt.method)
    person = roster.people.get(receipt.person)
    dial = f" Number to dial: {person.phone}." if person is not None and person.phone else ""
    if receipt.failed:
        what = f"could not be sent: {receipt.failed}"
    else:
        what = f"is not acknowledged after {format_duration(now - receipt.made_at)}"
    return (
        f"The weekly test page to {receipt.person} ({_role(receipt.level)}) by {way} {what}. A real page might not "
        f"reach them either.{dial}"
    )
