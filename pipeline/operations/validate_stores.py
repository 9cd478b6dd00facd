"""The checks of the stores: dataset, each of its tables, Bigtable's instance and table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipeline.checks import Failed, Probe
from pipeline.errors import Refused
from pipeline.operations.base import Context
from pipeline.tables import RAW, TABLES, Table

_BIGQUERY = "bigquery.googleapis.com"
_BIGTABLE = "bigtableadmin.googleapis.com"


def store_probes(ctx: Context) -> Iterator[Probe]:
    """None of them is essential: what a sink lacks becomes dead letters, which keep their rows."""
    if ctx.pipeline.dataset:
        yield from _bigquery(ctx)
    if ctx.pipeline.bigtable_instance:
        yield from _bigtable(ctx)


def _bigquery(ctx: Context) -> Iterator[Probe]:
    from pipeline.google import access, stores

    clients, pipeline, project = ctx.clients, ctx.pipeline, ctx.pipeline.project
    show = f"bq ls --project_id {project} {pipeline.dataset}"
    yield Probe(
        name=f"dataset {pipeline.dataset}",
        look=lambda: stores.look_at_dataset(clients, pipeline, ctx.deadline_s),
        mend=stores.dataset_command(pipeline),
        show=show,
        api=_BIGQUERY,
        project=project,
        essential=False,
    )
    for table in TABLES.values():
        yield Probe(
            name=f"table {table.name}",
            look=partial(_table, ctx, table),
            mend=stores.table_command(pipeline, table),
            show=show,
            api=_BIGQUERY,
            project=project,
            essential=False,
        )
    needed = ("bigquery.tables.updateData", "bigquery.tables.get")
    yield Probe(
        name=f"permission on {RAW}",
        look=lambda: access.all_of(
            needed, access.granted_on_table(clients, pipeline, RAW, needed, ctx.deadline_s)
        ),
        mend=f"gcloud projects add-iam-policy-binding {project} --member ACCOUNT --role roles/bigquery.dataEditor",
        show=f"bq get-iam-policy --table=true {project}:{pipeline.dataset}.{RAW}",
        api=_BIGQUERY,
        project=project,
        essential=False,
    )


def _table(ctx: Context, table: Table) -> str:
    from pipeline.google import stores

    try:
        return stores.look_at_table(ctx.clients, ctx.pipeline, table, ctx.deadline_s)
    except Refused as refused:
        raise Failed(refused.reason, stores.columns_command(ctx.pipeline, table)) from refused


def _bigtable(ctx: Context) -> Iterator[Probe]:
    from pipeline.google import access, stores

    clients, pipeline, project = ctx.clients, ctx.pipeline, ctx.pipeline.project
    instance, show = pipeline.bigtable_instance, f"gcloud bigtable instances list --project {project}"
    yield Probe(
        name=f"Bigtable {instance}",
        look=lambda: stores.look_at_instance(clients, pipeline, ctx.deadline_s),
        mend=f"gcloud bigtable instances create {instance} --display-name={instance} --project {project} "
        f"--cluster-config=id={instance}-c1,zone={pipeline.region}-b,nodes=1",
        show=show,
        api=_BIGTABLE,
        project=project,
        essential=False,
    )
    if not pipeline.bigtable_table:
        return
    yield Probe(
        name=f"Bigtable table {pipeline.bigtable_table}",
        look=partial(_statistics, ctx),
        mend=stores.statistics_command(pipeline),
        show=f"cbt -project {project} -instance {instance} ls {pipeline.bigtable_table}",
        api=_BIGTABLE,
        project=project,
        essential=False,
    )
    needed = ("bigtable.tables.mutateRows", "bigtable.tables.readRows")
    yield Probe(
        name=f"permission on {pipeline.bigtable_table}",
        look=lambda: access.all_of(
            needed, access.granted_on_statistics(clients, pipeline, needed, ctx.deadline_s)
        ),
        mend=f"gcloud bigtable instances add-iam-policy-binding {instance} --member ACCOUNT "
        f"--role roles/bigtable.user --project {project}",
        show=f"gcloud bigtable instances get-iam-policy {instance} --project {project}",
        api=_BIGTABLE,
        project=project,
        essential=False,
    )


def _statistics(ctx: Context) -> str:
    from pipeline.google import stores

    try:
        return stores.look_at_statistics(ctx.clients, ctx.pipeline, ctx.deadline_s)
    except Refused as refused:
        raise Failed(refused.reason, stores.family_command(ctx.pipeline)) from refused
