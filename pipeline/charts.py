"""The dashboard of a pipeline as code: which charts Cloud Monitoring shows of it.  Pure.

It is known again by its name, which follows from the pipeline's.  The form is Monitoring's first
version (projects.dashboards, mosaicLayout).  Lines at the rules' thresholds show where people are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.alerting import error_rate_query, growth_query, of_job, of_subscriptions, owned, quoted
from pipeline.catalogue import EVENT_TYPES, Pipeline
from pipeline.report import duration

_COLUMNS: Final = 48
_WIDE: Final = 24
_HIGH: Final = 16
_BIGTABLE: Final = "bigtable.googleapis.com/"
_ROWS: Final = "bigquery.googleapis.com/storage/uploaded_row_count"

Json = dict[str, Any]
Chart = tuple[str, list[Json], list[float]]


def dashboard_id(pipeline: Pipeline) -> str:
    """The last part of the dashboard's name; small letters, digits and hyphens."""
    return f"streamwatch-{owned(pipeline)['pipeline']}".replace("_", "-")[:63].rstrip("-")


def dashboard(pipeline: Pipeline) -> Json:
    """The whole dashboard, without its name."""
    tiles = [
        {
            "xPos": place % 2 * _WIDE,
            "yPos": place // 2 * _HIGH,
            "width": _WIDE,
            "height": _HIGH,
            "widget": {"title": title, "xyChart": _chart(sets, lines)},
        }
        for place, (title, sets, lines) in enumerate(charts(pipeline))
    ]
    return {
        "displayName": f"Streamwatch: {pipeline.name}",
        "labels": {"managed_by": "streamwatch"},
        "mosaicLayout": {"columns": _COLUMNS, "tiles": tiles},
    }


def charts(pipeline: Pipeline) -> list[Chart]:
    """(title, data sets, thresholds) of every chart; of stores and queues only those that it names."""
    limits = pipeline.limits
    found: list[Chart] = [
        (
            "Throughput: events received and stored each second",
            [_rate(pipeline, "received"), _rate(pipeline, "settled", legend="stored")],
            [],
        ),
        ("System lag (s)", [_set(of_job(pipeline, "system_lag"), "ALIGN_MAX")], [limits.system_lag_s]),
        (
            "Freshness: age of the watermark (s)",
            [_set(of_job(pipeline, "data_watermark_age"), "ALIGN_MAX")],
            [limits.watermark_age_s],
        ),
        (
            f"Error rate: invalid by received, {duration(limits.rate_s)}",
            [{"timeSeriesQuery": {"prometheusQuery": error_rate_query(pipeline)}, "plotType": "LINE"}],
            [limits.error_warning, limits.error_escalates, limits.error_critical],
        ),
        (
            "Error counters since the job's start",
            [
                _set(
                    f"{of_job(pipeline, 'user_counter')} AND ({_counters('invalid', 'dead_lettered')})",
                    "ALIGN_MAX",
                    "REDUCE_SUM",
                    by=("metric.label.metric_name",),
                )
            ],
            [],
        ),
        (
            "Workers, at work and wanted",
            [
                _set(of_job(pipeline, "active_worker_instances"), "ALIGN_MAX", legend="at work"),
                _set(of_job(pipeline, "target_worker_instances"), "ALIGN_MAX", legend="wanted"),
            ],
            [],
        ),
    ]
    return found + _queues(pipeline) + _stores(pipeline)


def _queues(pipeline: Pipeline) -> list[Chart]:
    found: list[Chart] = []
    if pipeline.subscriptions:
        found += [
            (
                "Backlog: messages waiting, by subscription",
                [_queue("num_undelivered_messages", pipeline.subscriptions)],
                [],
            ),
            (
                "Backlog: age of the oldest message (s), by subscription",
                [_queue("oldest_unacked_message_age", pipeline.subscriptions)],
                [pipeline.limits.oldest_s],
            ),
        ]
    if pipeline.dead_letter_subscription:
        names = (pipeline.dead_letter_subscription,)
        found += [
            ("Dead letters waiting", [_queue("num_undelivered_messages", names)], [100.0]),
            ("Age of the oldest dead letter (s)", [_queue("oldest_unacked_message_age", names)], []),
        ]
    return found


def _stores(pipeline: Pipeline) -> list[Chart]:
    found: list[Chart] = []
    if pipeline.dataset:
        filter_ = (
            f'metric.type="{_ROWS}" AND resource.type="bigquery_dataset" '
            f"AND resource.labels.dataset_id={quoted(pipeline.dataset)}"
        )
        table = ("metric.label.table",)
        found.append(
            ("BigQuery: rows a second, by table", [_set(filter_, "ALIGN_RATE", "REDUCE_SUM", by=table)], [])
        )
    if pipeline.bigtable_instance:
        cpu, requests = (
            f'metric.type="{_BIGTABLE}{metric}" AND resource.type="{resource}" '
            f"AND resource.labels.instance={quoted(pipeline.bigtable_instance)}"
            for metric, resource in (
                ("cluster/cpu_load", "bigtable_cluster"),
                ("server/request_count", "bigtable_table"),
            )
        )
        method = ("metric.label.method",)
        found += [
            ("Bigtable: load of the nodes", [_set(cpu, "ALIGN_MEAN")], [pipeline.limits.store_cpu]),
            (
                "Bigtable: requests a second, by method",
                [_set(requests, "ALIGN_RATE", "REDUCE_SUM", by=method)],
                [],
            ),
        ]
    return found


def _rate(pipeline: Pipeline, counter: str, legend: str = "") -> Json:
    """What the pipeline counted, a second."""
    query = f"{growth_query(pipeline, counter)} / {pipeline.limits.rate_s:g}"
    return {
        "timeSeriesQuery": {"prometheusQuery": query},
        "plotType": "LINE",
        "legendTemplate": legend or counter,
    }


def _queue(metric: str, names: tuple[str, ...]) -> Json:
    return _set(of_subscriptions(metric, names), "ALIGN_MAX", by=("resource.label.subscription_id",))


def _counters(*kinds: str) -> str:
    names = [f"{event}_{kind}" for kind in kinds for event in EVENT_TYPES]
    return " OR ".join(f"metric.labels.metric_name={quoted(name)}" for name in names)


def _set(
    filter_: str, aligner: str, reducer: str = "REDUCE_MAX", *, by: Sequence[str] = (), legend: str = ""
) -> Json:
    aggregation: Json = {
        "alignmentPeriod": "60s",
        "perSeriesAligner": aligner,
        "crossSeriesReducer": reducer,
    }
    if by:
        aggregation["groupByFields"] = list(by)
    query = {"timeSeriesFilter": {"filter": filter_, "aggregation": aggregation}}
    return {
        "timeSeriesQuery": query,
        "plotType": "LINE",
        **({"legendTemplate": legend} if legend else {}),
    }


def _chart(sets: list[Json], lines: list[float]) -> Json:
    thresholds = {"thresholds": [{"value": value} for value in lines]} if lines else {}
    return {"dataSets": sets, "yAxis": {"scale": "LINEAR"}, **thresholds}


def differs(wanted: Any, found: Any) -> bool:
    """Whether what is there lacks something of what is wanted; what the service adds of its own is none."""
    if isinstance(wanted, Mapping):
        return not isinstance(found, Mapping) or any(
            differs(value, found.get(key, _absent(value))) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            not isinstance(found, list)
            or len(wanted) != len(found)
            or any(differs(*pair) for pair in zip(wanted, found, strict=True))
        )
    return bool(wanted != found)


def _absent(value: Any) -> Any:
    """Google leaves out what is zero."""
    return 0 if isinstance(value, int) and not isinstance(value, bool) else None
