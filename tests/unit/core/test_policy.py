"""The policy's shipped numbers are those of the operations document, and it survives being frozen as JSON."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.policy import Level, Policy, Rule, Thresholds, format_duration, parse_duration

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def test_levels_stand_in_their_order() -> None:
    assert sorted([Level.L4, Level.L2, Level.L1, Level.L3]) == [Level.L1, Level.L2, Level.L3, Level.L4]
    assert [level.up for level in Level] == [Level.L2, Level.L3, Level.L4, None]


def test_the_ladder_is_two_four_and_eight_hours() -> None:
    assert Policy().ladder == {Level.L2: 2 * HOUR, Level.L3: 4 * HOUR, Level.L4: 8 * HOUR}


@pytest.mark.parametrize(
    ("rule", "held", "within"),
    [
        ("down", 15 * MINUTE, 0 * MINUTE),
        ("data_loss", 0 * MINUTE, 0 * MINUTE),
        ("security", 0 * MINUTE, 0 * MINUTE),
        ("budget_overrun", 0 * MINUTE, 0 * MINUTE),
        ("degraded", HOUR, HOUR),
        ("error_rate", 30 * MINUTE, HOUR),
        ("cost", 0 * MINUTE, HOUR),
        ("persistent_minor", 0 * MINUTE, 4 * HOUR),
        ("resource_constraint", 0 * MINUTE, 4 * HOUR),
        ("degradation_trend", 0 * MINUTE, 4 * HOUR),
    ],
)
def test_each_line_of_when_to_escalate_is_a_rule_to_the_technical_lead(
    rule: str, held: timedelta, within: timedelta
) -> None:
    shipped = {entry.id: entry for entry in Policy().rules}
    assert shipped[rule] == Rule(id=rule, fact=rule, for_=held, within=within, to=Level.L2)


def test_a_frozen_policy_is_read_back_as_it_was() -> None:
    policy = Policy(
        backup=timedelta(seconds=2.5),
        thresholds=Thresholds(error_rate_received=7, probe=timedelta(seconds=3)),
        rules=(Rule(id="x", fact="down", for_=MINUTE, within=HOUR, to=Level.L4),),
    )
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert Policy.from_dict(json.loads(json.dumps(Policy().to_dict()))) == Policy()


def test_a_policy_frozen_by_an_older_version_takes_defaults_for_what_it_lacks() -> None:
    assert Policy.from_dict({"repeat": 60, "of_a_newer_version": [1]}) == Policy(repeat=MINUTE)


@pytest.mark.parametrize(
    "data",
    [
        {"repeat": "15m"},
        {"repeat": True},
        {"repeat": float("nan")},
        {"ladder": []},
        {"ladder": {"L9": 1}},
        {"rules": {}},
        {"rules": [{"id": "x"}]},
        {"rules": [{"id": "x", "fact": "down", "for": 0, "within": 0, "to": "L9"}]},
        {"thresholds": 3},
    ],
)
def test_a_frozen_policy_that_was_tampered_with_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Policy.from_dict(data)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("1h30m", 5400),
        ("2d", 172800),
        (" 1H 5m ", 3900),
        ("30d", 2592000),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "15", "m", "-5m", "1.5h", "5m1h", "31d", "0m", "0s", "9999999d", "1week", "٣m", "１m"]
)
def test_what_is_no_duration_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|is out of range"):
        parse_duration(text)


def test_zero_is_a_duration_only_where_it_makes_sense() -> None:
    assert parse_duration("0m", zero=True) == timedelta(0)
    with pytest.raises(ValueError, match=r"from 1s to 30d"):
        parse_duration("0m")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (90, "1 min 30 s"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (90000, "1 d 1 h"),
        (-300, "-5 min"),
        (59.6, "1 min"),
    ],
)
def test_durations_are_told_in_words(seconds: float, words: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == words


@given(st.text(max_size=30))
def test_any_text_is_a_duration_in_range_or_a_value_error(text: str) -> None:
    duration = None
    with suppress(ValueError):
        duration = parse_duration(text)
    assert duration is None or timedelta(seconds=1) <= duration <= timedelta(days=30)
