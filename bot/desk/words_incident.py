"""``/incident``: each word of it as one function from a request to answers (design, "Ways through the house")."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.core import brief as briefs
from bot.core import lifecycle
from bot.core.access import Action
from bot.core.alert_model import Kind, Severity
from bot.core.asks import OpenForm
from bot.core.budget import SOURCE as BUDGET
from bot.core.correlation import family as family_of
from bot.core.delivery import Outbound
from bot.core.folding import begin
from bot.core.incident import Event, Incident
from bot.core.paging import contact_by_hand, next_level, page_by_hand
from bot.core.policy import Level, fact_words, format_duration, parse_duration
from bot.core.refusal import Refused
from bot.core.roster import CONTACTS
from bot.core.sentences import sentence
from bot.core.text import counted
from bot.core.timer_log import State, entries
from bot.desk import words_contacts
from bot.desk.answers import private
from bot.desk.asked import Asked, need, sees, somebody, which
from bot.desk.change import change
from bot.desk.receive import budget_state, put_budget_state

Answers = list[Outbound]
TIMERS_SHOWN = 40


def _done(asked: Asked, text: str) -> Answers:
    return [private(asked.asker, asked.key, text)]


def _store(asked: Asked, incident: Incident, events: list[Event]) -> Incident:
    return change(asked.tx, asked.house, incident, incident.id, events)


def declare(asked: Asked) -> Answers:
    """declare [critical|warning|info] [KIND] TITLE: open an incident; warning and above page L1 at once"""
    words = list(asked.words)
    severity = Severity.WARNING
    kind = Kind.HEALTH
    if words and words[0].lower() in tuple(Severity):
        severity = Severity(words.pop(0).lower())
    if words and words[0].lower() in tuple(Kind):
        kind = Kind(words.pop(0).lower())
    elif words and words[0].lower() in tuple(Severity):
        severity = Severity(words.pop(0).lower())
    title = " ".join(words).strip()
    if not title:
        raise Refused("An incident needs a title.", "`/incident declare critical health Orders stopped`")
    incident = declared(asked, severity, kind, title)
    return _done(asked, declared_words(incident))


def declared_words(incident: Incident) -> str:
    """What whoever declared it reads."""
    where = "Its private channel opens now." if incident.private else "Its channel opens now."
    if not incident.wants_channel:
        where = "It stands in the announcements, with a button that opens a channel."
    return f"{incident.name} is declared ({incident.severity}, {incident.kind}). {where}"


def declared(asked: Asked, severity: Severity, kind: Kind, title: str) -> Incident:
    """A declared incident takes the correlation key too, so an alert that comes later joins it."""
    pipelines = asked.house.pipelines
    named = [p for p in pipelines if p.name.lower() in title.lower().split()] or list(pipelines[:1])
    pipeline = named[0] if len(named) == 1 and (len(pipelines) == 1 or len(named) < len(pipelines)) else None
    project = pipeline.project if pipeline else ""
    name = pipeline.name if pipeline else "not named"
    family = family_of(kind)
    if kind is Kind.SECURITY:
        severity = Severity.CRITICAL
    first = lifecycle.opened(
        project=project,
        pipeline=name,
        family=str(family),
        title=title[:200],
        kind=kind,
        severity=severity,
        policy=asked.house.policy,
        now=asked.now,
        actor=asked.name,
        reason=f"declared by {asked.shown}",
        claimed=pipeline is not None,
        declared=True,
        runbook=asked.house.runbook_names().get(kind, ""),
    )
    number = asked.tx.next_number()
    state = begin(number, first)
    standing = None if state.private else asked.tx.open_incident(state.key)
    if standing is not None:
        raise Refused(
            f"{standing.name} is open for {standing.pipeline} already: {standing.title}.",
            f"Work there, or note it: `/incident note {standing.name} {title[:60]}`.",
        )
    events = [first]
    if kind is Kind.SECURITY:
        data = {"fact": "security", "begin": asked.now.isoformat(), "text": "declared by a person"}
        events.append(lifecycle.event("fact_began", asked.now, asked.name, **data))
    return change(asked.tx, asked.house, None, number, events)


def list_(asked: Asked) -> Answers:
    """list: the incidents that are open, with their holders"""
    shown = [i for i in asked.tx.incidents(active=True, limit=30) if sees(asked, i)]
    if not shown:
        return _done(asked, "No incident is open.")
    lines = [f"{i.name} {i.severity} {i.status}: {i.title} ({i.pipeline}), {_who(i)}" for i in shown]
    return [
        private(asked.asker, asked.key, f"{counted(len(shown), 'open incident')}", form="list", lines=lines)
    ]


def _who(i: Incident) -> str:
    return f"with {i.acked_by}" if i.acked_by else "nobody has acknowledged it"


def ack(asked: Asked) -> Answers:
    """ack [ID]: say that you have it; the repeats stop"""
    incident, _ = which(asked)
    name = need(asked, "acknowledge", incident)
    _store(asked, incident, lifecycle.acknowledge(incident, name, asked.now))
    # Info has no ladder.
    timed = incident.severity is not Severity.INFO
    still = " L2 and above are still timed until it is resolved." if timed else ""
    return _done(asked, f"You acknowledged {incident.name}.{still}")


def assign(asked: Asked) -> Answers:
    """assign [ID] @user: give it to somebody, who is invited"""
    incident, rest = which(asked)
    need(asked, "respond", incident)
    if not rest:
        raise Refused("Assign it to whom?", "`/incident assign @bob`")
    person = somebody(asked, rest[0])
    events = lifecycle.take_over(incident, person.name, asked.now, asked.name)
    events = [
        lifecycle.event("assigned", asked.now, asked.name, **{**e.data, "slack": person.slack})
        for e in events
    ]
    _store(asked, incident, events)
    return _done(asked, f"{incident.name} is assigned to {person.name}.")


def severity(asked: Asked) -> Answers:
    """severity [ID] LEVEL [REASON]: raise or lower it"""
    incident, rest = which(asked)
    need(asked, "respond", incident)
    if not rest or rest[0].lower() not in tuple(Severity):
        raise Refused(
            "Which severity?", "`/incident severity critical REASON`; there are critical, warning, info."
        )
    to = Severity(rest[0].lower())
    _store(asked, incident, lifecycle.set_severity(incident, to, " ".join(rest[1:]), asked.now, asked.name))
    return _done(asked, f"{incident.name} is {to} now.")


def loss(asked: Asked) -> Answers:
    """loss [ID] WHAT: data is lost or corrupted; L2 is paged at once. `loss ended [WHY]` takes it back"""
    incident, rest = which(asked, free=asked.words[1:2] != ("ended",))
    need(asked, "respond", incident)
    if not rest:
        raise Refused(
            "What was lost, or is wrong?", "`/incident loss the prices of 02:00 to 02:40 are wrong`"
        )
    if rest[0].lower() == "ended":
        _store(
            asked, incident, lifecycle.data_found(incident, " ".join(rest[1:])[:300], asked.now, asked.name)
        )
        return _done(asked, f"The data loss of {incident.name} is over.")
    _store(asked, incident, lifecycle.lost_data(incident, " ".join(rest)[:300], asked.now, asked.name))
    return _done(
        asked, f"Data loss stands on {incident.name}'s timeline: it is critical, and escalates at once."
    )


def _text(asked: Asked, what: str) -> tuple[Incident, str]:
    incident, rest = which(asked, free=True)
    need(asked, "tell", incident)
    text = " ".join(rest).strip()
    if not text:
        raise Refused(f"The {what} has no text.", f"`/incident {what} TEXT`")
    return incident, text[:2000]


def status(asked: Asked) -> Answers:
    """status [ID] TEXT: what the headline says about where you are"""
    incident, text = _text(asked, "status")
    _store(asked, incident, [lifecycle.event("status_posted", asked.now, asked.name, text=text, **asked.who)])
    return _done(asked, f"The status of {incident.name} is posted.")


def note(asked: Asked) -> Answers:
    """note [ID] TEXT: a line on the timeline"""
    incident, text = _text(asked, "note")
    _store(asked, incident, [lifecycle.event("noted", asked.now, asked.name, text=text, **asked.who)])
    return _done(asked, f"Noted on the timeline of {incident.name}.")


def escalate(asked: Asked) -> Answers:
    """escalate [ID] [L2|L3|L4|CONTACT] [REASON]: page the next level now, or a contact such as data"""
    incident, rest = which(asked)
    need(asked, "respond", incident)
    words = list(rest)
    if words and words[0].lower() in CONTACTS:
        return _contact(asked, incident, words[0].lower(), " ".join(words[1:]))
    level = next_level(incident)
    if words and words[0].upper() in ("L2", "L3", "L4"):
        level = Level(words.pop(0).upper())
    reason = " ".join(words)
    events = lifecycle.escalate(incident, level, reason, asked.now, asked.name)
    events += page_by_hand(incident, level, asked.house.roster, asked.now, asked.name, reason)
    _store(asked, incident, events)
    return _done(asked, _who_is_paged(incident, level, events))


def _who_is_paged(incident: Incident, level: Level, events: Sequence[Event]) -> str:
    """Whom an escalation reached: where nobody holds the level, it is somebody else."""
    told = {e.type: e for e in events}
    if "nobody_on_call" in told:
        return f"Nobody holds {level} or a level above; everybody on the roster is paged for {incident.name} now."
    head = f"{level} is paged for {incident.name} now"
    if "level_empty" in told:
        head = f"Nobody holds {level}; {told['level_empty'].data['instead']} is paged for {incident.name} now"
    return f"{head}: {', '.join(e.data['person'] for e in events if e.type == 'paged')}."


def _contact(asked: Asked, incident: Incident, subject: str, reason: str) -> Answers:
    if not incident.active:
        raise Refused(f"{incident.name} is {incident.status}; nobody is called for it any more.")
    events = contact_by_hand(incident, subject, asked.house.roster, asked.now, asked.name, reason)
    if not events:
        named = ", ".join(asked.house.roster.contacts) or "none"
        raise Refused(f"The roster names no contact for {subject}.", f"It names: {named}.")
    _store(asked, incident, events)
    return _done(asked, f"The {subject} contact is told of {incident.name} now.")


def snooze(asked: Asked) -> Answers:
    """snooze [ID] 2h REASON: no repeats until then; a critical ladder runs on"""
    incident, rest = which(asked)
    need(asked, "respond", incident)
    if not rest:
        raise Refused("Snooze for how long, and why?", "`/incident snooze 2h waiting for the vendor`")
    try:
        length = parse_duration(rest[0])
    except ValueError as error:
        raise Refused(str(error)) from error
    events = lifecycle.snooze(incident, length, " ".join(rest[1:]), asked.now, asked.name)
    _store(asked, incident, events)
    return _done(
        asked, f"{incident.name} is snoozed for {format_duration(length)}. A critical ladder runs on."
    )


def timeline(asked: Asked) -> Answers:
    """timeline [ID]: what happened, line by line"""
    incident, _ = which(asked)
    need(asked, "read", incident)
    events = [e for e in asked.tx.events(incident.id) if e.type not in ("timer_fired", "probed", "refused")]
    shown = events[-40:]
    told: list[dict[str, str]] = []
    for last, e in zip([None, *shown], shown, strict=False):
        mark = f"[e{e.seq}]"
        if last is not None and _says_again(last, e):
            # The step's line has the report's verdict in it.
            told.pop()
            mark = f"[e{last.seq}] {mark}"
        told.append({"at": e.at.isoformat(), "words": f"{mark} {sentence(incident, e)}"})
    head = f"Timeline of {incident.name}: the last {len(shown)} of {len(events)} events"
    return [private(asked.asker, asked.key, head, form="timeline", events=told)]


def _says_again(report: Event, step: Event) -> bool:
    return (report.type, step.type) == ("reported", "step") and report.data.get("verdict") == step.data.get(
        "verdict"
    )


def brief(asked: Asked) -> Answers:
    """brief [ID]: state, tried, ruled out, next, risks, for whoever takes over"""
    incident, _ = which(asked)
    need(asked, "read", incident)
    told = briefs.brief(incident, asked.tx.events(incident.id), asked.now)
    head = f"Hand-over brief of {incident.name}: {told.title}"
    return [private(asked.asker, asked.key, head, form="list", lines=told.lines())]


def timers(asked: Asked) -> Answers:
    """timers [ID]: every timer, armed, late, fired or cancelled: when it is due, and why"""
    incident, _ = which(asked)
    need(asked, "read", incident)
    found = entries(asked.tx.events(incident.id), asked.now)
    counts = [(state, sum(1 for entry in found if entry.state is state)) for state in State]
    head = f"Timers of {incident.name}: " + ", ".join(f"{count} {state}" for state, count in counts)
    told = [
        {"lead": f"{e.state}: {e.what}", "due": e.due_at.isoformat(), "words": e.words(asked.now)}
        for e in found[:TIMERS_SHOWN]
    ]
    if len(found) > TIMERS_SHOWN:
        head += f"; the first {TIMERS_SHOWN}"
    zone = asked.person.tz if asked.person is not None else "UTC"
    return [private(asked.asker, asked.key, head, form="timers", timers=told, zone=zone)]


def resolve(asked: Asked, *, confirmed: bool = False) -> Answers:
    """resolve [ID] [--yes] [REASON]: it is over; asks first while alerts are open"""
    incident, rest = which(asked, free=True)
    need(asked, "respond", incident)
    words = [word for word in rest if word != "--yes"]
    confirmed = confirmed or len(words) < len(rest)
    alerts = incident.open_alerts
    if incident.active and alerts and not confirmed:
        text = f"{incident.name} still has {counted(len(alerts), 'open alert')}. Resolving mutes them."
        button = {
            "action": "incident_resolve",
            "label": f"Resolve {incident.name} and mute them",
            "value": f"{incident.id}:confirmed",
            "style": "danger",
        }
        return [private(asked.asker, asked.key, text, buttons=[button])]
    events = lifecycle.resolve(incident, asked.now, asked.name, " ".join(words), confirmed=True)
    for alert in incident.alerts.values():
        if alert.source == BUDGET and (state := budget_state(asked.tx, alert.key)) is not None:
            put_budget_state(asked.tx, state, decided=True)
    _store(asked, incident, events)
    return _done(asked, f"{incident.name} is resolved.{_still(incident)}")


def _still(before: Incident) -> str:
    """What the watch saw last; it does not take a person's word for it."""
    seen = [fact_words(f.id) for f in before.holding if f.by_probe]
    if not seen:
        return ""
    return f" If the watch goes on seeing it ({', '.join(seen)}), the incident opens again."


def reopen(asked: Asked) -> Answers:
    """reopen [ID] [REASON]: it is back; L1 is paged"""
    incident, rest = which(asked, free=True)
    need(asked, "respond", incident)
    taken = None if incident.private else asked.tx.open_incident(incident.key)
    if taken is not None and taken.id != incident.id:
        raise Refused(f"{taken.name} is open for {incident.pipeline} now.", "Work there.")
    events = lifecycle.reopen(incident, asked.now, asked.name, " ".join(rest))
    _store(asked, incident, events)
    paged = "" if incident.severity is Severity.INFO else "; L1 is paged"
    return _done(asked, f"{incident.name} is open again{paged}.")


WORDS: dict[str, Callable[[Asked], Answers | OpenForm]] = {
    "declare": declare,
    "list": list_,
    "ack": ack,
    "assign": assign,
    "severity": severity,
    "loss": loss,
    "status": status,
    "note": note,
    "escalate": escalate,
    "notify": words_contacts.notify,
    "snooze": snooze,
    "timeline": timeline,
    "brief": brief,
    "timers": timers,
    "resolve": resolve,
    "reopen": reopen,
}

# What each word asks of whoever uses it; those that are absent only read.
NEEDS: dict[str, Action] = {
    "ack": "acknowledge",
    "assign": "respond",
    "severity": "respond",
    "loss": "respond",
    "status": "tell",
    "note": "tell",
    "escalate": "respond",
    "notify": "respond",
    "snooze": "respond",
    "resolve": "respond",
    "reopen": "respond",
}
