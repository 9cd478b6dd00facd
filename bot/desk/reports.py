"""Reports on their way to where they were asked for, and a reading that says nothing new as one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Event, Incident
from bot.core.sentences import when
from bot.desk.answers import to
from bot.desk.ports import Run, Tx
from bot.desk.steps import step_button
from pipeline.chart import Chart
from pipeline.report import Finding, Report

SAME_FOR = timedelta(minutes=10)
_NUMBERS = re.compile(r"\d[\d,.:]*")


def report_row(tx: Tx, run: Run, incident: Incident | None, report: Report, name: str, **more: Any) -> None:
    """Send a report to where the run was asked for. `name` tells the reports of one run apart."""
    if run.reply.get("quiet"):
        return  # a digest of the calendar tells it
    chart = report.data.get("drawing")
    if chart and incident is None and not run.reply.get("user"):
        chart = None  # nobody asked for it
    if chart:
        report = _told_of_its_picture(report, incident)
    buttons = []
    if incident is not None and incident.active:
        buttons = [step_button(n.operation, n.label, n.params, incident) for n in report.next[:4]]
    row = to(
        run.reply,
        f"{name}:{run.id}",
        incident,
        form="report",
        report=report.to_json(),
        buttons=buttons,
        metadata=_metadata(incident, report),
        **more,
    )
    tx.enqueue([row])
    if chart:
        tx.enqueue([_picture(run, incident, Chart.from_json(chart), name)])


def _told_of_its_picture(report: Report, incident: Incident | None) -> Report:
    where = (
        "as a picture in this channel" if incident is not None else "to you as a picture, in a direct message"
    )
    return replace(report, findings=(*report.findings, Finding("chart", "ok", f"Its chart comes {where}.")))


def _picture(run: Run, incident: Incident | None, chart: Chart, name: str) -> Outbound:
    """A file can be no answer that one person alone sees in a channel: outside an incident it goes to who asked."""
    key = f"{name}:{run.id}:chart"
    where = {} if incident is not None else {"to": run.reply.get("user", "")}
    return Outbound(
        key=key, kind=Kind.FILE, lane=key, priority=Priority.ANSWER,
        incident=incident.id if incident is not None else None, needs_channel=incident is not None,
        data={**where, **chart.as_file(), "title": f"{chart.title}, {chart.note}"},
    )  # fmt: skip


def reading_row(tx: Tx, run: Run, incident: Incident | None, report: Report, findings: Sequence[str]) -> None:
    """Send a reading; one of the bot's own that says what the channel has just read is one line."""
    earlier = _same_before(tx, run, incident, report, findings)
    if earlier is None:
        report_row(tx, run, incident, report, "report")
        return
    name = report.title or report.operation
    text = f"{name}: the findings are those of {when(earlier.at)}. {report.verdict}"
    more = {"form": "text", "text": text, "metadata": _metadata(incident, report)}
    tx.enqueue([to(run.reply, f"report:{run.id}", incident, **more)])


def _same_before(
    tx: Tx, run: Run, incident: Incident | None, report: Report, findings: Sequence[str]
) -> Event | None:
    """The reading of the bot's own that said the same a short time ago, apart from ages and counts."""
    if incident is None or not run.reply.get("own"):
        return None
    told = (e for e in reversed(tx.events(incident.id)) if e.type == "reported")
    last = next((e for e in told if e.data.get("operation") == run.operation), None)
    if last is None or tx.now() - last.at > SAME_FOR or last.actor != run.requested_by:
        return None
    same = last.data.get("severity") == report.severity and list(last.data["findings"]) == list(findings)
    return last if same and _shape(str(last.data["verdict"])) == _shape(report.verdict) else None


def _shape(verdict: str) -> str:
    return _NUMBERS.sub("#", verdict)


def _metadata(incident: Incident | None, report: Report) -> Mapping[str, Any]:
    payload = {
        "incident": incident.name if incident else "",
        "operation": report.operation,
        "severity": report.severity,
    }
    return {"event_type": "streamwatch_report", "event_payload": payload}
