"""Flapping alerts are damped: scored, counted in one line, paged for once, and resolved after a longer quiet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.alert_model import Alert
from bot.core.effects import effects
from bot.core.flapping import Flaps, again, decayed, is_flapping
from bot.core.folding import fold
from bot.core.policy import Policy
from bot.core.rehearsal import Happening, Story
from tests.unit.core.incident_case import START, Case, alert, minutes
from tests.unit.core.test_rehearse import acks, minute, opens, play

HALF = timedelta(hours=2)
LATENCY = {"kind": "performance", "severity": "warning", "title": "Lag above 5 min"}


def flapped(*at: float) -> Flaps:
    flaps = Flaps()
    for moment in at:
        flaps = again(flaps, START + minutes(moment), "lag", HALF, 2)
    return flaps


# --- the score --------------------------------------------------------------------------------------------


def test_the_score_halves_in_its_half_life_and_each_flap_adds_one() -> None:
    flaps = flapped(0, 120)
    assert (flaps.count, flaps.score) == (2, 1.5)
    assert decayed(flaps, START + minutes(240), HALF) == 0.75
    assert decayed(Flaps(), START, HALF) == 0.0


def test_it_begins_at_the_limit_and_ends_at_half_of_it() -> None:
    flaps = flapped(0, 5, 10)
    assert flaps.since == START + minutes(10)
    assert is_flapping(flaps, START + minutes(10), HALF, 2)
    over = next(m for m in range(10, 1000) if not is_flapping(flaps, START + minutes(m), HALF, 2))
    assert decayed(flaps, START + minutes(over), HALF) < 1 <= decayed(flaps, START + minutes(over - 1), HALF)
    assert not is_flapping(flapped(0), START, HALF, 2)


@pytest.mark.parametrize("period", [1, 10, 20, 45, 70])
def test_whatever_reopens_an_incident_again_and_again_flaps_at_the_fourth_opening(period: float) -> None:
    """70 min: ten of quiet, and sixty in which an alert reopens. Slower is a new incident each time."""
    begin = next(n for n in range(1, 20) if flapped(*(period * k for k in range(1, n + 1))).since)
    assert begin == 3


# --- one incident -----------------------------------------------------------------------------------------


def lag(number: int, state: str = "open") -> Alert:
    one = alert(f"a{number}", severity="warning", kind="performance", state=state)
    return replace(one, title="Lag above 5 min")


def flapping_case(openings: int, every: float = 4) -> Case:
    """It opens every few minutes and closes again after half of that."""
    case = Case("warning")
    for number in range(openings):
        case.to(number * every)
        case.alert(lag(number))
        if number == 0:
            case.ack()
        case.to(number * every + every / 2)
        case.alert(lag(number, "closed"))
    return case


def test_it_is_told_once_with_count_score_and_what_to_do() -> None:
    case = flapping_case(12)
    (told,) = case.of("flapping")
    assert (told.data["opened"], told.data["title"]) == (4, "Lag above 5 min")
    assert case.incident.flaps.count == 11
    assert fold(7, case.events) == case.incident


def test_its_channel_has_one_line_with_exact_counts_and_no_line_for_each_flap() -> None:
    case = flapping_case(12)
    rows = effects(None, case.incident, [])
    assert rows == []
    spoken, counts = [], []
    state = fold(7, case.events[:1])
    for number in range(2, len(case.events) + 1):
        before, state = state, fold(7, case.events[:number])
        assert state is not None
        for row in effects(before, state, case.events[number - 1 : number]):
            if row.key.startswith("line:"):
                spoken.append(str(row.data["text"]))
            if row.key.startswith("alerts:"):
                counts.append((row.key, row.data["text"], row.data["lines"]))
    assert len({key for key, _, _ in counts}) == 1
    _, text, lines = counts[-1]
    assert text.startswith("Alerts of INC-7: 0 open, 12 closed, 12 in all. Flapping: Lag above 5 min, score ")
    assert len(lines) == 1
    assert lines[0].endswith("(opened 12 times, 12 of them closed)")
    begun = next(n for n, said in enumerate(spoken) if "is flapping" in said)
    assert "Tune the alert policy" in spoken[begun]
    assert spoken[begun + 1 :] == []


def test_it_resolves_after_the_longer_quiet_and_not_before() -> None:
    case = flapping_case(6)
    closed = 5 * 4 + 2
    case.to(closed + 59)
    assert case.status() == "recovering"
    case.to(closed + 60)
    assert case.status() == "resolved"


def test_different_alerts_that_open_together_are_no_flapping() -> None:
    case = Case("warning")
    for number in range(30):
        case.alert(alert(f"x{number}", severity="warning"))
    for number in range(30):
        case.alert(alert(f"x{number}", severity="warning", state="closed"))
    assert case.incident.flaps.count == 0


def test_the_numbers_are_the_policys() -> None:
    policy = Policy(flap_score=1, flap_quiet=minutes(20))
    case = Case("warning", policy=policy)
    for number in range(2):
        case.alert(lag(number))
        case.alert(lag(number, "closed"))
    assert len(case.of("flapping")) == 1
    case.to(19)
    assert case.status() == "recovering"
    case.to(20)
    assert case.status() == "resolved"


# --- whatever happens -------------------------------------------------------------------------------------


def story(gaps: list[tuple[float, float]]) -> Story:
    """Open for so long, closed for so long, and so on; whoever is paged at L1 acknowledges within a minute."""
    happenings: list[Happening] = []
    starts = [0.0, *accumulate(up + down for up, down in gaps)]
    for start, (up, _) in zip(starts, gaps, strict=False):
        happenings += [
            opens(start, **LATENCY),
            acks(start + 0.2),
            opens(start + up, **LATENCY, state="closed"),
        ]
    return play(*happenings)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.floats(0.5, 40), st.floats(0.5, 59)), min_size=1, max_size=40))
def test_however_it_flaps_pages_are_few_and_it_ends_resolved(gaps: list[tuple[float, float]]) -> None:
    gaps = [(round(up, 1), round(down, 1)) for up, down in gaps]
    told = story(gaps)
    assert len(told.pages("L1")) <= 3 + sum(down >= 59 for _, down in gaps)
    for level in ("L2", "L3", "L4"):
        assert len(told.pages(level)) <= 2  # the page and its one repeat
    assert len(told.pages()) <= 12
    assert [line.kind for line in told.lines if line.kind in ("resolved", "reopened")][-1] == "resolved"


def test_a_slow_flap_resolves_and_reopens_a_few_times_and_then_no_more() -> None:
    told = story([(10.0, 15.0)] * 20)
    kinds = [line.kind for line in told.lines]
    assert (kinds.count("resolved"), kinds.count("reopened")) == (4, 3)
    assert [round(minute(line.at)) for line in told.pages("L1")] == [0, 25, 50]


# --- caught up --------------------------------------------------------------------------------------------


def behind() -> Case:
    """A lag alert of a pipeline that the watch measures."""
    case = Case("warning")
    case.alert(lag(1))
    case.fact("degraded")
    case.ack()
    case.probe(False, degraded=True)
    return case


def test_a_closed_lag_alert_resolves_nothing_while_the_watermark_has_not_caught_up() -> None:
    case = behind()
    case.alert(lag(1, "closed"))
    case.to(60)
    case.probe(False, degraded=True)
    case.to(115)
    assert case.status() == "acknowledged"
    case.probe(True, degraded=False)
    assert case.status() == "recovering"
    case.to(124)
    case.probe(True, degraded=False)
    assert case.incident.active
    case.to(125)
    assert case.status() == "resolved"


def test_a_watermark_that_falls_back_while_it_recovers_ends_the_recovery() -> None:
    case = behind()
    case.alert(lag(1, "closed"))
    case.probe(True, degraded=False)
    case.to(6)
    case.probe(False, degraded=True)
    case.to(40)
    assert case.status() == "acknowledged"


def test_a_lag_that_nobody_can_measure_any_more_is_not_taken_for_caught_up() -> None:
    case = behind()
    case.to(1)
    case.probe(True, degraded=None)
    case.alert(lag(1, "closed"))
    case.probe(None)
    assert case.status() == "recovering"
    case.to(100)
    assert case.incident.active
    case.probe(True, degraded=False)
    case.to(106)
    case.probe(True, degraded=False)
    case.to(110)
    assert case.status() == "resolved"
