"""Pages: the message that wakes a person (rules: "Escalation", "A page wakes").

Pages to one person within 30 s are one message that lists all, each with its own button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.core.text import inline
from bot.slack.blocks import HEADER_MAX, Body, Button, Message, divider, header
from bot.slack.words import (
    Frame,
    channel_link,
    date_mark,
    mention,
    moment,
    person,
    prose,
    severity_mark,
    severity_word,
)
from pipeline.report import duration

LATE_FROM_S = 30.0
REPEAT_NOTE = "(may be a repeat)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageItem:
    """One page of a message: the key of its outbox row, the row's data, and its frame."""

    key: str
    data: Mapping[str, Any]
    frame: Frame


def render_pages(items: Sequence[PageItem]) -> Message:
    """A direct message with one page or several to the same person."""
    body = Body()
    buttons: list[Button] = []
    if len(items) > 1:
        names = ", ".join(_incident(item) for item in items)
        body.lines.append(f"{len(items)} pages for you: {names}.")
    for index, item in enumerate(items):
        if index:
            body.add(divider())
        _one(body, item)
        buttons += _acknowledge(item, alone=len(items) == 1 or not _twin(items, item))
    return body.message(buttons, _metadata(items))


def render_mention(item: PageItem) -> Message:
    """The same page said aloud in the incident's channel, with the people it names mentioned."""
    body = Body()
    refs = [str(item.data.get("slack") or item.data.get("person") or ""), *_texts(item.data.get("also"))[:20]]
    said = " ".join(mention(ref, item.frame) for ref in dict.fromkeys(refs) if ref)
    if said:
        body.say(said)
    _one(body, item, here=True)
    return body.message(_acknowledge(item, alone=True), _metadata([item]))


def _one(body: Body, item: PageItem, *, here: bool = False) -> None:
    data, frame = item.data, item.frame
    level = inline(str(data.get("level", "")), 20)
    name = _incident(item)
    severity = str(data.get("severity", ""))
    title = str(data.get("title", ""))
    repeat = f" {REPEAT_NOTE}" if data.get("repeat") else ""
    lead = f"Page to {level}, {name}, {severity_word(severity)}: "
    body.lines.append(lead + inline(title, 400) + repeat)
    body.add(header(_heading(f"{severity_mark(severity)} {name}: ", title)))
    body.show(f"*Page to {level}*{repeat}")
    for line, shown in _facts(item):
        body.say(line, shown)
    for line in [*_texts(data.get("lines"))[:20], *([] if here else _texts(data.get("brief"))[:10])]:
        body.say(prose(line, 600))
    channel = "" if here or frame.incident is None else channel_link(frame.incident.channel_id)
    if channel:
        body.say(f"Channel: {channel}")
    ask = f"Acknowledge: press the button, or type /incident ack {name}."
    body.say(_answered(data, moment) or ask, _answered(data, date_mark) or ask)


def _answered(data: Mapping[str, Any], shown: Callable[[str], str]) -> str:
    """What became of a page whose message is edited; empty while somebody is waited for."""
    if data.get("acknowledged"):
        return f"You acknowledged this page at {shown(str(data['acknowledged']))}."
    if data.get("resolved"):
        return "The incident is resolved; nothing is left to acknowledge."
    if data.get("acknowledged_by"):
        return (
            f"{person(str(data['acknowledged_by']))} has acknowledged the incident; this page is still yours."
        )
    return ""


def _facts(item: PageItem) -> list[tuple[str, str]]:
    data = item.data
    lines: list[tuple[str, str]] = []
    if pipeline := inline(str(data.get("pipeline", "")), 120):
        lines.append((f"Pipeline: {pipeline}", f"*Pipeline:* {pipeline}"))
    reasons = "; ".join(inline(reason, 300) for reason in _texts(data.get("reasons"))[:6])
    if reasons:
        lines.append((f"Why: {reasons}", f"*Why:* {reasons}"))
    if due := moment(data.get("due_at")):
        late = _late(item)
        lines.append((f"Due: {due}{late}", f"*Due:* {date_mark(data.get('due_at'))}{late}"))
    if summary := str(data.get("summary", "")).strip():
        safe = prose(summary, 900)
        lines.append((safe, safe))
    return lines


def _late(item: PageItem) -> str:
    """How late it was sent; an edit later on must not make it later."""
    seconds = item.data.get("late_s")
    late = float(seconds) if isinstance(seconds, int | float) else 0.0
    incident = item.frame.incident
    page = incident.pages.get(str(item.data.get("page"))) if incident is not None else None
    if item.data.get("refresh"):
        late = (page.sent_at - page.due_at).total_seconds() if page is not None and page.sent_at else 0.0
    return f", sent {duration(late)} late" if late >= LATE_FROM_S else ""


def _heading(lead: str, title: str) -> str:
    return lead + inline(title, max(HEADER_MAX - len(lead), 10))


def _incident(item: PageItem) -> str:
    raw = str(item.data.get("incident", ""))
    return inline(f"INC-{raw}" if raw.isdigit() else raw, 40)


def _acknowledge(item: PageItem, *, alone: bool) -> list[Button]:
    if item.data.get("acknowledged") or item.data.get("resolved"):
        return []
    name = str(item.data.get("incident", ""))
    name = f"INC-{name}" if name.isdigit() else name
    label = f"Acknowledge {name}" if alone else f"Acknowledge {name} ({item.data.get('level', '')})"
    return [Button(action="page_ack", label=label, value=str(item.data.get("page", "")), style="primary")]


def _twin(items: Sequence[PageItem], item: PageItem) -> bool:
    return sum(1 for other in items if _incident(other) == _incident(item)) > 1


def _metadata(items: Sequence[PageItem]) -> Mapping[str, Any]:
    first = items[0]
    payload: dict[str, Any] = {
        "outbox_id": first.key,
        "incident": _incident(first),
        **{name: first.data.get(name, "") for name in ("epoch", "step", "level", "person", "due_at")},
    }
    if len(items) > 1:
        payload["pages"] = [item.key for item in items]
    return {"event_type": "streamwatch_page", "event_payload": payload}


def _texts(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list | tuple) else []
