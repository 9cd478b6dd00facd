"""What leaves the building because of an event: events in, outbox rows out. Pure.

A row says what is to be said in plain text; the Slack room gives it its looks. The first page of
every incident has the highest priority and waits for nothing, not for its channel.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from bot.core.alert_model import Severity
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import AlertState, Event, Incident
from bot.core.lifecycle import BOT
from bot.core.page_rows import calls as calls_of
from bot.core.page_rows import letter_rows, page_rows, place_key, refreshed, taken_back, unsent_keys
from bot.core.roster import Way
from bot.core.rows import announce, has_room, in_channel, invite, lane, line
from bot.core.sentences import SPOKEN, sentence, stated_words
from bot.core.text import channel_name, without

# Events after which headline and announcement show something else.
_SHOWN = frozenset(
    {
        "opened", "alert_opened", "alert_closed", "severity_changed", "kind_changed", "runbook_matched", "fact_began",
        "fact_ended", "fact_false", "fact_known",
        "fact_unknown", "acknowledged", "unacknowledged", "assigned", "status_posted", "paged", "recovering",
        "relapsed", "resolved", "reopened", "reviewed", "snoozed", "channel_created", "probed", "step",
        "step_taken", "step_reminded", "runbook_started", "runbook_ended", "operation_started", "operation_finished",
        "operation_unknown",
        "channel_wanted", "page_acknowledged", "flapping",
    }
)  # fmt: skip
_ANNOUNCED = frozenset(
    {"opened", "severity_changed", "acknowledged", "recovering", "relapsed", "resolved", "reopened", "reviewed",
     "channel_created", "kind_changed"}
)  # fmt: skip
# What would be said again at every flap; the message about the alerts counts them instead.
_EACH_FLAP = frozenset(
    {"recovering", "relapsed", "reopened", "fact_began", "fact_ended", "fact_unknown", "warned", "rule_noted"}
)
# The steps of the ladder, L1's own included: e1:ladder:L2, e1:c1:L1, e1:c1:backup; not e1:rule:...
_LADDER_STEP = re.compile(r"e\d+:(ladder|c\d+):")
# They carry numbers to dial, and must be read: while there is no channel, in the announcement channel.
_DIALLED = frozenset({"emergency", "nobody_on_call", "dial"})
_TOPIC = frozenset(
    {"channel_created", "severity_changed", "acknowledged", "unacknowledged", "assigned", "recovering",
     "relapsed", "resolved", "reopened", "reviewed"}
)  # fmt: skip


def effects(before: Incident | None, after: Incident, events: Sequence[Event]) -> list[Outbound]:
    """The rows for these events, in the order in which they happened; ``after`` is the folded state."""
    rows: list[Outbound] = []
    kinds = {item.type for item in events}
    unsaid = _said_elsewhere(before, after, kinds)
    for item in events:
        rows += _of(before, after, item, unsaid)
    if has_room(after) and (stated := [e for e in events if e.type == "review_stated"]):
        rows.append(
            line(after, f"line:{after.name}:{stated[-1].seq}", stated_words(stated), priority=Priority.ANSWER)
        )
    if kinds & _SHOWN and has_room(after):
        rows.append(_state(after, Kind.HEADLINE, "headline"))
    if kinds & _TOPIC and has_room(after):
        rows.append(_state(after, Kind.TOPIC, "topic", Priority.FURNITURE))
    if kinds & _ANNOUNCED and not after.private:
        rows.append(_announcement(after))
    return rows


def _said_elsewhere(before: Incident | None, after: Incident, kinds: Collection[str]) -> frozenset[str]:
    """What needs no line of its own, as another message of the same change says it: the headline and the page which
    facts an incident opened with, a resolve or a recovery that it is over, the page who escalated and why."""
    found = {"fact_began"} if before is None else set()
    if "resolved" in kinds or ("recovering" in kinds and not after.holding):
        found.add("fact_ended")
    if "recovering" in kinds and len(after.alerts) == 1:
        found.add("alert_closed")
    if "paged" in kinds:
        found.add("escalated")
    return frozenset(found)


def cancelled(before: Incident | None, after: Incident, events: Sequence[Event]) -> list[str]:
    """Keys of rows that must not leave any more: an acknowledgement cancels L1's unsent pages, a resolve all."""
    if before is None:
        return []
    kinds = {item.type for item in events}
    # Whoever answered in one place need not be woken in another.
    answered = {page for e in events if e.type == "page_acknowledged" for page in e.data.get("pages", ())}
    if "resolved" in kinds:
        # A bot that was down may page and resolve in one instant; nobody is woken for that.
        gone = list(after.pages.values())
    elif "acknowledged" in kinds:
        gone = [p for p in before.pages.values() if p.of_first_level]
    elif any(e.type == "severity_changed" and e.data["to"] == Severity.INFO for e in events):
        gone = [p for p in before.pages.values() if p.sent_at is None and _LADDER_STEP.match(p.step)]
    else:
        gone = []
    gone += [p for p in before.pages.values() if p.id in answered and p not in gone]
    over = bool(kinds & {"acknowledged", "resolved"})
    calls = [place_key(name, Way.HOOK) for name in before.calls] if over else []
    return [*(key for p in gone for key in unsent_keys(p)), *calls]


def _state(i: Incident, kind: Kind, name: str, priority: Priority = Priority.ANSWER) -> Outbound:
    key = f"{name}:{i.name}"
    return in_channel(i, kind, key, priority, {"seq": i.seq}, apart=name, replaces=True)


def _announcement(i: Incident) -> Outbound:
    buttons = []
    if not i.wants_channel and i.active:
        buttons = [{"action": "channel_open", "label": f"Open a channel for {i.name}", "value": str(i.id)}]
    return Outbound(
        key=f"announce:{i.name}",
        kind=Kind.ANNOUNCE,
        lane=f"announce:{i.id}",
        priority=Priority.NEWS,
        incident=i.id,
        replaces=True,
        data={"seq": i.seq, "buttons": buttons},
    )


def _of(before: Incident | None, after: Incident, e: Event, unsaid: Collection[str]) -> Iterable[Outbound]:
    match e.type:
        case "opened" | "channel_wanted" if after.wants_channel:
            yield _channel(after)
        case "paged" | "page_rerouted" | "contact_told":
            yield from page_rows(after, e)
        case "contact_written":
            yield from letter_rows(after, e)
        case "emergency":
            yield from calls_of(after, e)
        case "acknowledged" | "page_acknowledged":
            yield from refreshed(after)
        case "resolved":
            yield from refreshed(after)
            yield from taken_back(after)
        case "page_delivered" if e.data.get("stale"):
            yield from refreshed(after)
        case "channel_created":
            yield from _furniture(after, e)
            yield from refreshed(after)
        case "headline_posted":
            ts = e.data["ts"]
            key = f"pin:{after.name}:{ts}"
            yield in_channel(after, Kind.PIN, key, Priority.FURNITURE, {"ts": ts}, apart="pin")
        case "alert_opened" | "alert_closed" if has_room(after) and (
            len(after.alerts) > 1 or (e.type == "alert_closed" and e.type not in unsaid)
        ):
            yield _alerts(after)
        case "severity_changed" if after.wants_channel and before is not None and not before.wants_channel:
            yield _channel(after)
        case _:
            pass
    if e.type == "handed_over" and e.data.get("slack") and has_room(after):
        yield invite(after, f"handover:{e.seq}", [e.data["slack"]])
    if e.type == "assigned":
        yield invite(after, f"assigned:{e.seq}", [e.data.get("slack")])
    spoken = e.type in SPOKEN and e.type not in unsaid
    if spoken and has_room(after) and not (e.type in _EACH_FLAP and after.flapping(e.at)):
        yield _spoken(after, e)
    if e.type in _DIALLED and not after.channel_id and not after.private:
        yield announce(
            f"{after.name}:{e.seq}:announced", f"{after.name}: {sentence(after, e)}", Priority.PAGE
        )


def _spoken(i: Incident, e: Event) -> Outbound:
    more: dict[str, Any] = {}
    # What a person did is shown before what the bot noticed; a mention leaves like a page.
    priority = Priority.NEWS if e.actor in (BOT, "watch") else Priority.ANSWER
    if e.data.get("mentions"):
        more["mentions"] = list(e.data["mentions"])
        priority = Priority.PAGE
    if e.type in ("contact_written", "contact_reminded"):
        value = f"{i.id}:{e.data['subject']}"
        answered = {"action": "contact_answered", "label": "They answered", "value": value}
        again = {"action": "contact_draft", "label": "Write again", "value": value}
        more["buttons"] = [answered, again] if e.data.get("since") or e.data.get("remind_at") else []
    if e.type == "runbook_matched" and not e.data["switched"]:
        value = f"{i.id}:{e.data['to']}"
        more["buttons"] = [{"action": "runbook_take", "label": f"Carry out {e.data['to']}", "value": value}]
    if e.type == "runbook_review_asked":
        more["buttons"] = [{"action": "runbook_reviewed", "label": "I have reviewed it", "value": str(i.id)}]
    if e.type == "asked":
        more["buttons"] = [{"action": "incident_ack", "label": f"I am on {i.name}", "value": str(i.id)}]
        page = next((p for p in i.pages.values() if p.person == i.acked_by), None)
        more["people"] = [i.acked_by] if page else []
        priority = Priority.PAGE
    text = sentence(i, e)
    if e.type == "runbook_ended" and i.active:
        # Whoever ticked off "Close the incident" has not closed it yet.
        text += f" {i.name} itself is not resolved yet: resolve it when it is over."
        more["buttons"] = [_resolve(i)]
    return line(i, f"line:{i.name}:{e.seq}", text, priority=priority, **more)


def _resolve(i: Incident) -> dict[str, Any]:
    """The button that resolves, with its question."""
    confirm = {
        "title": f"Resolve {i.name}?",
        "text": f"This stops the escalation of {i.name} on {i.pipeline}.",
        "ok": f"Resolve {i.name}",
        "deny": "Keep it open",
    }
    return {
        "action": "incident_resolve",
        "label": f"Resolve {i.name}",
        "value": str(i.id),
        "confirm": confirm,
    }


def _channel(i: Incident) -> Outbound:
    return Outbound(
        key=f"channel:{i.name}",
        kind=Kind.CREATE_CHANNEL,
        lane=f"{lane(i)}:channel",
        priority=Priority.CHANNEL,
        incident=i.id,
        data={"number": i.id, "name": channel_name(i.id, i.title), "private": i.private},
    )


def _furniture(i: Incident, e: Event) -> Iterable[Outbound]:
    """Topic, bookmarks and invitations follow the first page, never the other way round."""
    links = [{"title": a.title or "Alert", "link": a.url} for a in i.alerts.values() if a.url][:3]
    if e.data.get("links"):
        links += list(e.data["links"])
    if links:
        key = f"bookmark:{i.name}"
        yield in_channel(i, Kind.BOOKMARK, key, Priority.FURNITURE, {"items": links}, apart="furniture")
    people = [*e.data.get("invite", ()), *(e2 for e2 in e.data.get("paged", ()))]
    if people:
        yield invite(i, "first", people)


def _moment(i: Incident, alert: AlertState) -> datetime:
    return alert.closed_at or alert.opened_at or i.opened_at


def _of_cause(i: Incident, same: Sequence[AlertState]) -> str:
    """One line for all alerts of one alert policy, with exact counts."""
    last = max(same, key=lambda a: (a.open, _moment(i, a)))
    told = without(last.title, last.summary)[:160]
    said = f"{'open' if last.open else 'closed'}: {last.title}" + (f" — {told}" if told else "")
    if len(same) == 1:
        return said
    still = sum(1 for a in same if a.open)
    return f"{said} (opened {len(same)} times, {len(same) - still} of them closed)"


def _alerts(i: Incident) -> Outbound:
    """One message for all alerts of an incident, edited in place with exact counts, however many come."""
    alerts = list(i.alerts.values())
    open_count = sum(1 for a in alerts if a.open)
    by_cause: dict[str, list[AlertState]] = {}
    for alert in alerts:
        by_cause.setdefault(alert.cause, []).append(alert)
    newest = sorted(by_cause.values(), key=lambda same: max(_moment(i, a) for a in same), reverse=True)[:8]
    text = f"Alerts of {i.name}: {open_count} open, {len(alerts) - open_count} closed, {len(alerts)} in all."
    if i.flaps.since is not None:
        text += f" Flapping: {i.flaps.title}, score {i.flaps.score:.1f}."
    rows = [_of_cause(i, same) for same in newest]
    key, data = f"alerts:{i.name}:{i.epoch}", {"form": "list", "text": text, "lines": rows}
    return in_channel(i, Kind.POST, key, Priority.NEWS, data, apart="alerts", replaces=True)
