"""BigQuery's own client on the sandbox: tables, inserts, loads, queries, results, and what it refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Rest

FIELDS = (
    bigquery.SchemaField("at", "TIMESTAMP", mode="REQUIRED"),
    bigquery.SchemaField("product_id", "STRING", mode="REQUIRED"),
    bigquery.SchemaField("amount", "NUMERIC"),
    bigquery.SchemaField("share", "FLOAT64"),
    bigquery.SchemaField("count", "INT64"),
    bigquery.SchemaField("good", "BOOL"),
    bigquery.SchemaField("day", "DATE"),
    bigquery.SchemaField("raw", "BYTES"),
    bigquery.SchemaField(
        "labels",
        "RECORD",
        mode="REPEATED",
        fields=[bigquery.SchemaField("key", "STRING"), bigquery.SchemaField("value", "INT64")],
    ),
)
ROW: dict[str, Any] = {
    "at": "2026-11-20T09:30:00.25Z",
    "product_id": "P1",
    "amount": "19.99",
    "share": 0.5,
    "count": 3,
    "good": True,
    "day": "2026-11-20",
    "raw": "AP8=",
    "labels": [{"key": "a", "value": 1}, {"key": "b", "value": None}],
}
READ = {
    "at": datetime(2026, 11, 20, 9, 30, 0, 250_000, tzinfo=UTC),
    "product_id": "P1",
    "amount": Decimal("19.99"),
    "share": 0.5,
    "count": 3,
    "good": True,
    "day": date(2026, 11, 20),
    "raw": b"\x00\xff",
    "labels": [{"key": "a", "value": 1}, {"key": "b", "value": None}],
}


def made(rest: Rest, name: str = "things") -> Any:
    """A partitioned and clustered table of every type, in a dataset of its own."""
    rest.bigquery.create_dataset("lab", exists_ok=True)
    table = bigquery.Table(f"{PROJECT}.lab.{name}", schema=FIELDS)
    table.time_partitioning = bigquery.TimePartitioning(field="at")
    table.clustering_fields = ["product_id"]
    return rest.bigquery.create_table(table)


def test_a_fresh_world_has_the_pipelines_tables_partitioned_and_clustered(rest: Rest) -> None:
    found = {one.table_id for one in rest.bigquery.list_tables(f"{PROJECT}.ecommerce")}
    assert found == {"raw_events", "product_views_summary", "sales_summary", "inventory_summary"}
    sales = rest.bigquery.get_table(f"{PROJECT}.ecommerce.sales_summary")
    assert (sales.time_partitioning.field, sales.clustering_fields) == ("window_start", ["product_id"])
    assert {one.name: one.field_type for one in sales.schema}["revenue"] == "NUMERIC"
    assert sales.num_rows == 0
    assert [one.dataset_id for one in rest.bigquery.list_datasets()] == ["ecommerce"]


def test_rows_come_back_as_they_were_inserted_by_listing_and_by_query(rest: Rest) -> None:
    table = made(rest)
    assert rest.bigquery.insert_rows_json(table, [ROW]) == []
    assert [dict(row) for row in rest.bigquery.list_rows(table)] == [READ]
    assert rest.rows("SELECT * FROM lab.things") == [READ]
    assert [dict(row) for row in rest.bigquery.query_and_wait("SELECT * FROM lab.things")] == [READ]
    assert rest.bigquery.get_table(table).num_rows == 1


def test_a_row_with_a_known_insert_id_is_taken_once_within_a_minute(rest: Rest) -> None:
    table = made(rest)
    for _ in range(2):
        assert rest.bigquery.insert_rows_json(table, [ROW, ROW], row_ids=["one", "two"]) == []
    assert rest.bigquery.get_table(table).num_rows == 2
    rest.clock.go(61)
    assert rest.bigquery.insert_rows_json(table, [ROW], row_ids=["one"]) == []
    assert rest.bigquery.get_table(table).num_rows == 3


def test_a_bad_row_stops_the_others_unless_it_may_be_skipped(rest: Rest) -> None:
    table = made(rest)
    bad = [ROW, {**ROW, "count": "many"}, {"product_id": "P2"}, {**ROW, "colour": "red"}]
    errors = rest.bigquery.insert_rows_json(table, bad)
    told = {
        error["index"]: (error["errors"][0]["reason"], error["errors"][0]["location"]) for error in errors
    }
    assert told == {
        0: ("stopped", ""),
        1: ("invalid", "count"),
        2: ("invalid", "at"),
        3: ("invalid", "colour"),
    }
    assert rest.bigquery.get_table(table).num_rows == 0
    errors = rest.bigquery.insert_rows_json(table, bad, skip_invalid_rows=True, ignore_unknown_values=True)
    assert [error["index"] for error in errors] == [1, 2]
    assert rest.bigquery.get_table(table).num_rows == 2


def test_parameters_are_typed_and_time_is_the_worlds(rest: Rest) -> None:
    table = made(rest)
    rest.bigquery.insert_rows_json(table, [ROW, {**ROW, "product_id": "P2", "at": "2026-11-18T00:00:00Z"}])
    query = """
        SELECT product_id, CURRENT_TIMESTAMP() AS now, CURRENT_DATE('America/Los_Angeles') AS today,
               FORMAT_TIMESTAMP('%H:%M', at, 'Asia/Tokyo') AS tokyo, EXTRACT(DATE FROM at) AS day
        FROM `demo-project.lab.things`, UNNEST(labels) AS label
        WHERE at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY) AND label.key = @key
          AND product_id IN UNNEST(@products) AND amount = @amount AND at < @until
    """
    found = rest.rows(
        query,
        bigquery.ScalarQueryParameter("key", "STRING", "a"),
        bigquery.ArrayQueryParameter("products", "STRING", ["P1", "P2"]),
        bigquery.ScalarQueryParameter("amount", "NUMERIC", Decimal("19.99")),
        bigquery.ScalarQueryParameter("until", "TIMESTAMP", rest.clock.now()),
    )
    expected = {"product_id": "P1", "now": rest.clock.now(), "today": date(2026, 11, 20)}
    assert found == [expected | {"tokyo": "18:30", "day": date(2026, 11, 20)}]
    positional = [bigquery.ScalarQueryParameter(None, "INT64", n) for n in (7, 2)]
    assert rest.rows("SELECT ? - ? AS rest", *positional) == [{"rest": 5}]


def test_results_come_in_pages(rest: Rest) -> None:
    table = made(rest)
    rest.bigquery.insert_rows_json(table, [{**ROW, "count": number} for number in range(25)])
    rows = rest.bigquery.query("SELECT count FROM lab.things ORDER BY count").result(page_size=10)
    assert [[row[0] for row in page] for page in rows.pages] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, 25)),
    ]
    listed = rest.bigquery.list_rows(table, page_size=10, start_index=3)
    assert [row["count"] for row in listed] == list(range(3, 25))


def test_rows_are_loaded_as_json_appended_replaced_and_guessed(rest: Rest) -> None:
    table = made(rest)
    for disposition, count in (("WRITE_APPEND", 2), ("WRITE_APPEND", 4), ("WRITE_TRUNCATE", 2)):
        config = bigquery.LoadJobConfig(write_disposition=disposition, schema=FIELDS)
        job = rest.bigquery.load_table_from_json([ROW, ROW], table, job_config=config)
        assert job.result().output_rows == 2
        assert rest.bigquery.get_table(table).num_rows == count
    rest.bigquery.load_table_from_json(
        [{"name": "x", "n": 1, "tags": ["a"]}], f"{PROJECT}.lab.guessed"
    ).result()
    assert rest.rows("SELECT * FROM lab.guessed") == [{"name": "x", "n": 1, "tags": ["a"]}]
    bad = rest.bigquery.load_table_from_json([{"name": "x", "n": "many"}], f"{PROJECT}.lab.guessed")
    with pytest.raises(exceptions.BadRequest, match="row 1"):
        bad.result()


def test_data_can_be_changed_by_query(rest: Rest) -> None:
    table = made(rest)
    rest.bigquery.insert_rows_json(table, [ROW, {**ROW, "product_id": "P2"}])
    job = rest.bigquery.query("UPDATE lab.things SET count = count + 1 WHERE product_id = 'P2'")
    job.result()
    assert job.num_dml_affected_rows == 1
    rest.rows("INSERT INTO lab.things (at, product_id) VALUES (CURRENT_TIMESTAMP(), 'P3')")
    rest.rows("DELETE FROM lab.things WHERE product_id = 'P1'")
    found = rest.rows("SELECT product_id, count FROM lab.things ORDER BY 1")
    assert found == [{"product_id": "P2", "count": 4}, {"product_id": "P3", "count": None}]
    assert rest.bigquery.get_table(table).num_rows == 2


def test_a_dry_run_says_the_bytes_and_the_schema_and_a_limit_on_bytes_is_kept(rest: Rest) -> None:
    table = made(rest)
    rest.bigquery.insert_rows_json(table, [ROW] * 100)
    query = "SELECT product_id, COUNT(*) AS n FROM lab.things GROUP BY 1"
    job = rest.bigquery.query(query, job_config=bigquery.QueryJobConfig(dry_run=True))
    assert job.total_bytes_processed > 5_000
    assert [(one.name, one.field_type) for one in job.schema] == [("product_id", "STRING"), ("n", "INTEGER")]
    with pytest.raises(exceptions.GoogleAPICallError, match="exceeded limit for bytes billed: 1000"):
        rest.rows(query, maximum_bytes_billed=1000)
    assert rest.rows(query, maximum_bytes_billed=20_000_000) == [{"product_id": "P1", "n": 100}]


def test_what_is_wrong_is_refused_in_googles_words(rest: Rest) -> None:
    with pytest.raises(exceptions.NotFound, match="Not found: Table demo-project:ecommerce"):
        rest.rows("SELECT 1 FROM ecommerce.none")
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset demo-project:none"):
        rest.bigquery.get_dataset("none")
    with pytest.raises(exceptions.BadRequest, match="must be qualified"):
        rest.rows("SELECT 1 FROM sales_summary")
    with pytest.raises(exceptions.BadRequest, match="Syntax error"):
        rest.rows("SELEC 1")
    with pytest.raises(exceptions.BadRequest, match="no_such"):
        rest.rows("SELECT no_such FROM ecommerce.sales_summary")
    with pytest.raises(exceptions.BadRequest, match="parameter 'x' not found"):
        rest.rows("SELECT @x")
    with pytest.raises(exceptions.Conflict):
        rest.bigquery.create_dataset("ecommerce")
    made(rest)
    with pytest.raises(exceptions.BadRequest, match="in use"):
        rest.bigquery.delete_dataset("lab")
    rest.bigquery.delete_dataset("lab", delete_contents=True)
    assert [one.dataset_id for one in rest.bigquery.list_datasets()] == ["ecommerce"]


def test_queries_cannot_read_the_machine_outside(rest: Rest) -> None:
    with pytest.raises(exceptions.GoogleAPICallError):
        rest.rows("SELECT * FROM read_text('/etc/hostname')")
    with pytest.raises(exceptions.GoogleAPICallError):
        rest.rows("SELECT * FROM `/etc/hostname`")


def test_columns_can_be_added_and_jobs_are_listed(rest: Rest) -> None:
    table = made(rest)
    rest.bigquery.insert_rows_json(table, [ROW])
    table.schema = [*table.schema, bigquery.SchemaField("colour", "STRING")]
    rest.bigquery.update_table(table, ["schema"])
    assert rest.rows("SELECT colour FROM lab.things") == [{"colour": None}]
    newest = next(iter(rest.bigquery.list_jobs(max_results=1)))
    assert newest.state == "DONE"
    assert newest.created == rest.clock.now()


def test_an_injected_error_meets_a_call_over_http(rest: Rest) -> None:
    table = made(rest)
    rest.world.apply({"errors": [{"method": "insertAll", "code": "PERMISSION_DENIED", "count": 1}]})
    with pytest.raises(exceptions.Forbidden, match="injected"):
        rest.bigquery.insert_rows_json(table, [ROW])
    assert rest.bigquery.insert_rows_json(table, [ROW]) == []


def test_dates_stay_dates_and_timestamps_keep_their_zone(rest: Rest) -> None:
    query = """
        SELECT DATE_TRUNC(DATE_SUB(@today, INTERVAL 1 MONTH), MONTH) AS month,
               DATE_ADD(@today, INTERVAL 1 DAY) AS tomorrow, PARSE_TIMESTAMP('%Y-%m-%d', '2026-01-02') AS parsed,
               TIMESTAMP_TRUNC(CURRENT_TIMESTAMP(), HOUR) AS hour
    """
    (row,) = rest.rows(query, bigquery.ScalarQueryParameter("today", "DATE", date(2026, 11, 20)))
    assert row == {
        "month": date(2026, 10, 1),
        "tomorrow": date(2026, 11, 21),
        "parsed": datetime(2026, 1, 2, tzinfo=UTC),
        "hour": datetime(2026, 11, 20, 10, tzinfo=UTC),
    }


def test_tables_columns_and_jobs_can_be_asked_for_by_query(rest: Rest) -> None:
    tables = rest.rows("SELECT table_name FROM ecommerce.INFORMATION_SCHEMA.TABLES ORDER BY 1")
    assert len(tables) == 4
    query = """
        SELECT column_name FROM `demo-project.ecommerce.INFORMATION_SCHEMA.COLUMNS`
        WHERE table_name = 'sales_summary' AND is_partitioning_column = 'YES'
    """
    assert rest.rows(query) == [{"column_name": "window_start"}]
    with pytest.raises(exceptions.BadRequest):
        rest.rows("SELECT nonsense")
    query = """
        SELECT error_result.reason, COUNT(*) AS n, SUM(total_slot_ms) > 0 AS slots
        FROM `region-europe-west1`.INFORMATION_SCHEMA.JOBS_BY_PROJECT
        WHERE creation_time > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR) AND user_email = 'sandbox@example.com'
        GROUP BY 1 ORDER BY 2 DESC
    """
    assert rest.rows(query) == [
        {"reason": None, "n": 2, "slots": True},
        {"reason": "invalidQuery", "n": 1, "slots": True},
    ]
    with pytest.raises(exceptions.NotFound):
        rest.rows("SELECT * FROM ecommerce.INFORMATION_SCHEMA.NONE")
