"""Bigtable in memory: instances with their clusters, tables with their families, rows with their cells.

Nothing here is thread-safe: callers hold the world's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.google.errors import Refused, invalid, not_found
from sandbox.google.pipelines import PipelineSpec

NODES = 3
FAMILY = "stats"
# (family, column) -> {timestamp in microseconds: value}
Row = dict[tuple[str, bytes], dict[int, bytes]]


@dataclass(slots=True)
class Cluster:
    """`name` is the full one; `zone` a short one."""

    name: str
    zone: str
    nodes: int


@dataclass(slots=True)
class Table:
    """`name` is the full one."""

    name: str
    families: set[str]
    rows: dict[bytes, Row] = field(default_factory=dict)

    def set_cell(self, key: bytes, family: str, column: bytes, micros: int, value: bytes) -> None:
        """Raises Refused for what Bigtable would not take."""
        if not key or len(key) > 4096:
            raise invalid("Row keys must have 1 to 4096 bytes.")
        if family not in self.families:
            raise Refused("NOT_FOUND", f"Requested column family not found: {family}")
        if micros < -1 or micros % 1000:
            raise invalid(
                "Timestamp granularity mismatch. Expected a multiple of 1000 (millisecond granularity)."
            )
        self.rows.setdefault(key, {}).setdefault((family, column), {})[micros] = value


@dataclass(slots=True)
class Instance:
    """`name` is the full one."""

    name: str
    clusters: dict[str, Cluster] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)


class Bigtable:
    """All instances, by their full names."""

    def __init__(self, specs: Iterable[PipelineSpec]) -> None:
        self.instances: dict[str, Instance] = {}
        for spec in specs:
            if spec.bigtable_instance:
                self._seed(spec)

    def instance(self, name: str) -> Instance:
        """Raises Refused NOT_FOUND."""
        found = self.instances.get(name)
        if found is None:
            raise not_found(name)
        return found

    def cluster(self, name: str) -> Cluster:
        """Raises Refused NOT_FOUND."""
        found = self.instance(name.partition("/clusters/")[0]).clusters.get(name)
        if found is None:
            raise not_found(name)
        return found

    def table(self, name: str) -> Table:
        """Raises Refused NOT_FOUND."""
        found = self.instance(name.partition("/tables/")[0]).tables.get(name)
        if found is None:
            raise Refused("NOT_FOUND", f"Table not found: {name}")
        return found

    def add_table(self, instance: str, name: str, families: Iterable[str]) -> Table:
        """Raises Refused: NOT_FOUND (instance), ALREADY_EXISTS."""
        into = self.instance(instance)
        full = f"{instance}/tables/{name}"
        if full in into.tables:
            raise Refused("ALREADY_EXISTS", f"Table already exists: {full}")
        into.tables[full] = Table(full, set(families))
        return into.tables[full]

    def scale(self, name: str, nodes: int) -> Cluster:
        """Sets a cluster's nodes. Raises Refused: NOT_FOUND, INVALID_ARGUMENT."""
        cluster = self.cluster(name)
        if nodes < 1:
            raise invalid("serve_nodes must be at least 1.")
        cluster.nodes = nodes
        return cluster

    def _seed(self, spec: PipelineSpec) -> None:
        full = f"projects/{spec.project}/instances/{spec.bigtable_instance}"
        instance = self.instances.setdefault(full, Instance(full))
        cluster = f"{full}/clusters/{spec.bigtable_instance}-c1"
        instance.clusters.setdefault(cluster, Cluster(cluster, f"{spec.region}-b", NODES))
        table = f"{full}/tables/{spec.bigtable_table}"
        if spec.bigtable_table and table not in instance.tables:
            instance.tables[table] = Table(table, {FAMILY})
