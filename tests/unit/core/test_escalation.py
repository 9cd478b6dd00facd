"""Rules: Escalation. The ladder, L1's own steps, the rules of "When to Escalate", snooze, the data-loss clock."""

from datetime import timedelta

import pytest

from bot.core import lifecycle
from bot.core.alert_model import Severity
from bot.core.escalation import TimerKind, next_due, timers
from bot.core.policy import Level, Policy, Rule
from tests.unit.core.incident_case import START, Case, alert, minutes, roster

HOUR = 60
# Whoever acknowledged is never asked whether they are still there.
BUSY = Policy(ack_idle=timedelta(days=9))


# --- the ladder ---


def test_the_ladder_is_l1_at_once_l2_at_two_hours_l3_at_four_l4_at_eight() -> None:
    case = Case("warning")
    case.ack()
    case.to(9 * HOUR)
    first = {level: case.pages(level)[0] for level in ("L1", "L2", "L3", "L4")}
    assert first == {
        "L1": (0, "L1", "alice"),
        "L2": (120, "L2", "carol"),
        "L3": (240, "L3", "dave"),
        "L4": (480, "L4", "erin"),
    }


@pytest.mark.parametrize(("level", "due"), [("L2", 120), ("L3", 240), ("L4", 480)])
def test_no_level_is_paged_a_minute_early(level: str, due: int) -> None:
    case = Case("warning")
    case.ack()
    case.to(due - 1)
    assert case.pages(level) == []
    case.to(due)
    assert case.pages(level)[0][0] == due


def test_a_resolved_incident_pages_nobody_any_more() -> None:
    case = Case("critical")
    case.to(12)
    case.resolve()
    before = len(case.pages())
    case.to(24 * HOUR)
    assert len(case.pages()) == before
    assert timers(case.incident) == ()
    assert next_due(case.incident) is None


def test_info_has_no_page_at_opening_and_no_ladder() -> None:
    case = Case("info")
    case.to(24 * HOUR)
    assert case.pages() == []


def test_the_ladder_starts_when_warning_is_first_reached() -> None:
    case = Case("info")
    case.to(90)
    case.severity("warning")
    case.ack()
    case.to(90 + 119)
    assert case.pages() == [(90, "L1", "alice")]
    case.to(90 + 120)
    assert case.pages("L2") == [(210, "L2", "carol")]


def test_lowering_to_info_stops_the_ladder_and_critical_again_goes_on() -> None:
    case = Case("warning")
    case.ack()
    case.to(60)
    case.severity("info")
    case.to(100)
    case.severity("critical")
    case.to(120)
    assert case.pages("L2") == [(120, "L2", "carol")]


def test_what_fell_due_while_the_severity_was_info_is_due_when_it_is_raised_and_not_late() -> None:
    case = Case("warning")
    case.ack()
    case.to(60)
    case.severity("info")
    case.to(180)
    assert case.pages("L2") == []
    case.severity("warning")
    page = case.of("paged")[-1]
    assert (page.data["level"], page.data["due_at"]) == ("L2", (START + minutes(180)).isoformat())


@pytest.mark.parametrize(("severity", "pages"), [("critical", [(15, "L2", "carol")]), ("warning", [])])
def test_only_critical_goes_to_l2_after_fifteen_minutes_without_acknowledgement(
    severity: str, pages: list[tuple[int, str, str]]
) -> None:
    case = Case(severity)
    case.to(29)
    assert case.pages("L2") == pages


# --- L1's own steps ---


def test_unacknowledged_backup_at_five_emergency_at_ten_and_l1_again_every_quarter() -> None:
    case = Case("warning")
    case.to(46)
    assert case.pages("L1") == [
        (0, "L1", "alice"),
        (5, "L1", "bob"),
        (15, "L1", "alice"),
        (30, "L1", "alice"),
        (45, "L1", "alice"),
    ]
    assert case.at("emergency") == [10]


@pytest.mark.parametrize(
    ("acked_at", "backup", "emergency"), [(1, 0, 0), (4.9, 0, 0), (5, 1, 0), (9, 1, 0), (11, 1, 1)]
)
def test_an_acknowledgement_cancels_only_the_steps_of_l1_that_were_not_sent(
    acked_at: float, backup: int, emergency: int
) -> None:
    case = Case("critical", policy=BUSY)
    case.to(acked_at)
    case.ack()
    case.to(3 * HOUR)
    assert [p for p in case.pages("L1") if p[2] == "bob"] == [(5, "L1", "bob")] * backup
    assert len(case.of("emergency")) == emergency
    assert case.pages("L2")[0] == (120, "L2", "carol"), "L2 to L4 run until resolve"


def test_repeats_missed_while_the_bot_was_down_are_one_page() -> None:
    case = Case("warning")
    case.to(12)
    case.asleep_to(100)
    late = [p for p in case.pages("L1") if p[0] == 100]
    assert late == [(100, "L1", "alice")]
    case.to(105)
    assert case.pages("L1")[-1] == (105, "L1", "alice"), "the next repeat keeps its time"


# --- pages to L2 and above ---


def test_a_page_to_l2_unanswered_for_a_quarter_is_repeated_once_and_critical_goes_one_level_up() -> None:
    case = Case("critical", policy=BUSY)
    case.ack()
    case.to(200)
    assert case.pages("L2") == [(120, "L2", "carol"), (135, "L2", "carol")]
    assert case.pages("L3")[0] == (150, "L3", "dave")


def test_a_warning_is_repeated_once_and_does_not_climb() -> None:
    case = Case("warning")
    case.ack()
    case.to(239)
    assert case.pages("L2") == [(120, "L2", "carol"), (135, "L2", "carol")]
    assert case.pages("L3") == []


def test_a_page_that_climbed_is_repeated_once_before_it_climbs_again() -> None:
    case = Case("critical", policy=BUSY)
    case.ack()
    case.to(196)
    assert case.pages("L3") == [(150, "L3", "dave"), (165, "L3", "dave")]
    assert case.pages("L4") == [(180, "L4", "erin"), (195, "L4", "erin")]


def test_an_answered_page_is_neither_repeated_nor_does_it_climb() -> None:
    case = Case("critical", policy=BUSY)
    case.ack()
    case.to(125)
    case.ack("carol")
    case.to(239)
    assert case.pages("L2") == [(120, "L2", "carol")]
    assert case.pages("L3") == []


def test_an_answer_to_the_repeat_answers_the_first_page_too() -> None:
    case = Case("critical", policy=BUSY)
    case.ack()
    case.to(140)
    case.ack("carol")
    case.to(239)
    assert case.pages("L3") == []


# --- "When to Escalate" ---

RULES = [
    # fact, holds for, within; a warning half-way
    ("down", 15, 0),
    ("data_loss", 0, 0),
    ("security", 0, 0),
    ("budget_overrun", 0, 0),
    ("degraded", 60, 60),
    ("error_rate", 30, 60),
    ("cost", 0, 60),
    ("persistent_minor", 0, 240),
    ("resource_constraint", 0, 240),
    ("degradation_trend", 0, 240),
]
# A ladder so long that only the rules page above L1.
RULES_ALONE = Policy(ladder={Level.L2: timedelta(days=9)}, l2_if_critical=timedelta(days=9))


def ruled(fact: str, severity: str = "warning") -> Case:
    case = Case(severity, policy=RULES_ALONE)
    case.ack()
    case.fact(fact)
    return case


@pytest.mark.parametrize(("fact", "held", "within"), RULES)
def test_a_rule_pages_l2_on_time_with_its_name(fact: str, held: int, within: int) -> None:
    case = ruled(fact)
    case.to(held + within)
    assert case.pages("L2") == [(held + within, "L2", "carol")]
    assert case.of("paged")[-1].data["rule"] == fact


@pytest.mark.parametrize(("fact", "held", "within"), [r for r in RULES if r[1] + r[2]])
def test_a_rule_is_not_early(fact: str, held: int, within: int) -> None:
    case = ruled(fact)
    case.to(held + within - 0.02)
    assert case.pages("L2") == []


@pytest.mark.parametrize(("fact", "held", "within"), [r for r in RULES if r[2]])
def test_the_incident_is_warned_at_half_time(fact: str, held: int, within: int) -> None:
    case = ruled(fact)
    case.to(held + within)
    assert case.at("warned") == [held + within / 2]
    assert case.of("warned")[0].data["rule"] == fact


@pytest.mark.parametrize("fact", ["down", "data_loss", "security", "budget_overrun"])
def test_an_immediate_rule_gives_no_warning(fact: str) -> None:
    case = ruled(fact)
    case.to(5 * HOUR)
    assert case.of("warned") == []


@pytest.mark.parametrize(("fact", "held", "within"), [r for r in RULES if r[1] + r[2]])
@pytest.mark.parametrize("how", ["resolved", "fact ended", "escalated by a person"])
def test_a_rule_is_off_when_resolved_when_its_fact_ended_or_when_a_person_escalated(
    fact: str, held: int, within: int, how: str
) -> None:
    case = ruled(fact)
    case.to((held + within) * 0.9)
    if how == "resolved":
        case.resolve()
    elif how == "fact ended":
        case.end(fact)
    else:
        case.do(lifecycle.escalate(case.incident, Level.L2, "help", case.now, "alice"))
    case.to(held + within + 120)
    assert case.pages("L2") == []


@pytest.mark.parametrize(("fact", "held", "within"), RULES)
def test_a_rule_whose_target_was_paged_adds_its_reason_and_pages_nobody(
    fact: str, held: int, within: int
) -> None:
    case = Case("warning", policy=RULES_ALONE)
    case.ack()
    case.fact("data_loss" if fact != "data_loss" else "security")
    assert len(case.pages("L2")) == 1
    case.ack("carol")
    case.fact(fact)
    case.to(held + within + 1)
    assert len(case.pages("L2")) == 1
    noted = case.of("rule_noted")
    assert [e.data["rule"] for e in noted] == [fact]
    assert case.minute(noted[0].at) == held + within


def test_a_rule_has_another_target_if_the_policy_says_so() -> None:
    rule = Rule(id="gone", fact="down", for_=minutes(1), within=minutes(0), to=Level.L3)
    case = Case("warning", policy=Policy(rules=(rule,)))
    case.ack()
    case.fact("down")
    case.to(2)
    assert case.pages("L3") == [(1, "L3", "dave")]
    assert case.pages("L2") == []


@pytest.mark.parametrize("fact", ["down", "degraded", "cost", "data_loss"])
def test_at_info_only_the_four_hour_rules_run(fact: str) -> None:
    case = Case("info")
    case.fact(fact)
    case.to(10 * HOUR)
    assert case.pages() == []


@pytest.mark.parametrize("within", [minutes(240), timedelta(seconds=4)])
def test_a_minor_issue_at_info_pages_l2_once_at_low_urgency_whatever_its_time(within: timedelta) -> None:
    rule = Rule(id="minor", fact="persistent_minor", for_=minutes(0), within=within)
    case = Case("info", policy=Policy(rules=(rule,)))
    case.fact("persistent_minor")
    case.to(20 * HOUR)
    (page,) = case.of("paged")
    assert (page.data["urgent"], page.at) == (False, START + within)


def test_unknown_keeps_a_rules_timer() -> None:
    case = ruled("down")
    case.to(5)
    case.fact("down", None)
    case.to(15)
    assert case.pages("L2") == [(15, "L2", "carol")]


def test_a_fact_that_began_before_anybody_could_know_is_due_when_it_is_known() -> None:
    case = Case("warning", policy=RULES_ALONE)
    case.ack()
    case.to(50)
    case.fact("down", since=10)
    page = case.of("paged")[-1]
    assert (page.data["level"], page.data["due_at"]) == ("L2", (START + minutes(50)).isoformat())


def test_a_fact_that_begins_again_has_a_timer_of_its_own() -> None:
    case = ruled("down")
    case.to(10)
    case.end("down")
    case.to(20)
    case.fact("down")
    case.to(34)
    assert case.pages("L2") == []
    case.to(35)
    assert case.pages("L2") == [(35, "L2", "carol")]


# --- merging ---


def test_two_timers_for_one_level_within_five_minutes_make_one_page_with_both_reasons() -> None:
    case = Case("critical")
    case.fact("down", since=0)
    case.to(19)
    assert case.pages("L2") == [(15, "L2", "carol")]
    assert len(case.reasons("L2")[0]) == 2
    assert case.of("paged")[-1].data["rule"] == "down"


@pytest.mark.parametrize(("gap", "pages"), [(3, 1), (5, 1), (6, 2)])
def test_the_ladder_and_a_rule_merge_only_within_five_minutes(gap: int, pages: int) -> None:
    case = Case("warning")
    case.ack()
    case.to(120 - gap - 15)
    case.fact("down")
    case.to(122)
    assert len(case.pages("L2")) == pages


# --- acknowledged, and then nothing ---


def test_a_critical_incident_that_its_acknowledger_leaves_alone_asks_and_then_unacknowledges() -> None:
    case = Case("critical")
    case.to(2)
    case.ack()
    case.to(2 + 56)
    assert case.at("asked") == [47]
    assert case.at("unacknowledged") == [57]
    assert case.pages("L1")[-1] == (57, "L1", "alice")
    case.to(2 + 56 + 5)
    assert case.pages("L1")[-1] == (62, "L1", "bob"), "L1's steps begin again"


def test_an_answer_to_the_question_keeps_the_acknowledgement() -> None:
    case = Case("critical")
    case.ack()
    case.to(50)
    case.ack()
    case.to(94)
    assert case.of("unacknowledged") == []
    assert case.at("asked") == [45]
    case.to(95)
    assert case.at("asked") == [45, 95]


def test_whatever_the_acknowledger_does_counts_as_being_there() -> None:
    case = Case("critical")
    case.ack()
    case.to(40)
    case.do([lifecycle.event("noted", case.now, "alice", text="looking at the sink")])
    case.to(84)
    assert case.of("asked") == []


def test_a_warning_is_not_asked_about() -> None:
    case = Case("warning")
    case.ack()
    case.to(119)
    assert case.of("asked") == []


# --- the data-loss clock ---


def test_a_page_due_too_late_for_the_data_comes_forward_to_an_hour_before_deletion() -> None:
    case = Case("warning")
    case.ack()
    case.probe(False, deletion=90)
    case.to(29)
    assert case.pages("L2") == []
    case.to(30)
    assert case.pages("L2") == [(30, "L2", "carol")]


def test_the_data_loss_clock_brings_the_lowest_unpaged_level_forward_and_no_other() -> None:
    case = Case("warning")
    case.ack()
    case.probe(False, deletion=90)
    case.to(239)
    assert case.pages("L3") == []
    case.to(240)
    assert case.pages("L3") == [(240, "L3", "dave")]


def test_with_l2_paged_already_it_is_l3_that_comes_forward() -> None:
    case = Case("warning")
    case.ack()
    case.to(121)
    case.ack("carol")
    case.probe(False, deletion=200)
    case.to(140)
    assert case.pages("L3") == [(140, "L3", "dave")]


def test_the_data_loss_clock_never_makes_a_page_later_than_due() -> None:
    case = Case("warning")
    case.ack()
    case.probe(False, deletion=10 * HOUR)
    case.to(120)
    assert case.pages("L2") == [(120, "L2", "carol")]


def test_a_deletion_learned_of_too_late_is_due_when_it_is_learned() -> None:
    case = Case("warning")
    case.ack()
    case.to(40)
    case.probe(False, deletion=70)
    page = case.of("paged")[-1]
    assert (page.data["level"], page.data["due_at"]) == ("L2", (START + minutes(40)).isoformat())


# --- snooze ---


def snoozed(severity: str, until: float) -> Case:
    case = Case(severity)
    case.to(1)
    length = minutes(until - 1)
    case.do(lifecycle.snooze(case.incident, length, "waiting for the vendor", case.now, "alice"))
    return case


def test_a_snooze_stops_l1s_steps_and_repeats_until_its_end() -> None:
    case = snoozed("warning", 100)
    case.to(99)
    assert case.pages() == [(0, "L1", "alice")]
    assert case.of("emergency") == []
    case.to(100)
    assert [p for p in case.pages("L1") if p[2] == "alice"] == [(0, "L1", "alice"), (100, "L1", "alice")]


def test_the_end_of_a_snooze_brings_one_repeat_and_not_all_that_it_held_back() -> None:
    case = snoozed("warning", 100)
    case.to(104)
    assert [p[0] for p in case.pages("L1") if p[2] == "alice"] == [0, 100]
    case.to(105)
    assert [p[0] for p in case.pages("L1") if p[2] == "alice"] == [0, 100, 105]


def test_a_snooze_never_stops_the_critical_ladder_nor_immediate_rules() -> None:
    case = snoozed("critical", 8 * HOUR)
    case.to(15)
    assert case.pages("L2") == [(15, "L2", "carol")]
    case.ack("carol")
    case.to(240)
    assert case.pages("L3") == [(240, "L3", "dave")]
    ruling = snoozed("warning", 8 * HOUR)
    ruling.fact("data_loss")
    assert ruling.pages("L2") == [(1, "L2", "carol")]


def test_data_does_not_wait_for_the_end_of_a_snooze() -> None:
    case = snoozed("warning", 8 * HOUR)
    case.probe(False, deletion=150)
    case.to(89)
    assert case.pages("L2") == []
    case.to(90)
    assert case.pages("L2") == [(90, "L2", "carol")]


def test_a_snooze_stops_half_time_warnings() -> None:
    case = snoozed("warning", 8 * HOUR)
    case.fact("cost")
    case.to(59)
    assert case.of("warned") == []
    case.to(61)
    assert case.pages("L2") == [(61, "L2", "carol")]


# --- every armed timer ---


def test_a_timer_that_fired_is_not_armed_again() -> None:
    case = Case("critical")
    case.fact("down")
    case.to(5 * HOUR)
    fired = set(case.incident.fired)
    assert fired
    assert fired.isdisjoint(timer.step for timer in timers(case.incident))


def test_the_next_due_time_is_that_of_the_first_timer() -> None:
    case = Case("critical")
    armed = timers(case.incident)
    assert armed[0].kind is TimerKind.BACKUP
    assert next_due(case.incident) == START + minutes(5)


def test_an_empty_l1_is_not_paged_twice_at_one_instant() -> None:
    case = Case("critical", on_call=roster(primary=None, backup=None, emergency=None))
    case.to(44)
    at_15 = [p for p in case.pages() if p[0] == 15]
    assert at_15 == [(15, "L2", "carol")]


def test_a_second_alert_changes_no_timer() -> None:
    case = Case("critical")
    case.alert(alert("a1"))
    before = [t for t in timers(case.incident) if t.kind is not TimerKind.RULE]
    case.alert(alert("a2"))
    assert [t for t in timers(case.incident) if t.kind is not TimerKind.RULE] == before


# --- what becomes critical later ---


def test_what_becomes_critical_later_is_due_from_then_on_and_not_late() -> None:
    case = Case("warning")
    case.to(60)
    case.severity("critical")
    page = case.of("paged")[-1]
    assert (page.data["level"], page.data["due_at"]) == ("L2", (START + minutes(60)).isoformat())


def test_a_ladder_that_a_snooze_held_back_is_due_when_the_incident_becomes_critical() -> None:
    case = snoozed("warning", 8 * HOUR)
    case.ack()
    case.to(5 * HOUR)
    assert case.pages("L2") == []
    case.severity("critical")
    due = {e.data["level"]: e.data["due_at"] for e in case.of("paged")}
    assert (due["L2"], due["L3"]) == ((START + minutes(300)).isoformat(),) * 2
    assert "L4" not in due


@pytest.mark.parametrize(("critical_at", "asked"), [(20, 45), (300, 300)])
def test_whoever_left_it_alone_is_asked_when_it_is_critical_and_no_question_is_late(
    critical_at: float, asked: float
) -> None:
    case = Case("warning")
    case.ack()
    case.to(critical_at)
    case.do(lifecycle.set_severity(case.incident, Severity.CRITICAL, "worse", case.now, "bob"))
    case.to(asked)
    assert case.at("asked") == [asked]
    fired = next(e for e in case.of("timer_fired") if e.data["kind"] == "ask")
    assert fired.data["due_at"] == (START + minutes(asked)).isoformat()
