"""pipeline.quality: how many events are refused, by which rules, and which of four causes it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline import trends
from pipeline.background import Compared, silence
from pipeline.causes import root_cause
from pipeline.deadletters import Held, causes, kinds
from pipeline.envelope import revalidate
from pipeline.errors import PipelineError
from pipeline.events import Invalid
from pipeline.gather import measure
from pipeline.gather_background import published
from pipeline.measurements import Measurements
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.dlq import sample
from pipeline.quality import CAUSE_IDS, CAUSE_WORDS, VALID_TODAY, cause_of_event, main_cause, rule_key
from pipeline.report import (
    Evidence,
    Finding,
    NextStep,
    Report,
    Table,
    duration,
    number,
    percent,
    plural,
    worst,
)
from pipeline.rules import data_loss, error_rates, rate_finding


class Quality(ReadOperation):
    """Rates from the pipeline's counters, causes from a sample of dead letters that stay queued."""

    name = "pipeline.quality"
    words = ("quality",)
    summary = "Valid and invalid events, broken rules, and which root cause they point to"
    params = (
        Param(name="limit", type=int, default=200, help="dead letters to look at", minimum=1, maximum=10000),
        Param(
            name="days", type=int, default=7, help="whole days to show beside today", minimum=1, maximum=90
        ),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        measured = measure(ctx.clients, ctx.pipeline, now, ctx.deadline_s, with_logs=False)
        sources = published(ctx.clients, ctx.pipeline, now, ctx.deadline_s)
        silent = silence(sources, now)
        findings = [_rate(measured), *silent]
        now_cause = root_cause(measured.counters) if measured.counters else ""
        findings += _now(measured, now_cause)
        by_cause: Counter[str] = Counter()
        tables: list[Table] = [*_types(measured), *_sources(sources)]
        try:
            with sample(ctx, int(params.get("limit") or 200)) as held:
                by_cause = causes(held)
                rules = _rules(held)
                # What a sink refused breaks no rule; the queue's own report has the examples.
                tables += [rules] if rules.rows else [kinds(held, now)] if held else []
                findings += _causes(by_cause, len(held))
        except PipelineError as error:
            findings.append(Finding("sample", "unknown", f"Dead letters could not be looked at: {error}"))
        past = _past(ctx, now, int(params.get("days") or 7))
        findings.append(past[0])
        tables += past[1]
        rate, critical = error_rates(measured)
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Data quality of {ctx.pipeline.name}",
            verdict=_verdict(ctx.pipeline.name, findings[0], silent, by_cause, now_cause),
            severity=worst(finding.severity for finding in findings),
            as_of=now,
            findings=tuple(findings),
            tables=tuple(tables),
            next=(NextStep("Look at dead letters", "dlq.peek"),) if by_cause else (),
            facts=(rate, critical, data_loss(measured)),
            data={
                "causes": dict(by_cause),
                "root_cause": CAUSE_WORDS.get(now_cause) or main_cause(_open(by_cause)),
            },
        )


def _past(ctx: Context, now: datetime, days: int) -> tuple[Finding, list[Table]]:
    """What the history says of today and of other days."""
    if ctx.history is None:
        return Finding(
            "history", "info", "No history: set DATABASE_URL to the bot's database, which keeps it."
        ), []
    at = now.astimezone(UTC)
    hours = ctx.history.quality_since(ctx.pipeline.name, at - timedelta(days=max(days, 7) + 1))
    if not hours:
        return trends.finding(hours, at), []
    tables = [trends.compared(hours, at), trends.by_day(hours, at, days)]
    # With no other day there is nothing to compare with, which the finding says.
    return trends.finding(hours, at), tables if any(trends.told(table) for table in tables) else []


def _rate(m: Measurements) -> Finding:
    counters = m.counters
    if counters is None:
        return Finding("unknown", "unknown", "Error rate unknown: the counters of events have no data.")
    fact = error_rates(m)[0]
    name, severity = rate_finding(fact.value, m.limits)
    span = duration(m.limits.rate_s)
    evidence = (
        Evidence(f"received in {span}", counters.received, "events", m.now),
        Evidence(f"valid in {span}", counters.valid, "events", m.now),
        Evidence(f"invalid in {span}", counters.invalid, "events", m.now),
    )
    return Finding(name, severity, f"{fact.text[:1].upper()}{fact.text[1:]}.", evidence)


def _now(m: Measurements, cause: str) -> list[Finding]:
    """The root cause of what is refused now; the queue may be full of older trouble."""
    if not cause or m.counters is None:
        return []
    span = duration(m.limits.rate_s)
    counted = sorted(m.counters.causes.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{CAUSE_WORDS[name]} {number(count)}" for name, count in counted)
    evidence = tuple(
        Evidence(f"{CAUSE_WORDS[name]} in {span}", count, "events", m.now) for name, count in counted
    )
    return [Finding(cause, "info", f"Refused in the last {span}, by root cause: {told}.", evidence)]


def _causes(by_cause: Counter[str], seen: int) -> list[Finding]:
    if not seen:
        return [Finding("empty", "ok", "No dead letters to look at.")]
    return [
        Finding(
            CAUSE_IDS[cause],
            "info",
            f"{number(count)} of {plural(seen, 'dead letter')} looked at: {cause}.",
            (Evidence(cause, count, "messages"),),
        )
        for cause, count in by_cause.most_common()
    ]


def _types(m: Measurements) -> list[Table]:
    if m.counters is None:
        return []
    rows = tuple(
        (
            kind,
            number(received),
            number(invalid),
            percent(invalid / received) if received else "none received",
        )
        for kind, (received, invalid) in m.counters.by_type.items()
    )
    return [
        Table(f"Last {duration(m.limits.rate_s)}", ("event type", "received", "invalid", "error rate"), rows)
    ]


def _sources(published: Mapping[str, Compared]) -> list[Table]:
    """What each source sent, beside what it usually sends: a source that is silent breaks no rule."""
    rows = tuple(
        (
            topic,
            "unknown" if one.now is None else number(one.now),
            "unknown" if one.usual is None else number(one.usual),
        )
        for topic, one in published.items()
    )
    return (
        [Table("Published in 10 min, by topic", ("topic", "now", "usually at this time"), rows)]
        if rows
        else []
    )


def _rules(held: list[Held]) -> Table:
    """Broken rules with the root cause each points to, by validating the originals again."""
    count: Counter[tuple[str, str]] = Counter()
    for one in held:
        outcome = revalidate(one.letter)
        violations = outcome.violations if isinstance(outcome, Invalid) else one.letter.violations
        unknown = outcome.unknown_fields if isinstance(outcome, Invalid) else ()
        for violation in violations:
            count[rule_key(violation), cause_of_event((violation,), unknown)] += 1
    rows = tuple((rule, cause, number(times)) for (rule, cause), times in count.most_common(20))
    return Table("Broken rules", ("rule", "points to", "times"), rows)


def _open(by_cause: Counter[str]) -> dict[str, int]:
    return {cause: count for cause, count in by_cause.items() if cause != VALID_TODAY}


def _verdict(
    pipeline: str, rate: Finding, silent: list[Finding], by_cause: Counter[str], now_cause: str
) -> str:
    cause = main_cause(_open(by_cause))
    if silent:
        said = silent[0].text.rstrip(".")
        high = rate.severity in ("warning", "critical")
        return f"{pipeline}: {said[:1].lower()}{said[1:]}{f'; {rate.text[:-1]}' if high else ''}."
    if rate.severity in ("warning", "critical"):
        why = f"; the dead letters point to: {cause}" if cause else ""
        why = f"; root cause: {CAUSE_WORDS[now_cause]}" if now_cause else why
        return f"{pipeline}: {rate.text[:1].lower()}{rate.text[1:-1]}{why}."
    if rate.severity == "ok":
        text = f"{pipeline} keeps its quality: {rate.text[:-1]}"
    else:
        text = f"{pipeline}: {rate.text[:1].lower()}{rate.text[1:-1]}"
    return f"{text}; earlier dead letters point to: {cause}." if cause else f"{text}."
