"""What a digest tells besides readings: actions that are due, statistics, forecasts; and reviews of runbooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.core import roster as rosters
from bot.core import rounds, statistics, statistics_words, upkeep
from bot.core.action_items import Todo, todos
from bot.core.delivery import Outbound
from bot.core.incident import Incident
from bot.core.periods import Slot
from bot.core.roster import Roster, by_slack, primary
from bot.core.rounds import Item, Reading, Round
from bot.core.runbook import Runbook
from bot.core.statistics import Statistics
from bot.core.text import counted
from bot.desk import round_charts
from bot.desk.house import House
from bot.desk.ports import Tx
from bot.desk.telling import tell
from pipeline.chart import Chart

BOOKS, COMPONENTS, REVIEWED = "upkeep.books", "upkeep.components", "upkeep.reviewed"
REVIEW_WITHIN = timedelta(days=3)
MOST = 1000


# --- statistics and actions -------------------------------------------------------------------------------


def patterns(tx: Tx, house: House, days: int, until: datetime | None = None) -> Statistics:
    """The statistics of so many days before an instant, or before now; of private incidents nothing."""
    until = until or tx.now()
    since = until - timedelta(days=days)
    found = [i for i in tx.incidents(limit=MOST) if not i.private and i.opened_at >= since]
    told = [(i, tx.events(i.id)) for i in found]
    return statistics.compute(told, since, until, house.runbooks)


def open_actions(tx: Tx, house: House) -> list[Todo]:
    """Every open action of every incident, private ones too: not for everybody's eyes."""
    return todos(tx.incidents(limit=MOST), house.calendar.today(tx.now()))


def reminders(tx: Tx, house: House) -> list[Outbound]:
    """From its day on once in each week: each action to its owner."""
    rows: list[Outbound] = []
    for todo in open_actions(tx, house):
        key = todo.reminder(house.calendar.today(tx.now()))
        if key is None or not tx.once("calendar", key):
            continue
        owner = house.roster.people.get(todo.action.owner) or by_slack(house.roster, todo.action.owner)
        how = f"`/review actions {todo.incident} done {todo.action.id}` ticks it off."
        text = f"Your action item is due: {todo.words}. {how}"
        rows += tell(owner, key, text)
    return rows


def notes(tx: Tx, house: House, this: Round, readings: Sequence[Reading]) -> tuple[list[str], list[Chart]]:
    """(lines, charts) of a digest: the trends; the day's due actions; the week's list; the month's statistics.

    What it counts ends when it was due, however late it comes: so each incident is in one week's digest.
    A day has no charts: one each morning is one that nobody looks at.
    """
    kind = this.kind
    public = [todo for todo in open_actions(tx, house) if not todo.private]
    shown = [todo for todo in public if todo.due] if kind == "daily" else public
    lines = [f"Action items {'due' if kind == 'daily' else 'open'}: {len(shown)}."] if shown else []
    lines += [f"- {todo.words}" for todo in shown[:10]]
    lines += [f"- and {len(shown) - 10} more: `/review actions`"] if len(shown) > 10 else []
    drawn = round_charts.charts(tx, readings) if kind != "daily" else []
    if kind == "weekly":
        lines += statistics_words.lines(patterns(tx, house, 7, this.due_at))[:3]
    if kind == "monthly":
        found = patterns(tx, house, 30, this.due_at)
        lines += statistics_words.lines(found)
        if found.incidents:
            rows, note = (
                statistics_words.week_rows(found),
                f"{counted(found.incidents, 'incident')} in 30 days",
            )
            drawn.append(Chart(name="incidents", title="Incidents by week", note=note, rows=tuple(rows)))
    return [*round_charts.told(tx, readings), *lines], drawn


# --- reviews of runbooks ----------------------------------------------------------------------------------


def baseline(tx: Tx, house: House) -> None:
    """The first look: what stands now is known, and what was over before is nobody's reminder."""
    tx.put_value(BOOKS, {book.name: upkeep.fingerprint(book) for book in house.runbooks})
    tx.put_value(COMPONENTS, components(house))
    for incident in recent(tx):
        tx.once("upkeep", f"seen:{incident.name}")


def components(house: House) -> list[str]:
    """Everything that the pipelines claim, each in words."""
    found = {
        f"{pipeline.name} {label.removesuffix('_id')} {value}"
        for pipeline in house.pipelines
        for label, value in (*pipeline.resources(), *(("budget", budget) for budget in pipeline.budgets))
        if label not in ("instance", "table")
    }
    return sorted(found)


def recent(tx: Tx) -> list[Incident]:
    return [i for i in tx.incidents(active=False, limit=200) if i.critical_ever]


def reviews(tx: Tx, house: House, slot: Slot) -> list[Round]:
    """The day's round of runbooks to review, none where there is no reason that was not told yet."""
    known = tx.get_value(BOOKS) or {}
    before = set(tx.get_value(COMPONENTS) or ())
    after = components(house)
    found = upkeep.reasons(
        house.runbooks,
        house.calendar.today(tx.now()),
        known=known,
        new_components=sorted(set(after) - before) if before else (),
        incidents=[i for i in recent(tx) if tx.once("upkeep", f"seen:{i.name}")],
        reviewed=tx.get_value(REVIEWED) or {},
    )
    tx.put_value(BOOKS, {book.name: upkeep.fingerprint(book) for book in house.runbooks})
    tx.put_value(COMPONENTS, after)
    fresh: dict[str, list[str]] = {}
    for reason in found:
        if tx.once("upkeep", f"{reason.book}:{reason.key}"):
            fresh.setdefault(reason.book, []).append(reason.why)
    items = tuple(_review_item(house, tx, book, whys) for book, whys in fresh.items())
    if not items:
        return []
    made = Round(
        id=f"{rounds.REVIEW}:{slot.key}", kind=rounds.REVIEW, title="Runbooks to review", due_at=slot.due_at,
        began_at=tx.now(), items=items,
    )  # fmt: skip
    return [made]


def _review_item(house: House, tx: Tx, name: str, whys: Sequence[str]) -> Item:
    book = next(each for each in house.runbooks if each.name == name)
    owner = owner_of(house.roster, book, tx.now())
    words = "; ".join(whys)
    return Item(
        id=name, title=f"{book.title} ({name}.md): {words}", words=words, owner=owner,
        remind_s=REVIEW_WITHIN.total_seconds(),
    )  # fmt: skip


def owner_of(roster: Roster, book: Runbook, now: datetime) -> str:
    """Who owns a round: whoever the document's `owner` is at that instant, else whoever is on call."""
    found = rosters.owner(roster, book.owner or "", now) or primary(roster, now)
    return found.name if found is not None else ""


def reviewed(tx: Tx, house: House, name: str) -> None:
    """Somebody has reviewed a runbook: the next quarter counts from here."""
    days = dict(tx.get_value(REVIEWED) or {})
    tx.put_value(REVIEWED, {**days, name: house.calendar.today(tx.now()).isoformat()})
