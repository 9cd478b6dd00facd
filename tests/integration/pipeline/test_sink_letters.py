"""What a sink refused is written to that sink again, under its own id, and never to the topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sandbox_google.rest import Rest

from .conftest import Stand
from .stores import letter, sale, standing, stored
from .test_dead_letters import arrived, clicks, queue, tapped

SALES = (
    "SELECT product_id, COUNT(*) AS n FROM ecommerce.sales_summary GROUP BY product_id ORDER BY product_id"
)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Stand, Rest]]:
    with standing(tmp_path) as made:
        yield made


def test_rows_go_to_their_sinks_once_and_nothing_of_them_to_a_topic(both: tuple[Stand, Rest]) -> None:
    stand, rest = both
    tapped(stand, "transactions")
    rows = [letter("bigquery", sale(f"p{n}")) for n in range(3)]
    stand.dead_letters(*rows, rows[0], letter("bigtable", sale("p1")), letter("bigquery", None), *clicks(2))
    plan = stand.plan("dlq.replay", limit=100)
    assert plan.refusal is None
    assert plan.data["fates"] == {"rewrite": 5, "replay": 2, "sink": 1}
    assert plan.data["sinks"] == {"bigquery:sales_summary": 4, "bigtable:sales_summary": 1}
    said = " ".join(plan.effects)
    assert "4 rows to BigQuery's table sales_summary, under their own ids, and not to a topic" in said
    assert "1 row to Bigtable's statistics (sales_summary)" in said

    report = stand.run(plan)
    assert report.severity == "ok", report.verdict
    assert report.data["sent"] == 7
    assert report.data["sinks"] == {"bigquery:sales_summary": 4, "bigtable:sales_summary": 1}
    assert report.data["topics"] == {"clicks": 2}
    assert rest.rows(SALES) == [{"product_id": f"p{n}", "n": 1} for n in range(3)]
    assert stored(stand, "p1") == {"quantity_sold:EUR": [3], "revenue_cents:EUR": [1999]}
    assert arrived(stand) == [], "sent to the topic it would be counted twice"
    assert len(queue(stand)) == 1
    history = stand.ctx.history
    assert history is not None
    ledger = history.last_replay("orders")
    assert ledger is not None
    assert (ledger.messages, ledger.by) == (7, "alice")


def test_a_row_that_is_refused_again_stays_with_its_reason(both: tuple[Stand, Rest]) -> None:
    stand, rest = both
    bad = sale("bad") | {"quantity": "many"}
    stand.dead_letters(letter("bigquery", bad), letter("bigquery", sale("p1")), letter("bigtable", bad))
    report = stand.run(stand.plan("dlq.replay"))
    assert report.severity == "warning"
    assert report.data["sent"] == 1
    assert report.data["refused"] == 2
    assert rest.rows(SALES) == [{"product_id": "p1", "n": 1}]
    refused = " ".join(finding.text for finding in report.findings if finding.id == "refused")
    assert "BigQuery's table sales_summary would not take 1 message" in refused
    assert "quantity" in refused
    assert len(queue(stand)) == 2


def test_a_sink_that_is_away_keeps_its_letters_and_holds_up_nobody_else(both: tuple[Stand, Rest]) -> None:
    stand, rest = both
    tapped(stand)
    rows = [letter("bigquery", sale(f"p{n}")) for n in range(4)]
    stand.dead_letters(*rows, *clicks(2))
    plan = stand.plan("dlq.replay", canary=0)
    stand.happen({"errors": [{"method": "insertAll", "code": "PERMISSION_DENIED", "count": 1}]})
    report = stand.run(plan)
    assert (report.data["sent"], report.data["refused"]) == (2, 4)
    assert len(arrived(stand)) == 2
    assert len(queue(stand)) == 4
    assert stand.run(stand.plan("dlq.replay")).data["sent"] == 4
    assert [row["n"] for row in rest.rows(SALES)] == [1, 1, 1, 1]
    assert queue(stand) == {}


def test_an_older_pane_that_is_written_late_does_not_hide_a_newer_one(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    for pane, quantity in ((2, 9), (0, 3), (1, 5)):
        stand.dead_letters(letter("bigtable", sale("p1", pane=pane, quantity=quantity), id_=f"pane-{pane}"))
        assert stand.run(stand.plan("dlq.replay")).data["sent"] == 1
    assert stored(stand, "p1")["quantity_sold:EUR"] == [9, 5, 3]
