"""Which metrics the world shows, and how each is read off one of its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sandbox.google import bigquery_metrics, bigtable_metrics, quota_metrics
from sandbox.google.flow import CATCH_UP, Flow, FlowSample, whole_counters
from sandbox.google.history import WorldSample
from sandbox.google.jobs import Job
from sandbox.google.scenarios import SLOW

Reading = tuple[Mapping[str, str], float | str]

STAGES = ("ReadEvents", "ParseAndValidate", "ViewsByProduct", "WriteToBigQuery", "WriteToBigtable")
SLOW_STAGE = {"slow_sink": "WriteToBigQuery", "hot_key": "ViewsByProduct"}
FAILED_SHOWN_S = 600.0
BYTES_PER_EVENT = 420
VCPUS_PER_WORKER = 2
GB_PER_WORKER = 7.5


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job at one instant."""

    at: float
    job: Job
    flow: Flow
    sample: FlowSample

    @property
    def state(self) -> str:
        """State without prefix; jobs are only looked at after their creation."""
        return self.job.state_at(self.at) or "UNKNOWN"

    @property
    def lag(self) -> float:
        """Age in seconds of the oldest event that the job has not got through."""
        return max(0.0, self.at - self.sample.oldest())

    @property
    def workers(self) -> int:
        """Workers at work."""
        return self.sample.workers.get(self.job.id, 0) if self.state in ("RUNNING", "DRAINING") else 0

    @property
    def counters(self) -> Mapping[str, int]:
        """User counters since the job's start."""
        return whole_counters(self.sample.counters.get(self.job.id, {}))

    @property
    def backlog(self) -> float:
        """Events waiting in the pipeline's subscriptions."""
        lanes = zip(self.flow.lanes, self.sample.lanes, strict=True)
        return sum(lane.traffic.between(state[0], self.at) + state[1] for lane, state in lanes)

    @property
    def run_s(self) -> float:
        """Seconds since the job was first RUNNING."""
        started = self.job.started()
        return max(0.0, self.at - started) if started is not None else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric type; `kind` DELTA is read as a running total and shown as its growth."""

    type: str
    resource: str
    kind: str = "GAUGE"
    whole: bool = True
    text: bool = False
    unit: str = "1"
    read: Callable[[JobView], Iterator[Reading]] | None = None


def _sum(view: JobView, suffix: str) -> int:
    return sum(value for name, value in view.counters.items() if name.endswith(suffix))


def _one(value: Callable[[JobView], float]) -> Callable[[JobView], Iterator[Reading]]:
    def read(view: JobView) -> Iterator[Reading]:
        if view.state in ("RUNNING", "DRAINING", "CANCELLING"):
            yield {}, value(view)

    return read


def _failed(view: JobView) -> Iterator[Reading]:
    if view.job.active_at(view.at):
        yield {}, 0
    elif view.state == "FAILED" and view.at - view.job.since(view.at) <= FAILED_SHOWN_S:
        yield {}, 1


def _status(view: JobView) -> Iterator[Reading]:
    if view.job.active_at(view.at) or view.at - view.job.since(view.at) <= FAILED_SHOWN_S:
        yield {}, view.state


def _user_counters(view: JobView) -> Iterator[Reading]:
    if view.state in ("RUNNING", "DRAINING", "CANCELLING"):
        for name, value in view.counters.items():
            yield {"metric_name": name, "ptransform": "ParseAndValidate"}, value


def _stage_lag(view: JobView) -> Iterator[Reading]:
    if view.state != "RUNNING":
        return
    slow = {SLOW_STAGE[name] for name in SLOW if name in view.sample.slow}
    stuck = view.job.stuck_since is not None and view.job.stuck_since <= view.at
    for stage in STAGES:
        behind = (
            stage in slow or (stuck and stage == "WriteToBigQuery") or (not slow and stage == "ReadEvents")
        )
        yield {"stage": stage}, round(view.lag if behind else min(view.lag, 2.0))


def _produced(view: JobView) -> Iterator[Reading]:
    if view.state in ("RUNNING", "DRAINING", "CANCELLING"):
        for stage, suffix in (("ReadEvents", "_received"), ("ParseAndValidate", "_valid")):
            yield {"pcollection": f"{stage}.out", "ptransform": stage}, _sum(view, suffix)


def _catch_up(view: JobView) -> float:
    return view.lag / CATCH_UP if view.lag > 5 else 0.0


def _utilization(view: JobView) -> float:
    return 0.93 if view.lag > 30 else 0.41


def _job_metric(name: str, value: Callable[[JobView], float], **more: str | bool) -> Metric:
    return Metric(
        type=f"dataflow.googleapis.com/job/{name}",
        resource="dataflow_job",
        kind=str(more.get("kind", "GAUGE")),
        whole=bool(more.get("whole", True)),
        unit=str(more.get("unit", "1")),
        read=_one(value),
    )


def _read_metric(name: str, read: Callable[[JobView], Iterator[Reading]], **more: str | bool) -> Metric:
    return Metric(
        type=f"dataflow.googleapis.com/job/{name}",
        resource="dataflow_job",
        kind=str(more.get("kind", "GAUGE")),
        whole=bool(more.get("whole", True)),
        text=bool(more.get("text", False)),
        unit=str(more.get("unit", "1")),
        read=read,
    )


JOB_METRICS = (
    _read_metric("is_failed", _failed),
    _read_metric("status", _status, text=True),
    _read_metric("user_counter", _user_counters, whole=False),
    _read_metric("per_stage_system_lag", _stage_lag, unit="s"),
    _read_metric("per_stage_data_watermark_age", _stage_lag, unit="s"),
    _read_metric("elements_produced_count", _produced, kind="DELTA"),
    _read_metric("element_count", _produced),
    _job_metric("system_lag", lambda v: round(v.lag), unit="s"),
    _job_metric("data_watermark_age", lambda v: round(v.lag + 3), unit="s"),
    _job_metric("oldest_active_message_age", lambda v: round(v.lag * 1000), unit="ms"),
    _job_metric("backlog_elements", lambda v: int(v.backlog)),
    _job_metric("backlog_bytes", lambda v: int(v.backlog) * BYTES_PER_EVENT, unit="By"),
    _job_metric("estimated_backlog_processing_time", _catch_up, unit="s"),
    _job_metric("elapsed_time", lambda v: int(v.at - v.job.created), unit="s"),
    _job_metric("current_num_vcpus", lambda v: v.workers * VCPUS_PER_WORKER),
    _job_metric("active_worker_instances", lambda v: v.workers),
    _job_metric("target_worker_instances", lambda v: v.workers),
    _job_metric("max_worker_instances_limit", lambda v: v.job.max_workers),
    _job_metric("aggregated_worker_utilization", _utilization, whole=False),
    _job_metric("total_vcpu_time", lambda v: v.run_s * v.workers * VCPUS_PER_WORKER, whole=False, unit="s"),
    _job_metric("total_memory_usage_time", lambda v: v.run_s * v.workers * GB_PER_WORKER, whole=False),
    _job_metric("total_pd_usage_time", lambda v: v.run_s * v.workers * 30.0, whole=False),
    _job_metric(
        "total_streaming_data_processed", lambda v: _sum(v, "_received") * BYTES_PER_EVENT, unit="By"
    ),
    _job_metric("pubsub/read_count", lambda v: _sum(v, "_received"), kind="DELTA"),
    _job_metric("pubsub/late_messages_count", lambda v: 0, kind="DELTA"),
    _job_metric("duplicates_filtered_out_count", lambda v: _sum(v, "_duplicates"), kind="DELTA"),
)


def _queue_metric(name: str, kind: str = "GAUGE", unit: str = "1") -> Metric:
    return Metric(
        type=f"pubsub.googleapis.com/subscription/{name}",
        resource="pubsub_subscription",
        kind=kind,
        unit=unit,
    )


def _topic_metric(name: str) -> Metric:
    return Metric(type=f"pubsub.googleapis.com/topic/{name}", resource="pubsub_topic", kind="DELTA")


QUEUE_METRICS = (
    _queue_metric("num_undelivered_messages"),
    _queue_metric("oldest_unacked_message_age", unit="s"),
    _queue_metric("dead_letter_message_count", "DELTA"),
    _queue_metric("ack_message_count", "DELTA"),
    _topic_metric("send_request_count"),
    _topic_metric("send_message_operation_count"),
)

DATASET_METRICS = (
    Metric(type=bigquery_metrics.ROWS, resource=bigquery_metrics.RESOURCE, kind="DELTA"),
    Metric(type=bigquery_metrics.BYTES, resource=bigquery_metrics.RESOURCE, kind="DELTA", unit="By"),
)

BIGTABLE_METRICS = (
    Metric(type=bigtable_metrics.CPU, resource=bigtable_metrics.CLUSTER, whole=False),
    Metric(type=bigtable_metrics.HOTTEST, resource=bigtable_metrics.CLUSTER, whole=False),
    Metric(type=bigtable_metrics.NODES, resource=bigtable_metrics.CLUSTER),
    Metric(type=bigtable_metrics.REQUESTS, resource=bigtable_metrics.TABLE, kind="DELTA"),
    Metric(type=bigtable_metrics.ERRORS, resource=bigtable_metrics.TABLE, kind="DELTA"),
)

QUOTA_METRICS = (
    Metric(type=quota_metrics.USED, resource=quota_metrics.RESOURCE),
    Metric(type=quota_metrics.LIMIT, resource=quota_metrics.RESOURCE),
)

METRICS: Mapping[str, Metric] = {
    metric.type: metric
    for metric in (*JOB_METRICS, *QUEUE_METRICS, *DATASET_METRICS, *BIGTABLE_METRICS, *QUOTA_METRICS)
}


def read_queue(metric: Metric, sample: WorldSample) -> Iterator[tuple[str, float]]:
    """(full name, value) of a Pub/Sub metric in a sample."""
    name = metric.type.rsplit("/", 1)[-1]
    if metric.resource == "pubsub_topic":
        yield from sample.published.items()
        return
    for full, queue in sample.queues.items():
        age = sample.at - queue.oldest if queue.oldest is not None and queue.waiting >= 1 else 0.0
        yield (
            full,
            {
                "num_undelivered_messages": int(queue.waiting),
                "oldest_unacked_message_age": max(0, round(age)),
                "dead_letter_message_count": queue.forwarded,
            }.get(name, queue.acknowledged),
        )
