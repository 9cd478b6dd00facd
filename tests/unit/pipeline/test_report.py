"""The report: a round trip without loss, words for numbers, rendering that outside text cannot break."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipeline.operations.base import Plan, Risk
from pipeline.render import markdown, plan_terminal, terminal
from pipeline.report import (
    EXIT_CODES,
    Evidence,
    Fact,
    Finding,
    NextStep,
    Report,
    Severity,
    Table,
    clock,
    duration,
    number,
    percent,
    plural,
    size,
    worst,
)

NOW = datetime(2026, 11, 22, 5, 40, tzinfo=UTC)
SEVERITIES = st.sampled_from(["ok", "info", "warning", "critical", "unknown"])
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
VALUES = st.none() | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
EVIDENCE = st.builds(Evidence, st.text(max_size=5), VALUES, st.text(max_size=3), st.none() | TIMES)
FINDINGS = st.builds(
    Finding, st.text(max_size=5), SEVERITIES, st.text(), st.lists(EVIDENCE, max_size=2).map(tuple)
)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
FACTS = st.builds(
    Fact,
    st.text(max_size=5),
    st.none() | st.booleans(),
    st.text(),
    NUMBERS,
    st.text(max_size=3),
    st.none() | TIMES,
)
REPORTS = st.builds(
    Report,
    operation=st.just("pipeline.health"),
    pipeline=st.text(max_size=5),
    verdict=st.text(),
    severity=SEVERITIES,
    as_of=TIMES,
    findings=st.lists(FINDINGS, max_size=2).map(tuple),
    tables=st.just((Table("t", ("a", "b"), (("1", "2"),)),)),
    next=st.just((NextStep("Go", "dlq.peek", {"limit": 5}),)),
    facts=st.lists(FACTS, max_size=2).map(tuple),
    data=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    title=st.text(max_size=5),
)


@settings(max_examples=50, deadline=None)
@given(REPORTS)
def test_a_report_survives_its_json(report: Report) -> None:
    assert Report.from_json(report.to_json()) == report


@settings(max_examples=50, deadline=None)
@given(REPORTS)
def test_any_text_can_be_rendered_and_steers_no_terminal(report: Report) -> None:
    out = io.StringIO()
    terminal(report, Console(file=out, width=100, force_terminal=False))
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert markdown(report).startswith("## ")


def test_outside_text_makes_no_markup() -> None:
    report = Report(
        operation="x",
        pipeline="p",
        verdict="<script> [link](http://x) `code` *bold* | cell",
        severity="warning",
        as_of=NOW,
        tables=(Table("t", ("a",), (("one | two",),)),),
    )
    text = markdown(report)
    for raw in ("<script>", "[link]", " `code`", "*bold* ", "one | two"):
        assert raw not in text
    assert "WARNING" in text


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ([], "ok"),
        (["ok", "info"], "info"),
        (["ok", "unknown"], "unknown"),
        (["unknown", "warning"], "warning"),
        (["critical", "unknown"], "critical"),
    ],
)
def test_worst(severities: list[Severity], expected: Severity) -> None:
    assert worst(severities) == expected


def test_exit_codes_are_those_of_the_interface() -> None:
    assert EXIT_CODES == {"ok": 0, "info": 0, "warning": 1, "critical": 1, "unknown": 2}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (604800, "7 d"),
        (-90, "-1 min 30 s"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_numbers_in_words() -> None:
    assert number(12480) == "12,480"
    assert percent(0.306) == "30.6 %"
    assert percent(0.0041) == "0.41 %"
    assert percent(0) == "0 %"
    assert size(1536) == "1.5 KiB"
    assert plural(1, "message") == "1 message"
    assert plural(1200, "message") == "1,200 messages"
    later = NOW.astimezone(timezone(timedelta(hours=2)))
    assert clock(later, NOW) == "05:40 UTC"
    assert clock(NOW, NOW - timedelta(days=1)) == "2026-11-22 05:40 UTC"


def plan(**more: object) -> Plan:
    fields: dict[str, object] = {
        "id": "plan-1",
        "operation": "dlq.replay",
        "pipeline": "orders",
        "params": {"limit": 5},
        "summary": "Send back.",
        "effects": ("one",),
        "warnings": ("mind",),
        "refusal": None,
        "risk": Risk.CHANGE,
        "made_at": NOW,
        "data": {"going": 3},
    }
    return Plan(**(fields | more))  # type: ignore[arg-type]


def test_a_plan_survives_its_json_and_shows_when_it_was_altered() -> None:
    raw = plan().to_json()
    assert Plan.from_json(raw) == plan()
    others = (
        {"id": "plan-2"}, {"data": {"going": 4}}, {"made_at": NOW + timedelta(minutes=1)}, {"params": {"limit": 6}},
        {"summary": "Nothing."}, {"effects": ()}, {"warnings": ()}, {"pipeline": "other"}, {"risk": Risk.READ},
    )  # fmt: skip
    assert plan().digest not in {plan(**other).digest for other in others}
    with pytest.raises(ValueError, match="altered"):
        Plan.from_json(raw | {"data": {"going": 300}})


def test_a_refused_plan_says_so() -> None:
    out = io.StringIO()
    plan_terminal(plan(refusal="The pipeline is down."), Console(file=out, width=100))
    assert "REFUSED The pipeline is down." in out.getvalue()


def test_a_table_that_a_narrow_window_would_squeeze_is_told_row_by_row() -> None:
    columns = ("count", "last", "from", "message", "example")
    long = Table(
        "Errors", columns, (("7", "04:37 UTC", "worker", "a message of many words", "an example of it"),)
    )
    wide, narrow = io.StringIO(), io.StringIO()
    found = Finding("x", "warning", "words " * 20)
    at = datetime(2026, 11, 23, 4, 40, tzinfo=UTC)
    said = Report(
        operation="pipeline.logs", pipeline="orders", verdict="So.", severity="warning", as_of=at,
        findings=(found,), tables=(long,),
    )  # fmt: skip
    terminal(said, Console(file=wide, width=160))
    terminal(said, Console(file=narrow, width=60))
    assert "- count: 7\n  last: 04:37 UTC\n  from: worker\n" in narrow.getvalue()
    assert "- count: 7" not in wide.getvalue()
    assert "\n           words" in narrow.getvalue(), "a finding goes on under its own beginning"
    assert max(map(len, narrow.getvalue().splitlines())) <= 60
