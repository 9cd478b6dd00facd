"""Statistics in words, as JSON and as rows of a chart. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from bot.core.policy import format_duration
from bot.core.statistics import Count, Spread, Statistics
from bot.core.text import counted


def lines(found: Statistics) -> list[str]:
    """One line for each thing that there is something to say of."""
    days = (found.until - found.since).days
    head = f"{counted(found.incidents, 'incident')} in {counted(days, 'day')}"
    if not found.incidents:
        return [f"{head}."]
    made = [
        f"{head}: {_named(found.kinds)}; {_named(found.severities)}; {found.unresolved} not resolved yet.",
        f"Time to acknowledge (MTTA): {_spread(found.acknowledge)}; {found.unacknowledged} never acknowledged.",
        f"Time to resolve (MTTR): {_spread(found.resolve)}.",
    ]
    parts = [
        ("Causes that came again", [f"{c.name} ({_where(c)})" for c in found.causes]),
        (
            "Noisiest alert policies",
            [
                f"{c.name} ({counted(c.count, 'alert')} in {counted(c.part, 'incident')})"
                for c in found.policies
            ],
        ),
        (
            "Rules that fired without effect",
            [f"{c.name} ({c.part} of {c.count}: {', '.join(c.where)})" for c in found.rules if c.part],
        ),
        ("Runbook steps that failed", [f"{c.name} ({_where(c)})" for c in found.failed_steps]),
        ("Steps begun and never ended", [f"{c.name} ({_where(c)})" for c in found.left_steps]),
        ("Steps never reached", [f"{name}: {', '.join(ids)}" for name, ids in found.never_run.items()]),
    ]
    return made + [f"{title}: {'; '.join(what)}." if what else f"{title}: none." for title, what in parts]


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _where(found: Count) -> str:
    return f"{found.count}: {', '.join(found.where)}"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "nothing to measure"
    mean, median, longest = (
        format_duration(timedelta(seconds=value))
        for value in (spread.mean_s, spread.median_s, spread.longest_s)
    )
    return f"mean {mean}, median {median}, longest {longest} ({spread.worst})"


def as_json(found: Statistics) -> dict[str, Any]:
    """JSON values; instants are RFC 3339, durations seconds."""
    return {**asdict(found), "since": found.since.isoformat(), "until": found.until.isoformat()}


def week_rows(found: Statistics) -> Sequence[tuple[str, float, str]]:
    """(week, incidents, in words) for a chart."""
    return [(f"week of {monday}", float(count), counted(count, "incident")) for monday, count in found.weeks]
