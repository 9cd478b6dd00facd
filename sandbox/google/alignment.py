"""Monitoring's arithmetic on time series: aligners in time, reducers across series. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import fmean, pstdev

from sandbox.google.errors import invalid

Value = float | str


@dataclass(frozen=True, slots=True)
class Point:
    """A value for (start, end], epoch seconds; for gauges both are the same instant."""

    start: float
    end: float
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One time series, points oldest first. `whole`: values are integers."""

    metric: str
    metric_labels: Mapping[str, str]
    resource: str
    resource_labels: Mapping[str, str]
    kind: str
    whole: bool
    points: tuple[Point, ...]


def _percentile(share: float) -> Callable[[Sequence[float]], float]:
    return lambda values: sorted(values)[max(0, ceil(share * len(values)) - 1)]


FOLDS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "MIN": min,
    "MAX": max,
    "MEAN": fmean,
    "SUM": sum,
    "COUNT": len,
    "STDDEV": pstdev,
    "PERCENTILE_99": _percentile(0.99),
    "PERCENTILE_95": _percentile(0.95),
    "PERCENTILE_50": _percentile(0.5),
    "PERCENTILE_05": _percentile(0.05),
}
COUNTERS_ONLY = ("DELTA", "RATE")


def align(series: Series, aligner: str, period_s: float, start: float, end: float) -> Series:
    """One point per period, periods counted back from `end`. Raises Refused for an aligner that does not fit."""
    if aligner in ("NONE", ""):
        return series
    if aligner in COUNTERS_ONLY and series.kind == "GAUGE":
        raise invalid(
            f"Field aggregation.perSeriesAligner had an invalid value of 'ALIGN_{aligner}': The aligner cannot be "
            f"applied to metrics with kind GAUGE and value type {'INT64' if series.whole else 'DOUBLE'}."
        )
    points = []
    for index in range(max(1, ceil((end - start) / period_s - 1e-9))):
        right = end - index * period_s
        inside = [p for p in series.points if right - period_s < p.end <= right]
        value = _aligned(aligner, inside, series.points, right, period_s)
        if value is not None:
            points.append(Point(right - period_s if aligner == "DELTA" else right, right, value))
    whole = series.whole and aligner in ("MIN", "MAX", "SUM", "DELTA", "NEXT_OLDER", "COUNT")
    kind = "DELTA" if aligner == "DELTA" else "GAUGE"
    return replace(series, kind=kind, whole=whole or aligner == "COUNT", points=tuple(reversed(points)))


def _aligned(
    aligner: str, inside: Sequence[Point], every: Sequence[Point], right: float, period_s: float
) -> Value | None:
    if aligner == "NEXT_OLDER":
        older = [p for p in every if p.end <= right]
        return older[-1].value if older else None
    if aligner in COUNTERS_ONLY:
        # A point that reaches over the period's edge counts with the part that lies inside.
        shares = [_share(point, right - period_s, right) for point in every]
        total = sum(share for share in shares if share is not None)
        if all(share is None for share in shares):
            return None
        return total / period_s if aligner == "RATE" else total
    if not inside:
        return None
    if aligner == "COUNT":
        return float(len(inside))
    numbers = [p.value for p in inside if isinstance(p.value, int | float)]
    if len(numbers) < len(inside):
        raise invalid(f"ALIGN_{aligner} cannot be applied to metrics with value type STRING.")
    if aligner not in FOLDS:
        raise invalid(f"The aligner ALIGN_{aligner} is not part of this sandbox.")
    return float(FOLDS[aligner](numbers))


def _share(point: Point, left: float, right: float) -> float | None:
    overlap = min(point.end, right) - max(point.start, left)
    if overlap <= 0 or not isinstance(point.value, int | float):
        return None
    return point.value * overlap / (point.end - point.start)


def reduce(series: Sequence[Series], reducer: str, group_by: Sequence[str]) -> list[Series]:
    """Fold series that agree in the `group_by` paths into one, instant by instant. Aligned series only."""
    if reducer in ("NONE", ""):
        return list(series)
    if reducer not in FOLDS:
        raise invalid(f"The reducer REDUCE_{reducer} is not part of this sandbox.")
    groups: dict[tuple[str, ...], list[Series]] = {}
    for one in series:
        groups.setdefault(tuple(label(one, path) for path in group_by), []).append(one)
    return [_folded(members, reducer, group_by) for members in groups.values()]


def label(series: Series, path: str) -> str:
    """The value of `metric.labels.x` or `resource.labels.x`; empty when absent."""
    side, _, name = path.replace(".label.", ".labels.").partition(".labels.")
    return str((series.metric_labels if side == "metric" else series.resource_labels).get(name, ""))


def _folded(members: Sequence[Series], reducer: str, group_by: Sequence[str]) -> Series:
    columns: dict[tuple[float, float], list[float]] = {}
    for member in members:
        for point in member.points:
            if not isinstance(point.value, int | float):
                raise invalid(f"REDUCE_{reducer} cannot be applied to metrics with value type STRING.")
            columns.setdefault((point.start, point.end), []).append(float(point.value))
    fold = FOLDS[reducer]
    names = [path.replace(".label.", ".labels.") for path in group_by]
    first = members[0]
    kept = {side: _kept(first, side, names) for side in ("metric", "resource")}
    points = (Point(*span, float(fold(values))) for span, values in sorted(columns.items()))
    return replace(
        first,
        metric_labels=kept["metric"],
        resource_labels=kept["resource"],
        whole=first.whole and reducer in ("MIN", "MAX", "SUM", "COUNT"),
        points=tuple(points),
    )


def _kept(series: Series, side: str, paths: Iterable[str]) -> dict[str, str]:
    labels = series.metric_labels if side == "metric" else series.resource_labels
    wanted = {path.partition(".labels.")[2] for path in paths if path.startswith(f"{side}.labels.")}
    always = {"project_id"} if side == "resource" else set()
    return {name: value for name, value in labels.items() if name in wanted | always}
