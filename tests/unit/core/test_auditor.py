"""The auditor: a second reading of the rules, held against the first (rules: "Escalation")."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core import lifecycle
from bot.core.auditor import audit, owed
from bot.core.incident import Event
from bot.core.paging import page_by_hand
from bot.core.policy import Level, Policy
from bot.core.refusal import Refused
from bot.core.roster import Contact
from tests.unit.core.incident_case import Case, minutes, roster
from tests.unit.core.test_incident_properties import ROSTERS, Deed, deeds, later, severities, waits

OF_A_PAGE = ("paged", "level_empty", "nobody_on_call", "emergency", "same_person", "rule_noted")


def kinds(case: Case) -> list[str]:
    return [f.kind for f in audit(7, case.events, case.now).findings]


# --- the two agree ---


deletions = st.sampled_from([None, 40.0, 90.0, 200.0, 400.0])


def dying(after: float | None) -> Deed:
    return lambda c: c.probe(False, deletion=None if after is None else c.minute(c.now) + after)


steps = st.tuples(waits.map(later), st.one_of(deeds, deletions.map(dying)))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(ROSTERS)), severities, st.booleans(), st.lists(steps, max_size=12))
def test_the_auditor_and_the_escalation_agree_whatever_happens(
    on_call: str, severity: str, recovering: bool, story: Sequence[tuple[Deed, Deed]]
) -> None:
    """What the auditor wants is compared at every step by the case itself."""
    case = Case(severity, kind="health", on_call=ROSTERS[on_call], recovering=recovering)
    for deed in (deed for both in story for deed in both):
        try:
            deed(case)
        except Refused:
            continue
    every_page_was_owed(case.events)
    assert audit(7, case.events, case.now).disagreements == ()


def every_page_was_owed(events: Sequence[Event]) -> None:
    """Cut the timeline right before a page: then the auditor wants exactly that."""
    for place, event in enumerate(events):
        if event.type != "paged" or ":hand:" in event.data["step"]:
            continue
        start = place
        while events[start - 1].type in OF_A_PAGE and events[start - 1].at == event.at:
            start -= 1
        level = Level(event.data["level"])
        assert any(duty.level <= level for duty in owed(events[:start], event.at)), event.data["step"]
        # What would be due within five minutes is merged into it, and may give the page its name.
        soon = owed(events[:start], event.at + Policy().merge)
        assert event.data["step"] in {duty.step for duty in soon}


# --- it sees what is missing, late, twice ---


def slept(case: Case, minute: float) -> Case:
    """Time passes, and the bot does nothing at all."""
    case.now = case.events[0].at + minutes(minute)
    return case


@pytest.mark.parametrize(
    ("minute", "missing"),
    [
        (4, []),
        (6, ["backup"]),
        (11, ["backup", "emergency step"]),
        (16, ["backup", "emergency step", "critical and unacknowledged", "L1 again"]),
    ],
)
def test_what_was_due_and_not_made_is_missing(minute: float, missing: list[str]) -> None:
    case = slept(Case("critical"), minute)
    assert [f.why for f in audit(7, case.events, case.now).of("missing")] == missing


def test_a_timer_that_is_said_to_have_fired_without_its_page_is_no_proof() -> None:
    case = Case("critical")
    case.to(16)
    stolen = [e for e in case.events if not (e.type == "paged" and e.data["level"] == "L2")]
    (found,) = audit(7, stolen, case.now).of("missing")
    assert (found.level, found.step) == ("L2", "e1:c1:L2")
    assert "should have been paged at 2026-03-02 03:25:00 UTC" in found.words()


def test_every_page_that_is_taken_away_is_missed() -> None:
    case = Case("critical")
    case.fact("down")
    case.to(300)
    pages = [e for e in case.events if e.type == "paged"]
    assert len(pages) > 20
    for page in pages:
        cut = [e for e in case.events if e.at < page.at or (e.at == page.at and e.seq < page.seq)]
        assert page.data["step"] in {duty.step for duty in owed(cut, page.at)}


def test_pages_made_late_say_by_how_much() -> None:
    case = Case("critical")
    case.asleep_to(23)
    late = {f.why: round(f.late.total_seconds() / 60) for f in audit(7, case.events, case.now).of("late")}
    assert late == {"backup": 18, "emergency step": 13, "L1 again": 8, "critical and unacknowledged": 8}


def test_a_page_that_was_never_made_and_is_not_wanted_any_more_was_missed() -> None:
    case = slept(Case("critical"), 9)
    case.store(lifecycle.acknowledge(case.incident, "alice", case.now))
    slept(case, 20)
    assert [f.why for f in audit(7, case.events, case.now).of("missed")] == ["backup"]
    assert owed(case.events, case.now) == []


def delivered(case: Case, page: str, place: str = "direct message") -> None:
    found = case.incident.pages[page]
    data = {"page": page, "person": found.person, "level": str(found.level), "place": place}
    case.store([lifecycle.event("page_delivered", case.now, "streamwatch", **data)])


def test_a_page_is_unsent_until_it_is_delivered_and_then_late() -> None:
    case = slept(Case("warning"), 1)
    assert kinds(case) == ["unsent"]
    (page,) = case.incident.pages
    delivered(case, page)
    (found,) = audit(7, case.events, case.now).findings
    assert (found.kind, found.late, found.person) == ("late", minutes(1), "alice")


def test_two_places_are_not_twice_and_one_place_is() -> None:
    case = Case("warning")
    (page,) = case.incident.pages
    delivered(case, page)
    delivered(case, page, "channel")
    assert kinds(case) == []
    delivered(case, page)
    assert kinds(case) == ["twice"]


def test_a_refused_page_is_failed_and_not_late() -> None:
    case = Case("warning")
    (page,) = case.incident.pages
    data = {"page": page, "person": "alice", "place": "direct message", "error": "channel_not_found"}
    case.store([lifecycle.event("page_failed", case.now, "streamwatch", **data)])
    slept(case, 3)
    assert kinds(case) == ["failed"]


@pytest.mark.parametrize("how", ["acknowledged", "resolved", "info"])
def test_nobody_waits_for_a_page_that_was_called_off(how: str) -> None:
    case = Case("warning")
    if how == "acknowledged":
        case.ack()
    elif how == "resolved":
        case.resolve()
    else:
        case.severity("info")
    slept(case, 30)
    assert kinds(case) == []


def test_a_page_that_no_rule_asked_for_is_told() -> None:
    case = Case("warning")
    odd = {
        **case.of("paged")[0].data,
        "page": "INC-7:e1:odd:erin",
        "step": "e1:odd",
        "level": "L4",
        "person": "erin",
    }
    case.store([lifecycle.event("paged", case.now, "streamwatch", **odd)])
    assert kinds(case) == ["unasked"]


def test_what_a_person_asked_for_is_asked_for() -> None:
    case = Case("warning")
    case.do(page_by_hand(case.incident, Level.L3, case.roster, case.now, "alice", "help"))
    assert "unasked" not in kinds(case)


def test_a_contact_who_is_told_too_is_asked_for_and_stands_in_for_nobody() -> None:
    contacts = {"security": Contact(subject="security", kind="person", value="frank")}
    case = Case("critical", on_call=replace(roster(), contacts=contacts))
    case.fact("security")
    case.to(60)
    assert "frank" in {person for _, _, person in case.pages()}
    stolen = [e for e in case.events if not (e.type == "paged" and e.data["person"] == "carol")]
    assert "security" in {f.why for f in audit(7, stolen, case.now).of("missing")}


def test_no_timeline_owes_nothing() -> None:
    case = Case("warning")
    assert owed([], case.now) == []
    assert audit(7, [], case.now).findings == ()
