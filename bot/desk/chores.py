"""What the bot does by itself once a day: forget what is old, remind of reviews and actions, have runbooks reviewed.

Each day of each chore is a row that is unique for ever, and due is whatever the newest day's row is missing for. So
replicas do it once, and one that fell into a downtime is done once afterwards, not once for each day that was missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.core import periods
from bot.core.incident import Status, instant
from bot.core.periods import Calendar, working_days
from bot.core.review import required
from bot.core.rows import line
from bot.core.storm import minute_of, name_of
from bot.desk import private_reviews, round_notes, rounds
from bot.desk.house import House
from bot.desk.ports import Tx

DONE = "calendar.chores"
REVIEW_AFTER_WORKING_DAYS = 5
KEEP_INBOX = timedelta(days=30)
KEEP_PROBES = timedelta(days=35)  # four weeks side by side, and a week to look back
_TIDY_AT = timedelta(hours=3, minutes=40)  # UTC, when nobody looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """`day` is the newest day of it that is due, by its unique name; None: none is."""

    name: str
    day: Callable[[Tx, House], str | None]
    work: Callable[[Tx, House], object]


def due(tx: Tx, house: House) -> bool:
    """Whether a turn has anything to do; only reads."""
    done = tx.get_value(DONE) or {}
    return any((day := chore.day(tx, house)) is not None and done.get(chore.name) != day for chore in CHORES)


def turn(tx: Tx, house: House) -> list[str]:
    """Do what is due; returns the names of what was done."""
    done: list[str] = []
    for chore in CHORES:
        day = chore.day(tx, house)
        known = dict(tx.get_value(DONE) or {})
        if day is None or known.get(chore.name) == day:
            continue
        if tx.once("calendar", f"{chore.name}:{day}"):
            chore.work(tx, house)
            done.append(chore.name)
        tx.put_value(DONE, {**known, chore.name: day})
    return done


def following(now: datetime) -> datetime:
    """When the next night's chores are due, after an instant."""
    tonight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _TIDY_AT
    return tonight if tonight > now else tonight + timedelta(days=1)


def _night(tx: Tx, _: House) -> str | None:
    return f"{(tx.now() - _TIDY_AT).astimezone(UTC):%Y-%m-%d}"


def _morning(tx: Tx, house: House) -> str | None:
    """The newest working day whose hour has come, since the bot first ran."""
    slot = periods.latest(house.calendar, "daily", tx.now())
    since = instant(tx.get_value(rounds.SINCE))
    return slot.key if slot is not None and since is not None and slot.due_at > since else None


def tidy(tx: Tx, _: House) -> int:
    """Forget processed notifications older than 30 days; returns how many. What could not be processed stays."""
    before = tx.now() - KEEP_INBOX
    tx.forget_counts(name_of(0, ""), name_of(minute_of(before), ""))
    return tx.inbox_prune(before)


def remind_reviews(tx: Tx, house: House) -> int:
    """Reviews that are required and still open after five working days; returns how many."""
    found = 0
    for incident in tx.incidents(active=False, limit=200):
        if incident.status is not Status.RESOLVED or incident.resolved_at is None or not required(incident):
            continue
        if not _overdue(house.calendar, incident.resolved_at, tx.now()):
            continue
        found += 1
        text = (
            f"The review of {incident.name} is still open, more than {REVIEW_AFTER_WORKING_DAYS} working days after "
            "it was resolved. `/review edit` states the cause, `/review done` closes it."
        )
        tx.enqueue([line(incident, f"reminder:{incident.name}:{tx.now():%Y-%m-%d}", text)])
    return found


def _overdue(calendar: Calendar, resolved_at: datetime, now: datetime) -> bool:
    return working_days(calendar, resolved_at, now) >= REVIEW_AFTER_WORKING_DAYS


CHORES: tuple[Chore, ...] = (
    Chore(name="tidy", day=_night, work=tidy),
    Chore(name="review-reminders", day=_morning, work=remind_reviews),
    Chore(name="runbook-reviews", day=_morning, work=rounds.ask_for_reviews),
    Chore(name="private-reviews", day=_morning, work=private_reviews.ask),
    Chore(name="actions", day=_morning, work=lambda tx, house: tx.enqueue(round_notes.reminders(tx, house))),
)
