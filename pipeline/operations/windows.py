"""pipeline.windows: the maintenances that run, and the last ones that are over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.operations.base import Context, ReadOperation
from pipeline.report import Finding, Report, Table, duration, plural

_SHOWN: Final = 10


class Windows(ReadOperation):
    """`maintenance` without anything else shows this too."""

    name = "pipeline.windows"
    words = ("windows",)
    summary = "Maintenances of all pipelines: which run, and the last ones"
    every_pipeline = True

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        found = ctx.history.maintenances(limit=_SHOWN) if ctx.history else []
        running = [one for one in found if one.running(now)]
        findings = tuple(
            Finding(
                one.pipeline,
                "info",
                f"{one.pipeline} is in maintenance until {one.until:%Y-%m-%d %H:%M} UTC, for another "
                f"{duration((one.until - now).total_seconds())} ({one.by}: {one.reason}).",
            )
            for one in running
        )
        rows = tuple(
            (
                one.pipeline,
                "runs" if one.running(now) else "over",
                f"{one.begin:%Y-%m-%d %H:%M}",
                f"{one.until:%Y-%m-%d %H:%M}",
                one.by,
                one.reason,
            )
            for one in found
        )
        names = ", ".join(one.pipeline for one in running)
        columns = ("pipeline", "state", "begin (UTC)", "end (UTC)", "by", "reason")
        return Report(
            operation=self.name,
            pipeline="all",
            title="Maintenances",
            verdict=f"{plural(len(running), 'pipeline')} in maintenance: {names}."
            if running
            else "No pipeline is in maintenance.",
            severity="info" if running else "ok",
            as_of=now,
            findings=findings,
            tables=(Table("Maintenances", columns, rows),) if rows else (),
        )
