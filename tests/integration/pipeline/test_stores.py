"""A launch makes the tables that are not there, says so first, and makes none twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.google import stores
from pipeline.google.bigtable import StatsTable
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.operations.stores import lacking, make
from pipeline.streaming.flex import plan_flex, run_flex
from pipeline.tables import SALES, TABLES, cells
from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Rest
from tests.support.servers import start_bigtable_emulator

from .conftest import Stand
from .stores import sale, standing


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Stand, Rest]]:
    with standing(tmp_path) as made:
        yield made


def emptied(both: tuple[Stand, Rest]) -> tuple[Stand, Rest]:
    """A project in which nobody made a table yet."""
    stand, rest = both
    rest.bigquery.delete_dataset(f"{PROJECT}.ecommerce", delete_contents=True)
    for instance in stand.world.bigtable.instances.values():
        instance.tables.clear()
    return both


def test_a_launch_says_what_it_creates_and_creates_it_once(both: tuple[Stand, Rest]) -> None:
    stand, rest = emptied(both)
    stand.happen({"scenario": "job_failed"}, minutes=5)
    plan = plan_flex(stand.ctx)
    said = " ".join(plan.effects)
    assert "Creates BigQuery's dataset ecommerce in europe-west1." in said
    assert (
        "Creates BigQuery's table raw_events, by day of event_time, clustered by product_id and event_type."
        in said
    )
    assert "Creates Bigtable's table product_stats with column family stats" in said
    assert stores.gaps(stand.ctx.clients, stand.ctx.pipeline, 10.0) != [], "a plan makes nothing"
    report = run_flex(stand.ctx, plan, lambda progress: None)
    assert report.severity == "ok"
    assert sum(finding.id == "created" for finding in report.findings) == 1 + len(TABLES) + 1
    for table in TABLES.values():
        found = rest.bigquery.get_table(f"{PROJECT}.ecommerce.{table.name}")
        assert (found.time_partitioning.field, tuple(found.clustering_fields)) == (
            table.partition,
            table.clustering,
        )
        assert [one.name for one in found.schema if one.mode == "REQUIRED"] == [
            n for n, _, must in table.fields if must
        ]
    assert lacking(stand.ctx) == ([], "")
    assert plan_flex(stand.ctx).data["creates"] == []


def test_only_what_is_missing_and_was_announced_is_made(both: tuple[Stand, Rest]) -> None:
    stand, rest = both
    rest.bigquery.delete_table(f"{PROJECT}.ecommerce.sales_summary")
    next(iter(stand.world.bigtable.instances.values())).tables[
        f"projects/{PROJECT}/instances/ecommerce/tables/product_stats"
    ].families.clear()
    gaps, unsure = lacking(stand.ctx)
    assert unsure == ""
    assert [gap.what.split(",")[0] for gap in gaps] == [
        "BigQuery's table sales_summary",
        "column family stats of Bigtable's table product_stats",
    ]
    assert make(stand.ctx, [gaps[1].what], lambda text: None) == [gaps[1].what]
    assert [gap.what for gap in lacking(stand.ctx)[0]] == [gaps[0].what]
    for gap in gaps:
        gap.make()  # somebody else made it meanwhile: as good
    assert lacking(stand.ctx) == ([], "")


def test_what_cannot_be_seen_is_a_warning_and_no_obstacle(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    stand.happen({"scenario": "job_failed"}, minutes=5)
    stand.happen({"errors": [{"method": "datasets/get", "code": "PERMISSION_DENIED", "count": 1}]})
    plan = plan_flex(stand.ctx)
    assert plan.refusal is None
    assert "Whether its tables are there is not known" in plan.warnings[0]


def test_a_row_that_spoils_a_request_to_bigtable_is_refused_alone(both: tuple[Stand, Rest]) -> None:
    """A runner would repeat the whole bundle without end."""
    stand, _ = both
    table = StatsTable(f"{PROJECT}/ecommerce/product_stats", 5.0, stand.ctx.clients.bigtable)
    spoils = cells(SALES, sale("p2") | {"currency": "X" * 20_000})
    refused = table.write([*(cells(SALES, sale(f"a{n}")) for n in range(4)), spoils, cells(SALES, sale("z"))])
    assert list(refused) == [4]
    assert "Column qualifiers" in refused[4]
    (instance,) = stand.world.bigtable.instances.values()
    (kept,) = instance.tables.values()
    assert sorted(kept.rows) == [b"a0", b"a1", b"a2", b"a3", b"z"]


def test_the_statistics_table_is_made_and_written_on_googles_emulator(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    only = replace(stand.ctx.pipeline, dataset="")
    with (
        start_bigtable_emulator() as address,
        Clients(GoogleSettings(project=PROJECT, bigtable_emulator=address)) as clients,
    ):
        (gap,) = stores.gaps(clients, only, 20.0)
        for _ in range(2):
            gap.make()
        assert stores.gaps(clients, only, 20.0) == []
        table = StatsTable(f"{PROJECT}/ecommerce/product_stats", 5.0, clients.bigtable)
        good, late = (cells(SALES, sale("p1", pane=pane)) for pane in (0, 1))
        for _ in range(2):
            assert table.write([good, late]) == {}
        request = {"table_name": f"projects/{PROJECT}/instances/ecommerce/tables/product_stats"}
        chunks = [chunk for answer in clients.bigtable.read_rows(request=request) for chunk in answer.chunks]
        assert len(chunks) == 4, "two panes of two columns, however often they are written"
