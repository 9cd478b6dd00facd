"""The escalation policy: the ladder, its timers and its rules, as plain data.

All durations are `timedelta`. The numbers here are the shipped defaults ("Rules: Escalation", "Rules:
Facts"); a team's policy file says what differs. A policy is frozen into each incident, so `to_dict` and
`from_dict` keep it as JSON: a policy that an older version froze lacks newer keys and takes their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=30)
_DURATION = re.compile(r"(?:(\d{1,7})d)?(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,7})s)?", re.ASCII)


class Level(StrEnum):
    """A level of the on-call ladder. Levels compare in their order: `Level.L1 < Level.L2`."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"

    @property
    def up(self) -> Level | None:
        """The next level of the ladder, or None at its top."""
        order = list(Level)
        place = order.index(self) + 1
        return order[place] if place < len(order) else None


FACTS: tuple[str, ...] = (
    "down",
    "data_loss",
    "security",
    "budget_overrun",
    "degraded",
    "error_rate",
    "cost",
    "persistent_minor",
    "resource_constraint",
    "degradation_trend",
)
"""Every fact that a rule can be about ("Rules: Facts")."""


_WORDS = {
    "persistent_minor": "persistent minor issue",
    "error_rate": "high error rate",
    "cost": "high cost",
    "security": "suspected security incident",
}


def fact_words(fact: str) -> str:
    """A fact's id for people: "budget overrun"."""
    return _WORDS.get(fact) or fact.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Escalate to a level once a fact has held for `for_`, at the latest `within` after that."""

    id: str
    fact: str
    for_: timedelta
    within: timedelta
    to: Level = Level.L2


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a measured value becomes a fact ("Rules: Facts"). Floats are ratios: 0.25 is 25 %."""

    error_rate_warning: float = 0.10
    error_rate_critical: float = 0.50
    error_rate_escalate: float = 0.25
    error_rate_received: int = 100
    error_rate_window: timedelta = timedelta(minutes=5)
    error_rate_ends: timedelta = timedelta(minutes=5)
    stalled: timedelta = timedelta(minutes=10)
    running: timedelta = timedelta(minutes=2)
    imbalance: timedelta = timedelta(minutes=10)
    cost_spike: float = 0.50
    cost_days: int = 7
    cost_days_needed: int = 3
    cost_every: timedelta = timedelta(minutes=30)
    budget_overrun: float = 1.20
    budget_reopen: float = 0.20
    sample_age: timedelta = timedelta(hours=24)
    probe: timedelta = timedelta(seconds=60)


_AT_ONCE = timedelta(0)

SHIPPED_LADDER: Mapping[Level, timedelta] = {
    Level.L2: timedelta(hours=2),
    Level.L3: timedelta(hours=4),
    Level.L4: timedelta(hours=8),
}

SHIPPED_RULES: tuple[Rule, ...] = (
    Rule(id="down", fact="down", for_=timedelta(minutes=15), within=_AT_ONCE),
    Rule(id="data_loss", fact="data_loss", for_=_AT_ONCE, within=_AT_ONCE),
    Rule(id="security", fact="security", for_=_AT_ONCE, within=_AT_ONCE),
    Rule(id="budget_overrun", fact="budget_overrun", for_=_AT_ONCE, within=_AT_ONCE),
    Rule(id="degraded", fact="degraded", for_=timedelta(minutes=60), within=timedelta(minutes=60)),
    Rule(id="error_rate", fact="error_rate", for_=timedelta(minutes=30), within=timedelta(minutes=60)),
    Rule(id="cost", fact="cost", for_=_AT_ONCE, within=timedelta(minutes=60)),
    Rule(id="persistent_minor", fact="persistent_minor", for_=_AT_ONCE, within=timedelta(hours=4)),
    Rule(id="resource_constraint", fact="resource_constraint", for_=_AT_ONCE, within=timedelta(hours=4)),
    Rule(id="degradation_trend", fact="degradation_trend", for_=_AT_ONCE, within=timedelta(hours=4)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who is paged after how long ("Rules: Escalation"). The defaults are the shipped numbers.

    `ladder` counts unresolved time; L1 is paged at once and has no entry. `backup`, `emergency` and
    `l2_if_critical` count from L1's page while nobody has acknowledged.
    """

    ladder: Mapping[Level, timedelta] = field(default_factory=lambda: dict(SHIPPED_LADDER))
    backup: timedelta = timedelta(minutes=5)
    emergency: timedelta = timedelta(minutes=10)
    l2_if_critical: timedelta = timedelta(minutes=15)
    repeat: timedelta = timedelta(minutes=15)
    reopen: timedelta = timedelta(minutes=60)
    unanswered: timedelta = timedelta(minutes=15)
    ack_idle: timedelta = timedelta(minutes=45)
    ack_grace: timedelta = timedelta(minutes=10)
    recover: timedelta = timedelta(minutes=10)
    merge: timedelta = timedelta(minutes=5)
    deletion_margin: timedelta = timedelta(minutes=60)
    group: timedelta = timedelta(seconds=30)
    lookups: int = 3
    patience: timedelta = timedelta(minutes=2)
    link: timedelta = timedelta(hours=24)
    snooze_max: timedelta = timedelta(hours=8)
    snooze_max_cost: timedelta = timedelta(days=7)
    maintenance_max: timedelta = timedelta(hours=8)
    operation_overrun: timedelta = timedelta(minutes=15)
    storm_alerts: int = 100
    storm_incidents: int = 5
    flap_score: int = 2
    flap_half_life: timedelta = timedelta(hours=2)
    flap_quiet: timedelta = timedelta(minutes=60)
    thresholds: Thresholds = field(default_factory=Thresholds)
    rules: tuple[Rule, ...] = SHIPPED_RULES

    def to_dict(self) -> dict[str, object]:
        """The policy as JSON-able data; durations are seconds."""
        plain = {name: _plain(getattr(self, name)) for name in _scalar_names(Policy)}
        return {
            **plain,
            "ladder": {str(level): _seconds(after) for level, after in self.ladder.items()},
            "thresholds": {
                name: _plain(getattr(self.thresholds, name)) for name in _scalar_names(Thresholds)
            },
            "rules": [
                {
                    "id": rule.id,
                    "fact": rule.fact,
                    "for": _seconds(rule.for_),
                    "within": _seconds(rule.within),
                    "to": str(rule.to),
                }
                for rule in self.rules
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Policy:
        """The policy that `to_dict` wrote. Keys that are missing take the default, unknown keys are ignored.

        Raises ValueError when a value is not what `to_dict` writes.
        """
        known = _scalars_from(Policy, data)
        if "ladder" in data:
            ladder = _mapping(data["ladder"], "ladder")
            known["ladder"] = {Level(name): _duration_from(after, name) for name, after in ladder.items()}
        if "thresholds" in data:
            known["thresholds"] = replace(Thresholds(), **_scalars_from(Thresholds, data["thresholds"]))
        if "rules" in data:
            rules = data["rules"]
            if not isinstance(rules, list | tuple):
                raise ValueError("rules: a list is expected")
            known["rules"] = tuple(_rule_from(_mapping(rule, "rules")) for rule in rules)
        return replace(cls(), **known)


def _scalar_names(shape: type[Policy] | type[Thresholds]) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(shape) if entry.name not in {"ladder", "thresholds", "rules"})


def _seconds(duration: timedelta) -> int | float:
    seconds = duration.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _plain(value: timedelta | float) -> int | float:
    return _seconds(value) if isinstance(value, timedelta) else value


def _number(value: object, name: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise ValueError(f"{name}: a number is expected")
    return value


def _duration_from(value: object, name: str) -> timedelta:
    return timedelta(seconds=_number(value, name))


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: a mapping is expected")
    return value


def _scalars_from(shape: type[Policy] | type[Thresholds], raw: object) -> dict[str, Any]:
    data, default = _mapping(raw, shape.__name__), shape()
    read: dict[str, Any] = {}
    for name in _scalar_names(shape):
        if name not in data:
            continue
        usual = getattr(default, name)
        if isinstance(usual, timedelta):
            read[name] = _duration_from(data[name], name)
        else:
            read[name] = type(usual)(_number(data[name], name))
    return read


def _rule_from(data: Mapping[str, object]) -> Rule:
    try:
        return Rule(
            id=str(data["id"]),
            fact=str(data["fact"]),
            for_=_duration_from(data["for"], "for"),
            within=_duration_from(data["within"], "within"),
            to=Level(str(data["to"])),
        )
    except KeyError as missing:
        raise ValueError(f"rules: {missing} is missing") from None


def parse_duration(text: str, *, zero: bool = False) -> timedelta:
    """A duration such as `90s`, `15m`, `2h`, `1h30m` or `2d`, from 1 s to 30 days; `0m` only with `zero`.

    Raises ValueError with a sentence for people.
    """
    compact = text.strip().lower().replace(" ", "")
    match = _DURATION.fullmatch(compact)
    if match is None or not compact:
        raise ValueError(f"“{text[:40]}” is not a duration; write it like 90s, 15m, 2h, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not duration and zero:
        return duration
    if not SHORTEST <= duration <= LONGEST:
        least = "0m" if zero else "1s"
        raise ValueError(f"“{text[:40]}” is out of range; from {least} to 30d is possible")
    return duration


def format_duration(duration: timedelta) -> str:
    """A duration for people, in whole seconds: `2 h 5 min`, `1 min 30 s`, `0 s`; negative with a minus.

    Seconds are left out from one hour on, minutes from one day on: nobody waits for them.
    """
    total = round(duration.total_seconds())
    if total < 0:
        return "-" + format_duration(-duration)
    minutes, seconds = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        parts = [(days, "d"), (hours, "h")]
    elif hours:
        parts = [(hours, "h"), (minutes, "min")]
    else:
        parts = [(minutes, "min"), (seconds, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
