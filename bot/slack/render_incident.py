"""The incident itself, as it stands: headline, topic, announcement and armed timers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bot.core.escalation import Timer, TimerKind, timers
from bot.core.incident import FactState, Incident, Status
from bot.core.policy import fact_words
from bot.core.text import cut, inline, link
from bot.core.walk import progress
from bot.slack.blocks import HEADER_MAX, Body, Button, Confirm, Message, context, header
from bot.slack.words import (
    Frame,
    buttons_of,
    channel_link,
    date_mark,
    moment,
    moment_in,
    paragraphs,
    person,
    prose,
    severity_mark,
    severity_word,
)

TOPIC_MAX = 250
_SINCE = "%since%"
ALERTS_SHOWN = 5
_PAGING = frozenset(
    {
        TimerKind.LADDER,
        TimerKind.BACKUP,
        TimerKind.EMERGENCY,
        TimerKind.L1_AGAIN,
        TimerKind.L2_CRITICAL,
        TimerKind.RULE,
        TimerKind.REPEAT,
        TimerKind.CLIMB,
    }
)
HINTS = (
    "In this channel: /incident ack, /incident status TEXT, /incident timeline, /pipeline health, "
    "/runbook show. A :pushpin: reaction puts a message on the timeline."
)


def render_headline(data: Mapping[str, Any], incident: Incident) -> Message:
    """The one pinned message of an incident's channel; the same message is edited as things change."""
    body = Body()
    lead = f"{incident.name}: "
    body.add(header(f"{lead}{inline(incident.title, HEADER_MAX - len(lead))}"))
    title = inline(incident.title, 400)
    body.lines.append(f"{incident.name}, {severity_word(incident.severity)}, {incident.status}: {title}")
    mark = severity_mark(incident.severity)
    body.show(f"{mark}  |  *{incident.status.capitalize()}*  |  {inline(incident.kind, 30)}")
    pipeline = inline(incident.pipeline, 120)
    body.say(
        f"Pipeline {pipeline}, since {moment(incident.opened_at)}",
        f"*Pipeline:* {pipeline}  |  *Since:* {date_mark(incident.opened_at)}",
    )
    _who(body, incident)
    _facts(body, incident)
    _alerts(body, incident)
    _flaps(body, incident)
    _runbook(body, incident)
    _next(body, incident)
    if incident.last_status:
        said = prose(incident.last_status, 600)
        body.say(f"Last status: {said}", f"*Last status:* {said}")
    if incident.linked:
        body.say("Earlier: " + ", ".join(f"INC-{n}" for n in incident.linked[:10]))
    if incident.active:
        body.add(context(HINTS))
    payload = {"incident": incident.name, "severity": incident.severity, "status": incident.status}
    metadata = {"event_type": "streamwatch_headline", "event_payload": payload}
    return body.message([*_buttons(incident), *buttons_of(data)], metadata)


def _who(body: Body, incident: Incident) -> None:
    if incident.acked_by:
        at = incident.acked_at
        who = person(incident.acked_by)
        body.say(
            f"Acknowledged by {who} at {moment(at)}",
            f"*Acknowledged by:* {who}, {date_mark(at)}",
        )
    elif incident.active:
        body.say("Nobody has acknowledged it yet", "*Acknowledged by:* nobody yet")
    if incident.assignee and incident.assignee != incident.acked_by:
        who = person(incident.assignee)
        body.say(f"Assigned to {who}", f"*Assigned to:* {who}")
    if incident.resolved_at is not None:
        who = person(incident.resolved_by) or "streamwatch"
        body.say(
            f"Resolved by {who} at {moment(incident.resolved_at)}",
            f"*Resolved by:* {who}, {date_mark(incident.resolved_at)}",
        )
    if incident.status is Status.RECOVERING:
        since = incident.recovering_since
        body.say(f"Recovering since {moment(since)}", f"*Recovering since:* {date_mark(since)}")
    if incident.snoozed_until is not None and incident.active:
        until = incident.snoozed_until
        body.say(f"Snoozed until {moment(until)}", f"*Snoozed until:* {date_mark(until)}")


def _facts(body: Body, incident: Incident) -> None:
    if not incident.active:
        return
    for fact in sorted(incident.holding, key=lambda f: (f.begin, f.id))[:10]:
        name = inline(fact_words(fact.id), 40)
        told = f": {inline(fact.text, 300)}" if fact.text else ""
        body.say(
            f"Fact: {name}{told}, since {moment(fact.begin)}{_doubt(fact, moment)}",
            f"*Fact:* {name}{told}, since {date_mark(fact.begin)}{_doubt(fact, date_mark)}",
        )


def _doubt(fact: FactState, shown: Callable[[datetime | None], str]) -> str:
    """Why a fact that is not over yet may not hold any more; "" where it does."""
    if fact.unknown_since is not None:
        return f" (not measurable now; last measured {shown(fact.last_true)})"
    if fact.false_since is not None:
        return f" (measured since {shown(fact.false_since)}: it does not hold; over once that has lasted)"
    return ""


def _alerts(body: Body, incident: Incident) -> None:
    still = sorted(incident.open_alerts, key=lambda a: (-a.severity.weight, a.key))
    if not still:
        if incident.active and not incident.declared:
            body.say("No open alert", "*Open alerts:* none")
        return
    body.say(f"{len(still)} open alert{'s' if len(still) > 1 else ''}", f"*Open alerts:* {len(still)}")
    for alert in still[:ALERTS_SHOWN]:
        since = alert.opened_at
        title = inline(alert.title, 200)
        shown = link(alert.url, alert.title) if alert.url else title
        word = severity_word(alert.severity)
        body.say(f"- {word}: {title}, since {moment(since)}", f"• {word}: {shown}, since {date_mark(since)}")
    if len(still) > ALERTS_SHOWN:
        body.say(f"and {len(still) - ALERTS_SHOWN} more")


def _runbook(body: Body, incident: Incident) -> None:
    """How far the runbook is, and since which instant: a message does not grow old by itself."""
    if not incident.active or incident.walk is None or incident.walk.current is None:
        return
    holder, since = incident.assignee or incident.acked_by, incident.walk.current.since
    where = progress(incident.walk, since, person(holder) if holder else "", since=_SINCE)
    if where:
        title = inline(incident.walk.title, 100)
        safe = inline(where, 300)
        plain, marked = (safe.replace(_SINCE, said) for said in (moment(since), date_mark(since)))
        body.say(f"Runbook {title}: {plain}", f"*Runbook:* {title}, {marked}")


def _flaps(body: Body, incident: Incident) -> None:
    flaps = incident.flaps
    if flaps.at is None or not incident.active or not incident.flapping(flaps.at):
        return
    title = inline(flaps.title, 200)
    told = f"{title} opened again {flaps.count} times, score {flaps.score:.1f}; L1 is not paged for each"
    body.say(f"Flapping: {told}", f"*Flapping:* {told}")


def _next(body: Body, incident: Incident) -> None:
    timer = next_escalation(incident)
    if timer is not None:
        reason = inline(timer.reason, 200)
        body.say(
            f"Next escalation: {timer.level} at {moment(timer.due_at)} ({reason})",
            f"*Next escalation:* {timer.level} at {date_mark(timer.due_at)} ({reason})",
        )


def next_escalation(incident: Incident) -> Timer | None:
    """The earliest armed timer that pages somebody."""
    return next((t for t in timers(incident) if t.kind in _PAGING and t.level is not None), None)


def _buttons(incident: Incident) -> list[Button]:
    if not incident.active:
        return []
    value = str(incident.id)
    resolve = Button(
        action="incident_resolve",
        label=f"Resolve {incident.name}",
        value=value,
        confirm=Confirm(
            title=f"Resolve {incident.name}?",
            text=f"This stops the escalation of {incident.name} on {incident.pipeline}.",
            ok=f"Resolve {incident.name}",
            deny="Keep it open",
        ),
    )
    if incident.acked_by:
        return [resolve]
    ack = Button(action="incident_ack", label=f"Acknowledge {incident.name}", value=value, style="primary")
    return [ack, resolve]


def topic(incident: Incident) -> str:
    """The channel's topic: at most 250 characters, no markup (Slack shows none there)."""
    who = incident.assignee or incident.acked_by
    has = f"{who} has it" if who else "nobody has it yet"
    parts = [severity_word(incident.severity), incident.status, has, incident.pipeline]
    lead = " | ".join(inline(cut(part.removeprefix("slack:"), 60), 80) for part in parts)
    return f"{lead} | {inline(incident.title, max(TOPIC_MAX - len(lead) - 3, 1))}"


def render_announcement(data: Mapping[str, Any], frame: Frame) -> Message:
    """One line in the announcement channel: of an incident, or a plain text that the desk gives."""
    body = Body()
    incident = frame.incident
    payload: dict[str, Any] = {"incident": incident.name if incident else ""}
    if data.get("text"):
        paragraphs(body, str(data["text"]))
    elif incident is not None:
        _announce(body, incident)
    return body.message(
        buttons_of(data), {"event_type": "streamwatch_announcement", "event_payload": payload}
    )


def _announce(body: Body, incident: Incident) -> None:
    title = inline(incident.title, 300)
    pipeline = inline(incident.pipeline, 120)
    channel = channel_link(incident.channel_id)
    where = f", channel {channel}" if channel else ""
    body.say(
        f"{severity_word(incident.severity)} {incident.name}, {incident.status}: {title} "
        f"(pipeline {pipeline}, {_lasted(incident, moment)}{where})",
        f"{severity_mark(incident.severity)} *{incident.name}* | {incident.status}: {title}\n"
        f"Pipeline {pipeline}, {_lasted(incident, date_mark)}{where}",
    )


def _lasted(incident: Incident, shown: Callable[[datetime | None], str]) -> str:
    """Since when; and until when, once it is over."""
    if incident.active or incident.resolved_at is None:
        return f"since {shown(incident.opened_at)}"
    return f"from {shown(incident.opened_at)} to {shown(incident.resolved_at)}"


def render_timers(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Message:
    """A line for each timer, its due time in the reader's zone: Slack's own, and in the text that of the roster."""
    body = Body()
    paragraphs(body, str(data.get("text", "")))
    zone = str(data.get("zone") or "UTC")
    told = data.get("timers") or ()
    for timer in told:
        lead, words = inline(str(timer["lead"]), 100), inline(str(timer["words"]), 600)
        due = timer["due"]
        body.say(f"{lead}, due {moment_in(due, zone)} {words}", f"{lead}, due {date_mark(due)} {words}")
    if not told:
        body.say("There is no timer.")
    return body.message(buttons_of(data), metadata)


def render_timeline(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Message:
    """What happened, line by line, each with its time in the reader's zone; the text alone has room for UTC only."""
    body = Body()
    paragraphs(body, str(data.get("text", "")))
    for told in data.get("events") or ():
        words = prose(str(told["words"]), 600)
        body.say(f"{moment(told['at'])} {words}", f"{date_mark(told['at'])} {words}")
    return body.message(buttons_of(data), metadata)
