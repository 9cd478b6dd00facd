"""A world under a hand-driven clock, its server, and Google's official clients on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.cloud import billing_v1, dataflow_v1beta3, monitoring_v3, pubsub_v1
from google.cloud.billing_v1.services.cloud_billing.transports import CloudBillingGrpcTransport
from google.cloud.dataflow_v1beta3.services.flex_templates_service.transports import (
    FlexTemplatesServiceGrpcTransport,
)
from google.cloud.dataflow_v1beta3.services.jobs_v1_beta3.transports import JobsV1Beta3GrpcTransport
from google.cloud.dataflow_v1beta3.services.messages_v1_beta3.transports import MessagesV1Beta3GrpcTransport
from google.cloud.dataflow_v1beta3.services.metrics_v1_beta3.transports import MetricsV1Beta3GrpcTransport
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from sandbox.google.server import GoogleServer
from sandbox.google.world import World

PROJECT, REGION, JOB = "demo-project", "europe-west1", "ecommerce-streaming"
TEMPLATE = "gs://demo-project-templates/ecommerce-streaming.json"
DEAD_LETTERS = f"projects/{PROJECT}/subscriptions/dead-letter-sub"
PIPELINES = """\
pipelines:
  - name: orders
    environment: production
    project: demo-project
    region: europe-west1
    job_name: ecommerce-streaming
    template: gs://demo-project-templates/ecommerce-streaming.json
    topics: [clicks, transactions, stock]
    subscriptions: [clicks-sub, transactions-sub, stock-sub]
    dead_letter: {topic: dead-letter, subscription: dead-letter-sub}
    budgets: [orders-monthly]
"""


class HandClock:
    """Both clocks of the world, moved by hand."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 20, 10, 0, 7, tzinfo=UTC)
        self._wall = datetime(2026, 11, 20, 10, 0, 7, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def wall(self) -> datetime:
        return self._wall

    def go(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._wall += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Google:
    """World, clock and clients of one test."""

    clock: HandClock
    world: World
    jobs: Any
    metrics: Any
    messages: Any
    flex: Any
    monitoring: Any
    logging: Any
    billing: Any
    publisher: Any
    subscriber: Any

    def active(self) -> list[Any]:
        return self.list_jobs("ACTIVE")

    def list_jobs(self, state: str, **more: Any) -> list[Any]:
        request = {"project_id": PROJECT, "location": REGION, "filter": state, **more}
        return list(self.jobs.list_jobs(dataflow_v1beta3.ListJobsRequest(request)))

    def get(self, job_id: str) -> Any:
        request = {"project_id": PROJECT, "location": REGION, "job_id": job_id}
        return self.jobs.get_job(dataflow_v1beta3.GetJobRequest(request))

    def launch(self, **more: Any) -> Any:
        parameter = {"job_name": JOB, "container_spec_gcs_path": TEMPLATE, **more}
        request = {"project_id": PROJECT, "location": REGION, "launch_parameter": parameter}
        return self.flex.launch_flex_template(dataflow_v1beta3.LaunchFlexTemplateRequest(request)).job

    def stop(self, job_id: str, state: str) -> Any:
        request = {
            "project_id": PROJECT,
            "location": REGION,
            "job_id": job_id,
            "job": {"requested_state": f"JOB_STATE_{state}"},
        }
        return self.jobs.update_job(dataflow_v1beta3.UpdateJobRequest(request))

    def series(
        self,
        metric: str,
        where: str = "",
        *,
        minutes: float = 10,
        until: datetime | None = None,
        page_size: int = 0,
        **aggregation: Any,
    ) -> list[Any]:
        end = until or self.clock.now()
        prefix = "pubsub" if metric.startswith(("subscription/", "topic/")) else "dataflow"
        request = {
            "name": f"projects/{PROJECT}",
            "filter": f'metric.type="{prefix}.googleapis.com/{metric}"' + (f" AND {where}" if where else ""),
            "interval": monitoring_v3.TimeInterval(start_time=end - timedelta(minutes=minutes), end_time=end),
            "view": monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
            "page_size": page_size,
        }
        if aggregation:
            request["aggregation"] = monitoring_v3.Aggregation(aggregation)
        return list(self.monitoring.list_time_series(request=request))

    def newest(self, metric: str, where: str = "") -> int:
        """The newest whole value of the only series that fits."""
        (one,) = self.series(metric, where, minutes=2)
        return int(one.points[0].value.int64_value)

    def backlog(self, subscription: str) -> int:
        where = f'resource.labels.subscription_id="{subscription}"'
        return self.newest("subscription/num_undelivered_messages", where)

    def counters(self) -> dict[str, float]:
        """Newest user counters, summed over the jobs."""
        out: dict[str, float] = {}
        for one in self.series("job/user_counter", minutes=2):
            name = one.metric.labels["metric_name"]
            out[name] = out.get(name, 0) + one.points[0].value.double_value
        return out

    def logs(self, where: str, **more: Any) -> list[Any]:
        request = {"resource_names": [f"projects/{PROJECT}"], "filter": where, **more}
        return list(self.logging.list_log_entries(request=request))

    def pull(self, subscription: str = DEAD_LETTERS, limit: int = 1000) -> list[Any]:
        found = self.subscriber.pull(subscription=subscription, max_messages=limit, return_immediately=True)
        return list(found.received_messages)


@contextmanager
def running_google(folder: Path) -> Iterator[Google]:
    """A fresh world, served on a free port until the end of the block."""
    file = folder / "pipelines.yaml"
    file.write_text(PIPELINES, encoding="utf-8")
    clock = HandClock()
    world = World(clock, file)
    server = GoogleServer(world)
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        try:
            yield Google(
                clock=clock,
                world=world,
                jobs=dataflow_v1beta3.JobsV1Beta3Client(transport=JobsV1Beta3GrpcTransport(channel=channel)),
                metrics=dataflow_v1beta3.MetricsV1Beta3Client(
                    transport=MetricsV1Beta3GrpcTransport(channel=channel)
                ),
                messages=dataflow_v1beta3.MessagesV1Beta3Client(
                    transport=MessagesV1Beta3GrpcTransport(channel=channel)
                ),
                flex=dataflow_v1beta3.FlexTemplatesServiceClient(
                    transport=FlexTemplatesServiceGrpcTransport(channel=channel)
                ),
                monitoring=monitoring_v3.MetricServiceClient(
                    transport=MetricServiceGrpcTransport(channel=channel)
                ),
                logging=LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel)),
                billing=billing_v1.CloudBillingClient(transport=CloudBillingGrpcTransport(channel=channel)),
                publisher=pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel)),
                subscriber=pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)),
            )
        finally:
            server.stop()
