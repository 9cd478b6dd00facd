"""Rotations and layers in roster.yaml: what is read, and every mistake with its line and its remedy."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from bot.core.policy import Level
from bot.core.roster import Always, Person, Roster, WeeklyTest, holders, next_hand_over, primary
from bot.core.rotation import DAY, WEEK, FollowTheSun, Layer, Rotation
from bot.documents import DocumentErrors, load_roster

PEOPLE = "people: {alice: {slack: U01ALICE}, bob: {slack: U02BOB}, carol: {slack: U03CAROL}}\n"


def _load(folder: Path, levels: str) -> Roster:
    path = folder / "roster.yaml"
    path.write_text(PEOPLE + levels, encoding="utf-8")
    return load_roster(path)


def _place(folder: Path, written: str) -> object:
    return _load(folder, f"levels:\n  L1:\n    primary: {written}\n").first.primary


def test_a_week_in_the_form_of_the_readme(tmp_path: Path) -> None:
    written = (
        '{rotation: weekly, people: [alice, bob], hand_over: "09:00", weekday: monday, tz: Europe/Berlin, '
        "start: 2026-01-05}"
    )
    expected = Rotation(people=("alice", "bob"), every=WEEK, start=date(2026, 1, 5), tz="Europe/Berlin")
    assert _place(tmp_path, written) == expected


@pytest.mark.parametrize(
    ("length", "every"), [("daily", DAY), ("Weekly", WEEK), ("12h", timedelta(hours=12)), ("14d", 2 * WEEK)]
)
def test_lengths_and_what_is_taken_for_granted(tmp_path: Path, length: str, every: timedelta) -> None:
    place = _place(tmp_path, f"{{rotation: {length}, people: [alice, bob], start: 2026-01-05}}")
    assert place == Rotation(
        people=("alice", "bob"), every=every, start=date(2026, 1, 5), hand_over=time(9), tz="UTC"
    )


def test_every_place_of_every_level_may_be_a_rotation(tmp_path: Path) -> None:
    turns = "{rotation: daily, people: [alice, bob], start: 2026-01-05}"
    roster = _load(
        tmp_path,
        f"levels:\n  L1: {{primary: {turns}, backup: {turns}, emergency: {turns}}}\n"
        f"  L2: [carol, {turns}]\n  L3: {turns}\n  L4: {{layers: [{{from: '00:00', to: '24:00', person: bob}}]}}\n",
    )
    daily = Rotation(people=("alice", "bob"), every=DAY, start=date(2026, 1, 5))
    assert roster.first.primary == roster.first.backup == roster.first.emergency == daily
    assert roster.upper[Level.L2] == (Always("carol"), daily)
    assert roster.upper[Level.L3] == (daily,)
    whole = FollowTheSun((Layer(holder=Always("bob"), begin=time(0), end=time(0)),))
    assert roster.upper[Level.L4] == (whole,)
    at = datetime(2026, 1, 6, 9, tzinfo=UTC)
    assert primary(roster, at) == Person(name="bob", slack="U02BOB")
    assert [person.name for person in holders(roster, Level.L2, at)] == ["carol", "bob"]
    assert next_hand_over(roster, at) == at + DAY


def test_layers_hold_people_and_rotations_which_take_the_layers_zone_and_first_hour(tmp_path: Path) -> None:
    place = _place(
        tmp_path,
        """
      layers:
        - {from: "08:00", to: "20:00", tz: Europe/Berlin, rotation: weekly, people: [alice, bob], start: 2026-01-05}
        - {from: "14:00", to: "03:00", tz: America/New_York, person: carol}""",
    )
    turns = Rotation(
        people=("alice", "bob"), every=WEEK, start=date(2026, 1, 5), hand_over=time(8), tz="Europe/Berlin"
    )
    assert place == FollowTheSun(
        (
            Layer(holder=turns, begin=time(8), end=time(20), tz="Europe/Berlin"),
            Layer(holder=Always("carol"), begin=time(14), end=time(3), tz="America/New_York"),
        )
    )


START = "start: 2026-01-05"
MISTAKES = [
    ("[alice, bob]", "a list is not possible", "rotation: weekly"),
    ("{weekly: [alice]}", "neither a person nor a rotation", "{rotation: weekly"),
    ("{rotation: daily, peeple: [alice], people: [bob], %s}", "unknown key “peeple”", "“people”"),
    ("{people: [alice]}", "neither a person nor a rotation", "{rotation: weekly"),
    ("{rotation: wekly, people: [alice], %s}", "“wekly” is not possible", "daily, weekly"),
    ("{rotation: 12, people: [alice], %s}", "not a duration", "needs its unit"),
    ("{rotation: 30m, people: [alice], %s}", "“30m” is too short", "from 1h"),
    ("{rotation: 31d, people: [alice], %s}", "out of range", "30d"),
    ("{rotation: daily, people: [], %s}", "the rotation has no people", "people: [NAME"),
    ("{rotation: daily, %s}", "the rotation has no people", "people: [NAME"),
    ("{rotation: daily, people: {alice: 1}, %s}", "must be a list", "[one, two]"),
    ("{rotation: daily, people: [alice, bbo], %s}", "there is no person “bbo”", "“bob”"),
    ("{rotation: daily, people: [alice]}", "the rotation has no start", "start: 2026-01-05"),
    ("{rotation: daily, people: [alice], start: 5.1.2026}", "is not a date", "2026-01-31"),
    ("{rotation: daily, people: [alice], start: 0001-01-01}", "is far away", "2000 to 2100"),
    ('{rotation: daily, people: [alice], hand_over: "9", %s}', "“9” is not a time of day", "09:00"),
    ('{rotation: daily, people: [alice], hand_over: "24:00", %s}', "“24:00” is not a time of day", "09:00"),
    ("{rotation: daily, people: [alice], tz: Europe/Berln, %s}", "is not a time zone", "Europe/Berlin"),
    ("{rotation: weekly, people: [alice], weekday: mondy, %s}", "“mondy” is not possible", "monday"),
    ("{rotation: weekly, people: [alice], weekday: friday, %s}", "is a monday, not a friday", "2026-01-02"),
    ("{rotation: daily, people: [alice], weekday: monday, %s}", "weekday is for weeks", "remove weekday"),
    ("{layers: []}", "0 layers are not possible", "1 to 24"),
    ("{layers: [~]}", "layer 1 is empty", "from"),
    ("{layers: [alice]}", "layer 1 must be a mapping", "key: value"),
    ("{layers: [{to: '08:00', person: bob}]}", "layer 1 has no `from`", "time of day"),
    ("{layers: [{from: '08:00', person: bob}]}", "layer 1 has no `to`", "time of day"),
    ("{layers: [{from: '8am', to: '08:00', person: bob}]}", "“8am” is not a time of day", "09:00"),
    ("{layers: [{from: '08:00', to: '08:00'}]}", "who holds it is not clear", "exactly one"),
    ("{layers: [{from: '08:00', to: '08:00', person: zoe}]}", "there is no person “zoe”", "alice"),
    ("{layers: [{from: '08:00', to: '08:00', tz: Moon, person: bob}]}", "“Moon” is not a time zone", "UTC"),
    ("{layers: [{from: '0:00', to: '0:00', rotation: daily, people: [bob]}]}", "has no start", "start:"),
    ("{layers: [{from: '08:00', to: '20:00', person: bob}]}", "nobody is on duty from 2026-01-01", "overlap"),
]


@pytest.mark.parametrize(("written", "text", "remedy"), MISTAKES)
def test_a_mistake_is_told_once_with_its_line_and_remedy(
    tmp_path: Path, written: str, text: str, remedy: str
) -> None:
    with pytest.raises(DocumentErrors) as caught:
        _place(tmp_path, written.replace("%s", START))
    (mistake,) = caught.value.mistakes
    assert (mistake.line, Path(mistake.file).name) == (4, "roster.yaml")
    assert text in mistake.text
    assert "L1, primary" in mistake.text
    assert remedy in mistake.remedy


def test_a_gap_on_the_days_between_two_changes_of_the_clock_is_found(tmp_path: Path) -> None:
    layers = (
        "{layers: [{from: '08:00', to: '20:00', tz: Europe/Berlin, person: alice}, "
        "{from: '14:00', to: '02:00', tz: America/New_York, person: bob}]}"
    )
    with pytest.raises(DocumentErrors, match="from 2026-03-09 06:00 to 2026-03-09 07:00 UTC"):
        _place(tmp_path, layers)


def test_all_mistakes_are_told_each_with_its_own_line(tmp_path: Path) -> None:
    levels = """\
levels:
  L1:
    primary:
      rotation: weekly
      people:
        - alice
        - zoe
      hand_over: "25:00"
      tz: Nowhere/At-all
  L2:
    - layers:
        - {from: "00:00", to: "12:00", person: bob}
        - from: "12:00"
          to: noon
          person: mia
"""
    with pytest.raises(DocumentErrors) as caught:
        _load(tmp_path, levels)
    assert [(mistake.line, mistake.text) for mistake in caught.value.mistakes] == [
        (5, "L1, primary: the rotation has no start"),
        (8, "L1, primary, people: there is no person “zoe”"),
        (9, "L1, primary, hand_over: “25:00” is not a time of day"),
        (10, "L1, primary, tz: “Nowhere/At-all” is not a time zone"),
        (15, "L2, layer 2, to: “noon” is not a time of day"),
        (16, "L2, layer 2, person: there is no person “mia”"),
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{}", WeeklyTest()),
        ('{weekday: friday, at: "08:30", answer_within: 4h}',
         WeeklyTest(weekday=4, at=time(8, 30), answer_within=timedelta(hours=4))),
        ("off", WeeklyTest(weekday=None)),
    ],
)  # fmt: skip
def test_the_weekly_test_page_has_its_time_or_is_off(
    tmp_path: Path, written: str, expected: WeeklyTest
) -> None:
    roster = _load(tmp_path, f"levels: {{L1: {{primary: bob}}}}\ntest_page: {written}\n")
    assert roster.test_page == expected
