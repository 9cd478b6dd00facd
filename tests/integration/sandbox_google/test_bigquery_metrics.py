"""The rows that jobs write into BigQuery, as Monitoring shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.cloud import monitoring_v3

from tests.integration.sandbox_google.google import PROJECT, Google

ROWS = "bigquery.googleapis.com/storage/uploaded_row_count"


def written(google: Google, table: str, minutes: float = 10) -> float:
    """Rows written to a table in the last minutes."""
    end = google.clock.now()
    request: dict[str, Any] = {
        "name": f"projects/{PROJECT}",
        "filter": f'metric.type="{ROWS}" AND resource.labels.dataset_id="ecommerce" AND metric.labels.table="{table}"',
        "interval": monitoring_v3.TimeInterval(start_time=end - timedelta(minutes=minutes), end_time=end),
    }
    (series,) = google.monitoring.list_time_series(request=request)
    assert series.resource.type == "bigquery_dataset"
    return float(sum(point.value.int64_value for point in series.points))


def test_a_healthy_pipeline_writes_every_event_and_fewer_summaries(google: Google) -> None:
    rows = written(google, "raw_events")
    assert rows > 1000
    assert 0 < written(google, "product_views_summary") < rows / 2


def test_a_slow_sink_and_a_failed_job_show_in_the_rows_written(google: Google) -> None:
    healthy = written(google, "raw_events")
    google.world.apply({"scenario": "slow_sink"})
    google.clock.go(600)
    slow = written(google, "raw_events")
    assert slow < 0.75 * healthy
    google.world.apply({"scenario": "healthy"})
    google.world.apply({"scenario": "job_failed"})
    google.clock.go(1200)
    assert written(google, "raw_events") == 0
