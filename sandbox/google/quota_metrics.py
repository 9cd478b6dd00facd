"""What Monitoring shows of quotas: the CPUs of Compute Engine in a pipeline's region, which workers use up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.google.history import WorldSample

if TYPE_CHECKING:
    from sandbox.google.flow import Flow
    from sandbox.google.world import World

RESOURCE = "consumer_quota"
USED = "serviceruntime.googleapis.com/quota/allocation/usage"
LIMIT = "serviceruntime.googleapis.com/quota/limit"
# Quotas are not sampled each minute: a use or a limit that stays as it is comes once a day at the least.
EVERY_S = 12 * 3600.0
QUOTA, LIMIT_NAME = "compute.googleapis.com/cpus", "CPUS-per-project-region"
# The limit that the service names when a job fails for its quota.
MOST_CPUS = 24
VCPUS_PER_WORKER = 2

Labels = tuple[tuple[str, str], ...]


def read_quotas(
    world: World, metric: str, project: str, sample: WorldSample
) -> Iterator[tuple[tuple[Labels, Labels], float]]:
    """((metric labels, resource labels), CPUs) of every region in which a pipeline of `project` runs."""
    used: dict[str, int] = {}
    for flow in world.flows.values():
        if flow.spec.project == project:
            used[flow.spec.region] = used.get(flow.spec.region, 0) + _cpus(flow, sample)
    for region, cpus in used.items():
        resource = (("location", region), ("project_id", project), ("service", "compute.googleapis.com"))
        if metric == LIMIT:
            yield ((("limit_name", LIMIT_NAME), ("quota_metric", QUOTA)), resource), float(MOST_CPUS)
        else:
            yield ((("quota_metric", QUOTA),), resource), float(min(cpus, MOST_CPUS))


def _cpus(flow: Flow, sample: WorldSample) -> int:
    if flow.cause == "quota":
        # Somebody else has taken what is left: that is why workers do not come up.
        return MOST_CPUS
    workers = sample.flows[flow.spec.name].workers
    alive = [job for job in flow.jobs if job.state_at(sample.at) in ("RUNNING", "DRAINING")]
    return sum(workers.get(job.id, 0) * VCPUS_PER_WORKER for job in alive)
