"""How the stores behind a pipeline do: what they take, how busy they are, what they refuse.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline.bottleneck import Bottleneck
from pipeline.gaps import Gap
from pipeline.measurements import Measurements
from pipeline.report import Evidence, Finding, Severity, Table, duration, number, percent, plural, size

_SLOW_S = 60.0  # a query that takes longer is worth a line; how slow is too slow is its owner's to say
_LEFT = 0.7  # of what was taken an hour before
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Rate:
    """How much a second, now and an hour before; None where nobody could measure it."""

    now: float
    before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of BigQuery, however often it ran; ``text`` is masked and cut."""

    text: str
    user: str
    times: int
    took_s: float  # the longest
    slots: float  # on average while it ran
    read: float  # bytes, the most
    at: datetime  # it began last


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """The queries of a project in the last hour; ``slots`` is their mean use over the whole hour."""

    count: int
    failed: int
    slots: float
    slowest: tuple[Query, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """One look at the stores; ratios are 0 to 1, None what could not be measured."""

    rows: Rate | None = None  # into BigQuery
    requests: Rate | None = None  # to Bigtable
    errors: float | None = None  # of Bigtable, in the window of the error rate
    cpu: float | None = None
    hottest: float | None = None  # the CPU of the busiest node
    nodes: int | None = None
    queries: Queries | None = None
    gaps: tuple[Gap, ...] = ()


def health_findings(m: Measurements, sinks: Sinks) -> list[Finding]:
    """Throughput and errors of the sinks: what is refused, and a sink that takes nothing of what is valid."""
    parts = [text for text in (_rows(sinks), _requests(sinks)) if text]
    counters, span = m.counters, duration(m.limits.rate_s)
    out: list[Finding] = []
    valid = counters.valid if counters else 0.0
    refused = (counters.sink_failed if counters else 0.0) + (sinks.errors or 0.0)
    if refused:
        share = refused / valid if valid else 1.0
        level: Severity = "warning" if share > m.limits.error_warning else "info"
        text = f"The sinks refused {number(refused)} writes in {span}; they are dead letters of their stage."
        out.append(
            Finding("sink_errors", level, text, (Evidence("refused by sinks", refused, "writes", m.now),))
        )
    if sinks.rows is not None and sinks.rows.now == 0 and valid >= m.limits.least_received:
        text = f"{number(valid)} valid events in {span}, and not one row reached BigQuery."
        out.append(
            Finding("sink_stands", "warning", text, (Evidence("rows into BigQuery", 0, "rows/s", m.now),))
        )
    if parts:
        clean = "" if refused else "; nothing refused"
        out.append(Finding("sinks", "ok", f"Sinks: {', '.join(parts)}{clean}.", _evidence(sinks, m.now)))
    return out


def perf_findings(m: Measurements, sinks: Sinks) -> list[Finding]:
    """How BigQuery and Bigtable do, each in a line."""
    return [*_bigquery(m, sinks), *_bigtable(m, sinks)]


def query_table(sinks: Sinks, now: datetime) -> list[Table]:
    """The slowest queries of the hour; none without any."""
    if sinks.queries is None or not sinks.queries.slowest:
        return []
    rows = tuple(
        (
            f"{duration(one.took_s)}, {plural(one.times, 'time')}",
            number(one.slots, 1),
            size(one.read),
            one.user,
            one.text,
        )
        for one in sinks.queries.slowest[:_SHOWN]
    )
    return [
        Table("Slowest queries of BigQuery, last hour", ("at most", "slots", "read", "by", "query"), rows)
    ]


def sink_evidence(held: Bottleneck, sinks: Sinks, now: datetime) -> tuple[Evidence, ...]:
    """What the store behind a slow stage shows of it; of a hot key Bigtable's nodes tell."""
    stage = held.stage.name
    if held.kind == "hot_key":
        return _busy(sinks, now)
    if "bigtable" in stage.lower().replace(" ", ""):
        return _of(("requests to Bigtable", sinks.requests), now) + _busy(sinks, now)
    if "bigquery" in stage.lower().replace(" ", ""):
        return _of(("rows into BigQuery", sinks.rows), now) + _slots(sinks, now)
    return ()


def _bigquery(m: Measurements, sinks: Sinks) -> list[Finding]:
    taken, queries = _taken(sinks.rows, "row"), sinks.queries
    if not taken and queries is None:
        return []
    fell = sinks.rows is not None and sinks.rows.before and sinks.rows.now < _LEFT * sinks.rows.before
    slowest = queries.slowest[0].took_s if queries is not None and queries.slowest else 0.0
    level: Severity = "info" if fell or slowest > _SLOW_S or (queries and queries.failed) else "ok"
    parts = [taken] if taken else []
    if queries is not None:
        failed = f", {number(queries.failed)} failed" if queries.failed else ""
        longest = f", the slowest took {duration(slowest)}" if queries.slowest else ""
        parts.append(
            f"{plural(queries.count, 'query', 'queries')} in the last hour{failed}, "
            f"{number(queries.slots, 1)} slots on average{longest}"
        )
    evidence = (*_of(("rows into BigQuery", sinks.rows), m.now), *_slots(sinks, m.now))
    return [Finding("bigquery", level, f"BigQuery: {'; '.join(parts)}.", evidence)]


def _bigtable(m: Measurements, sinks: Sinks) -> list[Finding]:
    asked = _taken(sinks.requests, "request")
    if not asked and sinks.cpu is None:
        return []
    parts = [asked] if asked else []
    level: Severity = "ok"
    if sinks.cpu is not None:
        nodes = f" of {plural(sinks.nodes, 'node')}" if sinks.nodes else ""
        parts.append(f"CPU {percent(sinks.cpu)}{nodes}")
        level = "info" if sinks.cpu > m.limits.store_cpu else "ok"
    if sinks.hottest is not None:
        hot = sinks.hottest > m.limits.store_cpu >= (sinks.cpu or 0.0)
        parts.append(f"its hottest node {percent(sinks.hottest)}{', a sign of a hot row' if hot else ''}")
        level = "info" if hot else level
    if sinks.errors:
        parts.append(f"{number(sinks.errors)} errors in {duration(m.limits.rate_s)}")
        level = "info"
    evidence = (*_of(("requests to Bigtable", sinks.requests), m.now), *_busy(sinks, m.now))
    return [Finding("bigtable", level, f"Bigtable: {', '.join(parts)}.", evidence)]


def _rows(sinks: Sinks) -> str:
    return f"{_rate(sinks.rows, 'row')} into BigQuery" if sinks.rows else ""


def _requests(sinks: Sinks) -> str:
    return f"{_rate(sinks.requests, 'request')} to Bigtable" if sinks.requests else ""


def _taken(rate: Rate | None, what: str) -> str:
    if rate is None:
        return ""
    before = f" ({number(rate.before, 1)} an hour before)" if rate.before is not None else ""
    return _rate(rate, what) + before


def _rate(rate: Rate, what: str) -> str:
    return f"{number(rate.now, 1)} {what}s a second"


def _evidence(sinks: Sinks, now: datetime) -> tuple[Evidence, ...]:
    return _of(("rows into BigQuery", sinks.rows), now) + _of(("requests to Bigtable", sinks.requests), now)


def _of(named: tuple[str, Rate | None], now: datetime) -> tuple[Evidence, ...]:
    what, rate = named
    if rate is None:
        return ()
    found = (Evidence(what, round(rate.now, 2), "per s", now),)
    return (
        found
        if rate.before is None
        else (*found, Evidence(f"{what}, an hour before", round(rate.before, 2), "per s"))
    )


def _busy(sinks: Sinks, now: datetime) -> tuple[Evidence, ...]:
    named = (("CPU of Bigtable", sinks.cpu), ("CPU of its hottest node", sinks.hottest))
    return tuple(Evidence(what, round(value, 3), "ratio", now) for what, value in named if value is not None)


def _slots(sinks: Sinks, now: datetime) -> tuple[Evidence, ...]:
    if sinks.queries is None:
        return ()
    return (Evidence("BigQuery slots in the last hour", round(sinks.queries.slots, 2), "slots", now),)
