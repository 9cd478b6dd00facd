"""Reports and plans of operations (design: "One shape of answer"). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core.text import inline
from bot.slack.blocks import SECTION_MAX, Body, Button, Confirm, Message, context
from bot.slack.words import (
    Frame,
    button_of,
    buttons_of,
    date_mark,
    mention,
    moment,
    paragraphs,
    prose,
    severity_mark,
    severity_word,
    table,
)
from pipeline.report import Evidence, Finding, Report

# States in which a plan still waits for somebody; in all others its buttons are gone.
WAITING = frozenset({"", "planned", "waiting", "approval"})
_STATE_WORDS = {
    "planned": "waiting for confirmation",
    "waiting": "waiting for confirmation",
    "approval": "waiting for the approval of a second person",
}
FINDINGS_SHOWN = 30
SAME_TIME = timedelta(seconds=60)
"""What was measured so near to the report has its time, which stands below it."""


def render_report(data: Mapping[str, Any], frame: Frame) -> Message:
    """The verdict first, then findings with their evidence, then tables, then the next steps' buttons."""
    report = Report.from_json(data["report"])
    body = Body()
    _mentions(body, data, frame)
    if (said := str(data.get("text", ""))) != report.verdict:
        paragraphs(body, said)
    verdict = inline(report.verdict, 600)
    name = inline(report.title or report.operation, 120)
    pipeline = inline(report.pipeline, 120)
    body.say(
        f"{severity_word(report.severity)}: {verdict}",
        f"{severity_mark(report.severity)}  *{verdict}*" if verdict else severity_mark(report.severity),
    )
    for finding in report.findings[:FINDINGS_SHOWN]:
        _finding(body, finding, report)
    if len(report.findings) > FINDINGS_SHOWN:
        body.say(f"and {len(report.findings) - FINDINGS_SHOWN} more findings")
    for part in report.tables:
        body.say(inline(part.title, 200), f"*{inline(part.title, 200)}*")
        body.add({"type": "section", "text": {"type": "mrkdwn", "text": table(part.columns, part.rows)}})
        body.lines += [inline(" | ".join(row), 400) for row in part.rows[:20]]
    body.lines.append(f"{name}, pipeline {pipeline}, as of {moment(report.as_of)}")
    body.add(context(f"{name} | pipeline {pipeline} | as of {date_mark(report.as_of)}"))
    payload = {
        "incident": frame.incident.name if frame.incident else "",
        "operation": report.operation,
        "severity": report.severity,
        "pipeline": report.pipeline,
    }
    return body.message(buttons_of(data), {"event_type": "streamwatch_report", "event_payload": payload})


def _finding(body: Body, finding: Finding, report: Report) -> None:
    text = inline(finding.text, 600)
    plain = _evidence(finding.evidence[:8], report.as_of, moment)
    marked = _evidence(finding.evidence[:8], report.as_of, date_mark)
    if (finding.text, finding.severity) == (report.verdict, report.severity):
        if plain:
            body.say(plain, marked)
        return
    body.say(
        f"- {severity_word(finding.severity)}: {text}" + (f" ({plain})" if plain else ""),
        f"• {severity_mark(finding.severity)}: {text}" + (f"\n      {marked}" if marked else ""),
    )


def _evidence(items: Sequence[Evidence], as_of: datetime, shown: Callable[[datetime], str]) -> str:
    """What was measured, and when, where that is not the report's own minute; a minute that several share stands
    once, behind the last of them."""
    parts = []
    for number, item in enumerate(items, 1):
        known = item.at is not None and abs(item.at - as_of) >= SAME_TIME
        again = number < len(items) and items[number].at == item.at
        at = f" at {shown(item.at)}" if item.at is not None and known and not again else ""
        parts.append(inline(f"{item.what} {item.measured}", 160) + at)
    return "; ".join(parts)


def render_plan(data: Mapping[str, Any], frame: Frame) -> Message:
    """What a change would do, and the buttons that let it; later the same message with its state."""
    plan: Mapping[str, Any] = data.get("plan") or {}
    state = str(data.get("state", ""))
    operation = inline(str(plan.get("operation", "")), 80)
    pipeline = inline(str(plan.get("pipeline", "")), 120)
    body = Body()
    _mentions(body, data, frame)
    said = str(data.get("text", ""))
    body.say(f"Plan, {operation} on {pipeline}", f"*Plan: {operation} on {pipeline}*")
    paragraphs(body, said or str(plan.get("summary", "")))
    for effect in _texts(plan.get("effects"))[:20]:
        body.say(f"- {inline(effect, 400)}", f"• {inline(effect, 400)}")
    for warning in _texts(plan.get("warnings"))[:20]:
        safe = inline(warning, 400)
        body.say(f"Warning: {safe}", f":warning: *Warning:* {safe}")
    refusal = str(plan.get("refusal") or "")
    if refusal and refusal not in said:
        safe = inline(refusal, 600)
        body.say(f"Refused: {safe}", f":no_entry: *Refused:* {safe}")
    if state and (not said or state in WAITING):
        words = inline(_STATE_WORDS.get(state, state.replace("_", " ")), 200)
        body.say(f"State: {words}", f"*State:* {words}")
    raw = data.get("buttons") or () if state in WAITING else ()
    buttons = [button_of(b) if b.get("asks") else _asking(button_of(b), plan) for b in raw]
    payload = {
        "incident": frame.incident.name if frame.incident else "",
        "run": str(data.get("run") or plan.get("id", "")),
        "operation": str(plan.get("operation", "")),
        "digest": str(plan.get("digest", "")),
        "state": state,
    }
    return body.message(buttons, {"event_type": "streamwatch_plan", "event_payload": payload})


def _asking(button: Button, plan: Mapping[str, Any]) -> Button:
    """A change is never one slip of the finger away: what confirms it asks, naming verb and object.

    (A button that opens a form ``asks`` by itself.)
    """
    if button.action not in ("plan_confirm", "plan_approve") or button.confirm is not None:
        return button
    pipeline = str(plan.get("pipeline", ""))
    confirm = Confirm(
        title=f"{button.label}?",
        text=f"{plan.get('summary') or plan.get('operation', '')} (pipeline {pipeline})",
        ok=button.label,
    )
    return Button(
        action=button.action,
        label=button.label,
        value=button.value,
        style=button.style or "danger",
        confirm=confirm,
    )


def render_note(data: Mapping[str, Any], frame: Frame, metadata: Mapping[str, Any]) -> Message:
    """Plain words of the desk; ``lines``, ``table`` and ``code`` may follow the text (lists, progress)."""
    body = Body()
    _mentions(body, data, frame)
    paragraphs(body, str(data.get("text", "")))
    for line in _texts(data.get("lines")):
        body.say(prose(line, 600))
    raw = data.get("table")
    if isinstance(raw, Mapping):
        rows = [tuple(map(str, row)) for row in raw.get("rows", ())]
        columns = tuple(map(str, raw.get("columns", ())))
        body.add({"type": "section", "text": {"type": "mrkdwn", "text": table(columns, rows, SECTION_MAX)}})
        body.lines += [inline(" | ".join(row), 400) for row in rows]
    if (done := _done(data)) is not None:
        body.say(f"Progress: {done}", f"*Progress:* {done}")
    if data.get("state"):
        words = inline(str(data["state"]).replace("_", " "), 100)
        body.say(f"State: {words}", f"*State:* {words}")
    if not body.lines:
        body.say("(nothing to say)")
    return body.message(buttons_of(data), metadata)


def _done(data: Mapping[str, Any]) -> str | None:
    """ "40 of 214 (19 %)", or the count alone; None where nothing is counted."""
    done, total = data.get("done"), data.get("total")
    if not isinstance(done, int):
        return None
    return (
        f"{done:,} of {total:,} ({done * 100 // total} %)"
        if isinstance(total, int) and total
        else f"{done:,}"
    )


def _mentions(body: Body, data: Mapping[str, Any], frame: Frame) -> None:
    said = " ".join(mention(ref, frame) for ref in dict.fromkeys(_texts(data.get("mentions"))[:30]))
    if said:
        body.say(said)


def _texts(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list | tuple) else []
