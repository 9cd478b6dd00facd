"""A rehearsal: what happens and when, on a clock of its own ("Outside interface: Files in runbooks").

All instants are aware UTC datetimes, all durations `timedelta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bot.core.policy import Policy
from bot.core.roster import Roster


@dataclass(frozen=True, slots=True)
class AlertArrives:
    """An alert comes in: JSON-able data. `severity`, `kind` and `state`, where given, are known words."""

    at: datetime
    alert: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChanges:
    """A fact of a pipeline becomes true or false; `pipeline` None is the one that the rehearsal is about."""

    at: datetime
    name: str
    on: bool
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class PersonActs:
    """A person acknowledges or resolves."""

    at: datetime
    person: str
    act: Literal["ack", "resolve"]


@dataclass(frozen=True, slots=True)
class Outage:
    """The bot or Slack is down from `at` for `length`."""

    at: datetime
    what: Literal["bot", "slack"]
    length: timedelta


Happening = AlertArrives | FactChanges | PersonActs | Outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a rehearsal file says, in time order. `policy` and `roster` None: those of the folder."""

    name: str
    start: datetime
    happenings: tuple[Happening, ...]
    policy: Policy | None = None
    roster: Roster | None = None
