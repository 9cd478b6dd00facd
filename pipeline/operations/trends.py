"""pipeline.trends: load, errors, lag, backlog and cost of a day, a week or a month beside earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.errors import PipelineError
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.report import (
    Evidence,
    Finding,
    Report,
    Severity,
    Table,
    duration,
    number,
    percent,
    plural,
    worst,
)
from pipeline.spend import billing_day, daily
from pipeline.stretches import Figures, Spent, billed, figures, growth, mean, nearest, stretches

_BASES: Final = {
    "day": ("the same weekday last week", "the mean of {n} days"),
    "week": ("the week before", "the mean of {n} weeks"),
    "month": ("the month before", "the mean of {n} months"),
}
_MUCH: Final = 0.25
_AHEAD: Final = 3  # months
Get = Callable[[Figures], float | None]


class Trends(ReadOperation):
    """Rests on what probes and budgets left in the history; where that is too short it says so."""

    name = "pipeline.trends"
    words = ("trends",)
    summary = "Load, errors, lag and cost of a day, a week or a month beside earlier ones"
    params = (
        Param(
            name="by", type=str, default="day", help="what is compared with earlier ones",
            choices=("day", "week", "month"),
        ),
    )  # fmt: skip

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        by, now = str(params.get("by") or "day"), ctx.now().astimezone(UTC)
        if ctx.history is None:
            text = "No history: set DATABASE_URL to the bot's database, which keeps it."
            return report(ctx.pipeline.name, by, now, [], [Finding("history", "unknown", text)])
        spans, name = stretches(by, now), ctx.pipeline.name
        hours = ctx.history.quality_since(name, spans[-1].begin)
        speed = ctx.history.speed_since(name, spans[-1].begin)
        spent, gaps = _spent(ctx, spans[-1].begin)
        found = [figures(one, hours, speed, spent, now) for one in spans]
        first = min([*(hour.begin for hour in hours), *(hour.begin for hour in speed)], default=None)
        return report(name, by, now, found, gaps, spent=spent, first=first)


def _spent(ctx: Context, since: datetime) -> tuple[list[Spent], list[Finding]]:
    """Each day's cost, by the billing export where it is named, else by each budget."""
    begin = billing_day(since).replace(day=1)
    if ctx.pipeline.export:
        from pipeline.google.billing_export import BillingExport

        project, today = ctx.pipeline.project, billing_day(ctx.now())
        try:
            rows = BillingExport(ctx.clients, ctx.pipeline.export, project, today, ctx.deadline_s).by_day(
                begin
            )
        except PipelineError as error:
            text = f"The billing export is not known: {str(error).rstrip('.')}."
            return [], [Finding("export", "unknown", text)]
        sums: dict[str, dict[Any, float]] = {}
        for one in rows.days:
            day = sums.setdefault(one.currency, {})
            day[one.day] = day.get(one.day, 0.0) + one.net
        return [Spent(name=f"Project {project}", currency=c, days=days) for c, days in sums.items()], []
    assert ctx.history is not None
    at = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
    reports = ctx.history.budget_reports(ctx.pipeline.budgets or None, at)
    names = dict.fromkeys((one.budget, one.currency) for one in reports)
    return [
        Spent(name=budget, currency=currency, days=daily([one for one in reports if one.budget == budget]))
        for budget, currency in names
    ], []


def report(
    name: str,
    by: str,
    now: datetime,
    found: Sequence[Figures],
    more: Sequence[Finding],
    *,
    spent: Sequence[Spent] = (),
    first: datetime | None = None,
) -> Report:
    """The report of one comparison (pure)."""
    findings = [*more]
    if found:
        findings = [*_history(by, found, first), *_compared(by, found), *_costs(by, found, spent, now), *more]
        findings += _ahead(by, found)
    return Report(
        operation="pipeline.trends",
        pipeline=name,
        title=f"Trends of {name} by {by}",
        verdict=_verdict(name, by, found),
        severity=worst(finding.severity for finding in findings),
        as_of=now,
        findings=tuple(findings),
        tables=(_table(by, found, spent),) if found else (),
        data={
            "by": by,
            "currencies": {one.name: one.currency for one in spent},
            "stretches": [_data(one, now) for one in found if one.measured_s or one.costs],
        },
    )


def _history(by: str, found: Sequence[Figures], first: datetime | None) -> list[Finding]:
    """Plainly, whether there is enough to compare: the newest stretch, and what it stands beside."""
    if not found[0].enough:
        length = duration((found[0].stretch.until - found[0].stretch.begin).total_seconds())
        text = (
            f"Events of {found[0].stretch.name} were counted for {duration(found[0].measured_s)} of {length}; half of "
            "it is needed. Each probe of health adds to the history."
        )
        return [Finding("history", "unknown", text)]
    if any(one.enough for one in found[1:]):
        return []
    since = f"; it begins at {first:%Y-%m-%d %H:%M} UTC" if first is not None else ""
    return [
        Finding("history", "info", f"The history is too short to compare a {by} with earlier ones{since}.")
    ]


def _compared(by: str, found: Sequence[Figures]) -> list[Finding]:
    shown: list[tuple[str, str, Get, Callable[[float], str], Callable[[float, float], bool]]] = [
        ("load", "Events a day", lambda f: f.events, number, lambda v, u: abs(v - u) > _MUCH * u),
        ("errors", "Error rate", lambda f: f.error_rate, percent, lambda v, u: v > 1.5 * u and v > u + 0.005),
        ("lag", "Lag on average", lambda f: f.lag_s, duration, lambda v, u: v > 1.5 * u and v > u + 60),
        ("backlog", "Backlog on average", lambda f: f.backlog, number, lambda v, u: v > 1.5 * u and v > u + 1000),
    ]  # fmt: skip
    return [
        finding
        for id_, what, get, words, much in shown
        if (finding := _one(id_, what, by, found, get, words, much))
    ]


def _one(
    id_: str,
    what: str,
    by: str,
    found: Sequence[Figures],
    get: Get,
    words: Callable[[float], str],
    much: Callable[[float, float], bool],
) -> Finding | None:
    value = get(found[0])
    if value is None:
        return None
    usual = mean([get(one) for one in found[1:]])
    bases = _bases(by, found, get)
    beside = [f"{name} {words(base)}{_by(value, base)}" for name, base in bases]
    text = (
        f"{what}: {words(value)}; " + ("; ".join(beside) if beside else "nothing to compare with yet") + "."
    )
    severity: Severity = "info" if usual is not None and much(value, usual) else "ok"
    return Finding(
        id_, severity, text, (Evidence(what.lower(), round(value, 5), "", found[0].stretch.until),)
    )


def _bases(by: str, found: Sequence[Figures], get: Get) -> list[tuple[str, float]]:
    """What is known of what it is compared with: the nearest one, and the mean of all."""
    beside, average = _BASES[by]
    near, usual = get(nearest(by, found)), mean([get(one) for one in found[1:]])
    known = sum(get(one) is not None for one in found[1:])
    out = [(beside, near)] if near is not None else []
    return out + ([(average.format(n=known), usual)] if usual is not None else [])


def _by(value: float, base: float) -> str:
    if base <= 0:
        return ""
    change = value / base - 1
    return f" ({change * 100:+.0f} %)" if abs(change) >= 0.005 else " (the same)"


def _costs(by: str, found: Sequence[Figures], spent: Sequence[Spent], now: datetime) -> list[Finding]:
    return [finding for one in spent if (finding := _cost(by, found, one, now)) is not None]


def _cost(by: str, found: Sequence[Figures], one: Spent, now: datetime) -> Finding | None:
    days = [day for day in billed(found[0].stretch, now) if day in one.days]
    what = f"Cost of {one.name} a day"
    if days:
        until = f" to {days[-1].isoformat()}" if len(days) > 1 else ""
        what += f" ({days[0].isoformat()}{until})"

    def words(value: float) -> str:
        return f"{number(value, 2)} {one.currency}"

    return _one(
        "cost", what, by, found, lambda f: f.costs.get(one.name), words, lambda v, u: v > (1 + _MUCH) * u
    )


def _ahead(by: str, found: Sequence[Figures]) -> list[Finding]:
    """Where the growth of the months leads: what capacity is planned for."""
    if by != "month":
        return []
    known = [one.events for one in found]
    grown = growth(known)
    if grown is None or known[0] is None:
        text = "Where the growth leads is not known: three whole months in a row are needed."
        return [Finding("ahead", "info", text)]
    ahead = known[0] * (1 + grown) ** _AHEAD
    text = (
        f"If it goes on like this ({grown * 100:+.1f} % a month), in {_AHEAD} months about {number(ahead)} events come "
        f"a day, {ahead / known[0] if known[0] else 1:.2f} times as many."
    )
    return [Finding("ahead", "ok", text, (Evidence("events a day in 3 months", round(ahead), "events"),))]


def _verdict(name: str, by: str, found: Sequence[Figures]) -> str:
    if not found or not found[0].enough:
        return f"Trends of {name} by {by} are not known: too little of the newest {by} was measured."
    now = found[0]
    errors = f", {percent(now.error_rate)} errors" if now.error_rate is not None else ""
    head = f"{name}: {number(now.events or 0)} events a day{errors}"
    bases = _bases(by, found, lambda f: f.events)
    if not bases or not now.events:
        return f"{head}; the history is too short to compare."
    beside = ", ".join(_against(now.events, base, what) for what, base in bases)
    return f"{head}; events {beside}."


def _against(value: float, base: float, what: str) -> str:
    change = _by(value, base).strip(" ()")
    return f"as many as {what}" if change in ("", "the same") else f"{change} against {what}"


def _table(by: str, found: Sequence[Figures], spent: Sequence[Spent]) -> Table:
    columns = ("when", "events a day", "error rate", "lag, mean", "lag, worst", "backlog, mean")
    money = tuple(f"{one.name}, a day" for one in spent)
    rows = tuple(_row(one, spent) for one in found if one.measured_s or one.costs or not one.stretch.ago)
    return Table(f"By {by} (UTC)", (*columns, *money, "measured"), rows)


def _row(one: Figures, spent: Sequence[Spent]) -> tuple[str, ...]:
    def shown(value: float | None, words: Callable[[float], str]) -> str:
        return "too little" if value is None else words(value)

    costs = (
        f"{number(one.costs[each.name], 2)} {each.currency}" if each.name in one.costs else "unknown"
        for each in spent
    )
    return (
        one.stretch.name,
        shown(one.events, number),
        shown(one.error_rate, percent),
        shown(one.lag_s, duration),
        shown(one.lag_most_s, duration),
        shown(one.backlog, number),
        *costs,
        f"{duration(one.measured_s)} of {plural(round(one.stretch.days), 'day')}",
    )


def _billed(one: Figures, now: datetime) -> str:
    """The billing days that its cost is of."""
    days = billed(one.stretch, now)
    if one.stretch.month or not days:
        return one.stretch.name
    return days[0].isoformat() if len(days) == 1 else f"{days[0].isoformat()} to {days[-1].isoformat()}"


def _data(one: Figures, now: datetime) -> dict[str, Any]:
    """What charts and scripts read; the names are part of the outside shape."""
    return {
        "name": one.stretch.name,
        "begin": one.stretch.begin.isoformat().replace("+00:00", "Z"),
        "until": one.stretch.until.isoformat().replace("+00:00", "Z"),
        "measured_s": round(one.measured_s),
        "events_a_day": None if one.events is None else round(one.events, 1),
        "error_rate": None if one.error_rate is None else round(one.error_rate, 6),
        "lag_s": None if one.lag_s is None else round(one.lag_s, 1),
        "backlog": None if one.backlog is None else round(one.backlog, 1),
        "billed": _billed(one, now),
        "cost_a_day": {name: round(cost, 2) for name, cost in one.costs.items()},
    }
