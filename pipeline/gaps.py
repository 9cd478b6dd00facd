"""What could not be measured, and why; told together where the reason is the same.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.report import Finding

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be measured, and why."""

    what: str
    reason: str


def gap_findings(gaps: Iterable[Gap], kind: str = "gap") -> list[Finding]:
    """A finding for each reason, in the order in which the reasons came."""
    by_reason: dict[str, list[str]] = {}
    for gap in gaps:
        by_reason.setdefault(gap.reason, []).append(gap.what)
    return [
        Finding(f"{kind}_{i}", "unknown", f"Not measured: {', '.join(what)}. {reason}")
        for i, (reason, what) in enumerate(by_reason.items())
    ]


def in_short(gaps: Sequence[Gap]) -> str:
    """For the end of a sentence: the first few by name, and how many more."""
    if not gaps:
        return ""
    more = f" and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
    return f"; not measured: {', '.join(gap.what for gap in gaps[:_NAMED])}{more}"
