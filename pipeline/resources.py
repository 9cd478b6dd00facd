"""Whether a pipeline has room to grow: quotas that are nearly used up.  Pure.

Runbook "Identify Issue Type", resource issues: quotas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pipeline.causes import Issue
from pipeline.measurements import Measurements
from pipeline.report import Evidence, Fact, Finding, number, percent

if TYPE_CHECKING:
    from pipeline.google.quotas import Quota

_FULL: Final = 0.99


def quota_findings(m: Measurements, quotas: Sequence[Quota]) -> list[Finding]:
    """The quotas that are nearly used up; one line that there is room where there is."""
    short = _short(m, quotas)
    if short:
        return [Finding("quota", "info", f"{_words(one)}.", (_evidence(one),)) for one in short]
    if not quotas:
        return []
    fullest = quotas[0]
    return [
        Finding(
            "quota_room", "ok", f"Quotas have room; the fullest: {_words(fullest)}.", (_evidence(fullest),)
        )
    ]


def quota_changes(now: Sequence[Quota], before: Sequence[Quota]) -> list[str]:
    """Limits that are others than a day ago, in words."""
    old = {one.name: one.limit for one in before}
    return [
        f"the quota of {_name(one)} went from {number(old[one.name])} to {number(one.limit)}"
        for one in now
        if one.name in old and old[one.name] != one.limit
    ]


def quota_issue(quotas: Sequence[Quota]) -> Issue | None:
    """The resource issue that a quota without any room is."""
    full = next((one for one in quotas if _share(one) >= _FULL), None)
    return (
        None if full is None else Issue("resource", _words(full), (_evidence(full),), f"quota {_name(full)}")
    )


def constraint(m: Measurements, quotas: Sequence[Quota] | None) -> Fact:
    """The fact of the runbook's resource constraint warnings; None where no quota could be read."""
    if not quotas:
        return Fact("resource_constraint", None, "no quota could be read")
    short = _short(m, quotas)
    if not short:
        return Fact("resource_constraint", False, "quotas have room")
    return Fact("resource_constraint", True, _words(short[0]), _share(short[0]), "ratio")


def _short(m: Measurements, quotas: Sequence[Quota]) -> list[Quota]:
    return [one for one in quotas if _share(one) >= m.limits.quota]


def _share(quota: Quota) -> float:
    return quota.used / quota.limit if quota.limit > 0 else 0.0


def _name(quota: Quota) -> str:
    return quota.name.rpartition("/")[2] or quota.name


def _words(quota: Quota) -> str:
    of = f"{number(quota.used)} of {number(quota.limit)}"
    return f"{of} {_name(quota)} of Compute Engine in this region are in use ({percent(_share(quota))})"


def _evidence(quota: Quota) -> Evidence:
    return Evidence(f"quota {_name(quota)}", round(_share(quota), 3), "ratio", quota.at)
