"""dlq.stats: how many dead letters, how old, of which kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.deadletters import kinds
from pipeline.errors import PipelineError, Refused
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.dlq import described, queue_findings, sample, subscription_of
from pipeline.report import Finding, NextStep, Report, Table, clock, plural, worst


class DlqStats(ReadOperation):
    """Count and age by Cloud Monitoring; kinds by a sample that stays in the queue."""

    name = "dlq.stats"
    words = ("dlq", "stats")
    summary = "How many dead letters there are, how old, and of which kinds"
    params = (
        Param(
            name="limit",
            type=int,
            default=200,
            help="how many to look at for the kinds",
            minimum=1,
            maximum=10000,
        ),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        name = subscription_of(ctx)
        tables: tuple[Table, ...] = ()
        findings: list[Finding] = []
        seen = 0
        retention_s = described(ctx).retention_s
        try:
            with sample(ctx, int(params.get("limit") or 200)) as held:
                seen = len(held)
                tables = (kinds(held, ctx.now()),) if held else ()
        except Refused as error:
            findings.append(Finding("sample", "info", f"No sample was taken: {error.reason}"))
        counted, count = queue_findings(ctx, retention_s)
        findings = [*counted, *findings]
        findings += _last_replay(ctx)
        if tables:
            findings.append(
                Finding("sample", "info", f"Kinds are those of {plural(seen, 'message')} looked at.")
            )
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Dead letters of {ctx.pipeline.name}",
            verdict=_verdict(name, count, seen, tables),
            severity=worst(finding.severity for finding in findings),
            as_of=ctx.now(),
            findings=tuple(findings),
            tables=tables,
            next=(NextStep("Look at some", "dlq.peek"), NextStep("Replay what passes now", "dlq.replay"))
            if count or seen
            else (),
            data={"count": count, "sampled": seen},
        )


def _last_replay(ctx: Context) -> list[Finding]:
    """Who sent back how many last, by the ledger."""
    if ctx.history is None:
        return []
    try:
        last = ctx.history.last_replay(ctx.pipeline.name)
    except PipelineError as error:
        return [Finding("ledger", "info", f"The ledger of replays cannot be read: {error}")]
    if last is None:
        return []
    by = f" by {last.by}" if last.by else ""
    text = (
        f"The last replay sent back {plural(last.messages, 'message')}{by} at {clock(last.last, ctx.now())}."
    )
    return [Finding("ledger", "info", text)]


def _verdict(name: str, count: int | None, seen: int, tables: tuple[Table, ...]) -> str:
    most = f", most often “{tables[0].rows[0][3]}”" if tables else ""
    if count is None:
        return f"{name} holds at least {plural(seen, 'message')}; how many is unknown{most}."
    if not count and not seen:
        return f"{name} is empty."
    return f"{name} holds {plural(max(count, seen), 'dead letter')}{most}."
