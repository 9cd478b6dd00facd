"""pipeline.workers: how many workers the job has and may have, Bigtable's nodes, and what both cost by list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import PipelineError
from pipeline.jobs import Workers, current
from pipeline.operations.base import Context, ReadOperation
from pipeline.report import Evidence, Finding, NextStep, Report, number, plural, worst

if TYPE_CHECKING:
    from pipeline.google.bigtable_nodes import Cluster

HOURS: Final = 730  # of a month
_WINDOW_S: Final = 10 * 60
_NO_DISKS: Final = "by list price, vCPU and memory only, without disks, Streaming Engine and discounts"


class WorkersNow(ReadOperation):
    """`scale` without anything to be changed shows this too."""

    name = "pipeline.workers"
    words = ("workers",)
    summary = "How many workers the job has and may have, Bigtable's nodes, and what they cost"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        first, data = _job(ctx)
        findings = [*first, *_nodes(ctx)]
        if data:
            text = "`scale --min N`, `--max N`, or `--nodes N` for Bigtable, plans another number."
            findings.append(Finding("how_to_change", "ok", text))
        follow = NextStep("See where the time goes", "pipeline.perf")
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Workers of {ctx.pipeline.name}",
            verdict=findings[0].text,
            severity=worst(finding.severity for finding in findings),
            as_of=ctx.now(),
            findings=tuple(findings),
            next=(follow if data else NextStep("Look at its health", "pipeline.health"),),
            data=data,
        )


def _job(ctx: Context) -> tuple[list[Finding], dict[str, Any]]:
    """What stands of the job's workers; no data where no job runs."""
    from pipeline.google import dataflow

    pipeline = ctx.pipeline
    job = current(dataflow.jobs_of(ctx.clients, pipeline, ctx.deadline_s))
    if job is None or not job.running:
        is_ = "is not there" if job is None else f"is {job.state}"
        text = f"Job {pipeline.job_name} {is_}: no worker is at work. A launch sets the range."
        return [Finding("not_running", "warning", text)], {}
    may = dataflow.workers_of(ctx.clients, pipeline, job.id, ctx.deadline_s)
    count = at_work(ctx, job.id)
    now = f"has {plural(count, 'worker')} at work and " if count is not None else ""
    full = "; it has as many as it may have" if may.most and count is not None and count >= may.most else ""
    evidence = (Evidence("workers at work", count, "workers", ctx.now()),)
    text = f"Job {job.name} {now}may have {may.words()}{full}."
    found = [Finding("worker_range", "info" if full else "ok", text, evidence)]
    if count is None:
        found.append(Finding("worker_count", "info", "How many workers are at work is unknown: no data."))
    found.append(_cost(ctx, may, count))
    return found, {"job_id": job.id, "workers": count, "least": may.least or 1, "most": may.most or None}


def _cost(ctx: Context, may: Workers, count: int | None) -> Finding:
    """What the workers cost by list, or that it is not known; never a made-up figure."""
    hour, currency, why = worker_hour(ctx, may.machine)
    if hour is None:
        return Finding("worker_cost", "info", f"What they cost is not known: {why}.")
    ends = (("now", count), ("at least", may.least or 1), ("at most", may.most))
    told = [f"{name} {_price(many * hour, currency)}" for name, many in ends if many]
    return Finding("worker_cost", "ok", f"They cost {', '.join(told)}; {_NO_DISKS}.")


def _price(hour: float, currency: str) -> str:
    return f"{number(hour, 2)} {currency} an hour ({number(hour * HOURS)} a month)"


def worker_hour(ctx: Context, machine: str) -> tuple[float | None, str, str]:
    """(price of a worker in an hour, currency, why the price is not known)."""
    from pipeline.google.prices import worker_prices

    try:
        prices = worker_prices(ctx.clients, ctx.pipeline.region, ctx.deadline_s)
    except PipelineError as error:
        return None, "", str(error).rstrip(".")
    if prices is None:
        return None, "", "the price list does not name them exactly"
    hour = prices.worker_hour(machine)
    return hour, prices.currency, "" if hour else f"the shape of {machine or 'its machine'} is not known"


def at_work(ctx: Context, job_id: str) -> int | None:
    """How many workers a job has; None where Monitoring does not say it."""
    from pipeline.google import metrics

    try:
        found = metrics.job_series(
            ctx.clients,
            ctx.pipeline.project,
            ctx.pipeline.job_name,
            "active_worker_instances",
            ctx.now(),
            _WINDOW_S,
            ctx.deadline_s,
        )
    except PipelineError:
        return None
    return next((int(one.last.value) for one in found if one.labels.get("job_id") == job_id), None)


def _nodes(ctx: Context) -> Iterator[Finding]:
    """Bigtable's clusters; nothing for a pipeline without Bigtable."""
    if not ctx.pipeline.bigtable_instance:
        return
    from pipeline.google import bigtable_nodes as bigtable
    from pipeline.google.prices import node_price

    try:
        clusters = bigtable.clusters(ctx.clients, ctx.pipeline, ctx.deadline_s)
    except PipelineError as error:
        yield Finding("nodes", "info", f"How many nodes Bigtable has is not known: {error}")
        return
    try:
        price = node_price(ctx.clients, ctx.pipeline.region, ctx.deadline_s)
    except PipelineError:
        price = None
    for one in clusters:
        yield Finding("nodes", "ok", f"Bigtable's cluster {one.name} has {_cluster(one, price)}.")


def _cluster(one: Cluster, price: tuple[float, str] | None) -> str:
    cost = f"{_price(one.nodes * price[0], price[1])} by list price" if price else "their price is not known"
    bounds = f", set by itself between {one.autoscaled[0]} and {one.autoscaled[1]}" if one.autoscaled else ""
    return f"{plural(one.nodes, 'node')}{bounds}: {cost}"
