"""Bigtable's rows, tables and clusters, as the official clients ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.cloud.bigtable_admin_v2 import types as admin
from google.cloud.bigtable_v2 import types as data
from google.iam.v1 import iam_policy_pb2 as iam
from google.longrunning.operations_pb2 import Operation
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status

from sandbox.google.bigtable import Cluster, Instance, Row, Table
from sandbox.google.errors import Refused, invalid
from sandbox.google.services.base import Method, Service, pb
from sandbox.google.world import World

_LONGEST_COLUMN = 16 * 1024
_CODES = {"NOT_FOUND": 5, "INVALID_ARGUMENT": 3}


def services(world: World) -> list[Service]:
    """Bigtable and its two administrations on that world."""
    return [
        Service(
            "google.bigtable.v2.Bigtable",
            {
                "MutateRows": Method(data.MutateRowsRequest, data.MutateRowsResponse, stream=_mutate(world)),
                "ReadRows": Method(data.ReadRowsRequest, data.ReadRowsResponse, stream=_read(world)),
            },
        ),
        Service("google.bigtable.admin.v2.BigtableTableAdmin", _tables(world)),
        Service("google.bigtable.admin.v2.BigtableInstanceAdmin", _instances(world)),
    ]


def _mutate(world: World) -> Callable[[Iterator[Any], Callable[[], bool]], Iterator[Any]]:
    def mutate(requests: Iterator[Any], _: Callable[[], bool]) -> Iterator[Any]:
        request = pb(next(requests))
        columns = (one.set_cell.column_qualifier for entry in request.entries for one in entry.mutations)
        if any(len(column) > _LONGEST_COLUMN for column in columns):
            # What no table could hold spoils the request, not its own row alone.
            raise invalid(f"Column qualifiers must have at most {_LONGEST_COLUMN} bytes.")
        with world.turn():
            table = world.bigtable.table(request.table_name)
            statuses = [_apply(table, entry) for entry in request.entries]
        entries = [{"index": index, "status": status} for index, status in enumerate(statuses)]
        yield data.MutateRowsResponse(entries=entries)

    return mutate


def _apply(table: Table, entry: Any) -> Status:
    """All of a row's mutations or none."""
    if any(one.WhichOneof("mutation") != "set_cell" for one in entry.mutations):
        return Status(code=12, message="The sandbox sets cells and knows no other mutation.")
    before = {key: dict(cells) for key, cells in table.rows.get(entry.row_key, {}).items()}
    try:
        for one in entry.mutations:
            cell = one.set_cell
            table.set_cell(
                entry.row_key, cell.family_name, cell.column_qualifier, cell.timestamp_micros, cell.value
            )
    except Refused as refused:
        if before:
            table.rows[entry.row_key] = before
        else:
            table.rows.pop(entry.row_key, None)
        return Status(code=_CODES.get(refused.code, 2), message=refused.message)
    return Status()


def _read(world: World) -> Callable[[Iterator[Any], Callable[[], bool]], Iterator[Any]]:
    def read(requests: Iterator[Any], _: Callable[[], bool]) -> Iterator[Any]:
        request = pb(next(requests))
        if request.rows.row_ranges or request.filter.ByteSize():
            raise Refused("UNIMPLEMENTED", "The sandbox reads rows by their keys, or all of them, whole.")
        with world.turn():
            table = world.bigtable.table(request.table_name)
            keys = sorted(request.rows.row_keys or table.rows)
            chunks = [_chunks(key, table.rows[key]) for key in keys if key in table.rows]
        for one in chunks:
            yield data.ReadRowsResponse(chunks=one)

    return read


def _chunks(key: bytes, row: Row) -> list[Any]:
    """A row's cells, each column's newest first; the last one commits the row."""
    out = [
        data.ReadRowsResponse.CellChunk(
            row_key=key,
            family_name=family,
            qualifier=column,
            timestamp_micros=micros,
            value=value,
        )
        for (family, column), cells in sorted(row.items())
        for micros, value in sorted(cells.items(), reverse=True)
    ]
    if out:
        out[-1].commit_row = True
    return out


def _tables(world: World) -> dict[str, Method]:
    def got(request: Any) -> Any:
        with world.turn():
            return _table(world.bigtable.table(request.name))

    def listed(request: Any) -> Any:
        with world.turn():
            found = world.bigtable.instance(request.parent).tables.values()
            return admin.ListTablesResponse(tables=[_table(one) for one in found])

    def created(request: Any) -> Any:
        with world.turn():
            families = list(request.table.column_families)
            return _table(world.bigtable.add_table(request.parent, request.table_id, families))

    def modified(request: Any) -> Any:
        plain = pb(request)
        with world.turn():
            table = world.bigtable.table(plain.name)
            for one in plain.modifications:
                if one.WhichOneof("mod") != "create":
                    raise Refused("UNIMPLEMENTED", "The sandbox adds column families and changes none.")
                if one.id in table.families:
                    raise Refused("ALREADY_EXISTS", f"Column family already exists: {one.id}")
                table.families.add(one.id)
            return _table(table)

    def tested(request: Any) -> Any:
        with world.turn():
            world.bigtable.table(request.resource)
            return iam.TestIamPermissionsResponse(permissions=world.iam.granted(request.permissions))

    return {
        "GetTable": Method(admin.GetTableRequest, admin.Table, got),
        "ListTables": Method(admin.ListTablesRequest, admin.ListTablesResponse, listed),
        "CreateTable": Method(admin.CreateTableRequest, admin.Table, created),
        "TestIamPermissions": Method(iam.TestIamPermissionsRequest, iam.TestIamPermissionsResponse, tested),
        "ModifyColumnFamilies": Method(admin.ModifyColumnFamiliesRequest, admin.Table, modified),
    }


def _instances(world: World) -> dict[str, Method]:
    def got(request: Any) -> Any:
        with world.turn():
            return _instance(world.bigtable.instance(request.name))

    def listed(request: Any) -> Any:
        with world.turn():
            parent, _, name = request.parent.rpartition("/")
            every = [one for one in world.bigtable.instances.values() if one.name.startswith(f"{parent}/")]
            found = every if name == "-" else [world.bigtable.instance(request.parent)]
            clusters = [_cluster(one) for instance in found for one in instance.clusters.values()]
            return admin.ListClustersResponse(clusters=clusters)

    def cluster(request: Any) -> Any:
        with world.turn():
            return _cluster(world.bigtable.cluster(request.name))

    def replaced(request: Any) -> Any:
        with world.turn(change=True):
            return _done(_cluster(world.bigtable.scale(request.name, request.serve_nodes)))

    def updated(request: Any) -> Any:
        if list(request.update_mask.paths) != ["serve_nodes"]:
            raise invalid("The sandbox changes serve_nodes of a cluster and nothing else.")
        return replaced(request.cluster)

    return {
        "GetInstance": Method(admin.GetInstanceRequest, admin.Instance, got),
        "ListClusters": Method(admin.ListClustersRequest, admin.ListClustersResponse, listed),
        "GetCluster": Method(admin.GetClusterRequest, admin.Cluster, cluster),
        "UpdateCluster": Method(admin.Cluster, Operation, replaced),
        "PartialUpdateCluster": Method(admin.PartialUpdateClusterRequest, Operation, updated),
    }


def _instance(instance: Instance) -> Any:
    short = instance.name.rpartition("/")[2]
    return admin.Instance(name=instance.name, display_name=short, state=admin.Instance.State.READY)


def _cluster(cluster: Cluster) -> Any:
    project = "/".join(cluster.name.split("/")[:2])
    return admin.Cluster(
        name=cluster.name,
        location=f"{project}/locations/{cluster.zone}",
        state=admin.Cluster.State.READY,
        serve_nodes=cluster.nodes,
    )


def _table(table: Table) -> Any:
    families = {name: admin.ColumnFamily() for name in sorted(table.families)}
    return admin.Table(name=table.name, column_families=families)


def _done(cluster: Any) -> Any:
    """A long-running operation that is over when it is answered."""
    response = AnyMessage()
    response.Pack(pb(cluster))
    return Operation(name=f"operations/{cluster.name}/locations/-/operations/1", done=True, response=response)
