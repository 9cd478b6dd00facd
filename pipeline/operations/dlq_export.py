"""dlq.export: dead letters, whole and unmasked, into the configured directory; all stay in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from pipeline import exports
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.dlq import guarded, held
from pipeline.report import Evidence, Finding, NextStep, Report, Severity, plural, size

_TAKE_S: Final = 60.0
_LEASE_S: Final = 180


class DlqExport(ReadOperation):
    """A copy on disk; what it holds is never shown, here or in Slack."""

    name = "dlq.export"
    words = ("dlq", "export")
    unmasked = True
    summary = "Copy dead letters, unmasked, to a file on the machine, and leave them in the queue"
    params = (
        Param(name="limit", type=int, default=1000, help="how many to export", minimum=1, maximum=100000),
        Param(name="rule", type=str, default=None, help="only those that broke this rule"),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        from pipeline.google import pubsub

        directory = exports.folder()
        queue, project = guarded(ctx).name, ctx.pipeline.project
        limit, rule = int(params.get("limit") or 1000), params.get("rule") or None
        messages = pubsub.take(ctx.clients, project, queue, limit, lease_s=_LEASE_S, budget_s=_TAKE_S)
        try:
            wanted = [m for m in messages if rule is None or held(m).letter.breaks(str(rule))]
            stamp = ctx.now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
            name = f"{ctx.pipeline.name}-{queue}-{stamp}"
            export = exports.write(directory, name, wanted) if wanted else None
        finally:
            pubsub.release(ctx.clients, project, queue, messages)
        return _report(ctx, queue, len(messages), export, limit)


def _report(ctx: Context, queue: str, seen: int, export: exports.Export | None, limit: int) -> Report:
    now = ctx.now()
    findings = []
    severity: Severity = "ok"
    if export is None:
        gave = f"{plural(seen, 'message')}, none of them wanted" if seen else "no message"
        verdict = f"Nothing was exported: {queue} gave {gave}."
        severity = "info"
    else:
        count = len(export.ids)
        verdict = (
            f"Exported {plural(count, 'dead letter')} of {queue} to {export.path}, read back and counted; "
            "all stay in the queue."
        )
        evidence = (
            Evidence("messages in the file", count, "messages", now),
            Evidence("size of the file", size(export.size), "", now),
        )
        findings.append(
            Finding("exported", "ok", "The file is unmasked; its owner alone may read it.", evidence)
        )
        if seen >= limit:
            findings.append(
                Finding("limit", "info", f"The limit of {limit:,} was reached; there may be more.")
            )
    return Report(
        operation="dlq.export",
        pipeline=ctx.pipeline.name,
        title=f"Export of dead letters of {ctx.pipeline.name}",
        verdict=verdict,
        severity=severity,
        as_of=now,
        findings=tuple(findings),
        next=(NextStep("Replay what passes now", "dlq.replay"),) if export else (),
        data={
            "file": str(export.path) if export else None,
            "exported": len(export.ids) if export else 0,
            "seen": seen,
        },
    )
