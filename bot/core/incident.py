"""The incident: its events, the state they fold to, and the fold.

The events are the incident; its row is a cache of them (design, "Words"). ``evolve`` is total:
an event type it does not know changes nothing but the sequence number, so that an older
process can read what a newer one wrote.

All instants are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bot.core.alert_model import Kind, Severity
from bot.core.correlation import correlation_key
from bot.core.flapping import Flaps, again, is_flapping
from bot.core.policy import Level, Policy
from bot.core.walk import EVENTS as WALKED
from bot.core.walk import Walk
from bot.core.walk import fold as fold_walk
from bot.core.written import ANSWERED, REMINDED, WRITTEN, Written
from bot.core.written import fold as fold_written


class Status(StrEnum):
    """open -> acknowledged -> recovering -> resolved -> reviewed; reopen until reviewed."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    REVIEWED = "reviewed"


ACTIVE = (Status.OPEN, Status.ACKNOWLEDGED, Status.RECOVERING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One immutable line of the timeline; ``seq`` and ``hash`` are given by the store.

    ``actor`` is a person's roster name, ``slack:U...`` for somebody who is not on it, a source
    ("cloud-monitoring", "watch") or "streamwatch". ``data`` holds JSON values only; instants in
    it are RFC 3339 texts in UTC.
    """

    type: str
    at: datetime
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What the incident remembers of one of its alerts."""

    source: str
    key: str
    title: str
    summary: str
    severity: Severity
    kind: Kind
    open: bool
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    muted: bool = False
    proved: bool = False
    url: str = ""
    policy_name: str = ""
    facts: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """What fires it: the alert policy, by name. Each opening is an alert of its own."""
        return self.policy_name or self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class FactState:
    """A fact of the rules ("down", "error_rate", ...): holds while ``ended_at`` is None."""

    id: str
    begin: datetime
    known_at: datetime
    text: str = ""
    ended_at: datetime | None = None
    unknown_since: datetime | None = None
    false_since: datetime | None = None
    last_true: datetime | None = None
    by_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One attempt to reach one person: (incident, epoch, step, person)."""

    id: str
    epoch: int
    step: str
    level: Level
    person: str
    due_at: datetime
    made_at: datetime
    slack: str | None = None
    urgent: bool = True
    reasons: tuple[str, ...] = ()
    sent_at: datetime | None = None
    acked_at: datetime | None = None
    failed: str = ""
    # Where it goes and what is known of each place: waiting, sent, doubtful, late, failed. Pages of older
    # versions have none.
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def hopeless(self) -> bool:
        """No place of a person's own is left that it may still reach, or has reached."""
        return not any(
            state in ("waiting", "sent", "doubtful", "late")
            for place, state in self.places.items()
            if place not in ("channel", "telephone")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action item of the review."""

    id: int
    text: str
    owner: str = ""
    due: str = ""
    done_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The folded state of one incident."""

    id: int
    project: str
    pipeline: str
    family: str
    title: str
    kind: Kind
    severity: Severity
    status: Status
    policy: Policy
    opened_at: datetime
    claimed: bool = False
    declared: bool = False
    private: bool = False
    wants_channel: bool = True
    linked: tuple[int, ...] = ()
    epoch: int = 1
    # Ladder time is unresolved time: a gap between resolve and reopen is added to this instant.
    ladder_from: datetime | None = None
    # When L1's own steps (backup, emergency, repeats) count from: the epoch, a reopen, an un-acknowledge.
    cycle_from: datetime | None = None
    cycle: int = 1
    # When a ladder that had been switched off (info, recovering) was switched on again: nothing was due before.
    resumed_at: datetime | None = None
    critical_ever: bool = False
    # What only a critical incident brings is due no earlier than it became one.
    critical_since: datetime | None = None
    alerts: Mapping[str, AlertState] = field(default_factory=dict)
    facts: Mapping[str, FactState] = field(default_factory=dict)
    pages: Mapping[str, Page] = field(default_factory=dict)
    # Keys of the hook's calls by the emergency step, to be taken back by the resolve.
    calls: tuple[str, ...] = ()
    fired: Mapping[str, datetime] = field(default_factory=dict)
    manual_level: Level | None = None
    acked_by: str = ""
    acked_at: datetime | None = None
    touched_at: datetime | None = None
    asked_at: datetime | None = None
    assignee: str = ""
    # Whom each person handed their place over to while this was open: outgoing -> incoming.
    successors: Mapping[str, str] = field(default_factory=dict)
    snoozed_until: datetime | None = None
    deletion_at: datetime | None = None
    deletion_known_at: datetime | None = None
    channel_id: str = ""
    channel_name: str = ""
    headline_ts: str = ""
    announcement_ts: str = ""
    probe_verdict: str = ""
    probe_at: datetime | None = None
    good_since: datetime | None = None
    measurable: bool = False
    recovering_since: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: str = ""
    runbook: str = ""
    steps: Mapping[str, str] = field(default_factory=dict)
    walk: Walk | None = None
    # Messages of people to contacts, the last one of each subject.
    written: Mapping[str, Written] = field(default_factory=dict)
    stated: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    review_drafted: bool = False
    last_status: str = ""
    flaps: Flaps = field(default_factory=Flaps)
    updated_at: datetime | None = None
    seq: int = 0

    @property
    def name(self) -> str:
        """The id that people use: ``INC-7``."""
        return f"INC-{self.id}"

    @property
    def key(self) -> str:
        """The correlation key (rules, "From alert to incident")."""
        return correlation_key(self.project, self.pipeline, self.family)

    @property
    def active(self) -> bool:
        """True until it is resolved."""
        return self.status in ACTIVE

    @property
    def open_alerts(self) -> tuple[AlertState, ...]:
        """Alerts that are open and not muted by a resolve."""
        return tuple(a for a in self.alerts.values() if a.open and not a.muted)

    @property
    def holding(self) -> tuple[FactState, ...]:
        """Facts that hold, those included that nobody can measure any more."""
        return tuple(f for f in self.facts.values() if f.ended_at is None)

    def succeeds(self, person: str) -> bool:
        """Whether the place of whoever acknowledged this was handed over to the person, directly or in turns."""
        name, seen = self.acked_by, {""}
        while name not in seen and name != person:
            seen.add(name)
            name = self.successors.get(name, "")
        return bool(self.acked_by) and name == person != self.acked_by

    def flapping(self, at: datetime) -> bool:
        """Whether its alerts open and close again and again, as of an instant."""
        return is_flapping(self.flaps, at, self.policy.flap_half_life, self.policy.flap_score)

    def paged_levels(self) -> frozenset[Level]:
        """Levels paged in this epoch."""
        return frozenset(p.level for p in self.pages.values() if p.epoch == self.epoch)


def instant(value: Any) -> datetime | None:
    """Read an instant out of event data; None stays None. Raises ValueError on anything else."""
    return None if value in (None, "") else datetime.fromisoformat(str(value))


def stamp(value: datetime | None) -> str | None:
    """The form of an instant in event data."""
    return None if value is None else value.isoformat()


def begin(number: int, event: Event) -> Incident:
    """The state after an ``opened`` event, the first of every timeline."""
    d = event.data
    severity = Severity(d["severity"])
    paging = severity is not Severity.INFO
    recovering = d.get("status") == Status.RECOVERING
    return Incident(
        id=number,
        project=d["project"],
        pipeline=d["pipeline"],
        family=d["family"],
        title=d["title"],
        kind=Kind(d["kind"]),
        severity=severity,
        status=Status(d.get("status", Status.OPEN)),
        policy=Policy.from_dict(d["policy"]),
        opened_at=event.at,
        claimed=bool(d.get("claimed")),
        declared=bool(d.get("declared")),
        private=bool(d.get("private")),
        wants_channel=bool(d.get("wants_channel", True)),
        linked=tuple(d.get("linked", ())),
        ladder_from=event.at if paging and not recovering else None,
        cycle_from=event.at if paging and not recovering else None,
        recovering_since=event.at if recovering else None,
        critical_ever=severity is Severity.CRITICAL,
        critical_since=event.at if severity is Severity.CRITICAL else None,
        runbook=d.get("runbook", ""),
        updated_at=event.at,
        seq=event.seq,
    )


def evolve(state: Incident, event: Event) -> Incident:
    """Fold one event into the state."""
    fold = _FOLDS.get(event.type)
    changed = fold(state, event) if fold else state
    if event.type in WALKED:
        walk = fold_walk(changed.walk, event.type, event.at, event.actor, event.data)
        changed = replace(changed, walk=walk)
    if event.type in (WRITTEN, ANSWERED, REMINDED):
        told = fold_written(changed.written, event.type, event.at, event.actor, event.data)
        changed = replace(changed, written=told)
    touched = changed.touched_at
    if changed.acked_by and event.actor == changed.acked_by:
        touched = event.at
    return replace(changed, seq=event.seq, updated_at=event.at, touched_at=touched)


def fold(number: int, events: Iterable[Event]) -> Incident | None:
    """The state that a whole timeline folds to; None for no events."""
    state: Incident | None = None
    for event in events:
        state = begin(number, event) if state is None else evolve(state, event)
    return state


# --- the folds, one for each event type, in the order of an incident's life ------------------------------


def _alert_opened(s: Incident, e: Event) -> Incident:
    d = e.data
    before = s.alerts.get(f"{d['source']}:{d['key']}")
    # A graver copy may show another fact; the close ends what any of the copies began.
    facts = (*(before.facts if before else ()), *d.get("facts", ()))
    alert = AlertState(
        source=d["source"],
        key=d["key"],
        title=d["title"],
        summary=d.get("summary", ""),
        severity=Severity(d["severity"]),
        kind=Kind(d["kind"]),
        open=True,
        opened_at=instant(d.get("began_at")) or e.at,
        url=d.get("url", ""),
        policy_name=d.get("policy_name", ""),
        facts=tuple(dict.fromkeys(facts)),
    )
    name = f"{alert.source}:{alert.key}"
    return replace(s, alerts={**s.alerts, name: alert}, flaps=_flaps(s, name, alert, e.at))


def _flaps(s: Incident, name: str, alert: AlertState, at: datetime) -> Flaps:
    """An opening counts as a flap where this alert policy's alerts had all closed."""
    known = [a for key, a in s.alerts.items() if key != name and a.cause == alert.cause]
    if not known or name in s.alerts or any(a.open for a in known):
        return s.flaps
    return again(s.flaps, at, alert.cause, s.policy.flap_half_life, s.policy.flap_score)


def _alert_closed(s: Incident, e: Event) -> Incident:
    name = f"{e.data['source']}:{e.data['key']}"
    alert = s.alerts.get(name)
    if alert is None:
        return s
    closed = replace(alert, open=False, closed_at=e.at, proved=bool(e.data.get("proves")))
    return replace(s, alerts={**s.alerts, name: closed})


def _alerts_muted(s: Incident, e: Event) -> Incident:
    muted = {k: replace(a, muted=True) if k in e.data["alerts"] else a for k, a in s.alerts.items()}
    return replace(s, alerts=muted)


def _severity_changed(s: Incident, e: Event) -> Incident:
    to = Severity(e.data["to"])
    start = s.ladder_from
    cycle = s.cycle_from
    if to is not Severity.INFO and start is None and s.status is not Status.RECOVERING:
        start = cycle = e.at
    # A snooze holds the ladder back until the incident is critical: that switches it on as well.
    snoozed = s.snoozed_until is not None and s.snoozed_until > e.at
    critical = to is Severity.CRITICAL and s.severity is not Severity.CRITICAL
    resumes = (s.severity is Severity.INFO and to is not Severity.INFO) or (critical and snoozed)
    return replace(
        s,
        severity=to,
        ladder_from=start,
        cycle_from=cycle,
        resumed_at=e.at if resumes else s.resumed_at,
        wants_channel=s.wants_channel or to is not Severity.INFO,
        critical_ever=s.critical_ever or to is Severity.CRITICAL,
        critical_since=e.at if critical else s.critical_since,
    )


def _kind_changed(s: Incident, e: Event) -> Incident:
    return replace(s, kind=Kind(e.data["to"]), runbook=e.data.get("runbook", s.runbook))


def _fact_began(s: Incident, e: Event) -> Incident:
    fact = FactState(
        id=e.data["fact"],
        begin=instant(e.data["begin"]) or e.at,
        known_at=e.at,
        text=e.data.get("text", ""),
        last_true=e.at,
        by_probe=bool(e.data.get("by_probe")),
    )
    return replace(s, facts={**s.facts, fact.id: fact})


def _with_fact(s: Incident, e: Event, change: Callable[[FactState], FactState]) -> Incident:
    fact = s.facts.get(e.data["fact"])
    return s if fact is None else replace(s, facts={**s.facts, fact.id: change(fact)})


def _fact_ended(s: Incident, e: Event) -> Incident:
    return _with_fact(s, e, lambda f: replace(f, ended_at=e.at, unknown_since=None))


def _fact_unknown(s: Incident, e: Event) -> Incident:
    # Minutes that nobody measured do not count as minutes in which the fact was false.
    last = instant(e.data.get("last_measured"))
    return _with_fact(
        s, e, lambda f: replace(f, unknown_since=e.at, false_since=None, last_true=last or f.last_true)
    )


def _fact_known(s: Incident, e: Event) -> Incident:
    return _with_fact(s, e, lambda f: replace(f, unknown_since=None, false_since=None, last_true=e.at))


def _fact_false(s: Incident, e: Event) -> Incident:
    return _with_fact(s, e, lambda f: replace(f, unknown_since=None, false_since=e.at))


def _acknowledged(s: Incident, e: Event) -> Incident:
    status = Status.ACKNOWLEDGED if s.status is Status.OPEN else s.status
    return replace(
        s,
        status=status,
        acked_by=e.data["person"],
        acked_at=e.at,
        touched_at=e.at,
        asked_at=None,
        assignee=e.data["person"] if s.assignee in ("", e.data.get("from")) else s.assignee,
    )


def _unacknowledged(s: Incident, e: Event) -> Incident:
    status = Status.OPEN if s.status is Status.ACKNOWLEDGED else s.status
    return replace(
        s,
        status=status,
        acked_by="",
        acked_at=None,
        touched_at=None,
        asked_at=None,
        cycle_from=e.at,
        cycle=s.cycle + 1,
    )


def _paged(s: Incident, e: Event) -> Incident:
    d = e.data
    page = Page(
        id=d["page"],
        epoch=d["epoch"],
        step=d["step"],
        level=Level(d["level"]),
        person=d["person"],
        due_at=instant(d["due_at"]) or e.at,
        made_at=e.at,
        slack=d.get("slack"),
        urgent=bool(d.get("urgent", True)),
        reasons=tuple(d.get("reasons", ())),
        places=dict.fromkeys(d.get("places", ()), "waiting"),
    )
    return replace(s, pages={**s.pages, page.id: page})


def _with_page(s: Incident, e: Event, change: Callable[[Page], Page]) -> Incident:
    page = s.pages.get(e.data["page"])
    return s if page is None else replace(s, pages={**s.pages, page.id: change(page)})


def _placed(page: Page, e: Event, state: str) -> Page:
    place = str(e.data.get("place") or "direct message")
    return replace(page, places={**page.places, place: state})


def _page_delivered(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: replace(_placed(p, e, "sent"), sent_at=p.sent_at or e.at, failed=""))


def _page_failed(s: Incident, e: Event) -> Incident:
    """It failed as a whole when it failed at the last place that it could go to."""

    def failed(page: Page) -> Page:
        there = _placed(page, e, "failed")
        lost = there.hopeless and there.sent_at is None
        return replace(there, failed=str(e.data.get("error", "failed"))) if lost else there

    return _with_page(s, e, failed)


def _page_doubtful(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: _placed(p, e, "doubtful"))


def _page_late(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: _placed(p, e, "late"))


def _page_rerouted(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: replace(_placed(p, e, "waiting"), failed=""))


def _dial(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: replace(p, places={**p.places, "telephone": "printed"}))


def _emergency(s: Incident, e: Event) -> Incident:
    return replace(s, calls=(*s.calls, *(call["key"] for call in e.data.get("calls", ()))))


def _page_acknowledged(s: Incident, e: Event) -> Incident:
    """``pages`` are all that the person answers with it; ``page`` is the newest of them."""
    named = {e.data["page"], *e.data.get("pages", ())}
    pages = {
        name: replace(p, acked_at=p.acked_at or e.at) if name in named else p for name, p in s.pages.items()
    }
    return replace(s, pages=pages)


def _timer_fired(s: Incident, e: Event) -> Incident:
    due = instant(e.data.get("due_at")) or e.at
    return replace(s, fired={**s.fired, **dict.fromkeys(e.data["steps"], due)})


def _recovering(s: Incident, e: Event) -> Incident:
    return replace(
        s, status=Status.RECOVERING, recovering_since=e.at, good_since=instant(e.data.get("good_since"))
    )


def _relapsed(s: Incident, e: Event) -> Incident:
    start = s.ladder_from
    cycle = s.cycle_from
    if start is None and s.severity is not Severity.INFO:
        start = cycle = e.at
    status = Status.ACKNOWLEDGED if s.acked_by else Status.OPEN
    return replace(
        s,
        status=status,
        recovering_since=None,
        good_since=None,
        ladder_from=start,
        cycle_from=cycle,
        resumed_at=e.at,
    )


def _probed(s: Incident, e: Event) -> Incident:
    deletion = instant(e.data.get("deletion_at"))
    known = s.deletion_known_at if s.deletion_at and deletion else e.at if deletion else None
    return replace(
        s,
        probe_verdict=e.data.get("verdict", ""),
        probe_at=e.at,
        measurable=bool(e.data.get("measurable")),
        good_since=instant(e.data.get("good_since")),
        deletion_at=deletion,
        deletion_known_at=known,
    )


def _resolved(s: Incident, e: Event) -> Incident:
    return replace(s, status=Status.RESOLVED, resolved_at=e.at, resolved_by=e.actor, snoozed_until=None)


def _reopened(s: Incident, e: Event) -> Incident:
    gap = e.at - s.resolved_at if s.resolved_at else timedelta(0)
    if e.data.get("damped"):
        # It flaps: nobody is paged anew, and whoever had it in hand has it still.
        return replace(
            s,
            status=Status.ACKNOWLEDGED if s.acked_by else Status.OPEN,
            resolved_at=None,
            resolved_by="",
            recovering_since=None,
            good_since=None,
            resumed_at=e.at,
            ladder_from=s.ladder_from + gap if s.ladder_from else s.ladder_from,
        )
    common = replace(
        s,
        status=Status.OPEN,
        acked_by="",
        acked_at=None,
        resolved_at=None,
        resolved_by="",
        recovering_since=None,
        good_since=None,
        cycle_from=e.at,
        cycle=s.cycle + 1,
    )
    # Info has no ladder: it starts when warning is first reached.
    fresh = None if s.severity is Severity.INFO else e.at
    if e.data.get("new_epoch"):
        return replace(
            common, epoch=s.epoch + 1, ladder_from=fresh, cycle_from=fresh, fired={}, manual_level=None
        )
    if s.ladder_from is None:
        return replace(common, ladder_from=fresh, cycle_from=fresh)
    return replace(common, ladder_from=s.ladder_from + gap)


def _reviewed(s: Incident, _: Event) -> Incident:
    return replace(s, status=Status.REVIEWED)


def _escalated(s: Incident, e: Event) -> Incident:
    level = Level(e.data["level"])
    return replace(s, manual_level=level if s.manual_level is None else max(s.manual_level, level))


def _action_added(s: Incident, e: Event) -> Incident:
    d = e.data
    item = Action(id=d["id"], text=d["text"], owner=d.get("owner", ""), due=d.get("due", ""))
    return replace(s, actions=(*s.actions, item))


def _action_done(s: Incident, e: Event) -> Incident:
    done = tuple(replace(a, done_by=e.actor) if a.id == e.data["id"] else a for a in s.actions)
    return replace(s, actions=done)


def _action_undone(s: Incident, e: Event) -> Incident:
    undone = tuple(replace(a, done_by="") if a.id == e.data["id"] else a for a in s.actions)
    return replace(s, actions=undone)


def _step(s: Incident, e: Event) -> Incident:
    return replace(s, steps={**s.steps, e.data["step"]: e.data.get("state", "done")})


_FOLDS: dict[str, Callable[[Incident, Event], Incident]] = {
    "alert_opened": _alert_opened,
    "alert_closed": _alert_closed,
    "alerts_muted": _alerts_muted,
    "severity_changed": _severity_changed,
    "kind_changed": _kind_changed,
    "fact_began": _fact_began,
    "fact_ended": _fact_ended,
    "fact_unknown": _fact_unknown,
    "fact_known": _fact_known,
    "fact_false": _fact_false,
    "acknowledged": _acknowledged,
    "unacknowledged": _unacknowledged,
    "asked": lambda s, e: replace(s, asked_at=e.at),
    "handed_over": lambda s, e: replace(s, successors={**s.successors, e.data["from"]: e.data["to"]}),
    "assigned": lambda s, e: replace(s, assignee=e.data["person"]),
    "status_posted": lambda s, e: replace(s, last_status=e.data["text"]),
    "snoozed": lambda s, e: replace(s, snoozed_until=instant(e.data["until"])),
    "paged": _paged,
    "page_delivered": _page_delivered,
    "page_failed": _page_failed,
    "page_doubtful": _page_doubtful,
    "page_late": _page_late,
    "page_rerouted": _page_rerouted,
    "dial": _dial,
    "emergency": _emergency,
    "page_acknowledged": _page_acknowledged,
    "timer_fired": _timer_fired,
    "channel_wanted": lambda s, _: replace(s, wants_channel=True),
    "channel_created": lambda s, e: replace(s, channel_id=e.data["channel"], channel_name=e.data["name"]),
    "headline_posted": lambda s, e: replace(s, headline_ts=e.data["ts"]),
    "announced": lambda s, e: replace(s, announcement_ts=e.data["ts"]),
    "recovering": _recovering,
    "relapsed": _relapsed,
    "probed": _probed,
    "resolved": _resolved,
    "reopened": _reopened,
    "reviewed": _reviewed,
    "escalated": _escalated,
    "runbook_started": lambda s, e: replace(s, runbook=e.data["runbook"]),
    "step": _step,
    "review_drafted": lambda s, _: replace(s, review_drafted=True),
    "review_stated": lambda s, e: replace(s, stated={**s.stated, e.data["field"]: e.data["text"]}),
    "action_added": _action_added,
    "action_done": _action_done,
    "action_undone": _action_undone,
}
