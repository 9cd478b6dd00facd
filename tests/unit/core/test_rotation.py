"""Rotations and layers: who is on duty when, to the second, on the days when clocks change too."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.core.policy import Level
from bot.core.roster import FirstLevel, Person, PhoneNumber, Roster, backup, holders, next_hand_over, primary
from bot.core.rotation import DAY, WEEK, Always, FollowTheSun, Layer, Rotation, gaps, instant_of

SECOND = timedelta(seconds=1)
BERLIN = "Europe/Berlin"
WEEKLY = Rotation(people=("alice", "bob"), every=WEEK, start=date(2026, 1, 5), tz=BERLIN)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_a_week_goes_from_hand_over_to_hand_over() -> None:
    assert WEEKLY.on_duty(utc(2026, 1, 5, 8)) == "alice"
    assert WEEKLY.on_duty(utc(2026, 1, 12, 8) - SECOND) == "alice"
    assert WEEKLY.on_duty(utc(2026, 1, 12, 8)) == "bob"
    assert WEEKLY.next_hand_over(utc(2026, 1, 5, 8)) == utc(2026, 1, 12, 8)
    assert WEEKLY.next_hand_over(utc(2026, 1, 12, 8) - SECOND) == utc(2026, 1, 12, 8)
    assert WEEKLY.next_hand_over(utc(2026, 1, 12, 8)) == utc(2026, 1, 19, 8)


def test_the_order_is_kept_before_the_start() -> None:
    assert WEEKLY.on_duty(utc(2026, 1, 5, 8) - SECOND) == "bob"
    assert WEEKLY.on_duty(utc(2025, 12, 22, 8)) == "alice"


@pytest.mark.parametrize(
    ("sunday", "monday", "length"),
    [
        (utc(2026, 3, 23, 8), utc(2026, 3, 30, 7), timedelta(hours=167)),
        (utc(2026, 10, 19, 7), utc(2026, 10, 26, 8), timedelta(hours=169)),
    ],
)
def test_the_hand_over_stays_at_nine_when_the_clock_changes(
    sunday: datetime, monday: datetime, length: timedelta
) -> None:
    assert WEEKLY.next_hand_over(sunday) == monday
    assert monday - sunday == length
    assert monday.astimezone(ZoneInfo(BERLIN)).time() == time(9)


def test_a_hand_over_that_is_jumped_over_comes_with_the_jump_and_one_that_comes_twice_at_the_first() -> None:
    nights = Rotation(people=("a", "b"), every=DAY, start=date(2026, 1, 1), hand_over=time(2, 30), tz=BERLIN)
    assert nights.next_hand_over(utc(2026, 3, 28, 12)) == utc(2026, 3, 29, 1)
    assert nights.next_hand_over(utc(2026, 3, 29, 1)) == utc(2026, 3, 30, 0, 30)
    assert nights.next_hand_over(utc(2026, 10, 24, 12)) == utc(2026, 10, 25, 0, 30)
    assert nights.next_hand_over(utc(2026, 10, 25, 0, 30)) == utc(2026, 10, 26, 1, 30)
    # At 02:15 for the second time the one who took over at 02:30 for the first time still holds.
    assert nights.on_duty(utc(2026, 10, 25, 1, 15)) == nights.on_duty(utc(2026, 10, 25, 0, 30))


def test_a_shift_that_the_clock_jumps_over_is_held_by_nobody_and_the_next_begins() -> None:
    hourly = Rotation(
        people=("a", "b", "c"),
        every=timedelta(hours=1),
        start=date(2026, 3, 29),
        hand_over=time(0),
        tz=BERLIN,
    )
    held = [hourly.on_duty(utc(2026, 3, 28, 23) + timedelta(hours=hour)) for hour in range(4)]
    assert held == ["a", "b", "a", "b"]  # 00:00, 01:00, 03:00, 04:00; c had 02:00, which never was
    assert hourly.next_hand_over(utc(2026, 3, 29, 0)) == utc(2026, 3, 29, 1)


def test_half_days_change_at_nine_and_at_nine() -> None:
    halves = Rotation(
        people=("a", "b"), every=timedelta(hours=12), start=date(2026, 1, 5), tz="America/New_York"
    )
    at, seen = utc(2026, 3, 7, 0), []
    for _ in range(5):
        due = halves.next_hand_over(at)
        assert due is not None
        at = due
        seen.append(at.astimezone(ZoneInfo("America/New_York")).strftime("%d %H:%M"))
    assert seen == ["06 21:00", "07 09:00", "07 21:00", "08 09:00", "08 21:00"]


def test_whoever_has_two_turns_in_a_row_hands_over_once() -> None:
    daily = Rotation(people=("a", "a", "b"), every=DAY, start=date(2026, 1, 1))
    assert daily.next_hand_over(utc(2026, 1, 1, 9)) == utc(2026, 1, 3, 9)
    assert Rotation(people=("a",), every=DAY, start=date(2026, 1, 1)).next_hand_over(utc(2026, 1, 1)) is None
    assert Always("a").next_hand_over(utc(2026, 1, 1)) is None


def test_a_day_that_a_zone_left_out_is_a_shift_that_never_was() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert instant_of(datetime(2011, 12, 30, 9), apia) == utc(2011, 12, 30, 10)
    daily = Rotation(people=("a", "b", "c"), every=DAY, start=date(2011, 12, 29), tz="Pacific/Apia")
    assert daily.on_duty(utc(2011, 12, 30, 10) - SECOND) == "a"
    assert daily.on_duty(utc(2011, 12, 30, 10)) == "b"
    assert daily.next_hand_over(utc(2011, 12, 30, 10)) == utc(2011, 12, 30, 19)


SUN = FollowTheSun(
    (
        Layer(holder=Always("asha"), begin=time(9), end=time(18), tz="Asia/Kolkata"),
        Layer(
            holder=Rotation(people=("alice", "bob"), every=WEEK, start=date(2026, 1, 5), tz=BERLIN),
            begin=time(9),
            end=time(18),
            tz=BERLIN,
        ),
        Layer(holder=Always("dave"), begin=time(11), end=time(0), tz="America/New_York"),
    )
)


def test_duty_follows_the_sun_and_the_layer_written_first_holds_where_hours_overlap() -> None:
    hours = [SUN.on_duty(utc(2026, 1, 6, hour)) for hour in (4, 12, 13, 16, 17, 23)]
    assert hours == ["asha", "asha", "alice", "alice", "dave", "dave"]
    assert SUN.on_duty(utc(2026, 1, 13, 13)) == "bob"
    assert SUN.next_hand_over(utc(2026, 1, 6, 4)) == utc(2026, 1, 6, 12, 30)
    assert SUN.next_hand_over(utc(2026, 1, 6, 13)) == utc(2026, 1, 6, 17)
    assert SUN.names() == ("asha", "alice", "bob", "dave")


def test_layers_that_leave_a_gap_are_found_and_the_one_that_ended_last_stays() -> None:
    layers = (
        Layer(holder=Always("alice"), begin=time(8), end=time(20), tz=BERLIN),
        Layer(holder=Always("dave"), begin=time(14), end=time(2), tz="America/New_York"),
    )
    # New York changes three weeks before Berlin in spring and a week after it in autumn. On the first day of the
    # three weeks 02:00 is jumped over, and the jump is at 08:00 in Berlin: no gap yet.
    found = gaps(layers, date(2026, 1, 1), date(2027, 1, 1))
    assert len(found) == 20 + 7
    assert found[0] == (utc(2026, 3, 9, 6), utc(2026, 3, 9, 7))
    assert FollowTheSun(layers).on_duty(utc(2026, 3, 9, 6, 30)) == "dave"
    assert FollowTheSun(layers).next_hand_over(utc(2026, 3, 9, 6, 30)) == utc(2026, 3, 9, 7)
    longer = (layers[0], Layer(holder=Always("dave"), begin=time(14), end=time(3), tz="America/New_York"))
    assert gaps(longer, date(2026, 1, 1), date(2027, 1, 1)) == ()
    assert gaps((), date(2026, 1, 1), date(2026, 1, 2)) == ((utc(2026, 1, 1, 12), utc(2026, 1, 2, 12)),)


def test_the_same_time_twice_is_the_whole_day() -> None:
    whole = (Layer(holder=Always("a"), begin=time(8), end=time(8), tz=BERLIN),)
    assert gaps(whole, date(2026, 1, 1), date(2027, 1, 1)) == ()
    assert FollowTheSun(whole).next_hand_over(utc(2026, 1, 1)) is None


def test_one_persons_layers_beside_a_shadowed_one_never_hand_over() -> None:
    day = Layer(holder=Always("a"), begin=time(0), end=time(0))
    shadowed = Layer(holder=Always("b"), begin=time(8), end=time(16))
    assert FollowTheSun((day, shadowed)).next_hand_over(utc(2026, 1, 1)) is None


def test_the_roster_asks_the_rotation_at_the_instant_and_knows_the_next_hand_over() -> None:
    people = {name: Person(name=name, slack=f"U{name.upper()}") for name in ("alice", "bob", "carol")}
    roster = Roster(
        people=people,
        first=FirstLevel(
            primary=WEEKLY,
            backup=Rotation(people=("bob", "alice"), every=WEEK, start=date(2026, 1, 5), tz=BERLIN),
            emergency=PhoneNumber("+1-555-0100"),
        ),
        upper={Level.L2: (Rotation(people=("carol", "bob"), every=DAY, start=date(2026, 1, 5)),)},
    )
    at = utc(2026, 1, 12, 8)
    assert (primary(roster, at - SECOND), primary(roster, at)) == (people["alice"], people["bob"])
    assert (backup(roster, at - SECOND), backup(roster, at)) == (people["bob"], people["alice"])
    assert holders(roster, Level.L2, utc(2026, 1, 5, 9)) == (people["carol"],)
    assert next_hand_over(roster, utc(2026, 1, 12, 7)) == at
    assert next_hand_over(roster, at) == utc(2026, 1, 12, 9)
    assert next_hand_over(Roster(people=people, first=FirstLevel(primary=Always("bob"))), at) is None
