"""How grave an alert is and of what kind (Rules: From notification to alert; document: "Severity Levels").

The tables are shipped data: what Google's metric types mean for a streaming pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.core.alert_model import Kind, Severity
from bot.core.policy import Thresholds

# File stem of a runbook -> kind; what a policy label `runbook` may say. `-` and `_` are equal.
RUNBOOK_KINDS: Mapping[str, Kind] = {
    "pipeline-health": Kind.HEALTH,
    "health": Kind.HEALTH,
    "data-quality": Kind.QUALITY,
    "quality": Kind.QUALITY,
    "dead-letter": Kind.QUALITY,
    "dlq": Kind.QUALITY,
    "cost-spike": Kind.COST,
    "cost": Kind.COST,
    "performance-degradation": Kind.PERFORMANCE,
    "performance": Kind.PERFORMANCE,
    "latency": Kind.PERFORMANCE,
    "security": Kind.SECURITY,
}

# Start of the metric type -> kind; the first that fits wins, so the narrower stand above the wider.
_BY_PREFIX: tuple[tuple[str, Kind], ...] = (
    ("dataflow.googleapis.com/job/is_failed", Kind.HEALTH),
    ("dataflow.googleapis.com/job/status", Kind.HEALTH),
    ("dataflow.googleapis.com/job/elapsed_time", Kind.HEALTH),
    ("dataflow.googleapis.com/job/total_", Kind.COST),
    ("dataflow.googleapis.com/job/billable_", Kind.COST),
    ("dataflow.googleapis.com/job/duplicates_", Kind.QUALITY),
    ("dataflow.googleapis.com/", Kind.PERFORMANCE),
    ("pubsub.googleapis.com/subscription/dead_letter_", Kind.QUALITY),
    ("pubsub.googleapis.com/", Kind.PERFORMANCE),
    ("bigquery.googleapis.com/query/scanned_bytes_billed", Kind.COST),
    ("bigquery.googleapis.com/query/statement_scanned_bytes_billed", Kind.COST),
    ("bigquery.googleapis.com/", Kind.PERFORMANCE),
    ("bigtable.googleapis.com/", Kind.PERFORMANCE),
    ("monitoring.googleapis.com/uptime_check/", Kind.HEALTH),
    ("billing.googleapis.com/", Kind.COST),
    ("billing/", Kind.COST),
)
# Metrics that teams define themselves are told by the words in the last part of their type.
_OWN_METRICS = (
    "custom.googleapis.com/",
    "workload.googleapis.com/",
    "external.googleapis.com/",
    "logging.googleapis.com/user/",
    "prometheus.googleapis.com/",
)
_BY_WORD: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"is_failed|is_stopped|stopped|heartbeat"), Kind.HEALTH),
    (re.compile(r"error_?ra(te|tio)|invalid|violation|dead_?letter|dlq|quality|duplicate"), Kind.QUALITY),
    (re.compile(r"budget|cost|spend|billing"), Kind.COST),
    (re.compile(r"latency|lag|throughput|backlog|watermark"), Kind.PERFORMANCE),
)
_QUALITY_COUNTER = re.compile(r"(_|^)(invalid|dead_lettered|duplicates|violations)(_|$)")
_DEAD_LETTERS = re.compile(r"dead[-_]?letters?|dlq", re.IGNORECASE)
_STOPPED = re.compile(r"(^|[/_.])(is_failed|is_stopped|(pipeline|job)_(failed|stopped)|stopped)$")
_ERROR_RATE_TYPE = re.compile(r"(error|invalid|failure)[-_]?(rate|ratio|percent|percentage)([/_.]|$)")
_ERROR_RATE_NAME = re.compile(r"\berror[ _-]?(rate|ratio|percentage)\b")


def stated_severity(label: str, payload: str) -> Severity:
    """The stated severity: policy label `severity` if it says one, else the payload's word, else warning.

    "Critical" is critical, only an explicit "info" is info, all else ("Error", "No severity") is warning.
    A label that is no severity ("sev2") states nothing.
    """
    for word in (label.strip().casefold(), payload.strip().casefold()):
        if word in {"critical", "info", "warning"}:
            return Severity(word)
    return Severity.WARNING


def measured_severity(
    metric_type: str,
    names: tuple[str, ...],
    value: float | None,
    threshold: float | None,
    comparison: str = "",
    limits: Thresholds | None = None,
) -> Severity | None:
    """What the document's thresholds, as the policy has them, say of the measured value; None where they say nothing.

    Document, "Severity Levels": critical = pipeline stopped or more than 50 % errors, warning = more than 10 %.
    `names` and `comparison` as in `error_rate`; `limits` None: the shipped thresholds.
    """
    if value is None:
        return None
    if _STOPPED.search(metric_type.casefold()):
        return Severity.CRITICAL if value > 0 else None
    ratio = error_rate(metric_type, names, value, threshold, comparison)
    known = limits or Thresholds()
    if ratio is None or ratio <= known.error_rate_warning:
        return None
    return Severity.CRITICAL if ratio > known.error_rate_critical else Severity.WARNING


def error_rate(
    metric_type: str,
    names: tuple[str, ...],
    value: float | None,
    threshold: float | None,
    comparison: str = "",
) -> float | None:
    """The error rate that a measured value is, 0.25 for 25 %; None where it is something else.

    `names` are display names (of condition, metric or policy): an error rate made by a query or a ratio of
    counters has no metric type that says so. Comparison is Google's COMPARISON_GT or the like.
    """
    if value is None:
        return None
    by_type = bool(_ERROR_RATE_TYPE.search(metric_type.casefold()))
    by_name = not by_type and any(_ERROR_RATE_NAME.search(name.casefold()) for name in names)
    ratio = as_ratio(value, threshold)
    # A name alone is weak: 300 errors a second under the name "error rate" are no 30,000 per cent,
    # and a condition that fires below its threshold watches something else.
    weak = by_name and (ratio > 1 or comparison.endswith("_LT"))
    return ratio if (by_type or by_name) and not weak else None


def as_ratio(value: float, threshold: float | None) -> float:
    """`value` as a ratio (Rules: Facts): it is one if its threshold is at most 1, else it is per cent.

    Without a threshold a value up to 1 is a ratio: of the two readings the graver.
    """
    yardstick = threshold if threshold is not None else value
    return value if yardstick <= 1 else value / 100


def kind_of(
    labels: Mapping[str, str],
    metric_type: str,
    *,
    resource_type: str = "",
    resource_labels: Mapping[str, str] | None = None,
    metric_labels: Mapping[str, str] | None = None,
    absent: bool = False,
    runbook_kinds: Mapping[str, Kind] = RUNBOOK_KINDS,
) -> Kind:
    """The kind: policy label `kind`, else label `runbook` (a file stem), else the shipped table, else other.

    `labels` are the policy's; `absent` says that the condition fired because the metric fell silent.
    `runbook_kinds` maps file stems to kinds, however they write `-` and `_`.
    """
    word = labels.get("kind", "").strip().casefold()
    if word in set(Kind):
        return Kind(word)
    wanted = stem(labels.get("runbook", ""))
    if wanted:
        for name, kind in runbook_kinds.items():
            if stem(name) == wanted:
                return kind
    return _by_metric(metric_type.strip(), resource_type, resource_labels or {}, metric_labels or {}, absent)


def _by_metric(
    metric: str, resource_type: str, resource: Mapping[str, str], labels: Mapping[str, str], absent: bool
) -> Kind:
    # A job whose metrics fall silent is gone, whatever the metric was about.
    if resource_type in {"dataflow_job", "dataflow_step"} and (absent or not metric):
        return Kind.HEALTH
    if metric == "dataflow.googleapis.com/job/user_counter":
        quality = _QUALITY_COUNTER.search(labels.get("metric_name", "").casefold())
        return Kind.QUALITY if quality else Kind.PERFORMANCE
    names = (resource.get("subscription_id", ""), resource.get("topic_id", ""))
    if metric.startswith("pubsub.googleapis.com/") and any(map(_DEAD_LETTERS.search, names)):
        return Kind.QUALITY
    for prefix, kind in _BY_PREFIX:
        if metric.startswith(prefix):
            return kind
    if metric.startswith(_OWN_METRICS):
        # Prometheus metrics end in their value type: .../pipeline_lag_seconds/gauge.
        words = metric.casefold().split("/", 1)[1]
        return next((kind for pattern, kind in _BY_WORD if pattern.search(words)), Kind.OTHER)
    return Kind.OTHER


def stem(name: str) -> str:
    last = name.strip().casefold().rsplit("/", 1)[-1]
    return last.removesuffix(".md").replace("_", "-")
