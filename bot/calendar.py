"""The calendar, rung by APScheduler: jobs in memory that only insert a row unique for its period.

Never the only clock (it stops when the wall clock is set back): pages and ladders are on the tick.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.core.effects import line
from bot.core.incident import Status
from bot.core.periods import USUAL, Calendar, working_days
from bot.core.review import required
from bot.core.storm import minute_of, name_of
from bot.desk.ports import Tx

REVIEW_AFTER_WORKING_DAYS = 5
KEEP_INBOX = timedelta(days=30)
KEEP_PROBES = timedelta(days=35)  # four weeks side by side, and a week to look back


def remind_reviews(tx: Tx, calendar: Calendar = USUAL) -> int:
    """Once a day: reviews that are required and still open after five working days. Returns how many."""
    now = tx.now()
    if not tx.once("calendar", f"review-reminders:{now:%Y-%m-%d}"):
        return 0
    found = 0
    for incident in tx.incidents(active=False, limit=200):
        due = incident.status is Status.RESOLVED and required(incident) and incident.resolved_at is not None
        if not due or incident.resolved_at is None:
            continue
        if working_days(calendar, incident.resolved_at, now) < REVIEW_AFTER_WORKING_DAYS:
            continue
        found += 1
        text = (
            f"The review of {incident.name} is still open, more than {REVIEW_AFTER_WORKING_DAYS} working days after "
            "it was resolved. `/review edit` states the cause, `/review done` closes it."
        )
        tx.enqueue([line(incident, f"reminder:{incident.name}:{now:%Y-%m-%d}", text)])
    return found


def tidy(tx: Tx) -> int:
    """Once a day: forget processed notifications older than 30 days. What could not be processed stays."""
    now = tx.now()
    if not tx.once("calendar", f"tidy:{now:%Y-%m-%d}"):
        return 0
    tx.forget_counts(name_of(0, ""), name_of(minute_of(now - KEEP_INBOX), ""))
    return tx.inbox_prune(now - KEEP_INBOX)


def build(
    run: Callable[[Callable[[Tx], int]], object],
    calendar: Calendar,
    forget_probes: Callable[[timedelta], object],
) -> AsyncIOScheduler:
    """The scheduler, not started. ``run`` starts a transaction on the event loop; ``forget_probes`` deletes stored
    probes that are older than so long (twice is harmless, so every replica may)."""
    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    scheduler.add_job(
        lambda: run(lambda tx: remind_reviews(tx, calendar)),
        "cron",
        hour=calendar.at.hour,
        minute=calendar.at.minute,
        timezone=calendar.zone,
        id="review-reminders",
    )
    scheduler.add_job(lambda: run(tidy), "cron", hour=3, minute=40, id="tidy")
    scheduler.add_job(lambda: forget_probes(KEEP_PROBES), "cron", hour=3, minute=45, id="tidy-probes")
    return scheduler
