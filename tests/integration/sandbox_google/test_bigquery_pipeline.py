"""The pipeline's own tables and its own writer meet the sandbox's BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.google.bigquery import Inserter
from pipeline.tables import TABLES
from sandbox.google.bigquery_types import NAMES
from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Rest


@pytest.fixture
def inserter(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inserter]:
    """The pipeline's writer, led to the sandbox by the address alone."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", rest.base_url)
    made = Inserter(f"{PROJECT}.ecommerce", 10.0)
    yield made
    made.close()


def row(number: int, **more: Any) -> tuple[str, dict[str, Any]]:
    values = {
        "window_start": "2026-11-20T09:00:00Z",
        "window_end": "2026-11-20T09:05:00Z",
        "product_id": f"P{number:05d}",
        "currency": "EUR",
        "transaction_count": 2,
        "quantity": 3,
        "revenue": "19.99",
        "pane": 0,
        "late": False,
    }
    return f"id-{number}", values | more


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_fresh_worlds_tables_are_those_that_the_pipeline_writes(rest: Rest, name: str) -> None:
    wanted, found = TABLES[name], rest.bigquery.get_table(f"{PROJECT}.ecommerce.{name}")
    fields = [(field, NAMES.get(kind, kind), required) for field, kind, required in wanted.fields]
    assert [(one.name, one.field_type, one.mode == "REQUIRED") for one in found.schema] == fields
    assert found.time_partitioning.field == wanted.partition
    assert tuple(found.clustering_fields) == wanted.clustering


def test_the_pipelines_writer_learns_which_rows_were_refused(rest: Rest, inserter: Inserter) -> None:
    rows = [row(1), row(2, quantity="many"), row(3, late=None), row(4)]
    refused = inserter.insert("sales_summary", rows)
    assert set(refused) == {1, 2}
    assert "quantity" in refused[1]
    assert "late" in refused[2]
    total = rest.rows("SELECT COUNT(*) AS n, SUM(revenue) AS revenue FROM ecommerce.sales_summary")
    assert [(one["n"], str(one["revenue"])) for one in total] == [(2, "39.98")]


def test_many_writers_at_once_and_again_store_every_row_once(rest: Rest, inserter: Inserter) -> None:
    batches = [[row(batch * 100 + number) for number in range(100)] for batch in range(12)]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(2):
            results = list(pool.map(lambda batch: inserter.insert("sales_summary", batch), batches))
            assert results == [{}] * 12
    query = "SELECT COUNT(*) AS n, COUNT(DISTINCT product_id) AS products FROM ecommerce.sales_summary"
    assert rest.rows(query) == [{"n": 1200, "products": 1200}]
