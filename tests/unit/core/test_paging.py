"""Rules: Escalation, "Who". Who is paged when a page falls due: empty levels, people at two levels, nobody at all."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core import lifecycle
from bot.core.alert_model import Severity
from bot.core.effects import cancelled
from bot.core.paging import fire, next_level, page_by_hand
from bot.core.policy import Level, Policy
from bot.core.refusal import Refused
from bot.core.roster import Always
from tests.unit.core.incident_case import START, Case, minutes, roster

QUIET_L1 = Policy(ack_idle=timedelta(days=9))


def test_who_is_paged_is_looked_up_when_the_page_falls_due() -> None:
    case = Case("warning")
    case.ack()
    case.to(60)
    case.roster = roster(upper={"L2": ["frank"], "L3": ["dave"], "L4": ["erin"]})
    case.to(120)
    assert case.pages("L2") == [(120, "L2", "frank")]


def test_everybody_who_holds_a_level_is_paged() -> None:
    case = Case("warning", on_call=roster(upper={"L2": ["carol", "frank"]}))
    case.ack()
    case.to(120)
    assert case.pages("L2") == [(120, "L2", "carol"), (120, "L2", "frank")]


def test_one_answer_is_an_answer_of_the_level() -> None:
    case = Case("warning", on_call=roster(upper={"L2": ["carol", "frank"]}))
    case.ack()
    case.to(121)
    case.ack("frank")
    case.to(200)
    assert len(case.pages("L2")) == 2


# --- the backup and the emergency step ---


def test_a_backup_who_is_the_unanswering_primary_makes_the_emergency_step_come_at_once() -> None:
    case = Case("warning", on_call=roster(backup="alice"))
    case.to(14)
    assert case.at("emergency") == [5]
    assert case.pages() == [(0, "L1", "alice")]


def test_the_emergency_step_names_primary_backup_and_l2_and_the_number_to_dial() -> None:
    case = Case("warning")
    case.to(10)
    (told,) = case.of("emergency")
    assert told.data["people"] == ["alice", "bob", "carol"]
    assert told.data["number"] == "+1-555-DATA-ENG"
    assert told.data["mentions"] == ["UALICE", "UBOB", "UCAROL"]


def test_the_emergency_step_names_nobody_twice() -> None:
    case = Case("warning", on_call=roster(upper={"L2": ["bob", "carol"]}))
    case.to(10)
    assert case.of("emergency")[0].data["people"] == ["alice", "bob", "carol"]


def test_an_emergency_place_that_is_a_person_is_paged() -> None:
    case = Case("warning", on_call=roster(emergency=Always("frank")))
    case.to(10)
    assert case.pages("L1")[-1] == (10, "L1", "frank")


# --- empty levels ---


def test_an_empty_level_gives_way_to_the_next_level_up_at_once() -> None:
    case = Case("warning", on_call=roster(upper={"L3": ["dave"], "L4": ["erin"]}))
    case.ack()
    case.to(120)
    assert case.pages()[-1] == (120, "L3", "dave")
    assert case.of("level_empty")[0].data["instead"] == "L3"


def test_an_empty_l1_pages_l2_at_opening() -> None:
    case = Case("warning", on_call=roster(primary=None, backup=None))
    assert case.pages() == [(0, "L2", "carol")]


def test_without_a_primary_the_backup_is_paged_at_once() -> None:
    case = Case("warning", on_call=roster(primary=None))
    assert case.pages() == [(0, "L1", "bob")]


def test_nobody_at_all_pages_everybody_and_tells_the_numbers() -> None:
    case = Case("warning", on_call=roster(primary=None, backup=None, upper={}))
    assert {p[2] for p in case.pages()} == {"alice", "bob", "carol", "dave", "erin", "frank"}
    numbers = case.of("nobody_on_call")[0].data["numbers"]
    assert numbers[0] == "Emergency: +1-555-DATA-ENG"
    assert "carol: +1-carol" in numbers


def test_a_rule_does_not_page_the_stand_in_of_an_empty_level_twice() -> None:
    alone = Policy(ladder={}, l2_if_critical=timedelta(days=9))
    case = Case("warning", policy=alone, on_call=roster(upper={"L3": ["dave"]}))
    case.ack()
    case.fact("data_loss")
    case.ack("dave")
    case.fact("security")
    assert case.pages("L3") == [(0, "L3", "dave")]
    assert len(case.of("rule_noted")) == 1


# --- one person at two levels ---


def test_l2_who_is_the_acknowledged_l1_is_paged_once_and_the_channel_told_who_is_next_and_when() -> None:
    case = Case("warning", on_call=roster(upper={"L2": ["alice"], "L3": ["dave"]}))
    case.ack("alice")
    case.to(200)
    assert case.pages("L2") == [(120, "L2", "alice")]
    (told,) = case.of("same_person")
    assert told.data["next_level"] == "L3"
    assert told.data["next_at"] == (START + minutes(240)).isoformat()


def test_l2_who_is_the_unacknowledged_l1_is_passed_over_for_the_next_distinct_person_up() -> None:
    case = Case("critical", on_call=roster(upper={"L2": ["alice"], "L3": ["dave"]}))
    case.to(15)
    assert case.pages("L2") == []
    assert case.pages("L3") == [(15, "L3", "dave")]


def test_with_a_second_holder_of_l2_the_unanswering_one_is_passed_over_within_the_level_and_once() -> None:
    case = Case("critical", on_call=roster(upper={"L2": ["alice", "carol"], "L3": ["dave"]}))
    case.to(15)
    assert case.pages("L2") == [(15, "L2", "carol")]


def test_two_unanswering_people_of_l1_who_hold_l2_are_both_passed_over() -> None:
    case = Case("critical", on_call=roster(upper={"L2": ["alice", "bob"], "L3": ["dave"]}))
    case.to(15)
    assert case.pages("L2") == []
    assert case.pages("L3") == [(15, "L3", "dave")]


def test_somebody_with_nobody_above_is_paged_all_the_same() -> None:
    case = Case("critical", on_call=roster(backup=None, emergency=None, upper={"L2": ["alice"]}))
    case.to(15)
    assert case.pages("L2") == [(15, "L2", "alice")]


# --- acknowledgement ---


def test_any_pages_acknowledgement_acknowledges_the_incident() -> None:
    case = Case("warning")
    case.to(6)
    case.ack("bob")
    assert (case.incident.status, case.incident.acked_by) == ("acknowledged", "bob")


def test_each_page_is_acknowledged_by_the_one_it_went_to() -> None:
    case = Case("warning")
    case.to(6)
    case.ack("bob")
    answered = {page.person: page.acked_at is not None for page in case.incident.pages.values()}
    assert answered == {"alice": False, "bob": True}


def test_a_second_person_acknowledges_the_own_page_and_does_not_take_the_incident() -> None:
    case = Case("warning")
    case.to(6)
    case.ack("bob")
    case.ack("alice")
    assert case.incident.acked_by == "bob"
    assert all(page.acked_at for page in case.incident.pages.values())


def test_who_was_not_paged_cannot_acknowledge_what_somebody_has() -> None:
    case = Case("warning")
    case.ack("alice")
    with pytest.raises(Refused, match="acknowledged by alice"):
        lifecycle.acknowledge(case.incident, "dave", case.now)


def test_an_acknowledgement_cancels_unsent_pages_of_l1_and_leaves_those_of_l2() -> None:
    case = Case("critical")
    case.to(15)
    before = case.incident
    events = lifecycle.acknowledge(before, "alice", case.now)
    gone = cancelled(before, lifecycle.apply(before, events), events)
    assert any(":c1:L1:alice:dm" in key for key in gone)
    assert any(":c1:backup:bob:dm" in key for key in gone)
    assert not any("carol" in key for key in gone)


def test_lowering_to_info_cancels_the_unsent_pages_of_the_ladder_and_not_those_of_rules() -> None:
    case = Case("warning")
    case.fact("data_loss")
    before = case.incident
    events = lifecycle.set_severity(before, Severity.INFO, "false alarm", case.now, "alice")
    gone = cancelled(before, lifecycle.apply(before, events), events)
    assert any(":c1:L1:alice:dm" in key for key in gone)
    assert not any(":rule:" in key for key in gone)


def test_a_resolve_cancels_every_unsent_page() -> None:
    case = Case("critical")
    case.fact("data_loss")
    before = case.incident
    events = lifecycle.resolve(before, case.now, "alice", "", confirmed=True)
    gone = cancelled(before, lifecycle.apply(before, events), events)
    assert len(gone) == 2 * len(before.pages)


def test_a_page_that_was_sent_is_not_cancelled() -> None:
    case = Case("critical")
    for page in list(case.incident.pages):
        case.store([lifecycle.event("page_delivered", case.now, "streamwatch", page=page)])
    events = lifecycle.acknowledge(case.incident, "alice", case.now)
    assert cancelled(case.incident, lifecycle.apply(case.incident, events), events) == []


# --- by hand ---


def by_hand(case: Case, level: Level) -> None:
    told = lifecycle.escalate(case.incident, level, "cannot fix it", case.now, "alice")
    case.do([*told, *page_by_hand(case.incident, level, case.roster, case.now, "alice", "cannot fix it")])


def test_a_person_who_escalates_pages_the_level_at_once() -> None:
    case = Case("warning")
    case.to(3)
    by_hand(case, next_level(case.incident))
    assert case.pages("L2") == [(3, "L2", "carol")]


def test_the_ladder_goes_on_above_a_level_that_was_paged_by_hand() -> None:
    case = Case("warning", policy=QUIET_L1)
    case.ack()
    case.to(3)
    by_hand(case, Level.L2)
    case.ack("carol")
    case.to(240)
    assert case.pages("L3") == [(240, "L3", "dave")]


def test_escalating_lower_later_does_not_turn_rules_on_again() -> None:
    case = Case("warning")
    by_hand(case, Level.L3)
    by_hand(case, Level.L2)
    assert case.incident.manual_level is Level.L3


def test_the_next_level_by_hand_is_the_lowest_that_was_not_paged() -> None:
    case = Case("critical", policy=QUIET_L1)
    assert next_level(case.incident) is Level.L2
    case.to(15)
    assert next_level(case.incident) is Level.L3


# --- late ---


def test_what_was_due_while_nobody_looked_is_done_at_once_in_the_order_of_its_due_times() -> None:
    case = Case("critical")
    case.asleep_to(300)
    due = [e.data["due_at"] for e in case.of("paged")]
    assert due == sorted(due)
    assert {p[1] for p in case.pages() if p[0] == 300} == {"L1", "L2", "L3"}


def test_firing_twice_at_one_instant_makes_nothing_new() -> None:
    case = Case("critical")
    case.asleep_to(300)
    assert fire(case.incident, case.roster, case.now) == []


def test_a_low_urgency_page_does_not_swallow_an_urgent_one_within_five_minutes() -> None:
    case = Case("info")
    case.fact("persistent_minor")
    case.to(122)
    case.severity("warning")
    case.ack()
    case.to(242)
    urgent = [e.data["urgent"] for e in case.of("paged") if e.data["level"] == "L2"]
    assert urgent == [False, True]


def test_a_roster_that_lost_a_person_pages_who_is_left() -> None:
    case = Case("warning")
    people = {name: person for name, person in case.roster.people.items() if name != "carol"}
    case.roster = replace(case.roster, people=people)
    case.ack()
    case.to(120)
    assert case.pages()[-1] == (120, "L3", "dave")


def test_a_repeat_and_another_timer_of_one_level_are_one_page_that_still_climbs() -> None:
    case = Case("critical")
    case.fact("data_loss")
    case.to(15)
    assert case.pages("L2") == [(0, "L2", "carol"), (15, "L2", "carol")]
    assert len(case.reasons("L2")[1]) == 2
    case.to(30)
    assert case.pages("L3") == [(30, "L3", "dave")]
    assert len(case.pages("L2")) == 2
