"""Alert policies as code: what Cloud Monitoring is to tell of a pipeline, with the labels that route it.  Pure.

A policy of ours is known again by its labels `managed_by`, `pipeline` and `policy`, whatever its name.
The labels `severity`, `kind` and `runbook` are those that Streamwatch reads (Rules: From notification to alert).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.catalogue import EVENT_TYPES, Pipeline
from pipeline.report import duration, percent

OWNER: Final = {"managed_by": "streamwatch"}
_JOB: Final = "dataflow.googleapis.com/job/"
_SUBSCRIPTION: Final = "pubsub.googleapis.com/subscription/"
_COUNTER: Final = "dataflow_googleapis_com:job_user_counter"
_NOT_IN_LABEL: Final = re.compile(r"[^a-z0-9_-]")
_LABEL_LENGTH: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One alert policy with one condition: a value above ``above`` for ``for_s`` (whole minutes).

    The value is the metric of ``filter``, or what ``query`` (PromQL) gives; then the query says "above"
    itself.
    """

    key: str
    title: str
    above: float
    for_s: int
    severity: str
    kind: str
    runbook: str
    advice: str
    filter: str = ""
    query: str = ""

    def labels(self, pipeline: Pipeline) -> Mapping[str, str]:
        """The user labels of the policy."""
        return {
            **owned(pipeline),
            "policy": self.key,
            "severity": self.severity,
            "kind": self.kind,
            "runbook": self.runbook,
        }


def owned(pipeline: Pipeline) -> dict[str, str]:
    """The labels by which what was made for a pipeline is known again."""
    name = _NOT_IN_LABEL.sub("-", pipeline.name.lower())[:_LABEL_LENGTH]
    return {**OWNER, "pipeline": name}


def policies(pipeline: Pipeline) -> tuple[Policy, ...]:
    """The policies that a pipeline should have; those of subscriptions only where it names some."""
    limits = pipeline.limits
    found = [
        _failed(pipeline),
        _lag(pipeline),
        _error_rate(pipeline, "error_rate", limits.error_warning, "warning"),
        _error_rate(pipeline, "error_rate_critical", limits.error_critical, "critical"),
    ]
    if pipeline.subscriptions:
        found.append(_backlog(pipeline))
    if pipeline.dead_letter_subscription:
        found.append(_dead_letters(pipeline))
    return tuple(found)


def _failed(pipeline: Pipeline) -> Policy:
    return Policy(
        key="job_failed",
        title=f"{pipeline.name}: the job failed",
        filter=of_job(pipeline, "is_failed"),
        above=0.0,
        for_s=0,
        severity="critical",
        kind="health",
        runbook="pipeline-health",
        advice="The Dataflow job failed; nothing is processed.",
    )


def _lag(pipeline: Pipeline) -> Policy:
    return Policy(
        key="system_lag",
        title=f"{pipeline.name}: system lag above {duration(pipeline.limits.system_lag_s)}",
        filter=of_job(pipeline, "system_lag"),
        above=pipeline.limits.system_lag_s,
        for_s=300,
        severity="warning",
        kind="performance",
        runbook="performance",
        advice=f"Events wait longer than {duration(pipeline.limits.system_lag_s)} in the pipeline.",
    )


def _error_rate(pipeline: Pipeline, key: str, above: float, severity: str) -> Policy:
    return Policy(
        key=key,
        title=f"{pipeline.name}: error rate above {percent(above)}",
        query=f"{error_rate_query(pipeline)} > {above:g}",
        above=above,
        for_s=120,
        severity=severity,
        kind="quality",
        runbook="data-quality",
        advice=f"So many of the events received within {duration(pipeline.limits.rate_s)} are invalid; "
        "`/pipeline quality` names the cause.",
    )


def error_rate_query(pipeline: Pipeline) -> str:
    """Invalid by received over 5 min in PromQL (Rules: Facts); nothing below the least number received.

    The counters are gauges that only rise, so ``delta`` and not ``increase``; they stand by job, so one that
    starts anew is a series of its own.
    """
    invalid, received = (growth_query(pipeline, kind) for kind in ("invalid", "received"))
    return f"{invalid} / ({received} >= {pipeline.limits.least_received:g})"


def growth_query(pipeline: Pipeline, kind: str) -> str:
    """By how much the counters of a kind ("received") grew in that time, in PromQL."""
    names = "|".join(f"{event}_{kind}" for event in EVENT_TYPES)
    chosen = f'monitored_resource="dataflow_job",job_name={quoted(pipeline.job_name)},metric_name=~"{names}"'
    window = f"{pipeline.limits.rate_s:g}s"
    return f"sum by (job_name) (delta({_COUNTER}{{{chosen}}}[{window}]))"


def _backlog(pipeline: Pipeline) -> Policy:
    return Policy(
        key="backlog_age",
        title=f"{pipeline.name}: events unread for {duration(pipeline.limits.oldest_s)}",
        filter=of_subscriptions("oldest_unacked_message_age", pipeline.subscriptions),
        above=pipeline.limits.oldest_s,
        for_s=300,
        severity="warning",
        kind="health",
        runbook="pipeline-health",
        advice="The pipeline does not keep up, or does not run. Past the retention events are deleted.",
    )


def _dead_letters(pipeline: Pipeline) -> Policy:
    return Policy(
        key="dead_letters",
        title=f"{pipeline.name}: more than 100 dead letters",
        filter=of_subscriptions("num_undelivered_messages", (pipeline.dead_letter_subscription,)),
        above=100.0,
        for_s=300,
        severity="warning",
        kind="quality",
        runbook="data-quality",
        advice="Events fail validation, or a sink refuses them.",
    )


def of_job(pipeline: Pipeline, metric: str) -> str:
    """Monitoring's filter for a Dataflow metric ("system_lag") of the pipeline's job."""
    return (
        f'metric.type="{_JOB}{metric}" AND resource.type="dataflow_job" '
        f"AND resource.labels.job_name={quoted(pipeline.job_name)}"
    )


def of_subscriptions(metric: str, names: tuple[str, ...]) -> str:
    """Monitoring's filter for a Pub/Sub metric of these subscriptions."""
    wanted = " OR ".join(f"resource.labels.subscription_id={quoted(name)}" for name in names)
    return f'metric.type="{_SUBSCRIPTION}{metric}" AND resource.type="pubsub_subscription" AND ({wanted})'


def quoted(text: str) -> str:
    """A string literal of Google's filters and of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
