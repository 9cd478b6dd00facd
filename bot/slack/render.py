"""From an outbox row to a message: one function for each kind of row. Pure.

Every message's metadata carries ``outbox_id``, the key of its row: that is how a message whose sending
ended in doubt is found again (rules: "One owner of doubt").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.delivery import Kind, Outbound
from bot.slack.blocks import Message, Unrenderable
from bot.slack.render_incident import render_announcement, render_headline, render_timeline, render_timers
from bot.slack.render_page import PageItem, render_mention, render_pages
from bot.slack.render_report import render_note, render_plan, render_report
from bot.slack.words import Frame

NOTE = "streamwatch_note"
WORDS = frozenset({Kind.POST, Kind.UPDATE, Kind.EPHEMERAL, Kind.RESPOND, Kind.FILE})


def render(row: Outbound, frame: Frame) -> Message:
    """The message of a row that says something; raises Unrenderable for what cannot be said."""
    try:
        message = _render(row, frame)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # Anything else would be tried for ever, and hold up all that comes behind it.
        raise Unrenderable(f"{row.kind} row without what its renderer needs: {error!r}") from error
    return Message(message.text, message.blocks, _metadata(row, message.metadata or {}, row.data))


def _render(row: Outbound, frame: Frame) -> Message:
    data = row.data
    if row.kind is Kind.PAGE_DM:
        return render_pages([PageItem(key=row.key, data=data, frame=frame)])
    if row.kind is Kind.PAGE_MENTION:
        return render_mention(PageItem(key=row.key, data=data, frame=frame))
    if row.kind is Kind.HEADLINE:
        if frame.incident is None:
            raise Unrenderable("a headline without its incident")
        return render_headline(data, frame.incident)
    if row.kind is Kind.ANNOUNCE:
        if frame.incident is not None and frame.incident.private:
            raise Unrenderable("a private incident is not announced")
        return render_announcement(data, frame)
    if row.kind in WORDS:
        return _words(data, frame)
    raise Unrenderable(f"{row.kind} is no message")


def _words(data: Mapping[str, Any], frame: Frame) -> Message:
    form = data.get("form") or "text"
    if form == "report":
        return render_report(data, frame)
    if form == "plan":
        return render_plan(data, frame)
    metadata = {
        "event_type": NOTE,
        "event_payload": {"incident": frame.incident.name if frame.incident else "", "form": str(form)},
    }
    if form == "timers":
        return render_timers(data, metadata)
    if form == "timeline":
        return render_timeline(data, metadata)
    return render_note(data, frame, metadata)


def _metadata(row: Outbound, ours: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    asked = data.get("metadata") or {}
    payload = {**ours.get("event_payload", {}), **asked.get("event_payload", {}), "outbox_id": row.key}
    return {"event_type": asked.get("event_type") or ours.get("event_type") or NOTE, "event_payload": payload}


def references(row: Outbound) -> tuple[str, ...]:
    """The people that a row mentions, as they are to be looked up before it is rendered."""
    data = row.data
    refs = [*(data.get("mentions") or ()), *(data.get("also") or ())]
    if row.kind is Kind.PAGE_MENTION:
        refs.insert(0, data.get("slack") or "")
    return tuple(dict.fromkeys(str(ref) for ref in refs if ref))
