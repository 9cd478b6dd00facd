"""Who is found on the roster: at each level, above it, by Slack, and when nobody is left."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.core.policy import Level
from bot.core.roster import (
    Always,
    Contact,
    FirstLevel,
    Person,
    PhoneNumber,
    Roster,
    backup,
    by_slack,
    emergency,
    everyone,
    filled_level,
    holders,
    level_of,
    next_up,
    numbers,
    owner,
    owners,
    primary,
)

AT = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
ALICE = Person(name="alice", slack="U01ALICE", phone="+1-555-0101")
BOB = Person(name="bob", slack="U02BOB")
CAROL = Person(name="carol", slack="U03CAROL", phone="+1-555-0103")
ERIN = Person(name="erin", email="erin@example.com")
PEOPLE = {person.name: person for person in (ALICE, BOB, CAROL, ERIN)}
ROSTER = Roster(
    people=PEOPLE,
    first=FirstLevel(primary=Always("alice"), backup=Always("bob"), emergency=PhoneNumber("+1-555-DATA-ENG")),
    upper={Level.L2: (Always("carol"), Always("alice")), Level.L3: (), Level.L4: (Always("erin"),)},
)
NOBODY = Roster(people=PEOPLE, first=FirstLevel())


def test_level_one_is_the_primary_then_the_backup() -> None:
    assert (primary(ROSTER, AT), backup(ROSTER, AT)) == (ALICE, BOB)
    assert holders(ROSTER, Level.L1, AT) == (ALICE, BOB)


def test_the_emergency_place_is_a_number_to_dial_or_a_person_who_is_of_level_one() -> None:
    assert emergency(ROSTER, AT) == PhoneNumber("+1-555-DATA-ENG")
    with_person = Roster(
        people=PEOPLE, first=FirstLevel(primary=Always("alice"), emergency=Always("erin")), upper={}
    )
    assert emergency(with_person, AT) == ERIN
    assert holders(with_person, Level.L1, AT) == (ALICE, ERIN)


def test_a_person_with_two_places_in_a_level_is_there_once() -> None:
    twice = Roster(people=PEOPLE, first=FirstLevel(primary=Always("alice"), backup=Always("alice")))
    assert holders(twice, Level.L1, AT) == (ALICE,)


def test_an_empty_level_gives_way_to_the_next_one_up() -> None:
    assert filled_level(ROSTER, Level.L2, AT) is Level.L2
    assert filled_level(ROSTER, Level.L3, AT) is Level.L4
    assert filled_level(NOBODY, Level.L1, AT) is None


def test_the_next_distinct_person_up_is_found_past_those_who_were_tried() -> None:
    assert next_up(ROSTER, Level.L2, AT, without={"carol"}) == (Level.L2, ALICE)
    assert next_up(ROSTER, Level.L2, AT, without={"carol", "alice"}) == (Level.L4, ERIN)
    assert next_up(ROSTER, Level.L2, AT, without={"carol", "alice", "erin"}) is None


@pytest.mark.parametrize(
    ("name", "level"), [("alice", Level.L2), ("bob", Level.L1), ("erin", Level.L4), ("nobody", None)]
)
def test_a_person_counts_by_the_highest_level_they_hold(name: str, level: Level | None) -> None:
    assert level_of(ROSTER, name, AT) is level


def test_when_no_level_is_held_there_are_still_all_people_and_numbers() -> None:
    assert everyone(NOBODY) == (ALICE, BOB, CAROL, ERIN)
    assert numbers(ROSTER) == (
        ("Emergency", "+1-555-DATA-ENG"),
        ("alice", "+1-555-0101"),
        ("carol", "+1-555-0103"),
    )


@pytest.mark.parametrize("who", ["U01ALICE", "<@U01ALICE>", "<@U01ALICE|al>", "@alice", "alice", " Alice "])
def test_a_person_is_found_however_slack_names_them(who: str) -> None:
    assert by_slack(ROSTER, who) == ALICE


@pytest.mark.parametrize("who", ["", "@", "U99", "<@U99>", "<!channel>", "zoe"])
def test_a_stranger_is_nobody(who: str) -> None:
    assert by_slack(ROSTER, who) is None


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("Alice", ALICE),
        ("@bob", BOB),
        ("ERIN@example.com", ERIN),
        ("l2", CAROL),
        ("lead@team.example", CAROL),
        ("security", BOB),
        ("data@example.com", None),
        ("alcie", None),
    ],
)
def test_an_owner_is_a_person_a_level_or_an_address_of_one(name: str, who: Person | None) -> None:
    contacts = {
        "security": Contact(subject="security", kind="person", value="bob"),
        "data": Contact(subject="data", kind="mailbox", value="data@example.com"),
    }
    roster = replace(ROSTER, addresses={"lead@team.example": Level.L2}, contacts=contacts)
    assert owner(roster, name, AT) == who
    assert (name.casefold() in owners(roster)) == (name != "alcie")
