"""Overrides and swaps: looked up by time, one person at every instant, gone when they end."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core import oncall
from bot.core import roster as rosters
from bot.core.oncall import hand_overs, places, plan, since, slot, standing, with_overrides
from bot.core.overrides import Overridden, Override
from bot.core.policy import Level
from bot.core.refusal import Refused
from bot.core.roster import Always, FirstLevel, Person, PhoneNumber, Roster, Rotation
from bot.core.spans import read_span

NOW = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PEOPLE = {name: Person(name=name, slack=f"U{name.upper()}") for name in ("alice", "bob", "carol", "dave")}
TURNS = Rotation(people=("alice", "bob"), every=7 * DAY, start=date(2026, 11, 9), hand_over=time(9))
ROSTER = Roster(
    people=PEOPLE,
    first=FirstLevel(primary=TURNS, backup=Always("carol"), emergency=PhoneNumber("+1-555-DATA-ENG")),
    upper={Level.L2: (Always("carol"),)},
)


def made(begin: timedelta, end: timedelta, **more: object) -> Override:
    usual = {"kind": "override", "person": "dave", "level": Level.L1, "place": "primary", "id": 1}
    known = {**usual, "begin": NOW + begin, "end": NOW + end, "made_by": "alice", "made_at": NOW, **more}
    return Override(**known)  # type: ignore[arg-type]


def primary(roster: Roster, at: datetime) -> str:
    found = rosters.primary(roster, at)
    return found.name if found else ""


def test_an_override_holds_from_its_begin_to_its_end_and_nothing_fires() -> None:
    roster = with_overrides(ROSTER, [made(HOUR, 3 * HOUR)])
    names = [primary(roster, NOW + n * HOUR) for n in range(5)]
    assert names == ["bob", "dave", "dave", "bob", "bob"]
    assert rosters.level_of(roster, "dave", NOW + 2 * HOUR) is Level.L1
    assert rosters.level_of(roster, "dave", NOW + 4 * HOUR) is None


def test_everybody_who_asks_the_roster_sees_the_swap() -> None:
    roster = with_overrides(ROSTER, [made(HOUR, 40 * DAY, kind="swap", person="bob", other="carol")])
    at = NOW + 2 * HOUR
    assert primary(roster, at) == "carol"
    assert [p.name for p in rosters.holders(roster, Level.L2, at)] == ["bob"]
    assert primary(roster, at + 7 * DAY) == "alice", "the rotation goes on below the swap"
    assert rosters.emergency(roster, at) == PhoneNumber("+1-555-DATA-ENG")


def test_the_later_override_is_about_what_the_earlier_made() -> None:
    first = made(HOUR, 9 * HOUR)
    second = made(2 * HOUR, 4 * HOUR, kind="swap", person="dave", other="carol", id=2)
    roster = with_overrides(ROSTER, [second, first])
    assert [primary(roster, NOW + n * HOUR) for n in (1, 2, 4, 9)] == ["dave", "carol", "dave", "alice"]
    now = {each.place.title: each for each in standing(roster, NOW + 3 * HOUR)}
    assert now["L1 primary"].override == second
    assert now["L1 primary"].until == NOW + 4 * HOUR
    assert now["L1 backup"].person == PEOPLE["dave"], "the swap is about both"


def test_an_override_for_somebody_who_left_the_roster_is_none() -> None:
    gone = made(HOUR, 3 * HOUR, person="zoe")
    swapped = made(HOUR, 3 * HOUR, kind="swap", person="bob", other="zoe", id=2)
    assert primary(with_overrides(ROSTER, [gone, swapped]), NOW + 2 * HOUR) == "bob"


def test_an_empty_level_can_be_held_by_an_override_alone() -> None:
    roster = with_overrides(ROSTER, [made(HOUR, 2 * HOUR, level=Level.L3, place="1")])
    assert rosters.holders(roster, Level.L3, NOW) == ()
    assert rosters.holders(roster, Level.L3, NOW + HOUR) == (PEOPLE["dave"],)


def test_hand_overs_come_in_order_with_who_goes_and_who_comes() -> None:
    roster = with_overrides(ROSTER, [made(HOUR, 3 * HOUR)])
    found = hand_overs(roster, NOW, NOW + DAY)
    assert [(h.at - NOW, h.outgoing, h.incoming) for h in found] == [
        (HOUR, "bob", "dave"),
        (3 * HOUR, "dave", "bob"),
        (timedelta(hours=5, minutes=50), "bob", "alice"),
    ]
    place = places(roster)[0]
    assert since(place, NOW, NOW + 2 * HOUR) == NOW + HOUR
    assert since(place, NOW + 2 * HOUR, NOW + 2 * HOUR) is None


def test_the_plan_is_of_the_readers_days() -> None:
    days = plan(ROSTER, NOW, ZoneInfo("America/Los_Angeles"), 3)
    assert [f"{d.day:%a %d}" for d in days] == ["Sun 22", "Mon 23", "Tue 24"]
    assert [d.cells["L1 primary"] for d in days] == ["bob", "bob, 01:00 alice", "alice"]


def test_the_weekly_slot_is_the_last_one_in_that_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert slot(0, time(10), NOW, berlin) == datetime(2026, 11, 16, 9, tzinfo=UTC)
    assert slot(0, time(10), NOW + 6 * HOUR, berlin) == datetime(2026, 11, 23, 9, tzinfo=UTC)


overrides = st.builds(
    lambda n, a, b, kind, who: made(
        a * HOUR,
        (a + b) * HOUR,
        id=n,
        kind=kind,
        person=who[0],
        other=who[1],
        place="primary",
        made_at=NOW + n * timedelta(minutes=1),
    ),
    st.integers(1, 50),
    st.integers(-200, 200),
    st.integers(1, 300),
    st.sampled_from(["override", "swap"]),
    st.permutations(["alice", "bob", "carol", "dave"]),
)


@settings(max_examples=150, deadline=None)
@given(known=st.lists(overrides, max_size=5), hours=st.integers(-300, 600))
def test_one_person_holds_until_the_next_hand_over_whatever_was_overridden(
    known: list[Override], hours: int
) -> None:
    roster, at = with_overrides(ROSTER, known), NOW + hours * HOUR
    place = places(roster)[0].holder
    due = place.next_hand_over(at)
    assert due is not None
    assert due > at
    assert place.on_duty(due) != place.on_duty(due - timedelta(seconds=1)) == place.on_duty(at)
    step = min(due - at, 30 * DAY) / 9
    assert {place.on_duty(at + n * step) for n in range(9)} == {place.on_duty(at)} <= set(PEOPLE)


def test_a_place_that_never_changes_again_says_so() -> None:
    place = Overridden(Always("carol"), (made(HOUR, 2 * HOUR),))
    assert place.next_hand_over(NOW) == NOW + HOUR
    assert place.next_hand_over(NOW + HOUR) == NOW + 2 * HOUR
    assert place.next_hand_over(NOW + 2 * HOUR) is None
    assert place.names() == ("carol", "dave")


@pytest.mark.parametrize(
    ("typed", "begin", "end", "rest"),
    [
        ("for 8h", 0, 8, []),
        ("for 2 h dentist", 0, 2, ["dentist"]),
        ("until 18:00 I am ill", 0, 13 + 50 / 60, ["I", "am", "ill"]),
        ("until 03:00", 0, 22 + 50 / 60, []),
        ("from tomorrow 09:00 until 18:00", 28 + 50 / 60, 37 + 50 / 60, []),
        ("from 2026-12-01 08:00 for 1d", 195 + 50 / 60, 219 + 50 / 60, []),
        ("until friday 18:00", 0, 109 + 50 / 60, []),
        ("for 1h from 18:00", 13 + 50 / 60, 14 + 50 / 60, []),
    ],
)
def test_spans_are_read_as_people_write_them(typed: str, begin: float, end: float, rest: list[str]) -> None:
    """Berlin is an hour ahead: 18:00 there is 17:00 UTC."""
    found = read_span(typed.split(), NOW, ZoneInfo("Europe/Berlin"))
    assert found == (NOW + begin * HOUR, NOW + end * HOUR, rest)


@pytest.mark.parametrize(
    "typed",
    ["", "for", "for ever", "until", "until nonsense", "from 2026-01-01 for 1h", "until 2030-01-01", "8h"],
)
def test_a_span_without_a_sensible_end_is_refused(typed: str) -> None:
    with pytest.raises(Refused) as refused:
        read_span(typed.split(), NOW, ZoneInfo("UTC"))
    assert refused.value.remedy


def test_every_place_has_a_name_for_people() -> None:
    two = Roster(people=PEOPLE, first=FirstLevel(), upper={Level.L2: (Always("bob"), Always("carol"))})
    assert [each.title for each in places(two)] == ["L2 (1)", "L2 (2)"]
    assert [each.title for each in places(ROSTER)] == ["L1 primary", "L1 backup", "L2"]
    assert oncall.clock(NOW, ZoneInfo("Europe/Berlin")) == "Mon 2026-11-23 04:10 Europe/Berlin"
