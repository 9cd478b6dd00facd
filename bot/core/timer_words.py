"""What a timer was for, in words: the timeline's line of a timer that fired. Pure; plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bot.core.escalation import TimerKind
from bot.core.incident import Incident
from bot.core.policy import Level, Policy, format_duration


def timer_words(incident: Incident, kind: str, steps: Sequence[str]) -> str:
    """Which timer it was and why, by the incident's own policy; ``kind`` and ``steps`` are the event's data.

    Kinds beside those of `TimerKind`: ``missed`` (repeats that fell into an outage) and ``same_person``.
    """
    step = steps[0] if steps else ""
    says = _SAYS.get(kind)
    said = says(incident.policy, step) if says else kind.replace("_", " ") or "an unnamed timer"
    more = len(steps) - 1
    if kind == "missed" or not more:
        return said
    return f"{said}; with it {more} more that asked for the same"


def _ladder(policy: Policy, step: str) -> str:
    level = _level(policy, step)
    after = policy.ladder.get(Level(level)) if level in tuple(Level) else None
    return f"{level}, unresolved for {format_duration(after)}" if after else f"{level} at once"


def _rule(policy: Policy, step: str) -> str:
    parts = step.split(":")
    name = parts[2] if len(parts) > 2 else ""
    rule = next((each for each in policy.rules if each.id == name), None)
    target = f" is for {rule.to}" if rule is not None else ""
    return f"rule “{name.replace('_', ' ')}”{target}"


def _level(policy: Policy, step: str) -> str:
    """The level that a step pages: named in it, or by its rule."""
    parts = step.split(":")
    if len(parts) > 2 and parts[1] == "rule":
        return next((str(rule.to) for rule in policy.rules if rule.id == parts[2]), "the level")
    return next((str(level) for level in Level if level in parts), "the level")


_SAYS: Mapping[str, Callable[[Policy, str], str]] = {
    TimerKind.LADDER: _ladder,
    TimerKind.BACKUP: lambda p, _: f"nobody acknowledged for {format_duration(p.backup)}, the backup is next",
    TimerKind.EMERGENCY: lambda p, _: (
        f"nobody acknowledged for {format_duration(p.emergency)}, the emergency step is next"
    ),
    TimerKind.L1_AGAIN: lambda p, _: f"still not acknowledged, L1 again (every {format_duration(p.repeat)})",
    TimerKind.L2_CRITICAL: lambda p, _: (
        f"critical and not acknowledged for {format_duration(p.l2_if_critical)}, L2 is next"
    ),
    TimerKind.RULE: _rule,
    TimerKind.WARNING: lambda p, step: f"warning ahead of time, {_rule(p, step)}",
    TimerKind.REPEAT: lambda p, step: (
        f"{_level(p, step)} has not answered for {format_duration(p.unanswered)}, one repeat"
    ),
    TimerKind.CLIMB: lambda p, step: f"{_level(p, step)} did not answer twice, one level up",
    TimerKind.ASK: lambda p, _: f"nothing was heard for {format_duration(p.ack_idle)}, a question is due",
    TimerKind.UNACKNOWLEDGE: lambda p, _: (
        f"no answer to the question for {format_duration(p.ack_grace)}, the acknowledgement ends"
    ),
    TimerKind.RESOLVE: lambda *_: "good for long enough to resolve",
    "missed": lambda *_: "repeats to L1 that fell due while nothing could be sent; one page stands for all",
    "same_person": lambda *_: "no repeat to somebody who has the incident in hand",
}
