"""Monitoring, Logging, Dataflow and Billing through the official clients: what they find, pages, official errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.api import metric_pb2
from google.api.monitored_resource_pb2 import MonitoredResource
from google.api_core import exceptions
from google.cloud import dataflow_v1beta3
from google.cloud.logging_v2.types import LogEntry

from tests.integration.sandbox_google.google import JOB, PROJECT, REGION, Google

KINDS, TYPES = metric_pb2.MetricDescriptor.MetricKind, metric_pb2.MetricDescriptor.ValueType


def test_series_carry_the_documented_labels_and_kinds(google: Google) -> None:
    google.clock.go(600)
    (lag,) = google.series(
        "job/system_lag", f'resource.type="dataflow_job" AND resource.labels.job_name="{JOB}"'
    )
    assert dict(lag.resource.labels) == {"project_id": PROJECT, "region": REGION, "job_name": JOB}
    assert dict(lag.metric.labels) == {"job_id": google.active()[0].id}
    assert (lag.metric_kind, lag.value_type) == (KINDS.Value("GAUGE"), TYPES.Value("INT64"))
    ends = [point.interval.end_time for point in lag.points]
    assert ends == sorted(ends, reverse=True), "the newest point comes first"
    (counter,) = google.series("job/user_counter", 'metric.labels.metric_name="click_received"')
    assert counter.metric.labels["ptransform"]
    assert counter.points[0].value.double_value > counter.points[-1].value.double_value


def test_filters_narrow_series(google: Google) -> None:
    google.clock.go(300)
    two = 'resource.labels.subscription_id=one_of("clicks-sub", "stock-sub")'
    assert len(google.series("subscription/num_undelivered_messages", two)) == 2
    either = (
        '(resource.label.subscription_id="clicks-sub" OR resource.labels.subscription_id="dead-letter-sub")'
    )
    assert len(google.series("subscription/num_undelivered_messages", either)) == 2
    begins = 'metric.labels.metric_name=starts_with("click_")'
    assert len(google.series("job/user_counter", begins)) == 6
    assert google.series("job/system_lag", 'resource.labels.job_name="another"') == []


def test_alignment_and_reduction(google: Google) -> None:
    google.clock.go(1200)
    rate: dict[str, Any] = {"alignment_period": {"seconds": 300}, "per_series_aligner": "ALIGN_RATE"}
    single = google.series("topic/send_request_count", **rate)
    assert {one.resource.labels["topic_id"] for one in single} >= {"clicks", "transactions", "stock"}
    (total,) = google.series("topic/send_request_count", **rate, cross_series_reducer="REDUCE_SUM")
    assert total.points[0].value.double_value == pytest.approx(2.75, abs=0.3)
    assert total.value_type == TYPES.Value("DOUBLE")
    grouped = google.series(
        "job/per_stage_system_lag",
        alignment_period={"seconds": 60},
        per_series_aligner="ALIGN_MAX",
        cross_series_reducer="REDUCE_MAX",
        group_by_fields=["resource.labels.job_name"],
    )
    assert [one.resource.labels["job_name"] for one in grouped] == [JOB]
    (delta,) = google.series(
        "job/pubsub/read_count", alignment_period={"seconds": 600}, per_series_aligner="ALIGN_DELTA"
    )
    assert delta.points[0].value.int64_value == pytest.approx(2.8 * 600, rel=0.1)


def test_the_same_hour_of_past_days_has_traffic_with_a_daily_wave(google: Google) -> None:
    def hour(days: float) -> int:
        (one,) = google.series(
            "topic/send_request_count",
            'resource.labels.topic_id="clicks"',
            minutes=60,
            until=google.clock.now() - timedelta(days=days),
            alignment_period={"seconds": 3600},
            per_series_aligner="ALIGN_DELTA",
        )
        return int(one.points[0].value.int64_value)

    assert hour(7) == pytest.approx(hour(0), rel=0.02)
    assert hour(0.67) > hour(0) * 1.3, "the evening before has more than this morning"


def test_monitoring_refuses_what_google_refuses(google: Google) -> None:
    with pytest.raises(exceptions.NotFound, match="Cannot find metric"):
        google.series("job/no_such_metric")
    with pytest.raises(exceptions.InvalidArgument, match="kind GAUGE"):
        google.series("job/system_lag", alignment_period={"seconds": 60}, per_series_aligner="ALIGN_RATE")
    with pytest.raises(exceptions.InvalidArgument, match="Unparseable filter"):
        google.series("job/system_lag", 'resource.labels.job_name="x" AND')
    with pytest.raises(exceptions.InvalidArgument, match="at least 60 s"):
        google.series("job/system_lag", alignment_period={"seconds": 5}, per_series_aligner="ALIGN_MAX")


def test_time_series_come_in_pages(google: Google) -> None:
    google.clock.go(1200)
    whole = google.series("job/user_counter", minutes=15)
    paged = google.series("job/user_counter", minutes=15, page_size=20)
    assert len(whole) == 18
    assert paged == whole


def test_log_filters_orders_and_pages(google: Google) -> None:
    google.world.apply({"scenario": "job_failed"})
    google.clock.go(60)
    job = google.list_jobs("ALL")[0]
    worker = f"projects/{PROJECT}/logs/dataflow.googleapis.com%2Fworker"
    message = f"projects/{PROJECT}/logs/dataflow.googleapis.com%2Fjob-message"
    both = (
        f'resource.type="dataflow_step" AND resource.labels.job_id="{job.id}" '
        f'AND logName=("{worker}" OR "{message}") AND severity>=ERROR AND timestamp>="2026-11-20T09:00:00Z"'
    )
    whole = google.logs(both, order_by="timestamp desc")
    assert len(whole) >= 5
    assert [one.timestamp for one in whole] == sorted((one.timestamp for one in whole), reverse=True)
    assert google.logs(both, order_by="timestamp desc", page_size=2) == whole
    assert {one.log_name for one in google.logs(f'logName="{worker}"')} == {worker}
    assert google.logs(f'{both} AND timestamp<"2026-11-20T09:30:00Z"') == []
    assert len(google.logs('jsonPayload.message:"TypeError" AND NOT severity<ERROR')) >= 4
    with pytest.raises(exceptions.InvalidArgument, match="Unparseable filter"):
        google.logs('severity>="LOUD"')


def test_written_log_entries_are_found_again(google: Google) -> None:
    entry = LogEntry(log_name=f"projects/{PROJECT}/logs/desk", text_payload='a "quoted" word', severity=500)
    google.logging.write_log_entries(
        entries=[entry],
        resource=MonitoredResource(type="global", labels={"project_id": PROJECT}),
        labels={"source": "test"},
    )
    (found,) = google.logs('textPayload="a \\"quoted\\" word" AND labels.source="test"')
    assert found.severity == 500
    assert f"projects/{PROJECT}/logs/desk" in list(google.logging.list_logs(parent=f"projects/{PROJECT}"))


def test_jobs_by_state_name_and_page(google: Google) -> None:
    for _ in range(3):
        google.world.apply({"scenario": "job_failed"})
        google.launch()
        google.clock.go(60)
    assert len(google.active()) == 1
    assert [job.current_state.name for job in google.list_jobs("TERMINATED")] == ["JOB_STATE_FAILED"] * 3
    whole = google.list_jobs("ALL")
    assert google.list_jobs("ALL", page_size=1) == whole
    assert len(whole) == 4
    assert google.list_jobs("ALL", name="another") == []
    assert google.list_jobs("ALL", location="us-east1") == []
    request = dataflow_v1beta3.ListJobsRequest(project_id=PROJECT, filter="ALL")
    assert len(list(google.jobs.aggregated_list_jobs(request))) == 4


def test_a_job_is_only_found_in_its_region(google: Google) -> None:
    job_id = google.active()[0].id
    assert google.get(job_id).name == JOB
    with pytest.raises(exceptions.NotFound):
        google.jobs.get_job(
            dataflow_v1beta3.GetJobRequest(project_id=PROJECT, location="us-east1", job_id=job_id)
        )


def test_job_metrics_and_messages(google: Google) -> None:
    google.world.apply({"scenario": "job_failed"})
    job_id = google.list_jobs("ALL")[0].id
    place = {"project_id": PROJECT, "location": REGION, "job_id": job_id}
    found = google.metrics.get_job_metrics(dataflow_v1beta3.GetJobMetricsRequest(place))
    values = {update.name.name: update.scalar for update in found.metrics if update.name.origin == "user"}
    assert values["click_received"] > 1_000_000
    request: dict[str, Any] = {**place, "minimum_importance": "JOB_MESSAGE_ERROR"}
    (error,) = google.messages.list_job_messages(dataflow_v1beta3.ListJobMessagesRequest(request))
    assert error.message_text.startswith("Workflow failed.")


def test_validate_only_looks_at_the_parameters_and_launches_nothing(google: Google) -> None:
    names = ("click_subscription", "transaction_subscription", "stock_subscription", "dead_letter_topic")
    given = dict.fromkeys(names, f"projects/{PROJECT}/...")

    def check(parameters: dict[str, str]) -> None:
        parameter = {
            "job_name": JOB,
            "container_spec_gcs_path": "gs://demo-project-templates/ecommerce-streaming.json",
            "parameters": parameters,
        }
        google.flex.launch_flex_template(
            dataflow_v1beta3.LaunchFlexTemplateRequest(
                project_id=PROJECT, location=REGION, launch_parameter=parameter, validate_only=True
            )
        )

    google.world.apply({"scenario": "job_failed"})
    check(given)
    assert google.active() == []
    del given["click_subscription"]
    with pytest.raises(exceptions.InvalidArgument, match="click_subscription: Missing required parameter"):
        check(given)


def test_billing_tells_the_account_and_no_stranger(google: Google) -> None:
    info = google.billing.get_project_billing_info(name=f"projects/{PROJECT}")
    assert info.billing_enabled
    (account,) = google.billing.list_billing_accounts()
    assert account.name == info.billing_account_name
    assert [one.project_id for one in google.billing.list_project_billing_info(name=account.name)] == [
        PROJECT
    ]
    with pytest.raises(exceptions.PermissionDenied):
        google.billing.get_project_billing_info(name="projects/another")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("NOT_FOUND", exceptions.NotFound),
        ("PERMISSION_DENIED", exceptions.PermissionDenied),
        ("RESOURCE_EXHAUSTED", exceptions.ResourceExhausted),
        ("UNAVAILABLE", exceptions.ServiceUnavailable),
        ("FAILED_PRECONDITION", exceptions.FailedPrecondition),
        ("DEADLINE_EXCEEDED", exceptions.DeadlineExceeded),
        ("UNAUTHENTICATED", exceptions.Unauthenticated),
    ],
)
def test_injected_errors_arrive_as_the_official_exceptions(
    google: Google, code: str, error: type[Exception]
) -> None:
    google.world.apply(
        {"errors": [{"method": "ListJobs", "code": code, "count": 1, "message": "as ordered"}]}
    )
    assert google.billing.get_project_billing_info(name=f"projects/{PROJECT}").billing_enabled
    with pytest.raises(error, match="as ordered"):
        google.active()
    assert len(google.active()) == 1


def test_monitorings_client_retries_an_injected_unavailable_by_itself(google: Google) -> None:
    google.clock.go(120)
    google.world.apply(
        {"errors": [{"method": "MetricService/ListTimeSeries", "code": "UNAVAILABLE", "count": 2}]}
    )
    assert google.newest("job/is_failed") == 0
    assert google.world.describe()["errors"] == []


def test_a_method_that_is_not_offered_is_unimplemented(google: Google) -> None:
    with pytest.raises(exceptions.MethodNotImplemented):
        google.jobs.snapshot_job(dataflow_v1beta3.SnapshotJobRequest(project_id=PROJECT))
