"""Cloud Monitoring: MetricService."""

from __future__ import annotations

from typing import Any

from google.api import metric_pb2
from google.cloud import monitoring_v3

from sandbox.google import alignment
from sandbox.google.alignment import Point, Series
from sandbox.google.errors import Refused, invalid
from sandbox.google.filters import Predicate, comparisons, parse
from sandbox.google.metrics import METRICS, Metric
from sandbox.google.series import collect
from sandbox.google.services.base import Method, Service, from_timestamp, page, pb, timestamp
from sandbox.google.world import World

SIMULATED = tuple(f"{name}.googleapis.com/" for name in ("dataflow", "pubsub", "bigquery", "bigtable"))
MAX_POINTS = 100_000


def service(world: World) -> Service:
    """MetricService on that world."""
    types = monitoring_v3.types
    return Service(
        "google.monitoring.v3.MetricService",
        {
            "ListTimeSeries": Method(
                types.ListTimeSeriesRequest, types.ListTimeSeriesResponse, lambda r: _list(world, r)
            ),
            "ListMetricDescriptors": Method(
                types.ListMetricDescriptorsRequest, types.ListMetricDescriptorsResponse, _descriptors
            ),
        },
    )


def _list(world: World, request: Any) -> Any:
    raw = pb(request)
    end = from_timestamp(raw.interval.end_time)
    start = from_timestamp(raw.interval.start_time) if raw.interval.HasField("start_time") else end - 60
    if not raw.interval.HasField("end_time") or start > end:
        raise invalid(
            "Field interval had an invalid value: the end time must be set and not before the start."
        )
    restriction = parse(request.filter)
    project = _project(request.name)
    with world.turn() as now:
        series = [
            one
            for metric in _metrics(request.filter)
            for one in collect(world, metric, project, start, end, now)
            if _holds(restriction, one)
        ]
    series = _aggregated(series, request.aggregation, start, end)
    series = _aggregated(series, request.secondary_aggregation, start, end)
    shown, token = _page(series, request.page_size, request.page_token)
    headers = request.view == monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.HEADERS
    return monitoring_v3.types.ListTimeSeriesResponse(
        time_series=[_proto(one, headers=headers) for one in shown], next_page_token=token
    )


def _metrics(text: str) -> list[Metric]:
    named = [(op, value) for path, op, value in comparisons(text) if path == "metric.type"]
    wanted = [value for op, value in named if op == "="]
    if not named:
        raise invalid(
            "The supplied filter does not specify a valid combination of metric and monitored resource "
            "descriptors: a restriction on metric.type is required."
        )
    prefixes = [value for value in wanted if value == "starts_with"]
    if prefixes or not wanted:
        return list(METRICS.values())
    for value in wanted:
        if value not in METRICS and value.startswith(SIMULATED):
            raise Refused("NOT_FOUND", f'Cannot find metric(s) that match type = "{value}".')
    return [METRICS[value] for value in dict.fromkeys(wanted) if value in METRICS]


def _holds(restriction: Predicate, series: Series) -> bool:
    def lookup(path: str) -> object:
        if path == "metric.type":
            return series.metric
        if path == "resource.type":
            return series.resource
        if path == "project":
            return series.resource_labels.get("project_id")
        side, _, name = path.partition(".labels.")
        labels = {"metric": series.metric_labels, "resource": series.resource_labels}.get(side, {})
        return labels.get(name)

    return restriction(lookup)


def _aggregated(series: list[Series], aggregation: Any, start: float, end: float) -> list[Series]:
    raw = pb(aggregation)
    aligner = aggregation.per_series_aligner.name.removeprefix("ALIGN_")
    reducer = aggregation.cross_series_reducer.name.removeprefix("REDUCE_")
    if aligner == "NONE":
        if reducer != "NONE":
            raise invalid("Field aggregation.crossSeriesReducer needs aggregation.perSeriesAligner.")
        return series
    period = raw.alignment_period.seconds + raw.alignment_period.nanos / 1e9
    if period < 60:
        raise invalid("Field aggregation.alignmentPeriod had an invalid value: it must be at least 60 s.")
    aligned = [alignment.align(one, aligner, period, start, end) for one in series]
    return alignment.reduce([one for one in aligned if one.points], reducer, list(raw.group_by_fields))


def _page(series: list[Series], size: int, token: str) -> tuple[list[Series], str]:
    """Pages are counted in points and cut between series."""
    limit = min(size or MAX_POINTS, MAX_POINTS)
    rest, _ = page(series, len(series) + 1, token, default=1, maximum=len(series) + 1)
    shown: list[Series] = []
    points = 0
    for one in rest:
        if shown and points + len(one.points) > limit:
            break
        shown.append(one)
        points += len(one.points)
    _, following = page(series, len(shown) or 1, token, default=1, maximum=len(series) + 1)
    return shown, following if len(shown) < len(rest) else ""


def _proto(series: Series, *, headers: bool) -> Any:
    types = monitoring_v3.types
    sample = series.points[0].value
    text = isinstance(sample, str)
    value_type = "STRING" if text else "INT64" if series.whole else "DOUBLE"
    # Google gives the newest point first.
    points = [] if headers else [_point(p, series) for p in reversed(series.points)]
    return types.TimeSeries(
        metric={"type": series.metric, "labels": dict(series.metric_labels)},
        resource={"type": series.resource, "labels": dict(series.resource_labels)},
        metric_kind=metric_pb2.MetricDescriptor.MetricKind.Value(series.kind),
        value_type=metric_pb2.MetricDescriptor.ValueType.Value(value_type),
        points=points,
    )


def _point(point: Point, series: Series) -> Any:
    types = monitoring_v3.types
    if isinstance(point.value, str):
        value = types.TypedValue(string_value=point.value)
    elif series.whole:
        value = types.TypedValue(int64_value=round(point.value))
    else:
        value = types.TypedValue(double_value=float(point.value))
    interval = types.TimeInterval(start_time=timestamp(point.start), end_time=timestamp(point.end))
    return types.Point(interval=interval, value=value)


def _descriptors(request: Any) -> Any:
    restriction = parse(request.filter)
    found = [m for m in METRICS.values() if restriction({"metric.type": m.type}.get)]
    shown, token = page(found, request.page_size, request.page_token, default=1000, maximum=10_000)
    project = _project(request.name)
    kinds, types = metric_pb2.MetricDescriptor.MetricKind, metric_pb2.MetricDescriptor.ValueType
    return monitoring_v3.types.ListMetricDescriptorsResponse(
        metric_descriptors=[
            metric_pb2.MetricDescriptor(
                name=f"projects/{project}/metricDescriptors/{m.type}",
                type=m.type,
                metric_kind=kinds.Value(m.kind),
                value_type=types.Value("STRING" if m.text else "INT64" if m.whole else "DOUBLE"),
                unit=m.unit,
                monitored_resource_types=[m.resource],
            )
            for m in shown
        ],
        next_page_token=token,
    )


def _project(name: str) -> str:
    collection, _, project = name.partition("/")
    if collection != "projects" or not project or "/" in project:
        raise invalid(f"Name must begin with 'projects/': {name!r}.")
    return project
