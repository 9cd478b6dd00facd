"""A report's chart as a file, for the terminal; to Slack the bot sends it as a picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Final

from pipeline.chart import Chart
from pipeline.picture import NotDrawn, draw
from pipeline.report import Finding, Report, worst

CHARTS: Final = Path("var/charts")


def with_picture(report: Report, directory: Path = CHARTS) -> Report:
    """The report, and its chart as a PNG in that folder; ``data["chart"]`` is where, or None. The report itself where
    it has none; what goes wrong is a finding."""
    if not report.data.get("drawing"):
        return report
    chart = Chart.from_json(report.data["drawing"])
    path = directory / f"{chart.name}-{report.as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}.png"
    try:
        picture = draw(chart)
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    except NotDrawn as error:
        return _with(report, Finding("chart", "warning", f"The chart could not be drawn: {error}."), None)
    except OSError as error:
        text = f"The chart cannot be written to {directory}: {error.strerror}."
        return _with(report, Finding("chart", "warning", text), None)
    return _with(report, Finding("chart", "ok", f"The chart is in {path}."), path)


def _with(report: Report, finding: Finding, path: Path | None) -> Report:
    return replace(
        report,
        findings=(*report.findings, finding),
        severity=worst((report.severity, finding.severity)),
        data={**report.data, "chart": str(path) if path else None},
    )
