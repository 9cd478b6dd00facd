"""What the timelines say of a stretch of time: how fast, how often, by what, and what had no effect. Pure.

An incident belongs to the time in which it was opened. Private incidents are for the caller to leave out.
All instants are aware UTC datetimes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean, median

from bot.core import walk
from bot.core.incident import Event, Incident
from bot.core.runbook import Runbook
from bot.core.walk import step_of

Told = tuple[Incident, Sequence[Event]]
TOP = 5
_UNMEASURED = "could not be measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long something took, in seconds; `worst` is the incident that took the longest."""

    count: int
    mean_s: float
    median_s: float
    longest_s: float
    worst: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often; `part` is what of it had no effect, or in how many incidents it was; `where` names some."""

    name: str
    count: int
    part: int = 0
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """`weeks` are (Monday, incidents opened), `times` the same with the mean seconds to acknowledge and to resolve,
    None where there was nothing to measure. `rules`: fired, and `part` of them without effect: whoever was paged
    did nothing, and nobody acknowledged afterwards."""

    since: datetime
    until: datetime
    incidents: int
    unresolved: int
    unacknowledged: int
    kinds: Mapping[str, int]
    severities: Mapping[str, int]
    weeks: tuple[tuple[str, int], ...]
    times: tuple[tuple[str, float | None, float | None], ...]
    acknowledge: Spread | None
    resolve: Spread | None
    causes: tuple[Count, ...]
    policies: tuple[Count, ...]
    rules: tuple[Count, ...]
    failed_steps: tuple[Count, ...]
    left_steps: tuple[Count, ...]
    never_run: Mapping[str, tuple[str, ...]]


def compute(
    told: Iterable[Told], since: datetime, until: datetime, books: Sequence[Runbook] = ()
) -> Statistics:
    """The statistics of the incidents that were opened from `since` on and before `until`."""
    mine = [(i, events) for i, events in told if since <= i.opened_at < until]
    found = [i for i, _ in mine]
    acked = {i.name: first for i, events in mine if (first := _first(events, "acknowledged")) is not None}
    took = {i.name: acked[i.name] - i.opened_at for i in found if i.name in acked}
    over = {i.name: i.resolved_at - i.opened_at for i in found if i.resolved_at is not None}
    failed, left, never = _steps(mine, books)
    return Statistics(
        since=since,
        until=until,
        incidents=len(found),
        unresolved=sum(i.active for i in found),
        unacknowledged=sum(i.name not in acked for i in found),
        kinds=dict(Counter(str(i.kind) for i in found).most_common()),
        severities=dict(Counter(str(i.severity) for i in found).most_common()),
        weeks=_weeks(found, since, until),
        times=_times(found, took, over, since, until),
        acknowledge=_spread(took),
        resolve=_spread(over),
        causes=_causes(found),
        policies=_policies(mine),
        rules=_rules(mine),
        failed_steps=failed,
        left_steps=left,
        never_run=never,
    )


def _first(events: Sequence[Event], kind: str) -> datetime | None:
    return next((e.at for e in events if e.type == kind), None)


def _spread(took: Mapping[str, timedelta]) -> Spread | None:
    if not took:
        return None
    seconds = {name: each.total_seconds() for name, each in took.items()}
    worst = max(seconds, key=lambda name: seconds[name])
    values = list(seconds.values())
    return Spread(
        count=len(values),
        mean_s=mean(values),
        median_s=median(values),
        longest_s=seconds[worst],
        worst=worst,
    )


def _weeks(found: Sequence[Incident], since: datetime, until: datetime) -> tuple[tuple[str, int], ...]:
    counts = Counter(_monday(i.opened_at) for i in found)
    days = max((until - since).days, 0)
    mondays = dict.fromkeys(_monday(since + timedelta(days=n)) for n in range(days + 1))
    return tuple((monday, counts[monday]) for monday in mondays)


def _times(
    found: Sequence[Incident],
    took: Mapping[str, timedelta],
    over: Mapping[str, timedelta],
    since: datetime,
    until: datetime,
) -> tuple[tuple[str, float | None, float | None], ...]:
    def average(of: Mapping[str, timedelta], monday: str) -> float | None:
        mine = [of[i.name].total_seconds() for i in found if i.name in of and _monday(i.opened_at) == monday]
        return mean(mine) if mine else None

    mondays = [monday for monday, _ in _weeks(found, since, until)]
    return tuple((monday, average(took, monday), average(over, monday)) for monday in mondays)


def _monday(at: datetime) -> str:
    return (at.date() - timedelta(days=at.weekday())).isoformat()


def _ranked(where: Mapping[str, Sequence[str]], least: int) -> tuple[Count, ...]:
    ranked = sorted(where.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return tuple(
        Count(name=name, count=len(names), part=len(set(names)), where=tuple(dict.fromkeys(names))[:TOP])
        for name, names in ranked
        if len(set(names)) >= least
    )


def _causes(found: Sequence[Incident]) -> tuple[Count, ...]:
    """Root causes that people stated, and what fired, that more than one incident shares."""
    where: dict[str, list[str]] = defaultdict(list)
    for incident in found:
        stated = " ".join((incident.stated.get("root_cause") or incident.stated.get("cause") or "").split())
        fired = {alert.cause for alert in incident.alerts.values()}
        for cause in [f"stated: {stated.casefold()}"] if stated else sorted(fired):
            where[cause].append(incident.name)
    return _ranked(where, 2)[:TOP]


def _policies(mine: Sequence[Told]) -> tuple[Count, ...]:
    """Alert policies by how often they fired; `part` counts their incidents."""
    where: dict[str, list[str]] = defaultdict(list)
    for incident, events in mine:
        for e in events:
            if e.type == "alert_opened":
                where[str(e.data.get("policy_name") or e.data.get("title") or "?")].append(incident.name)
    return _ranked(where, 1)[:TOP]


def _rules(mine: Sequence[Told]) -> tuple[Count, ...]:
    fired: Counter[str] = Counter()
    idle: dict[str, list[str]] = defaultdict(list)
    for incident, events in mine:
        for place, e in enumerate(events):
            rules = _rules_of(e)
            fired.update(rules)
            for rule in rules if rules and not _had_effect(e, events[place + 1 :]) else ():
                idle[rule].append(incident.name)
    return tuple(
        Count(name=rule, count=count, part=len(idle[rule]), where=tuple(dict.fromkeys(idle[rule]))[:TOP])
        for rule, count in sorted(fired.items(), key=lambda pair: (-len(idle[pair[0]]), -pair[1], pair[0]))
    )


def _rules_of(e: Event) -> tuple[str, ...]:
    """The escalation rules behind a page, by their ids."""
    raw = e.data.get("rule") if e.type == "paged" else None
    names = raw if isinstance(raw, (list, tuple)) else str(raw or "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in map(str, names) if name.strip()))


def _had_effect(page: Event, later: Iterable[Event]) -> bool:
    """Somebody acknowledged after the page, or whoever was paged did something."""
    return any(
        e.type in ("acknowledged", "page_acknowledged") or e.actor == page.data.get("person") for e in later
    )


def _steps(
    mine: Sequence[Told], books: Sequence[Runbook]
) -> tuple[tuple[Count, ...], tuple[Count, ...], dict[str, tuple[str, ...]]]:
    """Steps that failed; steps that were begun and never ended; of runbooks that were used, those never reached."""
    failed: dict[str, list[str]] = defaultdict(list)
    left: dict[str, list[str]] = defaultdict(list)
    reached: dict[str, set[str]] = defaultdict(set)
    for incident, events in mine:
        waiting: set[str] = set()
        for e in events:
            ref = str(e.data.get("ref", ""))
            book, step = step_of(ref)
            if e.type == walk.STARTED:
                reached.setdefault(str(e.data["runbook"]), set())
            elif e.type == walk.TAKEN:
                reached[book].add(step)
                waiting.add(ref)
            elif e.type == walk.STEP and ref:
                waiting.discard(ref)
                if str(e.data.get("verdict", "")).startswith(_UNMEASURED):
                    failed[f"{book}/{step}"].append(incident.name)
            elif e.type == walk.FINISHED and e.data.get("failed") and ref:
                failed[f"{book}/{step}"].append(incident.name)
        for ref in waiting if not incident.active else ():
            left["/".join(step_of(ref))].append(incident.name)
    never = {
        book.name: ids
        for book in books
        if book.name in reached
        and (ids := tuple(step.id for step in book.steps if step.id not in reached[book.name]))
    }
    return _ranked(failed, 1), _ranked(left, 1), never
