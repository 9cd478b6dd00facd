"""Quotas of Compute Engine in a pipeline's region, as Cloud Monitoring shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.google.clients import Clients
from pipeline.google.metrics import quoted, series

CPUS: Final = "compute.googleapis.com/cpus"
_USED: Final = "serviceruntime.googleapis.com/quota/allocation/usage"
_LIMIT: Final = "serviceruntime.googleapis.com/quota/limit"
_WINDOW_S: Final = 25 * 3600.0  # what stays as it is comes once a day at the least


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota; ``name`` is that of its metric, ``limit_name`` the one that a request to raise it takes."""

    name: str
    limit_name: str
    used: float
    limit: float
    at: datetime

    @property
    def free(self) -> float:
        return max(0.0, self.limit - self.used)


def compute_quotas(
    clients: Clients, project: str, region: str, now: datetime, deadline_s: float
) -> tuple[Quota, ...]:
    """The quotas of which both use and limit are known, the fullest first."""
    where = (
        'resource.type="consumer_quota" AND resource.labels.service="compute.googleapis.com" '
        f"AND resource.labels.location={quoted(region)}"
    )
    used, limits = (
        series(
            clients, project, f'metric.type="{metric}" AND {where}', now, _WINDOW_S, deadline_s, newest=True
        )
        for metric in (_USED, _LIMIT)
    )
    limit_of = {one.labels.get("quota_metric", ""): one for one in limits}
    found = [
        Quota(
            name=name,
            limit_name=limit_of[name].labels.get("limit_name", ""),
            used=one.last.value,
            limit=limit_of[name].last.value,
            at=one.last.at,
        )
        for one in used
        if (name := one.labels.get("quota_metric", "")) in limit_of
    ]
    return tuple(sorted(found, key=lambda one: -(one.used / one.limit if one.limit else 0.0)))
