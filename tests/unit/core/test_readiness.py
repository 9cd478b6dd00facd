"""`python -m bot check`: a year of on-call walked through, and every hole in it named with its dates."""

from __future__ import annotations

import time as stopwatch
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from bot.core.oncall import with_overrides
from bot.core.overrides import Override
from bot.core.policy import Level, Policy
from bot.core.readiness import Finding, examine
from bot.core.roster import (
    CONTACTS,
    Always,
    Contact,
    FirstLevel,
    FollowTheSun,
    Person,
    PhoneNumber,
    Reach,
    Roster,
    Rotation,
)
from bot.core.rotation import Layer

NOW = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
NAMES = ("alice", "bob", "carol", "dave", "erin")
PEOPLE = {
    n: Person(
        name=n, slack=f"U{n.upper()}", email=f"{n}@example.com", phone="+1-555-0100", tz="Europe/Berlin"
    )
    for n in NAMES
}
MUTE = Person(name="mute", phone="+1-555-0199")
TURNS = Rotation(people=("alice", "bob"), every=WEEK, start=date(2026, 11, 2))
SOUND = Roster(
    people=PEOPLE,
    first=FirstLevel(primary=TURNS, backup=Always("dave"), emergency=PhoneNumber("+1-555-DATA-ENG")),
    upper={Level.L2: (Always("carol"),), Level.L3: (Always("dave"),), Level.L4: (Always("erin"),)},
    contacts={s: Contact(subject=s, kind="mailbox", value=f"{s}@example.com") for s in CONTACTS},
    reach=Reach(mail=True),
)
POLICY = Policy()


def found(roster: Roster, code: str, policy: Policy = POLICY) -> list[Finding]:
    return [f for f in examine(roster, policy, NOW).findings if f.code == code]


def with_people(*people: Person, **first: object) -> Roster:
    known = {**PEOPLE, **{p.name: p for p in people}}
    return replace(SOUND, people=known, first=replace(SOUND.first, **first))  # type: ignore[arg-type]


def test_a_sound_roster_has_nothing_to_find() -> None:
    ready = examine(SOUND, POLICY, NOW)
    assert ready.findings == ()
    assert ready.spans == 54, "a hand-over each Monday"
    assert ready.end - ready.begin == timedelta(days=365)


def test_a_week_in_which_nobody_is_reached_is_named_with_its_dates() -> None:
    """Every other week the primary has nothing but a telephone."""
    turns = replace(TURNS, people=("alice", "mute"))
    (mistake, *more) = examine(with_people(MUTE, primary=turns), POLICY, NOW).mistakes
    assert more == []
    assert (mistake.code, mistake.level, mistake.people) == ("unreachable", Level.L1, ("mute",))
    assert mistake.spans[0] == (datetime(2026, 11, 23, 9, tzinfo=UTC), datetime(2026, 11, 30, 9, tzinfo=UTC))
    assert len(mistake.spans) == 27
    words = mistake.words()
    assert "No message reaches mute, who is the primary of L1" in words
    assert "2026-11-23 09:00 UTC to 2026-11-30 09:00 UTC" in words
    assert "and 24 more times until 2027-11-" in words


def test_a_level_that_nobody_holds_is_told_with_who_is_paged_instead_and_by_which_rules() -> None:
    upper = {Level.L2: (Always("carol"),), Level.L4: (Always("erin"),)}
    (warning,) = found(replace(SOUND, upper=upper), "empty")
    assert warning.text == "Nobody holds L3; erin of L4 gets its pages: the ladder after 4 h"
    assert warning.spans == (), "at all times"
    (lower,) = found(
        replace(SOUND, upper={Level.L3: (Always("dave"),), Level.L4: (Always("erin"),)}), "empty"
    )
    assert "dave of L3" in lower.text
    assert all(f"rule {rule.id}" in lower.text for rule in POLICY.rules)


def test_nobody_at_the_top_is_a_mistake() -> None:
    upper = {Level.L2: (Always("carol"),)}
    mistakes = found(replace(SOUND, upper=upper), "nobody")
    assert [m.level for m in mistakes] == [Level.L3, Level.L4]
    assert "the ladder after 8 h" in mistakes[1].text


def test_an_override_that_ends_leaves_a_gap_from_then_on() -> None:
    until = NOW + 30 * DAY
    override = Override(
        id=1, kind="override", person="erin", level=Level.L4, place="1", begin=NOW, end=until, made_by="dave",
        made_at=NOW,
    )  # fmt: skip
    bare = replace(SOUND, upper={Level.L2: (Always("carol"),), Level.L3: (Always("dave"),)})
    (mistake,) = found(with_overrides(bare, [override]), "nobody")
    assert mistake.spans == ((until, NOW + 365 * DAY),)


def test_one_of_several_holders_who_is_not_reached_is_a_warning() -> None:
    roster = replace(
        SOUND,
        people={**PEOPLE, "mute": MUTE},
        upper={**SOUND.upper, Level.L2: (Always("carol"), Always("mute"))},
    )
    (warning,) = found(roster, "unreachable")
    assert (warning.severity, warning.people) == ("warning", ("mute",))
    (mistake,) = found(replace(roster, upper={**SOUND.upper, Level.L2: (Always("mute"),)}), "unreachable")
    assert mistake.severity == "mistake"


def test_a_backup_who_is_the_primary_is_named_with_the_weeks() -> None:
    (warning,) = found(with_people(backup=Always("bob")), "same_person")
    assert "bob is primary and backup of L1" in warning.text
    assert len(warning.spans) == 27
    (alone,) = found(with_people(primary=Always("carol")), "same_person")
    assert "carol is the primary of L1 and holds L2 alone" in alone.text
    assert found(with_people(backup=None), "no_backup")


def test_whoever_only_slack_reaches_is_named_and_not_who_has_a_hook() -> None:
    hooked = replace(PEOPLE["alice"], hook="https://example.com/hook")
    roster = replace(with_people(hooked), reach=Reach())
    (warning,) = found(roster, "slack_only")
    assert warning.people == ("bob", "carol", "dave", "erin")
    assert "bob (L1), carol (L2), dave (L1, L3), erin (L4)" in warning.text
    assert found(replace(roster, reach=Reach(hook=True)), "slack_only") == []


def test_contacts_phones_and_zones_that_are_missing_are_named() -> None:
    bare = replace(PEOPLE["carol"], phone=None, tz_given=False)
    contacts = {"security": Contact(subject="security", kind="person", value="mute")}
    roster = replace(with_people(bare, MUTE), contacts=contacts)
    (contact,) = found(roster, "no_contact")
    assert contact.text == "There is no contact for infrastructure, network, data, business, compliance"
    (deaf,) = found(roster, "contact_unreachable")
    assert deaf.people == ("mute",)
    assert [f.people for code in ("no_phone", "no_zone") for f in found(roster, code)] == [
        ("carol",),
        ("carol",),
    ]
    (mailbox,) = found(
        replace(SOUND, reach=Reach(hook=True), contacts={**SOUND.contacts, **contacts}), "contact_unreachable"
    )[1:]
    assert "compliance is a mailbox" in mailbox.text


def test_no_number_and_no_emergency_place_is_told() -> None:
    people = {n: replace(p, phone=None) for n, p in PEOPLE.items()}
    roster = replace(SOUND, people=people, first=replace(SOUND.first, emergency=None))
    assert found(roster, "no_emergency")
    assert not found(replace(SOUND, first=replace(SOUND.first, emergency=Always("erin"))), "no_emergency")


def override(
    number: int, person: str, *, days: int, level: Level = Level.L1, place: str = "primary"
) -> Override:
    """So many days from now, for a day."""
    begin = NOW + days * DAY
    return Override(
        id=number, kind="override", person=person, level=level, place=place, begin=begin, end=begin + DAY,
        made_by="bob", made_at=NOW, reason="a wedding",
    )  # fmt: skip


def test_a_gap_that_an_override_makes_is_named_with_the_override_and_its_dates() -> None:
    made = [override(1, "carol", days=2), override(7, "mute", days=9)]
    ready = examine(with_people(MUTE), POLICY, NOW, overrides=made)
    (gap,) = ready.mistakes
    assert gap.spans == ((made[1].begin, made[1].end),)
    assert gap.words() == (
        "No message reaches mute, who is the primary of L1: the first page (2026-12-02 03:10 UTC to "
        "2026-12-03 03:10 UTC). Override 7: mute takes L1 primary, Wed 2026-12-02 03:10 UTC to Thu "
        "2026-12-03 03:10 UTC, by bob: a wedding"
    )
    (same,) = (f for f in ready.findings if f.code == "same_person")
    assert same.people == ("carol",)
    assert same.overrides[0].startswith("Override 1: carol takes L1 primary")
    assert same.as_json()["overrides"] == list(same.overrides)


def test_what_the_roster_does_by_itself_is_blamed_on_no_override() -> None:
    ready = examine(
        with_people(MUTE, backup=Always("mute")), POLICY, NOW, overrides=[override(1, "erin", days=2)]
    )
    assert not [f for f in ready.findings if f.code == "unreachable" and f.overrides]


def test_an_override_of_somebody_who_left_the_roster_is_named() -> None:
    made = override(3, "zed", days=2, level=Level.L2, place="1")
    (left,) = (f for f in examine(SOUND, POLICY, NOW, overrides=[made]).findings)
    assert (left.severity, left.code, left.people) == ("warning", "override_of_nobody", ("zed",))
    assert "It does nothing: zed is not on the roster any more" in left.words()


@pytest.mark.parametrize("rules", [(), POLICY.rules[:1]])
def test_a_level_that_nothing_pages_is_not_missed(rules: tuple[object, ...]) -> None:
    quiet = replace(POLICY, ladder={Level.L2: timedelta(hours=2)}, rules=rules)  # type: ignore[arg-type]
    roster = replace(SOUND, upper={Level.L2: (Always("carol"),)})
    assert examine(roster, quiet, NOW).mistakes == ()


def test_a_year_that_follows_the_sun_is_walked_in_less_than_two_seconds() -> None:
    """Six hand-overs a day through three zones, weekly rotations in each."""
    zones = (("Europe/Berlin", 8, 16), ("America/New_York", 9, 17), ("Australia/Sydney", 8, 18))
    layers = tuple(
        Layer(holder=replace(TURNS, people=pair, tz=tz), begin=time(begin), end=time(end), tz=tz)
        for (tz, begin, end), pair in zip(
            zones, (("alice", "bob"), ("carol", "dave"), ("erin", "bob")), strict=True
        )
    )
    sun = FollowTheSun(layers)
    roster = with_people(primary=sun, backup=FollowTheSun(layers[::-1]))
    begun = stopwatch.process_time()
    ready = examine(roster, POLICY, NOW)
    assert stopwatch.process_time() - begun < 2.0
    assert ready.spans > 1000
    assert ready.mistakes == ()
