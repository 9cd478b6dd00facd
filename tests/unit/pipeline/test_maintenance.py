"""Maintenance: set by a person for a time, at most eight hours, once at a time, ended early, listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.catalogue import Pipeline
from pipeline.errors import Refused, UsageError
from pipeline.history import History
from pipeline.operations import ChangeOperation, Context, Plan, ReadOperation, get, own, parse

NOW = datetime(2026, 11, 22, 3, 10, tzinfo=UTC)


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    with History.open(f"sqlite:///{tmp_path / 'h.db'}") as history:
        pipeline = Pipeline(name="orders", project="demo-project", job_name="orders")
        yield Context(
            pipeline=pipeline,
            clients=cast(Any, None),
            history=history,
            now=lambda: NOW,
            sleep=lambda _: None,
            requested_by="alice",
            catalogue=(pipeline,),
        )


def change() -> ChangeOperation:
    operation = get("maintenance")
    assert isinstance(operation, ChangeOperation)
    return operation


def plan(ctx: Context, *words: str) -> Plan:
    return change().plan(ctx, own(change(), parse(change(), words)))


def later(ctx: Context, **time: float) -> Context:
    return replace(ctx, now=lambda: NOW + timedelta(**time))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("orders 2h new schema", {"pipeline": "orders", "for": "2h", "reason": "new schema", "end": False}),
        ("1h30m new schema", {"for": "1h30m", "reason": "new schema", "end": False}),
        ("end orders", {"pipeline": "orders", "for": None, "reason": None, "end": True}),
        ("orders end", {"pipeline": "orders", "for": None, "reason": None, "end": True}),
        ("orders", {"pipeline": "orders", "for": None, "reason": None, "end": False}),
        (
            "orders 2h why --yes --pipeline=",
            UsageError,
        ),
        ("orders tomorrow because", UsageError),
        ("end orders now", UsageError),
        ("orders 2h why --pipeline other", UsageError),
    ],
)
def test_words_are_read_as_people_write_them(words: str, said: dict[str, Any] | type[UsageError]) -> None:
    if isinstance(said, dict):
        assert parse(change(), words.split()) == said
    else:
        with pytest.raises(said):
            parse(change(), words.split())


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("orders 9h too long", "not 9 h"),
        ("orders 10s too short", "not 10 s"),
        ("orders 2h", "needs a reason"),
        ("orders --reason why", "How long?"),
        ("end orders", "not in maintenance"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(ctx: Context, words: str, refusal: str) -> None:
    made = plan(ctx, *words.split())
    assert refusal in (made.refusal or "")
    with pytest.raises(Refused):
        change().run(ctx, made, lambda _: None)


def test_the_longest_time_is_the_callers_where_it_knows_one(ctx: Context) -> None:
    shorter = replace(ctx, facts={"maintenance_max_s": 3600.0})
    assert "to 1 h" in (plan(shorter, "2h", "why").refusal or "")


def test_it_runs_from_its_confirmation_and_once_however_often_it_is_run(ctx: Context) -> None:
    made = plan(ctx, "orders", "2h", "new", "schema")
    assert made.refusal is None
    confirmed = later(ctx, minutes=5)
    assert change().run(confirmed, made, lambda _: None).severity == "ok"
    change().run(later(ctx, minutes=9), made, lambda _: None)
    assert ctx.history is not None
    (window,) = ctx.history.open_maintenances()
    assert (window.by, window.reason) == ("alice", "new schema")
    assert (window.begin, window.until) == (
        NOW + timedelta(minutes=5),
        NOW + timedelta(hours=2, minutes=5),
    )
    assert change().verify(confirmed, made).severity == "ok"


def test_a_second_one_is_refused_even_when_both_were_planned_before(ctx: Context) -> None:
    first, second = plan(ctx, "2h", "one"), plan(ctx, "2h", "two")
    change().run(ctx, first, lambda _: None)
    with pytest.raises(Refused, match="already"):
        change().run(ctx, second, lambda _: None)
    assert "already" in (plan(ctx, "2h", "three").refusal or "")
    assert plan(later(ctx, hours=3), "2h", "four").refusal is None


def test_it_is_ended_early_and_stays_ended(ctx: Context) -> None:
    change().run(ctx, plan(ctx, "2h", "one"), lambda _: None)
    soon = later(ctx, minutes=20)
    end = plan(soon, "end", "orders")
    change().run(soon, end, lambda _: None)
    change().run(later(ctx, minutes=40), end, lambda _: None)
    assert change().verify(soon, end).severity == "ok"
    assert ctx.history is not None
    (window,) = ctx.history.maintenances("orders")
    assert window.until == NOW + timedelta(minutes=20)
    assert not window.running(NOW + timedelta(minutes=20))
    ctx.history.maintenance_told(window.id)
    assert ctx.history.open_maintenances() == []


def test_without_more_words_it_lists(ctx: Context) -> None:
    assert change().instead(parse(change(), [])) == "pipeline.windows"
    assert change().instead(parse(change(), ["2h"])) == ""
    listing = get("pipeline.windows")
    assert isinstance(listing, ReadOperation)
    assert listing.read(ctx, {}).verdict == "No pipeline is in maintenance."
    change().run(ctx, plan(ctx, "2h", "one"), lambda _: None)
    report = listing.read(later(ctx, hours=1), {})
    assert report.verdict == "1 pipeline in maintenance: orders."
    assert "for another 1 h (alice: one)" in report.findings[0].text
