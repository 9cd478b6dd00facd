"""A Slack user group gives its members what it was last read to hold, and nobody anything besides."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.core import groups
from bot.core.access import Allowed, Denied, decide, is_member
from bot.core.auditor import audit
from bot.core.groups import Group, Known, Member, with_groups
from bot.core.oncall import with_overrides
from bot.core.overrides import Override
from bot.core.paging import contact_by_hand, next_level
from bot.core.policy import Level, Policy
from bot.core.readiness import examine
from bot.core.roster import (
    Always,
    Contact,
    FirstLevel,
    Person,
    Roster,
    by_slack,
    first_line,
    holders,
    level_of,
)
from bot.core.sentences import sentence
from tests.unit.core.incident_case import Case

AT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
FILE = Roster(
    people={
        "alice": Person(name="alice", slack="U01ALICE"),
        "bob": Person(name="bob", slack="@bob"),
        "carol": Person(name="carol", slack="carol@example.com", email="carol@example.com"),
    },
    first=FirstLevel(primary=Always("alice")),
    upper={Level.L3: (Always("carol"),)},
    contacts={
        "data": Contact(subject="data", kind="group", value="@owners"),
        "security": Contact(subject="security", kind="group", value="@owners"),
    },
    groups={Level.L1: ("S01TEAM",), Level.L2: ("@leads",)},
)


def member(name: str, number: str = "", email: str = "") -> Member:
    return Member(id=number or f"U{name.upper()}", name=name, email=email, tz="Europe/Berlin")


def known(read_at: datetime = AT, error: str = "", **members: tuple[Member, ...]) -> Known:
    """``team`` is S01TEAM, the others are handles."""
    found = {
        "S01TEAM" if name == "team" else f"@{name}": Group(
            id=f"S0{name.upper()}", members=people, read_at=read_at
        )
        for name, people in members.items()
    }
    return Known(groups=found, tried_at=read_at, error=error)


def names(roster: Roster, level: Level) -> list[str]:
    return [person.name for person in holders(roster, level, AT)]


def test_a_member_holds_the_level_and_whoever_is_not_on_the_roster_joins_it() -> None:
    roster = with_groups(FILE, known(leads=(member("frank"), member("carol", email="carol@example.com"))))
    assert names(roster, Level.L2) == ["frank", "carol"]
    assert level_of(roster, "frank", AT) is Level.L2
    assert isinstance(decide(roster, "frank", AT, "approve"), Allowed)
    found = by_slack(roster, "UFRANK")
    assert found is not None
    assert (found.name, found.tz, found.guest) == ("frank", "Europe/Berlin", False)


def test_a_level_has_its_own_places_first_and_its_first_line_is_no_group() -> None:
    roster = with_groups(FILE, known(team=(member("gina"), member("alice", "U01ALICE"))))
    assert names(roster, Level.L1) == ["alice", "gina"]
    assert [person.name for person in first_line(roster, AT)] == ["alice"]
    assert isinstance(decide(roster, "gina", AT, "change"), Allowed)
    assert isinstance(decide(roster, "gina", AT, "approve"), Denied)


@pytest.mark.parametrize("gone", [None, True])
def test_a_group_that_was_never_read_or_is_gone_gives_nobody_anything(gone: bool | None) -> None:
    found = (
        {}
        if gone is None
        else {"@leads": Group(id="S0LEADS", members=(member("frank"),), read_at=AT, gone=True)}
    )
    roster = with_groups(FILE, Known(groups=found, error="missing_scope"))
    assert names(roster, Level.L2) == []
    assert "frank" not in roster.people


def test_people_of_the_roster_are_known_by_id_address_or_handle_and_by_a_name_alone_never() -> None:
    """Two people in one would approve what they asked for themselves; and one must not pass for the other."""
    read = (
        member("al", "U01ALICE"),  # alice, whatever she calls herself
        member("bob", "U9BOB"),  # @bob, whose id nobody has looked up yet
        member("c", "U9CAROL", "Carol@Example.com"),
        member("alice", "U6MALLORY", "mallory@example.com"),
    )
    roster = with_groups(FILE, known(leads=read))
    assert names(roster, Level.L2) == ["alice", "bob", "carol", "alice-U6MALLORY"]
    assert roster.people["bob"].slack == "U9BOB"
    found = by_slack(roster, "U6MALLORY")
    assert found is not None
    assert found.name == "alice-U6MALLORY"


def test_what_slack_tells_replaces_what_was_known_and_its_silence_does_not() -> None:
    before = known(leads=(member("frank"),), owners=(member("sam"),))
    later = AT + timedelta(hours=1)
    read = {"@leads": Group(id="S0LEADS", members=(), read_at=later)}
    after = groups.after(before, read, "ratelimited", later)
    assert after.groups["@leads"].members == ()
    assert [m.name for m in after.groups["@owners"].members] == ["sam"]
    assert (after.error, after.tried_at) == ("ratelimited", later)
    slow = {"@leads": Group(id="S0LEADS", members=(member("frank"),), read_at=AT)}
    assert groups.after(after, slow, "", later).groups["@leads"].members == (), "an older reading came later"
    back = groups.after(after, slow, "", AT)
    assert back.groups["@leads"].members == (member("frank"),), "the clock was set back since"


def test_it_is_kept_as_json() -> None:
    before = known(leads=(member("frank", email="f@example.com"),), error="x")
    assert groups.from_json(json.loads(json.dumps(before.as_json()))) == before
    assert groups.from_json(None) == groups.NOTHING


def test_words_say_who_is_in_it_and_how_old_that_is() -> None:
    roster = with_groups(FILE, known(leads=(member("frank"),), error="missing_scope"))
    assert groups.lines(roster, AT + timedelta(minutes=90)) == [
        "S01TEAM (L1): never read from Slack, so nobody has its rights; Slack cannot be asked since: missing_scope",
        "@leads (L2): frank (read 1 h 30 min ago; Slack cannot be asked since: missing_scope)",
        "@owners (contact data, contact security): never read from Slack, so nobody has its rights;"
        " Slack cannot be asked since: missing_scope",
    ]  # fmt: skip


def test_the_check_warns_of_a_group_that_nobody_is_in() -> None:
    found = examine(with_groups(FILE, known(leads=(member("frank"),))), Policy(), AT).findings
    unresolved = [f.text for f in found if f.code == "group_unresolved"]
    assert len(unresolved) == 2
    assert not [f for f in found if f.level is Level.L2], "frank holds it"
    assert [f for f in examine(FILE, Policy(), AT).findings if f.level is Level.L2 and f.code == "empty"]


# --- contacts ---------------------------------------------------------------------------------------------


def case() -> Case:
    """A critical incident; sam and tom are the data and the security contact, frank is L2."""
    read = known(leads=(member("frank"),), owners=(member("sam"), member("tom")))
    return Case("critical", on_call=with_groups(FILE, read))


def test_a_contact_s_group_is_mentioned_and_each_member_paged() -> None:
    case_ = case()
    case_.do(contact_by_hand(case_.incident, "data", case_.roster, case_.now, "alice", "help"))
    told, *_ = case_.of("contact_told")
    assert told.data["mentions"] == ["S0OWNERS"]
    assert "its members are paged: sam, tom" in sentence(case_.incident, told)
    assert {p.person for p in case_.incident.pages.values() if p.of_contact} == {"sam", "tom"}


def test_the_first_of_the_group_answers_for_all() -> None:
    case_ = case()
    case_.do(contact_by_hand(case_.incident, "data", case_.roster, case_.now, "alice", "help"))
    case_.ack("tom")
    assert all(p.acked_at for p in case_.incident.pages.values() if p.of_contact)
    assert not all(p.acked_at for p in case_.incident.pages.values() if p.person == "alice")


def test_a_guest_helps_where_they_were_called_and_nowhere_else() -> None:
    case_ = case()
    roster = case_.roster
    assert isinstance(decide(roster, "sam", AT, "respond", incident=case_.incident), Denied)
    assert isinstance(decide(roster, "sam", AT, "change", environment="staging"), Denied)
    case_.do(contact_by_hand(case_.incident, "data", roster, case_.now, "alice", "help"))
    for action, right in (
        ("respond", Allowed),
        ("acknowledge", Allowed),
        ("change", Denied),
        ("approve", Denied),
    ):
        assert isinstance(decide(roster, "sam", AT, action, incident=case_.incident), right), action  # type: ignore[arg-type]


def test_the_security_contact_s_group_are_members_of_private_incidents() -> None:
    private = replace(case().incident, private=True)
    assert is_member(case().roster, "sam", AT, private)
    assert is_member(case().roster, "frank", AT, private)
    assert not is_member(case().roster, "carol", AT, private)


def test_a_contact_who_was_paged_is_no_page_to_their_level() -> None:
    """Else whoever calls a contact would keep the next level from being paged for what comes later."""
    case_ = case()
    case_.do(contact_by_hand(case_.incident, "data", case_.roster, case_.now, "alice", "help"))
    assert next_level(case_.incident) is Level.L2
    case_.fact("data_loss")
    case_.to(1)
    assert "frank" in {person for _, level, person in case_.pages() if level == "L2"}
    assert audit(7, case_.events, case_.now).of("missing") == ()


def test_an_override_may_be_taken_by_a_member_of_a_group_and_ends_with_the_membership() -> None:
    taken = Override(
        id=1, kind="override", person="frank", other="alice", level=Level.L1, place="primary", begin=AT,
        end=AT + timedelta(hours=8), reason="", made_by="frank", made_at=AT,
    )  # fmt: skip
    inside = with_overrides(with_groups(FILE, known(leads=(member("frank"),))), [taken])
    outside = with_overrides(with_groups(FILE, known(leads=())), [taken])
    assert [person.name for person in first_line(inside, AT)] == ["frank"]
    assert [person.name for person in first_line(outside, AT)] == ["alice"]
