"""A page wakes: every place of a person at once, the next place when one fails, and at last the number to dial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.core import lifecycle
from bot.core.auditor import audit
from bot.core.delivery import Kind, Outbound
from bot.core.effects import cancelled, effects
from bot.core.incident import Event
from bot.core.paging import contact_by_hand
from bot.core.reach import after_failure
from bot.core.roster import Contact, Person, Reach, Roster, reached_by
from bot.core.sentences import sentence
from tests.unit.core.incident_case import Case, minutes, roster

WAYS = {"dm": Kind.PAGE_DM, "mail": Kind.PAGE_MAIL, "hook": Kind.PAGE_HOOK, "channel": Kind.PAGE_MENTION}


def awake(reach: Reach = Reach(mail=True, hook=True), **alice: str | None) -> Roster:  # noqa: B008 -- frozen
    """The roster of the cases, with mail and hook; ``alice`` replaces what is known of her."""
    known = roster()
    ways: dict[str, str | None] = {
        "slack": "UALICE",
        "email": "alice@example.com",
        "phone": "+1-alice",
        **alice,
    }
    return replace(known, reach=reach, people={**known.people, "alice": Person(name="alice", **ways)})  # type: ignore[arg-type]


def rows_of(case: Case, events: Sequence[Event] | None = None) -> list[Outbound]:
    return effects(
        None if events is None else case.incident, case.incident, case.events if events is None else events
    )


def ways_of(found: Sequence[Outbound]) -> list[str]:
    return [name for row in found for name, kind in WAYS.items() if row.kind is kind]


def failed(case: Case, place: str, name: str = "page_failed") -> list[Event]:
    page = next(iter(case.incident.pages))
    told = lifecycle.event(
        name, case.now, "streamwatch", page=page, person="alice", place=place, error="broken", after_s=120
    )
    case.store([told])
    more = after_failure(case.incident, page, [f"{place}: broken"], case.roster, case.now)
    case.store(more)
    return more


def delivered(case: Case, place: str) -> None:
    page = next(iter(case.incident.pages))
    case.store([lifecycle.event("page_delivered", case.now, "streamwatch", page=page, place=place)])


# --- places ---


def test_an_urgent_page_goes_everywhere_at_once_each_place_under_its_own_key() -> None:
    case = Case("critical", on_call=awake())
    found = [row for row in rows_of(case) if row.kind in WAYS.values()]
    assert sorted(ways_of(found)) == ["channel", "dm", "hook", "mail"]
    assert len({row.key for row in found}) == 4
    assert all(not row.needs_channel for row in found if row.kind is not Kind.PAGE_MENTION)


@pytest.mark.parametrize(
    ("reach", "ways", "expected"),
    [
        (Reach(), {"hook": None}, ["direct message"]),
        (Reach(mail=True), {}, ["direct message", "e-mail"]),
        (Reach(mail=True), {"email": None}, ["direct message"]),
        (Reach(), {"hook": "https://h/a"}, ["direct message", "hook"]),
        (Reach(hook=True), {"slack": None}, ["hook"]),
    ],
)
def test_a_place_counts_where_the_person_has_it_and_it_is_set_up(
    reach: Reach, ways: dict[str, str | None], expected: list[str]
) -> None:
    known = awake(reach, **ways)
    assert [str(place) for place in reached_by(known, known.people["alice"])] == expected


def test_low_urgency_goes_to_slack_alone() -> None:
    case = Case("info", on_call=awake())
    case.fact("persistent_minor")
    case.to(240)
    (page,) = case.incident.pages.values()
    assert not page.urgent
    assert list(page.places) == ["direct message"]


def test_neither_mail_nor_hook_waits_for_another_page() -> None:
    case = Case("critical", on_call=awake())
    case.to(20)
    lanes = [row.lane for row in rows_of(case) if row.kind in (Kind.PAGE_MAIL, Kind.PAGE_HOOK)]
    assert len(lanes) == len(set(lanes)) > 2


# --- what is no longer needed ---


def test_an_answer_cancels_the_places_that_were_not_reached_yet() -> None:
    case = Case("critical", on_call=awake())
    delivered(case, "direct message")
    before = case.incident
    events = lifecycle.acknowledge(before, "alice", case.now)
    gone = cancelled(before, lifecycle.apply(before, events), events)
    assert sorted(key.rsplit(":", 1)[1] for key in gone) == ["hook", "mail"]


def test_an_answer_cancels_the_emergency_step_s_call_that_was_not_made_yet() -> None:
    case = Case("critical", on_call=awake())
    case.to(10)
    (call,) = [row for row in rows_of(case) if row.kind is Kind.PAGE_HOOK and row.data.get("emergency")]
    before = case.incident
    events = lifecycle.acknowledge(before, "bob", case.now)
    assert call.key in cancelled(before, lifecycle.apply(before, events), events)


def test_an_answer_cancels_l1_s_steps_also_where_somebody_above_is_paged_for_them() -> None:
    case = Case("critical", on_call=roster(primary=None, backup=None, upper={"L2": ["carol", "dave"]}))
    assert {(p.person, p.level) for p in case.incident.pages.values()} == {("carol", "L2"), ("dave", "L2")}
    before = case.incident
    events = lifecycle.acknowledge(before, "carol", case.now)
    after = lifecycle.apply(before, events)
    (dave,) = [p for p in before.pages.values() if p.person == "dave"]
    assert f"page:{dave.id}:dm" in cancelled(before, after, events)
    more = after_failure(after, dave.id, ["broken"], case.roster, case.now)
    assert more == [], "nor is he called another way"
    case.store(events)
    assert audit(7, case.events, case.now + minutes(1)).of("unsent") == (), "nobody waits for it any more"


def test_a_resolve_takes_back_what_the_hook_was_told_in_the_lane_of_its_page() -> None:
    case = Case("critical", on_call=awake())
    events = lifecycle.resolve(case.incident, case.now, "alice", "", confirmed=True)
    case.store(events)
    (row,) = [row for row in rows_of(case, events) if row.kind is Kind.HOOK_RESOLVE]
    page = next(iter(case.incident.pages))
    assert row.data["page"] == page
    assert row.lane == row.data["of"] == f"page:{page}:hook"


def test_a_page_that_only_the_mail_brought_is_not_edited_in_slack() -> None:
    case = Case("critical", on_call=awake())
    delivered(case, "e-mail")
    events = lifecycle.acknowledge(case.incident, "alice", case.now)
    case.store(events)
    assert Kind.PAGE_DM not in [row.kind for row in rows_of(case, events)]


# --- when a place fails ---


def test_numbers_are_printed_once_nothing_that_wakes_is_left() -> None:
    case = Case("critical", on_call=awake())
    delivered(case, "direct message")
    assert failed(case, "e-mail") == []
    (told,) = failed(case, "hook")
    assert told.type == "dial"
    assert told.data["numbers"] == ["alice: +1-alice"]
    assert "Dial now: alice: +1-alice" in sentence(case.incident, told)
    assert failed(case, "e-mail", "page_late") == []


def test_a_place_that_takes_too_long_counts_as_failed_until_it_is_reached() -> None:
    case = Case("critical", on_call=awake())
    assert failed(case, "e-mail", "page_late") == []
    (told,) = failed(case, "hook", "page_late")
    assert told.type == "dial"
    page = next(iter(case.incident.pages.values()))
    assert not page.failed
    delivered(case, "e-mail")
    page = next(iter(case.incident.pages.values()))
    assert (page.places["e-mail"], page.sent_at) == ("sent", case.now)


def test_a_page_fails_as_a_whole_only_with_its_last_place() -> None:
    case = Case("critical", on_call=awake())
    failed(case, "e-mail")
    failed(case, "hook")
    assert not next(iter(case.incident.pages.values())).failed
    failed(case, "direct message")
    assert next(iter(case.incident.pages.values())).failed == "broken"


def test_low_urgency_goes_to_the_next_place_when_slack_fails() -> None:
    case = Case("info", on_call=awake(hook=None, email="carol@example.com"))
    carol = replace(case.roster.people["carol"], email="carol@example.com")
    case.roster = replace(case.roster, people={**case.roster.people, "carol": carol}, reach=Reach(mail=True))
    case.fact("persistent_minor")
    case.to(240)
    (more,) = failed(case, "direct message")
    assert (more.type, more.data["place"]) == ("page_rerouted", "e-mail")
    assert Kind.PAGE_MAIL in [row.kind for row in rows_of(case, [more])]
    (told,) = failed(case, "e-mail")
    assert told.type == "dial"


def test_nothing_follows_for_a_page_that_is_answered_or_of_l1_in_hand() -> None:
    case = Case("critical", on_call=awake())
    case.ack("alice")
    assert failed(case, "e-mail") == []
    assert failed(case, "hook") == []


def test_somebody_without_any_way_is_dialled_at_once_where_people_are() -> None:
    case = Case("critical", on_call=awake(slack=None, email=None, hook=None, reach=Reach()))
    (told,) = case.of("dial")
    assert told.data["numbers"] == ["alice: +1-alice"]
    found = [row for row in rows_of(case) if "Dial now" in str(row.data.get("text"))]
    assert {row.kind for row in found} == {Kind.POST, Kind.ANNOUNCE}


def test_a_private_incident_prints_no_number_in_the_announcements() -> None:
    case = Case("critical", kind="security", on_call=awake(slack=None, email=None, reach=Reach()))
    assert case.of("dial")
    assert Kind.ANNOUNCE not in [row.kind for row in rows_of(case)]


# --- the emergency step and contacts ---


def test_the_emergency_step_calls_the_hook_and_the_resolve_takes_it_back() -> None:
    case = Case("critical", on_call=awake())
    case.to(10)
    calls = [row for row in rows_of(case) if row.kind is Kind.PAGE_HOOK and row.data.get("emergency")]
    assert [row.data["person"] for row in calls] == [""]
    assert "+1-555-DATA-ENG" in calls[0].data["note"]
    events = lifecycle.resolve(case.incident, case.now, "alice", "", confirmed=True)
    case.store(events)
    back = [row.data["of"] for row in rows_of(case, events) if row.kind is Kind.HOOK_RESOLVE]
    assert calls[0].key in back


def test_without_a_hook_for_all_the_emergency_step_calls_the_hooks_of_those_it_mentions() -> None:
    case = Case("critical", on_call=awake(Reach(), hook="https://hooks.example.com/a"))
    case.to(10)
    calls = [row for row in rows_of(case) if row.kind is Kind.PAGE_HOOK and row.data.get("emergency")]
    assert [row.data["person"] for row in calls] == ["alice"]


CONTACTS = {
    "security": Contact(subject="security", kind="mailbox", value="security@example.com"),
    "compliance": Contact(subject="compliance", kind="person", value="erin"),
    "network": Contact(subject="network", kind="group", value="S0NETWORK"),
    "infrastructure": Contact(subject="infrastructure", kind="link", value="https://example.com/support"),
}


def test_a_security_incident_tells_its_contacts_and_waits_for_no_answer_of_theirs() -> None:
    case = Case("critical", kind="security", on_call=replace(awake(), contacts=CONTACTS))
    case.fact("security")
    (told,) = case.of("contact_told")
    assert (told.data["value"], told.data["mailed"]) == ("security@example.com", True)
    mails = [row for row in rows_of(case) if row.kind is Kind.PAGE_MAIL and row.data.get("to")]
    assert [row.data["to"] for row in mails] == ["security@example.com"]
    erin = next(p for p in case.incident.pages.values() if p.person == "erin")
    assert ":contact:compliance" in erin.step
    case.ack("alice")
    case.ack("carol")
    case.to(60)
    assert [p.step for p in case.incident.pages.values() if p.person == "erin"] == [erin.step]


@pytest.mark.parametrize(
    ("subject", "words"),
    [("network", "called here: S0NETWORK"), ("infrastructure", "reached at https://example.com/support"),
     ("security", "gets a mail: security@example.com")],
)  # fmt: skip
def test_any_contact_is_told_by_hand(subject: str, words: str) -> None:
    known = replace(awake(), contacts=CONTACTS)
    case = Case("warning", on_call=known)
    (told,) = contact_by_hand(case.incident, subject, known, case.now, "alice", "cannot reach it")
    assert words in sentence(case.incident, told)
    assert "alice asks" in sentence(case.incident, told)
    assert contact_by_hand(case.incident, "business", known, case.now, "alice", "") == []
