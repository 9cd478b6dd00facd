"""The filter language and the arithmetic of time series, without a server."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.google.alignment import Point, Series, align, reduce
from sandbox.google.errors import Refused
from sandbox.google.filters import parse
from sandbox.google.traffic import Traffic

RECORD: dict[str, object] = {
    "severity": "ERROR",
    "timestamp": "2026-11-20T10:00:00Z",
    "resource.type": "dataflow_step",
    "resource.labels.job_id": "j-1",
    "jsonPayload.count": 12.0,
    "textPayload": 'say "hi"',
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ('resource.type="dataflow_step"', True),
        ("resource.type=dataflow_step severity>=WARNING", True),
        ("severity>=CRITICAL", False),
        ("severity=ERROR", True),
        ('resource.label.job_id="j-1"', True),
        ('resource.labels.job_id=("a" OR "j-1")', True),
        ('NOT resource.labels.job_id="j-1"', False),
        ('-resource.labels.job_id="j-1"', False),
        ('resource.labels.other="x"', False),
        ('resource.labels.other!="x"', True),
        ('timestamp>"2026-11-20T09:59:59.5Z" AND timestamp<="2026-11-20T11:00:00+01:00"', True),
        ('timestamp>="2026-11-21"', False),
        ("jsonPayload.count>9", True),
        ('textPayload="say \\"hi\\""', True),
        ('textPayload:"HI"', True),
        ('textPayload=~"s.y"', True),
        ('textPayload!~"s.y"', False),
        ('resource.type="dataflow_step" OR severity=DEBUG AND severity=INFO', False),
        ('resource.type="dataflow_step" OR (severity=DEBUG AND severity=INFO)', True),
        ("severity=INFO OR severity=ERROR AND NOT severity=DEBUG OR severity=INFO", True),
        ('resource.labels.job_id=starts_with("j-")', True),
        ('resource.labels.job_id!=one_of("j-1", "j-2")', False),
        ('resource.labels.job_id=monitoring.regex.full_match("j-[0-9]")', True),
    ],
)
def test_a_filter_lets_through_what_it_says(text: str, holds: bool) -> None:
    assert parse(text)(RECORD.get) is holds


@pytest.mark.parametrize(
    "text", ['a="', "a=", "AND", "(a=1", "a=1)", "a b c", 'a=~"("', "severity>=LOUD x=", '"']
)
def test_a_broken_filter_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(Refused, match="Unparseable filter"):
        parse(text)(RECORD.get)


@given(st.text(alphabet='ab.="()~:<>!-\\ ORANDT,1', max_size=40))
def test_a_filter_is_understood_or_refused_and_never_breaks(text: str) -> None:
    with suppress(Refused):
        assert parse(text)(RECORD.get) in (True, False)


def series(kind: str, *values: float, label: str = "a") -> Series:
    width = 60.0 if kind == "DELTA" else 0.0
    points = tuple(Point(60.0 * n - width, 60.0 * n, value) for n, value in enumerate(values, 1))
    return Series(
        metric="m",
        metric_labels={"l": label},
        resource="r",
        resource_labels={"project_id": "p"},
        kind=kind,
        whole=True,
        points=points,
    )


@pytest.mark.parametrize(
    ("kind", "aligner", "expected"),
    [
        ("GAUGE", "MAX", [4.0, 9.0]),
        ("GAUGE", "MEAN", [2.5, 8.0]),
        ("GAUGE", "NEXT_OLDER", [4.0, 9.0]),
        ("GAUGE", "COUNT", [2.0, 2.0]),
        ("DELTA", "DELTA", [5.0, 16.0]),
        ("DELTA", "RATE", [5 / 120, 16 / 120]),
    ],
)
def test_aligners(kind: str, aligner: str, expected: list[float]) -> None:
    aligned = align(series(kind, 1, 4, 7, 9), aligner, 120.0, 0.0, 240.0)
    assert [point.value for point in aligned.points] == pytest.approx(expected)
    assert [point.end for point in aligned.points] == [120.0, 240.0]


def test_a_rate_counts_of_a_point_across_the_edge_what_lies_inside() -> None:
    aligned = align(series("DELTA", 60, 60, 60), "RATE", 60.0, 30.0, 150.0)
    assert [point.value for point in aligned.points] == pytest.approx([1.0, 1.0])


def test_reducers_group_by_labels() -> None:
    both = [align(series("GAUGE", 1, 2, label=name), "MAX", 60.0, 0.0, 120.0) for name in ("a", "b")]
    (total,) = reduce(both, "SUM", [])
    assert [point.value for point in total.points] == [2.0, 4.0]
    assert total.metric_labels == {}
    assert len(reduce(both, "SUM", ["metric.label.l"])) == 2


@given(st.floats(0, 1e7), st.floats(0, 1e6), st.floats(0, 1e6))
def test_traffic_adds_up_over_any_cut(start: float, first: float, second: float) -> None:
    traffic = Traffic(2.4)
    base = 1.79e9 + start
    whole = traffic.between(base, base + first + second)
    parts = traffic.between(base, base + first) + traffic.between(base + first, base + first + second)
    assert whole == pytest.approx(parts, abs=1e-3)
    assert whole >= 0


def test_a_silent_source_publishes_nothing_until_it_speaks_again() -> None:
    loud = Traffic(2.4)
    silent = loud.silent_from(1000.0)
    assert silent.between(400, 1000) == loud.between(400, 1000)
    assert silent.between(1000, 4000) == 0
    assert silent.rate(2000.0) == 0
    again = silent.speaking_from(3000.0)
    assert again.between(1000, 4000) == pytest.approx(loud.between(3000, 4000))
    assert again.between(500, 4000) == pytest.approx(loud.between(500, 1000) + loud.between(3000, 4000))
    assert silent.speaking_from(900.0) == loud, "a past that is lived again"
