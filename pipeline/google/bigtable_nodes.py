"""Bigtable's clusters: how many nodes each has, and setting that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.catalogue import Pipeline
from pipeline.google.calls import once, reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster; ``autoscaled`` is its own range (least, most) when it sets its nodes by itself."""

    name: str
    zone: str
    nodes: int
    autoscaled: tuple[int, int] | None = None


def clusters(clients: Clients, pipeline: Pipeline, deadline_s: float) -> tuple[Cluster, ...]:
    """The clusters of the pipeline's instance, by name."""
    request = {"parent": _instance(pipeline)}
    with explained("Bigtable", f"looking at the clusters of {pipeline.bigtable_instance}"):
        answer = clients.bigtable_instances.list_clusters(request=request, **reading(deadline_s))
    return tuple(sorted((_cluster(raw) for raw in answer.clusters), key=lambda one: one.name))


def cluster(clients: Clients, pipeline: Pipeline, name: str, deadline_s: float) -> Cluster:
    """One cluster as it is now."""
    request = {"name": f"{_instance(pipeline)}/clusters/{name}"}
    with explained("Bigtable", f"looking at cluster {name}"):
        return _cluster(clients.bigtable_instances.get_cluster(request=request, **reading(deadline_s)))


def set_nodes(clients: Clients, pipeline: Pipeline, name: str, nodes: int, deadline_s: float) -> None:
    """Asks for that many nodes; the answer comes before they are there."""
    request = {
        "cluster": {"name": f"{_instance(pipeline)}/clusters/{name}", "serve_nodes": nodes},
        "update_mask": {"paths": ["serve_nodes"]},
    }
    with explained("Bigtable", f"setting the nodes of cluster {name}"):
        clients.bigtable_instances.partial_update_cluster(request=request, **once(deadline_s))


def _cluster(raw: Any) -> Cluster:
    limits = raw.cluster_config.cluster_autoscaling_config.autoscaling_limits
    own = (limits.min_serve_nodes, limits.max_serve_nodes) if limits.max_serve_nodes else None
    return Cluster(
        name=raw.name.rpartition("/")[2],
        zone=raw.location.rpartition("/")[2],
        nodes=raw.serve_nodes,
        autoscaled=own,
    )


def _instance(pipeline: Pipeline) -> str:
    return f"projects/{pipeline.project}/instances/{pipeline.bigtable_instance}"
