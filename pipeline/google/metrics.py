"""Cloud Monitoring: time series of a pipeline.

No series is not zero: an absent job has no points, and whoever reads it must say "unknown".
Points are sampled every 60 s and may be minutes late, so windows look further back than they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipeline.google.calls import reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

DATAFLOW: Final = "dataflow.googleapis.com/job/"
PUBSUB: Final = "pubsub.googleapis.com/subscription/"


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: its metric and resource labels together, points oldest first."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]

    @property
    def last(self) -> Point:
        return self.points[-1]

    def at(self, when: datetime) -> Point | None:
        """The newest point at or before ``when``; None when the series begins later."""
        return next((point for point in reversed(self.points) if point.at <= when), None)


def job_series(
    clients: Clients,
    project: str,
    job_name: str,
    metric: str,
    now: datetime,
    window_s: float,
    deadline_s: float = 20.0,
) -> tuple[Series, ...]:
    """Series of one Dataflow metric ("system_lag") of the jobs of that name, one for each job."""
    filter_ = (
        f'metric.type="{DATAFLOW}{metric}" AND resource.type="dataflow_job" '
        f"AND resource.labels.job_name={quoted(job_name)}"
    )
    return series(clients, project, filter_, now, window_s, deadline_s)


def subscription_series(
    clients: Clients,
    project: str,
    subscriptions: Iterable[str],
    metric: str,
    now: datetime,
    window_s: float,
    deadline_s: float = 20.0,
) -> dict[str, Series]:
    """Series of one Pub/Sub metric ("num_undelivered_messages") by subscription."""
    names = list(subscriptions)
    if not names:
        return {}
    wanted = " OR ".join(f"resource.labels.subscription_id={quoted(name)}" for name in names)
    filter_ = f'metric.type="{PUBSUB}{metric}" AND resource.type="pubsub_subscription" AND ({wanted})'
    found = series(clients, project, filter_, now, window_s, deadline_s)
    return {one.labels["subscription_id"]: one for one in found if "subscription_id" in one.labels}


def series(
    clients: Clients,
    project: str,
    filter_: str,
    now: datetime,
    window_s: float,
    deadline_s: float = 20.0,
    *,
    newest: bool = False,
) -> tuple[Series, ...]:
    """Every series of a filter over the last ``window_s`` seconds, all pages; empty series left out.

    ``newest``: of each the newest point alone, dated ``now``; a long window then costs no more than a short one.
    """
    from google.cloud import monitoring_v3

    whole = {"alignment_period": {"seconds": int(window_s)}, "per_series_aligner": "ALIGN_NEXT_OLDER"}

    request = monitoring_v3.ListTimeSeriesRequest(
        name=f"projects/{project}",
        filter=filter_,
        interval=monitoring_v3.TimeInterval(start_time=now - timedelta(seconds=window_s), end_time=now),
        view=monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
        aggregation=monitoring_v3.Aggregation(whole if newest else {}),
        page_size=1000,
    )
    with explained("Cloud Monitoring", "reading time series"):
        found = [
            _series(raw)
            for raw in clients.monitoring.list_time_series(request=request, **reading(deadline_s))
        ]
    return tuple(one for one in found if one.points)


def covered_s(found: Iterable[Series], begin: datetime) -> float:
    """Seconds from ``begin`` to the newest point of all: samples come minutes late, so a window ends before now."""
    return max(((one.last.at - begin).total_seconds() for one in found), default=0.0)


def quoted(text: str) -> str:
    """A string literal of Google's filter languages; quotes and backslashes cannot end it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _series(raw: Any) -> Series:
    points = [Point(_time(point.interval.end_time), _value(point.value)) for point in raw.points]
    points.sort(key=lambda point: point.at)  # Google sends the newest first
    return Series(dict(raw.resource.labels) | dict(raw.metric.labels), tuple(points))


def _value(value: Any) -> float:
    kind = type(value).pb(value).WhichOneof("value")
    if kind == "distribution_value":
        return float(value.distribution_value.mean)
    return float(getattr(value, kind)) if kind in ("double_value", "int64_value", "bool_value") else 0.0


def _time(raw: Any) -> datetime:
    return datetime.fromtimestamp(raw.timestamp(), UTC)
