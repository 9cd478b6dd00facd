"""What a tired person types and clicks at the front desk: half a word, the same twice, a page that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.desk.change import change
from bot.store.database import Database
from pipeline.operations import registry
from tests.unit.desk.test_front import Office
from tests.unit.desk.test_hand_overs import HOUSE, SUNDAY
from tests.unit.desk.test_runbook_in_incident import orders


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(SUNDAY), create=True) as database:
        yield Office(database)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("acknowlege", "ack"),
        ("acknowledged", "ack"),
        ("close", "resolve"),
        ("esclate", "escalate"),
        ("log", "timeline"),
    ],
)
async def test_a_word_that_is_nearly_one_gets_the_one_that_was_meant(
    office: Office, typed: str, meant: str
) -> None:
    office.open()
    assert f"Did you mean `/incident {meant}`?" in await office.types("dave", "/incident", typed)


async def test_a_word_of_any_length_is_shown_cut(office: Office) -> None:
    told = await office.types("dave", "/incident", "x" * 4000)
    assert "x" * 41 not in told
    assert "There are: declare" in told


async def test_a_double_click_is_one_plan_and_a_second_thought_another(office: Office) -> None:
    office.open()
    office.house = replace(HOUSE, pipelines=(orders(),), operations={"pipeline.restart": "change"})
    office.knows(registry())
    first = await office.types("dave", "/pipeline", "restart --pipeline orders")
    again = await office.types("dave", "/pipeline", "restart --pipeline orders")
    assert "Planning: pipeline restart on orders" in first
    assert again == "The plan for pipeline.restart is being made already."
    runs = office.database.read(lambda tx: tx.recent_runs("orders", "pipeline.restart", SUNDAY))
    assert len(runs) == 1
    assert "Planning" in await office.types("dave", "/pipeline", "restart --pipeline orders --dry-run")


async def test_the_timeline_has_a_step_and_its_report_in_one_line(office: Office) -> None:
    office.open()

    def do(tx: Any) -> None:
        told = {"operation": "pipeline.health", "verdict": "It is so.", "run": "r"}
        step = {
            "runbook": "health",
            "title": "Look",
            "state": "done",
            "verdict": "It is so.",
            "ref": "health/look#1.1",
            "step": "health/look",
        }
        events = [
            lifecycle.event(kind, tx.now(), "streamwatch", **data)
            for kind, data in (("reported", told), ("step", step))
        ]
        change(tx, HOUSE, tx.incident(1), 1, events)

    office.database.write(do)
    await office.types("dave", "/incident", "timeline")
    shown = office.told[-1]["events"]
    (line,) = [each["words"] for each in shown if "It is so." in each["words"]]
    assert line.count("[e") == 2
    assert line.endswith("step “Look”: done: It is so.")
