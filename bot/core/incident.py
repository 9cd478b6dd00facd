"""The incident: its events and the state that they fold to (``bot.core.folding``).

The events are the incident; its row is a cache of them (design, "Words").
All instants are aware UTC datetimes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.core.alert_model import Kind, Severity
from bot.core.correlation import correlation_key
from bot.core.flapping import Flaps, is_flapping
from bot.core.policy import Level, Policy
from bot.core.walk import Walk
from bot.core.written import Written


class Status(StrEnum):
    """open -> acknowledged -> recovering -> resolved -> reviewed; reopen until reviewed."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    REVIEWED = "reviewed"


ACTIVE = (Status.OPEN, Status.ACKNOWLEDGED, Status.RECOVERING)
_NUMBER = re.compile(r"(?:inc-?)?0*([1-9][0-9]{0,8})", re.IGNORECASE | re.ASCII)


def number_of(text: str) -> int | None:
    """INC-7, inc-7, inc-0007 and 7 are all incident 7; anything else is None."""
    match = _NUMBER.fullmatch(text.strip())
    return int(match[1]) if match else None


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
    runbook: str = ""  # the one that its policy names

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
    stated: bool = False  # a person said so: it is over when people say so, and no measurement disproves it


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
    def of_contact(self) -> bool:
        """It went to somebody as a contact: that is no page to the level whose number it bears."""
        return ":contact:" in self.step

    @property
    def of_first_level(self) -> bool:
        """It is of one of L1's own steps, which page a higher level where L1 is empty; "e1:c2:L2" is none."""
        parts = self.step.split(":")
        own = len(parts) > 2 and parts[1].startswith("c") and parts[2] != "L2"
        return self.level is Level.L1 or (own and not self.of_contact)

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
        """Levels paged in this epoch; a contact who was told is none."""
        return frozenset(p.level for p in self.pages.values() if p.epoch == self.epoch and not p.of_contact)


def instant(value: Any) -> datetime | None:
    """Read an instant out of event data; None stays None. Raises ValueError on anything else."""
    return None if value in (None, "") else datetime.fromisoformat(str(value))


def stamp(value: datetime | None) -> str | None:
    """The form of an instant in event data."""
    return None if value is None else value.isoformat()
