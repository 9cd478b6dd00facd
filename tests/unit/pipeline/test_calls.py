"""However long a caller would wait, a reading gives up early enough for a person who looks at 03:10."""

from __future__ import annotations

import pytest

from pipeline.google import calls

PATIENT_S = 600.0
BOUND_S = 8.0


@pytest.mark.parametrize("arguments", [calls.reading, calls.reading_bigquery])
@pytest.mark.parametrize("deadline_s", [0.5, PATIENT_S])
def test_attempts_and_repeats_of_a_reading_end_within_its_bound(arguments, deadline_s: float) -> None:  # type: ignore[no-untyped-def]
    found = arguments(deadline_s)
    assert found["timeout"] == min(deadline_s, BOUND_S)
    assert found["retry"].timeout == min(deadline_s, BOUND_S)


def test_a_reading_over_http_ends_within_the_same_bound() -> None:
    assert [calls.reading_http(s) for s in (0.5, PATIENT_S)] == [0.5, BOUND_S]


def test_what_starts_something_is_tried_once_and_waits_as_long_as_it_is_told() -> None:
    assert calls.once(PATIENT_S) == {"retry": None, "timeout": PATIENT_S}
