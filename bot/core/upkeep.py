"""When a runbook is to be reviewed ("Review the runbook": after an incident, a change, and each quarter). Pure.

One reason is told once for each runbook and period: `key` is unique for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from bot.core.incident import Incident, Status
from bot.core.runbook import INCIDENT_KINDS, Runbook

QUARTER = timedelta(days=92)
ASKED, REVIEWED = "runbook_review_asked", "runbook_reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a runbook (its name) is to be reviewed, in words."""

    book: str
    key: str
    why: str


def fingerprint(book: Runbook) -> str:
    """Changes with anything that the page says, except the dates of its reviews."""
    words = repr(replace(book, last_reviewed=None, next_review=None))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def reasons(
    books: Iterable[Runbook],
    today: date,
    *,
    known: Mapping[str, str],
    new_components: Sequence[str],
    incidents: Iterable[Incident],
    reviewed: Mapping[str, str],
) -> list[Reason]:
    """Every reason that holds on a day, told before or not.

    `known` are the fingerprints of the last look, `reviewed` the days (ISO) on which somebody ticked a runbook off.
    """
    critical = [i for i in incidents if i.critical_ever and not i.private and _over(i)]
    found: list[Reason] = []
    for book in books:
        found += _of_book(book, today, known.get(book.name), reviewed.get(book.name, ""))
        if book.kind in INCIDENT_KINDS:
            found += [
                Reason(book=book.name, key=f"incident:{i.name}", why=f"after the critical incident {i.name}")
                for i in critical
                if i.runbook == book.name
            ]
            if new_components:
                names = ", ".join(new_components)
                key = hashlib.sha256(names.encode()).hexdigest()[:16]
                why = f"the pipeline has something new: {names}"
                found.append(Reason(book=book.name, key=f"component:{key}", why=why))
    return found


def _over(incident: Incident) -> bool:
    return incident.status in (Status.RESOLVED, Status.REVIEWED)


def _of_book(book: Runbook, today: date, known: str | None, ticked: str) -> list[Reason]:
    found = []
    now = fingerprint(book)
    if known is not None and known != now:
        found.append(Reason(book=book.name, key=f"changed:{now}", why="its page has changed"))
    last = max((day for day in (book.last_reviewed, _day(ticked)) if day is not None), default=None)
    if (
        book.next_review is not None
        and book.next_review <= today
        and (last is None or last < book.next_review)
    ):
        why = f"its review was due on {book.next_review.isoformat()}"
        found.append(Reason(book=book.name, key=f"due:{book.next_review.isoformat()}", why=why))
    elif last is None or today - last > QUARTER:
        quarter = f"{today.year}Q{(today.month + 2) // 3}"
        since = f"the last one was on {last.isoformat()}" if last is not None else "nobody ever did"
        why = f"a review is due each quarter, {since}"
        found.append(Reason(book=book.name, key=f"quarter:{quarter}", why=why))
    return found


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
