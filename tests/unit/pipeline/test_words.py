"""Flags are read alike in terminal and Slack, and wrong ones get a suggestion."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.operations import ChangeOperation, ReadOperation, Risk, by_words, get, own, parse, registry
from pipeline.operations.logs import span_of

PACE = {"canary": 5, "rate": 500, "as_job": False}


def test_the_registry_has_every_operation_with_matching_name_words_and_risk() -> None:
    for name, operation in registry().items():
        assert operation.name == name
        assert " ".join(operation.words) == name.removeprefix("pipeline.").replace(".", " ")
        assert isinstance(operation, ReadOperation) == (operation.risk is Risk.READ)
        assert isinstance(operation, ChangeOperation) != isinstance(operation, ReadOperation)
    assert set(registry()) >= {"pipeline.health", "pipeline.restart", "dlq.replay", "cost.report"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"limit": 1000, "rule": None, **PACE, "force": False}),
        (["--limit", "50"], {"limit": 50, "rule": None, **PACE, "force": False}),
        (
            ["--limit=1,000", "--rule=currency:format"],
            {"limit": 1000, "rule": "currency:format", **PACE, "force": False},
        ),
        (["—dry-run", "–force"], {"limit": 1000, "rule": None, **PACE, "force": True, "dry_run": True}),
        (
            ["orders", "--yes"],
            {"limit": 1000, "rule": None, **PACE, "force": False, "pipeline": "orders", "yes": True},
        ),
        (
            ["--confirm", "orders", "--json"],
            {"limit": 1000, "rule": None, **PACE, "force": False, "confirm": "orders", "json": True},
        ),
    ],
)
def test_flags_of_a_change(words: list[str], expected: dict[str, object]) -> None:
    assert parse(get("dlq.replay"), words) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limt", "5"], "Did you mean --limit?"),
        (["--limit"], "needs a value"),
        (["--limit", "--force"], "needs a value"),
        (["--limit", "five"], "whole number"),
        (["--limit", "0"], "at least 1"),
        (["--limit", "5", "--limit", "6"], "twice"),
        (["--force=perhaps"], "yes or no"),
        (["orders", "more"], "too many"),
    ],
)
def test_wrong_flags_say_what_is_right(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(get("dlq.replay"), words)


def test_a_reading_takes_no_flags_of_a_change() -> None:
    with pytest.raises(UsageError, match="--yes"):
        parse(get("pipeline.health"), ["--yes"])
    with pytest.raises(UsageError, match="a number"):
        parse(get("cost.report"), ["--budget", "nan"])
    assert parse(get("cost.report"), ["--budget", "200.00"]) == {"budget": 200.0}


def test_choices_are_checked() -> None:
    with pytest.raises(UsageError, match="Did you mean drain"):
        parse(get("pipeline.restart"), ["--mode", "dran"])


def test_operations_are_found_by_name_and_by_words() -> None:
    assert get("health") is get("pipeline.health")
    assert get("pipeline health") is get("pipeline.health")
    assert by_words(["dlq", "peek", "--limit", "2"]) == (get("dlq.peek"), ["--limit", "2"])
    with pytest.raises(UsageError, match=r"Did you mean dlq\.replay"):
        get("dlq.reply")
    assert own(get("dlq.peek"), {"limit": 3, "json": True}) == {"limit": 3}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800), ("1.5h", 5400)]
)
def test_spans(text: str, seconds: float) -> None:
    assert span_of(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "0s", "31d", "1h 5m"])
def test_wrong_spans(text: str) -> None:
    with pytest.raises(UsageError):
        span_of(text)
