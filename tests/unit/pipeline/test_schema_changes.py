"""What changed in the columns of a pipeline's tables, and what the history keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.history import History
from pipeline.report import Report
from pipeline.schema_changes import schema_changes

NOW = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
OLD = {"product_id": "STRING", "price": "FLOAT"}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as opened:
        yield opened


def looked(history: History, at: datetime, columns: dict[str, str]) -> None:
    data = {"schemas": {"sales": columns}}
    report = Report(
        operation="pipeline.health",
        pipeline="orders",
        title="",
        verdict="fine",
        as_of=at,
        severity="ok",
        data=data,
    )
    history.record_probe(report)


def test_columns_that_came_went_and_are_another_type_are_named() -> None:
    now = {"sales": {"product_id": "STRING", "price": "NUMERIC", "colour": "STRING"}, "new": OLD}
    before = {"sales": OLD | {"size": "STRING"}, "gone": OLD}
    assert schema_changes(now, before) == [
        "table sales gained colour, lost size, has price as NUMERIC instead of FLOAT"
    ]
    assert schema_changes(before, before) == []


def test_a_change_is_told_for_a_day_and_then_is_how_it_always_was(history: History) -> None:
    new = OLD | {"colour": "STRING"}
    for minutes in (0, 1, 2):
        looked(history, NOW + timedelta(minutes=minutes), OLD)
    looked(history, NOW + timedelta(hours=30), new)
    during, after = NOW + timedelta(hours=31), NOW + timedelta(hours=55)
    assert history.schemas_at("orders", during - timedelta(days=1)) == {"sales": OLD}
    assert history.schemas_at("orders", after - timedelta(days=1)) == {"sales": new}
    assert history.schemas_at("another", during) == {}


def test_what_was_first_seen_today_is_compared_with_its_first_look(history: History) -> None:
    looked(history, NOW, OLD)
    looked(history, NOW + timedelta(hours=1), {})
    looked(history, NOW + timedelta(hours=2), OLD | {"colour": "STRING"})
    assert history.schemas_at("orders", NOW - timedelta(days=1)) == {"sales": OLD}


def test_the_stored_probe_does_not_repeat_the_columns_every_minute(history: History) -> None:
    looked(history, NOW, OLD)
    [stored] = history.last_probes()
    assert "schemas" not in stored.data
