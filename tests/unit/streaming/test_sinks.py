"""Sinks: BigQuery over its own protocol, files, and what becomes of rows that nobody takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from pipeline.errors import PipelineError, Unreachable
from pipeline.google.bigquery import Inserter
from pipeline.streaming.counting import unbalanced
from pipeline.streaming.graph import Sinks
from pipeline.streaming.messages import Row
from pipeline.streaming.rows import cents
from pipeline.streaming.writers import BigQuery, Bigtable, Files, Opened, Writer
from pipeline.tables import VIEWS, cells
from tests.unit.streaming.events import (
    MAKERS,
    TYPES,
    LettersToFile,
    Out,
    build,
    click,
    counters,
    message,
    run_batch,
    transaction,
)


class Answers(ThreadingHTTPServer):
    """BigQuery's insertAll on loopback: refuses rows of product "bad", and counts what it took by insert id."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, int]] = []
        self.unavailable = 0


class _Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        table = self.path.split("/")[-2]
        self.server.requests.append((table, len(body["rows"])))
        if self.server.unavailable:
            self.server.unavailable -= 1
            self.answer(
                503, {"error": {"code": 503, "message": "later", "errors": [{"reason": "backendError"}]}}
            )
            return
        if len(body["rows"]) > 400:
            self.answer(413, {"error": {"code": 413, "message": "Request Entity Too Large"}})
            return
        errors = []
        for index, row in enumerate(body["rows"]):
            if row["json"]["product_id"] == "bad":
                reason = {"reason": "invalid", "location": "product_id", "message": "no such product"}
                errors.append({"index": index, "errors": [reason]})
            else:
                self.server.taken[f"{table}/{row['insertId']}"] = row["json"]
        assert body["skipInvalidRows"] is True
        self.answer(
            200,
            {"kind": "bigquery#tableDataInsertAllResponse"} | ({"insertErrors": errors} if errors else {}),
        )

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's word
        """Quiet."""


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    server = Answers()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_rows_reach_bigquery_once_under_the_events_identity(bigquery: Answers, tmp_path: Path) -> None:
    sinks = Sinks(
        rows=BigQuery("demo-project.ecommerce", 5), letters=LettersToFile(str(tmp_path)), local=True
    )
    events = [message(click(1)), message(click(2, product_id="bad")), message(transaction(1))]
    for _ in range(2):  # a repeated run writes the same rows under the same ids
        out = run_batch(events, tmp_path, sinks=sinks)
    raw = [row for name, row in bigquery.taken.items() if name.startswith("raw_events/")]
    assert sorted(row["event_type"] for row in raw) == ["click", "transaction"]
    assert all(f"raw_events/{row['event_key']}" in bigquery.taken for row in raw)
    assert [r["revenue"] for n, r in bigquery.taken.items() if n.startswith("sales_summary/")] == ["19.98"]
    letters = {one["stage"]: one for one in out.letters()}
    assert set(letters) == {"bigquery:raw_events", "bigquery:product_views_summary"}
    assert letters["bigquery:raw_events"]["payload"].encode() == click(2, product_id="bad")
    assert letters["bigquery:raw_events"]["error"] == "product_id: no such product"
    assert unbalanced(out.counts) == {}


def test_an_insert_is_repeated_while_bigquery_is_away_and_halved_when_too_large(bigquery: Answers) -> None:
    bigquery.unavailable = 1
    inserter = Inserter("demo-project.ecommerce", 20)
    rows = [(f"id-{n}", {"product_id": "bad" if n == 7 else f"p{n}"}) for n in range(500)]
    assert inserter.insert("raw_events", rows) == {7: "product_id: no such product"}
    inserter.close()
    assert [size for _, size in bigquery.requests] == [500, 500, 250, 250]
    assert len(bigquery.taken) == 499


def test_an_outage_is_an_error_that_says_so(bigquery: Answers) -> None:
    bigquery.unavailable = 1000
    inserter = Inserter("demo-project.ecommerce", 0.5)
    with pytest.raises(PipelineError, match="BigQuery"):
        inserter.insert("raw_events", [("id", {"product_id": "p"})])
    inserter.close()


class _Away(Writer):
    stage = "away"

    def open(self) -> Opened:
        return _Gone()


class _Gone(Opened):
    def write(self, rows: Any) -> list[tuple[Row, str]]:
        raise Unreachable("the sink is away")


def test_a_sink_that_is_away_fails_the_bundle_where_the_runner_repeats_it(tmp_path: Path) -> None:
    sinks = Sinks(rows=_Away(), letters=LettersToFile(str(tmp_path)), local=False)
    with pytest.raises(Unreachable, match="the sink is away"):
        run_batch([message(click(1))], tmp_path, sinks=sinks)
    assert Out(tmp_path).letters() == []


def test_a_sink_that_is_away_makes_dead_letters_where_nothing_is_repeated(tmp_path: Path) -> None:
    sinks = Sinks(rows=_Away(), letters=LettersToFile(str(tmp_path)), local=True)
    out = run_batch([message(click(1)), message(click(2))], tmp_path, sinks=sinks)
    assert sorted(one["stage"] for one in out.letters()) == [
        "away:product_views_summary",
        "away:raw_events",
        "away:raw_events",
    ]
    assert {one["error"] for one in out.letters()} == {"Unreachable: the sink is away"}


def test_parquet_holds_the_same_rows_with_their_types(tmp_path: Path) -> None:
    parquet = import_module("pyarrow.parquet")
    sinks = Sinks(rows=Files(str(tmp_path), "parquet"), letters=LettersToFile(str(tmp_path)), local=True)
    pipeline = beam.Pipeline("FnApiRunner")
    events = [message(MAKERS[kind](number)) for kind in TYPES for number in range(4)]
    build({"": pipeline | beam.Create(events)}, tmp_path, sinks=sinks)
    result = pipeline.run()
    result.wait_until_finish()
    assert unbalanced(counters(result)) == {}
    raw = [
        row for path in tmp_path.glob("raw_events/*.parquet") for row in parquet.read_table(path).to_pylist()
    ]
    assert len(raw) == 12
    assert raw[0]["event_time"].isoformat() == "2026-03-01T12:00:00+00:00"
    sales = [row for path in tmp_path.glob("sales_summary/*") for row in parquet.read_table(path).to_pylist()]
    assert [row["revenue"] for row in sales] == [Decimal("79.92")]


def test_a_later_pane_is_the_newer_cell_in_whatever_order_they_are_written() -> None:
    window = {"window_start": "2026-03-01T12:00:00Z", "window_end": "2026-03-01T12:01:00Z"}
    values = {**window, "product_id": "p1", "view_count": 3, "product_page_views": 1}
    made = cells(VIEWS, values | {"pane": 0})
    later = cells(VIEWS, values | {"pane": 2})
    assert later.at > made.at, "a later pane written first must stay the newest"
    assert made.key == b"p1"
    assert made.values == {"view_count": 3, "product_page_views": 1}
    assert Bigtable("p/i/t", 1).stage == "bigtable"


@pytest.mark.parametrize(
    ("amount", "said"), [(0, "0.00"), (5, "0.05"), (-1999, "-19.99"), (123456, "1234.56")]
)
def test_cents_are_told_exactly(amount: int, said: str) -> None:
    assert cents(amount) == said
    assert Decimal(said) * 100 == amount
