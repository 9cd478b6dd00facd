"""The CPUs that workers use and the limit on them, as Monitoring shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.cloud import monitoring_v3

from tests.integration.sandbox_google.google import PROJECT, REGION, Google


def newest(google: Google, name: str) -> int:
    """The newest value of a quota's metric in the pipeline's region."""
    end = google.clock.now()
    request: dict[str, Any] = {
        "name": f"projects/{PROJECT}",
        "filter": f'metric.type="serviceruntime.googleapis.com/quota/{name}" AND resource.type="consumer_quota" '
        f'AND metric.labels.quota_metric="compute.googleapis.com/cpus" AND resource.labels.location="{REGION}"',
        "interval": monitoring_v3.TimeInterval(start_time=end - timedelta(minutes=2), end_time=end),
    }
    (series,) = google.monitoring.list_time_series(request=request)
    return int(series.points[0].value.int64_value)


def test_workers_use_cpus_of_the_quota_and_a_failure_for_quota_shows_it_used_up(google: Google) -> None:
    assert newest(google, "limit") == 24
    assert newest(google, "allocation/usage") == 4
    google.world.apply({"scenario": "doubled_job"})
    assert newest(google, "allocation/usage") == 8
    google.world.apply({"scenario": "job_failed", "cause": "quota"})
    assert newest(google, "allocation/usage") == 24
    google.world.apply({"scenario": "healthy"})
    google.clock.go(60)
    assert newest(google, "allocation/usage") == 4
