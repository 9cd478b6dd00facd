"""pipeline.logs: errors of workers, service and launcher, grouped by the shape of their message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline.causes import classify, in_short, stop_reason
from pipeline.errors import UsageError
from pipeline.gather import error_groups
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.report import Evidence, Finding, Report, Table, clock, duration, number, plural

TOLD = 10
"""So many kinds of messages are findings; as many more, which came less often, are a table."""
_FAILED = re.compile("Workflow failed", re.IGNORECASE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Logs(ReadOperation):
    """Counts and one example of each kind of message."""

    name = "pipeline.logs"
    words = ("logs",)
    summary = "Errors in the logs, grouped, with one example each"
    params = (
        Param(name="limit", type=int, default=200, help="how many lines to read", minimum=1, maximum=5000),
        Param(name="since", type=str, default="1h", help="how far back, e.g. 30m, 1h, 2d"),
        Param(
            name="severity",
            type=str,
            default="ERROR",
            help="least severity",
            choices=("DEFAULT", "INFO", "WARNING", "ERROR", "CRITICAL"),
        ),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        from pipeline.google.logs import log_lines

        now, limit = ctx.now(), int(params.get("limit") or 200)
        span = span_of(str(params.get("since") or "1h"))
        severity = str(params.get("severity") or "ERROR")
        lines = log_lines(
            ctx.clients, ctx.pipeline, since=now - span, until=now, limit=limit, severity=severity
        )
        groups = error_groups(lines)
        findings = [
            Finding(
                f"group_{index}",
                "info",
                f"{plural(group.count, 'time')} ({_kind(group.example)}, {group.source}): {group.example}",
                (Evidence("lines", group.count, "", group.last),),
            )
            for index, group in enumerate(groups[:TOLD])
        ]
        # An example says more than the shape only where something varies.
        rows = tuple(
            (
                number(g.count),
                clock(g.last, now),
                g.source,
                g.shape,
                g.example if g.example != g.shape else "",
            )
            for g in groups[TOLD : 2 * TOLD]
        )
        cut = " (as many as were asked for; there may be more)" if len(lines) >= limit else ""
        period = duration(span.total_seconds())
        what = "error line" if severity == "ERROR" else f"line of at least {severity}"
        many = "error lines" if severity == "ERROR" else f"lines of at least {severity}"
        most = f", most often “{groups[0].shape}”" if groups else ""
        # Why a job ended is worth more than what its workers said most often.
        if any(_FAILED.match(group.example) for group in groups) and (why := stop_reason(groups)):
            most = f"; the job failed, probably by “{in_short(why.example, 300)}”"
        verdict = f"{plural(len(lines), what, many)}{cut} of {ctx.pipeline.name} in the last {period}{most}."
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Logs of {ctx.pipeline.name}",
            verdict=verdict if lines else f"No {many} of {ctx.pipeline.name} in the last {period}.",
            severity="info" if lines else "ok",
            as_of=now,
            findings=tuple(findings),
            tables=(Table("Rarer messages", ("count", "last", "from", "message", "example"), rows),)
            if rows
            else (),
            data={"lines": len(lines), "groups": len(groups)},
        )


def _kind(text: str) -> str:
    """The type of trouble; an event that was refused is trouble with the data."""
    return classify(text) or ("data" if text.startswith("Dead-lettered") else "unclassified")


def span_of(text: str) -> timedelta:
    """ "30m", "1h", "2d", "90s" as a time span; UsageError for anything else or beyond 30 days."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"--since is a span like 30m, 1h or 2d, not {text!r}.")
    span = timedelta(seconds=float(match.group(1)) * _UNITS[match.group(2)])
    if not timedelta(0) < span <= timedelta(days=30):
        raise UsageError(f"--since is between 1s and 30d, not {text!r}.")
    return span
