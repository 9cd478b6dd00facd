"""Which pipeline an alert belongs to, and which incident (Rules: From alert to incident).

Two alerts with the same correlation key are one incident: key = (project, pipeline, family). A pipeline
claims its resources in `pipelines.yaml`; a resource that nobody claims is a pipeline of its own name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.core.alert_model import Alert, Family, Kind

# Several labels name one sort of resource: Pub/Sub says topic_id, a log entry says topic.
_SORTS: Mapping[str, str] = {
    "job": "job", "job_name": "job",
    "subscription": "subscription", "subscription_id": "subscription",
    "topic": "topic", "topic_id": "topic",
    "dataset": "dataset", "dataset_id": "dataset",
    "table": "table", "table_id": "table",
    "instance": "instance", "instance_id": "instance",
}  # fmt: skip
# The narrower a resource, the surer its owner: two pipelines may read one topic, never one job.
_SURENESS = ("job", "subscription", "topic", "table", "dataset", "instance")
_UNCLAIMED_LABELS = (
    "job_name", "subscription_id", "topic_id", "table_id", "instance", "instance_id", "database_id",
)  # fmt: skip
_NOT_IN_LABEL = re.compile(r"[^a-z0-9_-]")
_FAMILIES = {
    Kind.HEALTH: Family.STREAM,
    Kind.PERFORMANCE: Family.STREAM,
    Kind.QUALITY: Family.STREAM,
    Kind.COST: Family.COST,
    Kind.SECURITY: Family.SECURITY,
    Kind.OTHER: Family.OTHER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineClaims:
    """What one pipeline calls its own.

    `resources` holds (sort, id): sort is a label name (job_name, subscription_id, topic_id, dataset_id,
    table_id, instance) or its short form (job, subscription, topic, dataset, table); id is short or a full
    name ("projects/p/topics/clicks"). `budgets` holds budget ids or display names.
    """

    name: str
    project: str
    resources: frozenset[tuple[str, str]] = frozenset()
    budgets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Where an alert belongs. `claimed` is False for a pipeline that stands in no file."""

    project: str
    pipeline: str
    claimed: bool
    family: Family

    @property
    def key(self) -> str:
        """The correlation key, see `correlation_key`."""
        return correlation_key(self.project, self.pipeline, self.family)


def correlate(alert: Alert, claims: Sequence[PipelineClaims]) -> Correlation:
    """Pipeline, project and family of `alert`; the first claim in file order wins a tie.

    A claimed alert takes the project of its pipeline: a budget notification names none, and still belongs
    to the incident of the cost alert that names it.
    """
    owner = _owner(alert, claims)
    return Correlation(
        project=owner.project if owner else alert.project,
        pipeline=owner.name if owner else _own_name(alert),
        claimed=owner is not None,
        family=alert.family or family(alert.kind),
    )


def family(kind: Kind) -> Family:
    """Health, performance and quality share an incident; cost, security and other stand alone."""
    return _FAMILIES[kind]


def correlation_key(project: str, pipeline: str, family: Family | str) -> str:
    """One text for (project, pipeline, family); different triples never give the same text."""
    return json.dumps([project, pipeline, str(family)], ensure_ascii=False, separators=(",", ":"))


def _owner(alert: Alert, claims: Sequence[PipelineClaims]) -> PipelineClaims | None:
    budgets = {alert.resource_labels.get(name, "") for name in ("budget_id", "budget_name")} - {""}
    for claim in claims:
        if budgets & claim.budgets:
            return claim
    near = [claim for claim in claims if not alert.project or claim.project == alert.project]
    held = _resources(alert)
    owned = [(claim, _normal(claim)) for claim in near]
    for sort in _SURENESS:
        if sort not in held:
            continue
        for claim, resources in owned:
            if (sort, held[sort]) in resources and not (sort == "table" and _elsewhere(held, resources)):
                return claim
    return _labelled(alert, near)


def _labelled(alert: Alert, near: Sequence[PipelineClaims]) -> PipelineClaims | None:
    """The pipeline that a policy of ours names in its labels, for alerts that name no resource."""
    if alert.labels.get("managed_by") != "streamwatch":
        return None
    wanted = alert.labels.get("pipeline", "")
    return next((claim for claim in near if _label(claim.name) == wanted), None)


def _label(name: str) -> str:
    """A pipeline's name as the value of a label: small letters, digits, - and _, at most 63."""
    return _NOT_IN_LABEL.sub("-", name.lower())[:63]


def _elsewhere(held: Mapping[str, str], resources: frozenset[tuple[str, str]]) -> bool:
    """Whether the table of an alert lies in a dataset or instance that the pipeline does not claim.

    Table names repeat between datasets, so the name alone decides only where the alert gives no container.
    """
    containers = {(sort, held[sort]) for sort in ("dataset", "instance") if sort in held}
    return bool(containers) and not containers & resources


def _resources(alert: Alert) -> dict[str, str]:
    """Sort of resource -> short id. The resource's own labels win over the metric's."""
    found: dict[str, str] = {}
    for labels in (alert.resource_labels, alert.metric_labels):
        for label, value in sorted(labels.items()):
            sort = _SORTS.get(label)
            if sort and value:
                found.setdefault(sort, short_id(value, alert.project))
    return found


def _normal(claim: PipelineClaims) -> frozenset[tuple[str, str]]:
    pairs: Iterable[tuple[str, str]] = claim.resources
    return frozenset((_SORTS.get(sort, sort), short_id(value, claim.project)) for sort, value in pairs)


def short_id(value: str, project: str) -> str:
    """A resource's last name: "projects/p/topics/clicks" and "p:clicks" (of project p) are "clicks"."""
    last = value.strip().rstrip("/").rsplit("/", 1)[-1]
    if project and last.startswith(f"{project}:"):
        last = last[len(project) + 1 :]
    return last or value.strip()


def _own_name(alert: Alert) -> str:
    for label in _UNCLAIMED_LABELS:
        value = alert.resource_labels.get(label, "").strip()
        if value:
            return short_id(value, alert.project)
    return alert.resource_name.strip() or alert.resource_type.strip() or "unknown resource"
