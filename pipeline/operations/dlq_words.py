"""A replay in words: what a plan shows, what a run reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.deadletters import FATES, Preview
from pipeline.operations.base import Context, Plan
from pipeline.report import Evidence, Finding, NextStep, Report, Severity, Table, number, plural

if TYPE_CHECKING:
    from pipeline.operations.dlq_run import Outcome


_OWN: Final = ("its own id", "their own ids")


def effects(preview: Preview, name: str) -> tuple[str, ...]:
    """What the run would do, line by line."""
    lines = [
        f"{plural(count, 'message')} to topic {topic}" for topic, count in sorted(preview.topics.items())
    ]
    lines += [
        f"{plural(count, 'row')} to {sink_words(sink)}, under {_OWN[count != 1]}, and not to a topic"
        for sink, count in sorted(preview.sinks.items())
    ]
    for fate, words in FATES.items():
        if fate not in ("replay", "rewrite") and preview.fates[fate]:
            lines.append(
                f"{number(preview.fates[fate])}: {words}{_rules(preview) if fate == 'invalid' else ''}"
            )
    if preview.going:
        lines.append(f"Each is acknowledged in {name} only after its topic or sink has stored it.")
    return tuple(lines)


def _rules(preview: Preview) -> str:
    rules = ", ".join(f"{rule} {number(count)}" for rule, count in preview.failing_rules.most_common(8))
    return f" ({rules})" if rules else ""


def sink_words(sink: str) -> str:
    """A sink for people: "BigQuery's table sales_summary"."""
    kind, _, table = sink.partition(":")
    return f"BigQuery's table {table}" if kind == "bigquery" else f"Bigtable's statistics ({table})"


def pace_words(going: int, canary: int, rate: int) -> str:
    """How the run goes about it."""
    first = (
        f"The first {canary} go alone and are watched; the rest follows" if 0 < canary < going else "They go"
    )
    pace = f" at {plural(rate, 'message')} a second at most" if rate else " as quickly as Pub/Sub takes them"
    return f"{first}{pace}; it stops by itself when they fail again. A snapshot of the queue is made first."


def warnings(preview: Preview, forced_against: str | None) -> tuple[str, ...]:
    """What a person should know before confirming."""
    out = []
    if forced_against:
        out.append(f"Forced: {forced_against}")
    if preview.late:
        days = ", ".join(sorted(preview.late_days))
        out.append(
            f"{plural(preview.late, 'event')} past the allowed lateness of one hour: valid, stored raw, "
            f"but missing from the summaries; backfill the partitions {days}."
        )
    if preview.fates["sink"]:
        out.append(
            "Dead letters of a sink that carry no row for it are left in the queue: sent to the topic they would "
            "count twice."
        )
    return tuple(out)


def report_of_run(ctx: Context, plan: Plan, outcome: Outcome) -> Report:
    """What was sent and what stayed."""
    sinks = plan.data.get("sinks", {})
    went = outcome.topics + outcome.sinks + outcome.earlier - outcome.resumed
    named = {sink_words(target) if target in sinks else target: count for target, count in went.items()}
    rows = tuple((target, number(count)) for target, count in sorted(named.items()))
    total, earlier = outcome.of_plan, outcome.earlier.total()
    findings = [
        Finding(
            "sent",
            "ok" if outcome.sent else "info",
            f"{plural(outcome.sent, 'message')} sent back and acknowledged.",
            (Evidence("sent back", outcome.sent, "messages", ctx.now()),),
        )
    ]
    for fate, count in sorted(outcome.stayed.items()):
        findings.append(Finding("stayed", "info", f"{number(count)}: {FATES[fate]}."))
    refused = outcome.refused.total()
    for target, count in sorted(outcome.refused.items()):
        name = sink_words(target) if target in sinks else f"Topic {target}"
        text = (
            f"{name} would not take {plural(count, 'message')}; left in the queue: {outcome.refusals[target]}"
        )
        findings.append(Finding("refused", "warning", text))
    if outcome.stopped:
        text = f"Stopped by itself: {outcome.stopped}. What was not sent is in the queue as before."
        findings.append(Finding("stopped_itself", "warning", text))
    findings += [Finding("note", "info", note) for note in outcome.notes]
    if earlier:
        text = f"{plural(earlier, 'message')} of this plan went before it was interrupted, and not again."
        findings.append(Finding("resumed", "info", text))
    missing = int(plan.data["going"]) - total
    if missing > 0 and not refused and not outcome.stopped:
        text = (
            f"{plural(missing, 'message')} of the plan not met: others hold them, or they are gone already."
        )
        findings.append(Finding("not_met", "info", text))
    severity: Severity = "warning" if refused or outcome.stopped else "ok"
    stayed = sum(outcome.stayed.values())
    before = f", {number(earlier)} of them before an interruption" if earlier else ""
    stopped = f"; stopped by itself, {outcome.stopped}" if outcome.stopped else ""
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Replay of {plan.pipeline}",
        verdict=f"Replayed {plural(total, 'dead letter')}{before}; {plural(stayed + refused, 'message')} "
        f"looked at and left in the queue{stopped}.",
        severity=severity,
        as_of=ctx.now(),
        findings=tuple(findings),
        tables=(Table("Sent to", ("where", "messages"), rows),) if rows else (),
        next=(NextStep("Look at what is left", "dlq.peek"),) if stayed else (),
        data={
            "replay_id": plan.id,
            "sent": outcome.sent,
            "topics": dict(outcome.topics),
            "stayed": dict(outcome.stayed),
            "sinks": dict(outcome.sinks),
            "refused": refused,
            "resumed": outcome.resumed.total(),
            "earlier": earlier,
            "came_back": outcome.came_back,
            "stopped": outcome.stopped,
        },
    )
