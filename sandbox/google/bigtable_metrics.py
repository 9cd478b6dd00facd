"""What Monitoring shows of Bigtable: how busy its clusters are, and what the pipelines' jobs ask of its tables.

Every valid event is one write; one hot key is one hot node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.google.flow import whole_counters
from sandbox.google.history import WorldSample

if TYPE_CHECKING:
    from sandbox.google.flow import Flow
    from sandbox.google.world import World

CLUSTER, TABLE = "bigtable_cluster", "bigtable_table"
_PREFIX = "bigtable.googleapis.com/"
CPU, HOTTEST, NODES = (
    f"{_PREFIX}cluster/{name}" for name in ("cpu_load", "cpu_load_hottest_node", "node_count")
)
REQUESTS, ERRORS = (f"{_PREFIX}server/{name}" for name in ("request_count", "error_count"))
USUAL_NODES = 3
# (load of the cluster, of its hottest node) of that many nodes
HEALTHY_LOAD, HOT_KEY_LOAD = (0.12, 0.16), (0.34, 0.97)

Labels = tuple[tuple[str, str], ...]


def read_bigtable(
    world: World, metric: str, project: str, sample: WorldSample
) -> Iterator[tuple[tuple[Labels, Labels], float]]:
    """((metric labels, resource labels), value) of every cluster, or table, that a pipeline of `project` uses."""
    for flow in world.flows.values():
        spec = flow.spec
        instance = world.bigtable.instances.get(f"projects/{project}/instances/{spec.bigtable_instance}")
        if spec.project != project or instance is None:
            continue
        for cluster in instance.clusters.values():
            name = cluster.name.rpartition("/")[2]
            where = (
                ("project_id", project),
                ("instance", spec.bigtable_instance),
                ("cluster", name),
                ("zone", cluster.zone),
            )
            if metric == NODES:
                yield ((), where), float(cluster.nodes)
            elif metric in (CPU, HOTTEST):
                average, hottest = _load(flow, sample)
                load = average * USUAL_NODES / cluster.nodes if metric == CPU else hottest
                yield ((), where), min(1.0, load)
            elif spec.bigtable_table:
                table = (*where, ("table", spec.bigtable_table))
                yield ((("method", "Bigtable.MutateRows"),), table), _asked(flow, sample, metric)


def _load(flow: Flow, sample: WorldSample) -> tuple[float, float]:
    return HOT_KEY_LOAD if "hot_key" in sample.flows[flow.spec.name].slow else HEALTHY_LOAD


def _asked(flow: Flow, sample: WorldSample, metric: str) -> float:
    """The running total of writes; none fails."""
    if metric == ERRORS:
        return 0.0
    counters = (whole_counters(values) for values in sample.flows[flow.spec.name].counters.values())
    return float(
        sum(value for one in counters for name, value in one.items() if name.rpartition("_")[2] == "valid")
    )
