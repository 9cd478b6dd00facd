"""Reports on their way to where they were asked for, and a reading that says nothing new as one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.core.incident import Event, Incident
from bot.core.sentences import when
from bot.desk.answers import to
from bot.desk.ports import Run, Tx
from bot.desk.steps import step_button
from pipeline.report import Report

SAME_FOR = timedelta(minutes=10)
_NUMBERS = re.compile(r"\d[\d,.:]*")


def report_row(tx: Tx, run: Run, incident: Incident | None, report: Report, name: str, **more: Any) -> None:
    """Send a report to where the run was asked for. `name` tells the reports of one run apart."""
    if run.reply.get("quiet"):
        return  # a digest of the calendar tells it
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
