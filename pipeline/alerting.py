"""Alert policies as code: what Cloud Monitoring is to tell of a pipeline, with the labels that route it.  Pure.

A policy of ours is known again by its labels `managed_by`, `pipeline` and `policy`, whatever its name.
The labels `severity`, `kind` and `runbook` are those that Streamwatch reads (Rules: From notification to alert).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.catalogue import Pipeline
from pipeline.report import duration

OWNER: Final = {"managed_by": "streamwatch"}
_JOB: Final = "dataflow.googleapis.com/job/"
_SUBSCRIPTION: Final = "pubsub.googleapis.com/subscription/"
_NOT_IN_LABEL: Final = re.compile(r"[^a-z0-9_-]")
_LABEL_LENGTH: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One alert policy with one condition: a value above ``above`` for ``for_s`` (whole minutes)."""

    key: str
    title: str
    filter: str
    above: float
    for_s: int
    severity: str
    kind: str
    runbook: str
    advice: str

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
    found = [_failed(pipeline), _lag(pipeline)]
    if pipeline.subscriptions:
        found.append(_backlog(pipeline))
    if pipeline.dead_letter_subscription:
        found.append(_dead_letters(pipeline))
    return tuple(found)


def _failed(pipeline: Pipeline) -> Policy:
    return Policy(
        key="job_failed",
        title=f"{pipeline.name}: the job failed",
        filter=_of_job(pipeline, "is_failed"),
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
        filter=_of_job(pipeline, "system_lag"),
        above=pipeline.limits.system_lag_s,
        for_s=300,
        severity="warning",
        kind="performance",
        runbook="performance",
        advice=f"Events wait longer than {duration(pipeline.limits.system_lag_s)} in the pipeline.",
    )


def _backlog(pipeline: Pipeline) -> Policy:
    return Policy(
        key="backlog_age",
        title=f"{pipeline.name}: events unread for {duration(pipeline.limits.oldest_s)}",
        filter=_of_subscriptions("oldest_unacked_message_age", pipeline.subscriptions),
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
        filter=_of_subscriptions("num_undelivered_messages", (pipeline.dead_letter_subscription,)),
        above=100.0,
        for_s=300,
        severity="warning",
        kind="quality",
        runbook="data-quality",
        advice="Events fail validation, or a sink refuses them.",
    )


def _of_job(pipeline: Pipeline, metric: str) -> str:
    return (
        f'metric.type="{_JOB}{metric}" AND resource.type="dataflow_job" '
        f"AND resource.labels.job_name={_quoted(pipeline.job_name)}"
    )


def _of_subscriptions(metric: str, names: tuple[str, ...]) -> str:
    wanted = " OR ".join(f"resource.labels.subscription_id={_quoted(name)}" for name in names)
    return f'metric.type="{_SUBSCRIPTION}{metric}" AND resource.type="pubsub_subscription" AND ({wanted})'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
