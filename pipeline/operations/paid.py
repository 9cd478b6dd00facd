"""What the operations on cost share: living jobs with what they use and cost, and the leaks among them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipeline.errors import PipelineError
from pipeline.gather import measure
from pipeline.leaks import Leak, Paid, leaks
from pipeline.operations.base import Context
from pipeline.report import Finding, number
from pipeline.rules import facts, stands_still

if TYPE_CHECKING:
    from pipeline.google.metrics import Series
    from pipeline.google.prices import WorkerPrices
    from pipeline.jobs import Job

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0
_FRESH_S: Final = 300.0
_PREFIX: Final = "dataflow.googleapis.com/job/"


def living(ctx: Context) -> tuple[tuple[Paid, ...], list[Finding]]:
    """The living jobs of the pipeline's region and what they use; findings for what is not known.

    Raises PipelineError when not even the jobs can be listed.
    """
    from pipeline.google import dataflow

    jobs = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=False, deadline_s=ctx.deadline_s)
    gaps: list[Finding] = []
    workers = _series(ctx, "active_worker_instances", _DAY_S + 900, gaps)
    busy = _series(ctx, "aggregated_worker_utilization", 900, gaps)
    moved = _series(ctx, "elements_produced_count", _HOUR_S, gaps)
    prices = _prices(ctx, gaps) if jobs else None
    return tuple(_paid(ctx, job, workers, busy, moved, prices) for job in jobs), gaps


def found_leaks(ctx: Context, paid: tuple[Paid, ...]) -> tuple[Leak, ...]:
    """The leaks among them; whether the pipeline's own job is stuck is measured afresh."""
    now = ctx.now()
    measured = measure(ctx.clients, ctx.pipeline, now, ctx.deadline_s, with_logs=False)
    down = next(fact for fact in facts(measured) if fact.id == "down")
    stuck = stands_still(measured) if down.on else None
    names = [one.job_name for one in ctx.catalogue or (ctx.pipeline,)]
    return leaks(paid, ctx.pipeline.job_name, names, stuck, now)


def hourly(paid: Iterable[Paid]) -> str:
    """What these jobs' workers cost in an hour by list price, or that it is not known."""
    all_ = list(paid)
    hours = [one.hour for one in all_ if one.hour is not None]
    if not hours or len(hours) < len(all_):
        return "what that costs is not known"
    return (
        f"about {number(sum(hours), 2)} {all_[0].currency} an hour for its workers, an estimate by list price"
    )


def _paid(
    ctx: Context,
    job: Job,
    workers: tuple[Series, ...],
    busy: tuple[Series, ...],
    moved: tuple[Series, ...],
    prices: WorkerPrices | None,
) -> Paid:
    now = ctx.now()
    ours = [one for one in workers if one.labels.get("job_id") == job.id]
    at_work = next((int(s.last.value) for s in ours if (now - s.last.at).total_seconds() <= _FRESH_S), None)
    before = next((point for s in ours if (point := s.at(now - timedelta(seconds=_DAY_S)))), None)
    flows = [one for one in moved if one.labels.get("job_id") == job.id]
    busy_now = [s.last.value for s in busy if s.labels.get("job_id") == job.id]
    hour = _hour(ctx, job, at_work, prices)
    return Paid(
        job=job,
        workers=at_work,
        workers_before=int(before.value) if before else None,
        busy=max(busy_now) if busy_now else None,
        # a job at work whose transforms have no point moved nothing; one without workers is not measured
        moved=sum(point.value for one in flows for point in one.points) if at_work is not None else None,
        hour=hour,
        currency=prices.currency if prices else "",
    )


def _hour(ctx: Context, job: Job, at_work: int | None, prices: WorkerPrices | None) -> float | None:
    from pipeline.google import dataflow

    if prices is None or at_work is None:
        return None
    try:
        machine = dataflow.workers_of(ctx.clients, ctx.pipeline, job.id, ctx.deadline_s).machine
    except PipelineError:
        return None
    worker = prices.worker_hour(machine)
    return worker * at_work if worker is not None else None


def _series(ctx: Context, metric: str, window_s: float, gaps: list[Finding]) -> tuple[Series, ...]:
    """One metric of every job of the region, whatever its name."""
    from pipeline.google import metrics

    filter_ = (
        f'metric.type="{_PREFIX}{metric}" AND resource.type="dataflow_job" '
        f"AND resource.labels.region={metrics.quoted(ctx.pipeline.region)}"
    )
    try:
        return metrics.series(ctx.clients, ctx.pipeline.project, filter_, ctx.now(), window_s, ctx.deadline_s)
    except PipelineError as error:
        gaps.append(Finding(f"gap_{metric}", "unknown", f"Not measured: {metric.replace('_', ' ')}. {error}"))
        return ()


def _prices(ctx: Context, gaps: list[Finding]) -> WorkerPrices | None:
    from pipeline.google.prices import worker_prices

    try:
        found = worker_prices(ctx.clients, ctx.pipeline.region, ctx.deadline_s)
    except PipelineError as error:
        gaps.append(Finding("prices", "info", f"List prices are not known: {error}"))
        return None
    if found is None:
        gaps.append(
            Finding("prices", "info", "List prices are not known: the catalogue does not name them exactly.")
        )
    return found
