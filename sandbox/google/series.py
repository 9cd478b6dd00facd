"""Time series of the world: any metric over any interval, from samples of its history."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

from sandbox.google import bigquery_metrics, bigtable_metrics, quota_metrics
from sandbox.google.alignment import Point, Series
from sandbox.google.history import MINUTE, WorldSample
from sandbox.google.metrics import JobView, Metric, read_queue
from sandbox.google.world import World

Key = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


def collect(world: World, metric: Metric, project: str, start: float, end: float, now: float) -> list[Series]:
    """Every series of a metric with a point in (start, end], oldest point first. Inside a turn.

    Points lie on whole minutes, and one at `end` when that is about now: a laptop need not wait for sampling.
    """
    readings: dict[Key, list[tuple[float, float | str]]] = {}
    begin = start - MINUTE if metric.kind == "DELTA" else start
    every = quota_metrics.EVERY_S if metric.resource == quota_metrics.RESOURCE else MINUTE
    for sample in _samples(world, begin, end, now, every):
        for key, value in _read(world, metric, project, sample):
            readings.setdefault(key, []).append((min(sample.at, end), value))
    out: list[Series] = []
    for (metric_labels, resource_labels), values in readings.items():
        points = _points(metric, values, start)
        if points:
            out.append(
                Series(
                    metric=metric.type,
                    metric_labels=dict(metric_labels),
                    resource=metric.resource,
                    resource_labels=dict(resource_labels),
                    kind=metric.kind,
                    whole=metric.whole,
                    points=points,
                )
            )
    return out


def _samples(world: World, start: float, end: float, now: float, every: float) -> Iterator[WorldSample]:
    moment = ceil(start / every) * every
    if moment == start:
        moment += every
    while moment <= min(end, now):
        yield world.sample(moment)
        moment += every
    # The asker's now is a moment before ours; its newest point is the world as it stands.
    about_now = end > now // MINUTE * MINUTE or end >= now
    if about_now and now % every and start < now:
        yield world.sample(now)


def _points(metric: Metric, values: list[tuple[float, float | str]], start: float) -> tuple[Point, ...]:
    if metric.kind == "GAUGE":
        return tuple(Point(at, at, value) for at, value in values if at > start)
    points = []
    for (earlier, before), (at, after) in pairwise(values):
        if isinstance(before, int | float) and isinstance(after, int | float) and at > start:
            points.append(Point(earlier, at, max(0.0, after - before)))
    return tuple(points)


def _read(
    world: World, metric: Metric, project: str, sample: WorldSample
) -> Iterator[tuple[Key, float | str]]:
    if metric.resource == bigquery_metrics.RESOURCE:
        yield from bigquery_metrics.read_datasets(world, metric.type, project, sample)
        return
    if metric.resource in (bigtable_metrics.CLUSTER, bigtable_metrics.TABLE):
        yield from bigtable_metrics.read_bigtable(world, metric.type, project, sample)
        return
    if metric.resource == quota_metrics.RESOURCE:
        yield from quota_metrics.read_quotas(world, metric.type, project, sample)
        return
    if metric.read is None:
        label = "topic_id" if metric.resource == "pubsub_topic" else "subscription_id"
        for full, number in read_queue(metric, sample):
            owner, short = full.split("/")[1], full.rsplit("/", 1)[-1]
            if owner == project:
                yield ((), (("project_id", project), (label, short))), number
        return
    for flow in world.flows.values():
        if flow.spec.project != project:
            continue
        for job in flow.jobs:
            if job.state_at(sample.at) is None:
                continue
            view = JobView(at=sample.at, job=job, flow=flow, sample=sample.flows[flow.spec.name])
            resource = (("project_id", project), ("region", job.region), ("job_name", job.name))
            for labels, value in metric.read(view):
                yield ((("job_id", job.id), *sorted(labels.items())), resource), value
