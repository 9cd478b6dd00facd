"""Events in words: one sentence each, the same in the channel, on the page and in the review.

Plain text without markup; whoever shows it escapes it. Times are UTC with their zone named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core.incident import Event, Incident, instant
from bot.core.policy import fact_words, format_duration
from bot.core.text import counted, listed, without
from bot.core.timer_words import timer_words


def when(value: Any) -> str:
    """An instant of event data in words: ``03:10 UTC``, with its date where it is given."""
    at = instant(value) if not isinstance(value, datetime) else value
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "an unknown time"


def _by(e: Event) -> str:
    """Who did it: the roster's name, else what was written down of somebody who is not on it."""
    return str(e.data.get("who") or e.actor.replace("slack:", "Slack member "))


def _written_by(e: Event) -> str:
    author = e.data["author"]
    return "" if author == _by(e) else f", written by {author}"


def _because(d: Mapping[str, Any], name: str = "reason") -> str:
    text = str(d.get(name) or "").strip()
    return f": {text}" if text else ""


def _alert_summary(d: Mapping[str, Any]) -> str:
    said = without(str(d.get("title") or ""), str(d.get("summary") or ""))
    return f": {said}" if said else ""


def _timer(i: Incident, e: Event) -> str:
    due = instant(e.data.get("due_at"))
    late = (e.at - due).total_seconds() if due else 0.0
    said = f", {format_duration(timedelta(seconds=round(late)))} late" if late >= 2 else ""
    return f"Timer fired{said}: {timer_words(i, str(e.data.get('kind', '')), e.data['steps'])}."


def _pages(d: Mapping[str, Any]) -> str:
    count = len(d.get("pages", ()))
    return f"all {count} pages" if count > 1 else "the page"


def _fact(d: Mapping[str, Any]) -> str:
    return fact_words(str(d.get("fact", "")))


def _facts_with(d: Mapping[str, Any]) -> str:
    return f" ({d['text']})" if d.get("text") else ""


def _reopened(i: Incident, e: Event) -> str:
    levels = sorted({str(p.level) for p in i.pages.values() if p.epoch == i.epoch} - {"L1"})
    told = f" {', '.join(levels)} had been paged before." if levels and not e.data.get("new_epoch") else ""
    if e.data.get("damped"):
        told = f" It is flapping, so nobody is paged anew; the ladder goes on.{told}"
    return f"{i.name} is open again{_because(e.data)}.{told}"


def _resolved(i: Incident, e: Event) -> str:
    who = "by itself" if e.data.get("auto") else f"by {e.actor}"
    return f"{i.name} is resolved {who}{_because(e.data)}."


def _kind_changed(_: Incident, e: Event) -> str:
    d = e.data
    now = f"the runbook {'stays' if d.get('kept') else 'is now'} {d['runbook']}." if d.get("runbook") else ""
    return f"Kind {d['from']} -> {d['to']}; {now or 'it has no runbook.'}"


def _matched(_: Incident, e: Event) -> str:
    d = e.data
    if d["switched"]:
        before = f" instead of {d['from']}, which nobody had begun" if d["from"] else ""
        return f"The runbook is now {d['to']}{before}: {d['reason']}."
    return f"The runbook {d['to']} may fit better than {d['from'] or 'none'}: {d['reason']}."


def _flapping(i: Incident, e: Event) -> str:
    quiet = format_duration(timedelta(seconds=e.data["quiet_s"]))
    return (
        f"“{e.data['title']}” is flapping: it opened {e.data['opened']} times, score {e.data['score']}. {i.name} now"
        f" waits for {quiet} of quiet before it resolves, and L1 is not paged anew for each opening."
        " Tune the alert policy: a longer duration, another threshold, or a larger window."
    )


def _warned(i: Incident, e: Event) -> str:
    level, reason = e.data["level"], e.data["reason"]
    if level in i.paged_levels():
        return f"{level} has this incident already and will soon be told a further reason: {reason}."
    return f"{level} will be paged for this soon: {reason}."


def _paged(_: Incident, e: Event) -> str:
    reasons = "; ".join(e.data.get("reasons", ()))
    return f"{e.data['level']} is paged: {e.data['person']} ({reasons}), due {when(e.data['due_at'])}."


def _same_person(i: Incident, e: Event) -> str:
    d = e.data
    then = (
        f" Next is {d['next_level']} at {when(d['next_at'])}."
        if d.get("next_level")
        else " Nobody stands above."
    )
    return f"{d['person']} holds {d['level']} too and has {i.name} in hand.{then}"


def _handed_over(i: Incident, e: Event) -> str:
    d = e.data
    stays = ""
    if i.acked_by and i.acked_by == d["from"]:
        stays = (
            f" {d['from']}'s acknowledgement stays until {d['to']} takes over with /incident ack {i.name}."
        )
    before = f", after {d['from']}" if d["from"] else ""
    return f"Hand-over: {d['to']} is {d['place']} now{before}.{stays}"


def _delivered(_: Incident, e: Event) -> str:
    late = e.data.get("late_s") or 0
    words = f", {round(late)} s after it was due" if late >= 2 else ""
    quiet = ", do-not-disturb was on" if e.data.get("dnd") else ""
    again = " (may be a repeat)" if e.data.get("repeat") else ""
    where = PLACES.get(e.data["place"], e.data["place"])
    what = "message" if e.data.get("letter") else "page"
    return f"The {what} to {e.data['person']} ({e.data['level']}) went out {where}{again}{words}{quiet}."


PLACES = {
    "direct message": "by direct message",
    "channel": "in the channel",
    "e-mail": "by e-mail",
    "hook": "by the hook",
}


def _failed(_: Incident, e: Event) -> str:
    where = PLACES.get(e.data["place"], e.data["place"])
    return f"The page to {e.data.get('person', '')} failed {where}: {e.data['error']}."


def _late(_: Incident, e: Event) -> str:
    where = PLACES.get(e.data["place"], e.data["place"])
    return (
        f"The page to {e.data['person']} has not gone out {where} for {round(e.data['after_s'])} s "
        f"({e.data['error']}); it is tried on."
    )


def _doubtful(_: Incident, e: Event) -> str:
    where = PLACES.get(e.data["place"], e.data["place"])
    return f"Whether the page to {e.data['person']} went out {where} is not known yet: {e.data['error']}."


def _dial(_: Incident, e: Event) -> str:
    why = f" ({'; '.join(e.data['errors'])})" if e.data.get("errors") else ""
    numbers = "; ".join(e.data["numbers"])
    who = e.data["person"]
    if not numbers:
        return f"Nothing wakes {who}{why}, and no number is known. Somebody else must be told."
    return f"Nothing wakes {who}{why}. Dial now: {numbers}."


def _contact(_: Incident, e: Event) -> str:
    d = e.data
    why = "; ".join(d["reasons"])
    match d["kind"]:
        case "mailbox" if d["mailed"]:
            return f"The {d['subject']} contact gets a mail: {d['value']} ({why})."
        case "mailbox":
            return f"The {d['subject']} contact must be written to by hand, no mail is set up: {d['value']} ({why})."
        case "group":
            people = ", ".join(d.get("people", ()))
            paged = (
                f"; its members are paged: {people}"
                if people
                else "; nobody of it is known, so nobody is paged"
            )
            return f"The {d['subject']} contact is called here: {d['value']}{paged} ({why})."
    return f"The {d['subject']} contact is reached at {d['value']} ({why})."


def _written(_: Incident, e: Event) -> str:
    d = e.data
    whom = f"the {d['subject']} contact ({d['value']})"
    head = f"{e.actor} wrote to {whom}" if d["sent"] else f"For {e.actor} to copy and send to {whom}"
    return f"{head}:\n{d['text']}"


def _reminded(_: Incident, e: Event) -> str:
    since = when(datetime.fromisoformat(e.data["since"]))
    return (
        f"Nobody noted an answer of the {e.data['subject']} contact ({e.data['value']}), to whom {e.data['by']} wrote "
        f"at {since}. Press a button of this message, or use `/incident notify {e.data['subject']} answered`."
    )


_ACK_REFUSED = {
    "used": "was used before",
    "expired": "was too old",
    "forged": "was not genuine",
    "over": "came after the end",
    "denied": "was not theirs to use any more",
}


_FIELDS = {
    "cause": "the root cause", "went_well": "what went well", "could_improve": "what could be improved",
    "preventive": "preventive measures",
}  # fmt: skip


def stated_words(events: Sequence[Event]) -> str:
    """Who stated what in a review, in one sentence, where one form states several things."""
    fields = [str(e.data["field"]) for e in events]
    said = [_FIELDS.get(field, f"the {field.replace('_', ' ')}") for field in fields]
    return f"{events[-1].actor} stated {listed(said)}."


def waited(d: Mapping[str, Any]) -> str:
    """The reminder of a runbook's step, by its data."""
    long = format_duration(timedelta(seconds=d["since_s"]))
    return f"“{d['title']}” of the runbook has waited for {d.get('waits_for') or 'somebody'} for {long}."


_SAYS: dict[str, Callable[[Incident, Event], str]] = {
    "opened": lambda i, e: f"{i.name} opened ({e.data['severity']}, {e.data['kind']}): {e.data.get('reason', '')}",
    "alert_opened": lambda _, e: f"Alert opened: {e.data['title']}" + _alert_summary(e.data),
    "alert_closed": lambda _, e: (
        f"Alert closed: {e.data.get('title', '')}" + _alert_summary(e.data)
        + ("" if e.data.get("proves") else " This close proves nothing; the fact behind it is unknown.")
    ),
    "alerts_muted": lambda _, e: f"{counted(len(e.data['alerts']), 'open alert')} muted by {e.actor}.",
    "severity_changed": lambda _, e: f"Severity {e.data['from']} -> {e.data['to']} by {e.actor}{_because(e.data)}.",
    "kind_changed": _kind_changed,
    "runbook_matched": _matched,
    "fact_began": lambda _, e: (
        f"{_fact(e.data).capitalize()} since {when(e.data['begin'])}{_because(e.data, 'text').rstrip('.')}."
    ),
    "fact_ended": lambda _, e: f"Over: {_fact(e.data)}{_facts_with(e.data)}.",
    "fact_unknown": lambda _, e: (
        f"Whether it still holds cannot be measured now: {_fact(e.data)}"
        f"{f' ({why})' if (why := e.data.get('text')) else ''}. It was last measured"
        f" {when(e.data.get('last_measured'))}; its timers run on."
    ),
    "fact_known": lambda _, e: f"Measured again, it still holds: {_fact(e.data)}.",
    "fact_false": lambda _, e: f"Measured, it does not hold now: {_fact(e.data)}. It is over once that has lasted.",
    "acknowledged": lambda i, e: (
        f"{e.data['person']} acknowledged {i.name}"
        + (" by the link of the page" if e.data.get("via") else "")
        + (f" and takes it over from {e.data['from']}." if e.data.get("from") else ".")
    ),
    "handed_over": _handed_over,
    "unacknowledged": lambda _, e: f"Un-acknowledged{_because(e.data)}. L1 is paged again.",
    "asked": lambda i, e: f"{e.data['person']}, are you still on {i.name}?{_because(e.data).replace(':', '', 1)}",
    "still_here": lambda i, e: f"{e.actor} is still on {i.name}.",
    "assigned": lambda i, e: f"{i.name} is assigned to {e.data['person']} by {e.actor}.",
    "status_posted": lambda _, e: f"Status by {_by(e)}: {e.data['text']}",
    "noted": lambda _, e: f"Note by {_by(e)}: {e.data['text']}",
    "pinned": lambda _, e: f"Pinned by {_by(e)}{_written_by(e)}: {e.data['text']}",
    "snoozed": lambda _, e: f"Snoozed by {e.actor} until {when(e.data['until'])}{_because(e.data)}.",
    "paged": _paged,
    "page_delivered": _delivered,
    "page_failed": _failed,
    "page_late": _late,
    "page_doubtful": _doubtful,
    "page_rerouted": lambda _, e: f"The page to {e.data['person']} goes out {PLACES[e.data['place']]} as well.",
    "dial": _dial,
    "contact_told": _contact,
    "contact_written": _written,
    "contact_answered": lambda _, e: (
        f"The {e.data['subject']} contact answered, says {e.actor}{_because(e.data, 'note')}."
    ),
    "contact_reminded": _reminded,
    "hook_called": lambda _, e: "The hook was called for the emergency step.",
    "hook_failed": lambda _, e: f"The hook could not be called for the emergency step: {e.data['error']}.",
    "ack_refused": lambda _, e: (
        f"An acknowledgement link of {e.data.get('person') or 'nobody known'} {_ACK_REFUSED[e.data['why']]}"
        f" and was refused."
    ),
    "page_acknowledged": lambda _, e: f"{e.data['person']} answered {_pages(e.data)}.",
    "timer_fired": _timer,
    "rule_noted": lambda _, e: (
        f"{e.data['level']} has this incident already; a further reason: {'; '.join(e.data['reasons'])}."
    ),
    "warned": _warned,
    "emergency": lambda _, e: (
        f"EMERGENCY: {str(e.data['reason']).removesuffix(': emergency')}."
        + (f" Dial {e.data['number']}." if e.data.get("number") else "")
        + (f" Numbers: {'; '.join(e.data['numbers'])}." if e.data.get("numbers") else "")
    ),
    "nobody_on_call": lambda _, e: (
        f"NOBODY holds {e.data['level']} or any level above. Everybody on the roster is paged."
        f" Numbers to dial: {'; '.join(e.data['numbers']) or 'none known'}."
    ),
    "level_empty": lambda _, e: f"Nobody holds {e.data['level']}; {e.data['instead']} is paged instead.",
    "same_person": _same_person,
    "channel_wanted": lambda _, e: f"A channel was asked for by {_by(e)}.",
    "channel_created": lambda _, e: f"Channel #{e.data['name']} created.",
    "channel_failed": lambda _, e: f"The channel could not be created: {e.data['error']}.",
    "headline_posted": lambda _, e: "Headline posted.",
    "announced": lambda _, e: "Announced.",
    "recovering": lambda i, e: f"{i.name} is recovering{_because(e.data)}. The ladder runs on until it is resolved.",
    "relapsed": lambda i, e: f"{i.name} is not recovering after all{_because(e.data)}.",
    "probed": lambda _, e: f"Probe: {e.data.get('verdict', '')}",
    "flapping": _flapping,
    "resolved": _resolved,
    "reopened": _reopened,
    "reviewed": lambda i, e: f"{i.name} is reviewed; {e.actor} closed the review.",
    "escalated": lambda _, e: f"{e.actor} escalates to {e.data['level']}{_because(e.data)}.",
    "step": lambda _, e: (
        f"Runbook {e.data['runbook']}, step “{e.data['title']}”: {e.data['state']}"
        + (_because(e.data, "verdict") or _because(e.data, "note"))
    ),
    "runbook_started": lambda _, e: (
        f"Runbook {e.data['title']}: {e.data['steps']} steps; reading runs by itself, changes wait for you."
    ),
    "runbook_review_asked": lambda i, e: (
        f"{e.data['person'] or 'Somebody'}, {i.name} was critical, so the runbook {e.data['runbook']} is to be "
        f"reviewed: was it right, was anything missing? Told here alone (reminder {e.data['nth']})."
    ),
    "runbook_reviewed": lambda _, e: f"{e.actor} has reviewed the runbook {e.data['runbook']}.",
    "step_taken": lambda _, e: (
        f"Runbook {e.data['runbook']}, step {e.data['place']} of {e.data['of']}, “{e.data['title']}”"
        + (f": waits for {e.data['waits_for']}." if e.data.get("waits_for") else f": {e.data['operation']} runs.")
    ),
    "step_reminded": lambda _, e: waited(e.data),
    "runbook_ended": lambda _, e: f"Runbook {e.data['runbook']} ends{_because(e.data)}.",
    "planned": lambda _, e: f"{e.actor} plans {e.data['operation']}: {e.data['summary']}",
    "plan_confirmed": lambda _, e: f"{e.actor} confirmed {e.data['operation']}.",
    "plan_approved": lambda _, e: f"{e.actor} approved {e.data['operation']} as the second person.",
    "plan_cancelled": lambda _, e: f"{e.actor} cancelled {e.data['operation']}.",
    "refused": lambda _, e: f"{e.actor} was refused {e.data['asked']}: {e.data['reason']}",
    "operation_started": lambda _, e: f"{e.data['operation']} started.",
    "operation_finished": lambda _, e: f"{e.data['operation']}: {e.data['verdict']}",
    "operation_verified": lambda _, e: (
        f"{e.data['operation']} verified: {str(e.data['verdict']).removeprefix('Verified: ')}"
    ),
    "operation_unknown": lambda _, e: (
        f"{e.data['operation']} was interrupted; its outcome is unknown. {e.data['remedy']}"
    ),
    "reported": lambda _, e: f"{e.data['operation']}: {e.data['verdict']}",
    "break_glass": lambda _, e: f"{e.actor} broke the glass for {e.data['operation']}{_because(e.data)}.",
    "review_drafted": lambda i, e: f"The review of {i.name} is drafted: {e.data.get('filename', '')}.",
    "review_stated": lambda _, e: stated_words([e]),
    "action_added": lambda _, e: f"Action {e.data['id']}: {e.data['text']} (owner {e.data.get('owner') or 'nobody yet'}"
    f", due {e.data.get('due') or 'not set'}).",
    "action_done": lambda _, e: f"Action {e.data['id']} done by {e.actor}.",
    "action_undone": lambda _, e: f"Action {e.data['id']} opened again by {e.actor}.",
}  # fmt: skip

# What the channel is told in a line of its own; the rest shows in the headline, the page or the list of alerts.
SPOKEN = frozenset(
    {
        "severity_changed", "kind_changed", "runbook_matched", "fact_began", "fact_ended", "fact_unknown",
        "acknowledged", "unacknowledged", "asked", "assigned", "status_posted", "noted", "pinned", "snoozed",
        "rule_noted", "warned",
        "emergency", "handed_over", "nobody_on_call", "level_empty", "same_person", "recovering", "relapsed",
        "resolved", "reopened", "reviewed", "escalated", "plan_confirmed", "plan_approved", "plan_cancelled",
        "operation_unknown",
        "action_added", "action_done", "action_undone", "break_glass", "page_failed", "alerts_muted",
        "flapping",
        "page_late", "page_rerouted", "dial", "contact_told", "hook_failed",
        "contact_written", "contact_answered", "contact_reminded",
        "runbook_started", "runbook_ended", "runbook_review_asked", "runbook_reviewed",
    }
)  # fmt: skip


def sentence(incident: Incident, event: Event) -> str:
    """The event in one sentence; an unknown type is named as it is."""
    says = _SAYS.get(event.type)
    return says(incident, event) if says else event.type.replace("_", " ")
