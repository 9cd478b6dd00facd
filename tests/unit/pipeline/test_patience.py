"""The end of an operation bounds every call made for it, in whatever thread; the clock is the test's."""

from __future__ import annotations

import pytest

from pipeline.gaps import Gap, gap_findings, in_short
from pipeline.google import calls
from pipeline.patience import Together, at_most, within


class Hands:
    """A clock that stands until it is turned."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_calls_that_follow_one_another_share_one_end() -> None:
    clock = Hands()
    with within(6.0, clock):
        assert calls.reading_http(20.0) == 6.0
        clock.now += 4.5
        assert [calls.reading_http(20.0), calls.reading_http(1.0)] == [1.5, 1.0]
        clock.now += 4.5
        assert 0 < calls.reading(20.0)["timeout"] < 0.1, "too late to wait, and never without an end"
    assert calls.reading_http(20.0) == 8.0


@pytest.mark.parametrize(("outer", "inner", "left"), [(6.0, 9.0, 6.0), (9.0, 6.0, 6.0)])
def test_of_two_ends_the_earlier_holds(outer: float, inner: float, left: float) -> None:
    with within(outer, Hands()), within(inner, Hands()):
        assert at_most(20.0) == left


def test_threads_that_work_for_an_operation_know_its_end() -> None:
    clock = Hands()
    with within(6.0, clock), Together(2) as pool:
        clock.now += 2.0
        assert pool.submit(at_most, 20.0).result() == 4.0
        assert list(pool.map(at_most, [1.0, 20.0])) == [1.0, 4.0]
    with Together(1) as pool:
        assert pool.submit(at_most, 20.0).result() == 20.0


def test_what_is_not_known_for_one_reason_is_told_once() -> None:
    gaps = [
        Gap("lag", "No answer."),
        Gap("jobs", "Denied."),
        Gap("backlog", "No answer."),
        Gap("age", "No answer."),
    ]
    texts = [finding.text for finding in gap_findings(gaps)]
    assert texts == ["Not measured: lag, backlog, age. No answer.", "Not measured: jobs. Denied."]
    assert in_short(gaps) == "; not measured: lag, jobs, backlog and 1 more"
    assert in_short(gaps[:2]) == "; not measured: lag, jobs"
    assert in_short([]) == ""
