"""pipeline.status: the last stored probe of every pipeline, without asking any cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.operations.base import Context, ReadOperation
from pipeline.report import Evidence, Finding, NextStep, Report, Severity, Table, duration, plural, worst

_STALE_S = 300  # the watch probes every 60 s; older than this, it stands still itself


class Status(ReadOperation):
    """What was known last; quick, and true as of its time only."""

    name = "pipeline.status"
    words = ("status",)
    summary = "The last stored probe of every pipeline (no cloud call)"
    every_pipeline = True

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        probes = {probe.pipeline: probe for probe in (ctx.history.last_probes() if ctx.history else [])}
        findings, rows = [], []
        for pipeline in ctx.catalogue or (ctx.pipeline,):
            probe = probes.get(pipeline.name)
            if probe is None:
                findings.append(
                    Finding(
                        pipeline.name, "unknown", f"{pipeline.name} was never probed; `health` asks it now."
                    )
                )
                rows.append((pipeline.name, "unknown", "never", ""))
                continue
            age = max(0.0, (now - probe.as_of).total_seconds())
            severity: Severity = probe.severity if age <= _STALE_S else worst((probe.severity, "unknown"))
            stale = f" That was {duration(age)} ago." if age > _STALE_S else ""
            evidence = (Evidence("age of the probe", round(age), "s", probe.as_of),)
            findings.append(Finding(pipeline.name, severity, probe.verdict + stale, evidence))
            rows.append((pipeline.name, severity, f"{duration(age)} ago", probe.verdict))
        return Report(
            operation=self.name,
            pipeline="all",
            title="Status of all pipelines",
            verdict=_verdict(findings),
            severity=worst(finding.severity for finding in findings),
            as_of=now,
            findings=tuple(findings),
            tables=(Table("Pipelines", ("pipeline", "severity", "probed", "verdict"), tuple(rows)),),
            next=tuple(
                NextStep(f"Probe {f.id} now", "pipeline.health", {"pipeline": f.id})
                for f in findings
                if f.severity in ("unknown", "warning", "critical")
            ),
        )


def _verdict(findings: list[Finding]) -> str:
    bad = [f.id for f in findings if f.severity in ("warning", "critical")]
    unknown = [f.id for f in findings if f.severity == "unknown"]
    parts = []
    if bad:
        parts.append(f"{', '.join(bad)} in trouble")
    if unknown:
        parts.append(f"{', '.join(unknown)} not known at present")
    if not parts:
        return f"{plural(len(findings), 'pipeline')}, all fine at the last probe."
    return f"Of {plural(len(findings), 'pipeline')}: {'; '.join(parts)}."
