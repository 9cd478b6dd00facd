"""`/incident timers`: every armed, late, fired and cancelled timer, when it is due, and why (rules: "Escalation")."""

import pytest

from bot.core import lifecycle
from bot.core.escalation import timers
from bot.core.timer_log import Entry, State, entries
from tests.unit.core.incident_case import Case, alert, minutes, roster


def log(case: Case) -> dict[str, Entry]:
    return {entry.step: entry for entry in entries(case.events, case.now)}


def of(case: Case, state: State) -> dict[str, str]:
    return {step: e.words(case.now) for step, e in log(case).items() if e.state is state}


def test_what_is_armed_is_what_the_escalation_has_armed() -> None:
    case = Case("critical")
    case.fact("down")
    case.to(7)
    assert set(of(case, State.ARMED)) == {timer.step for timer in timers(case.incident)}
    assert of(case, State.ARMED)["e1:ladder:L3"] == "(in 3 h 53 min): unresolved for 4 h"


def test_what_fired_says_when_and_whom_it_reached() -> None:
    case = Case("critical")
    case.to(6)
    (page,) = [p for p in case.incident.pages.values() if p.person == "bob"]
    data = {"page": page.id, "person": "bob", "level": "L1", "place": "direct message"}
    case.store([lifecycle.event("page_delivered", case.now, "streamwatch", **data)])
    assert of(case, State.FIRED)["e1:c1:backup"] == (
        "(in time): not acknowledged for 5 min: backup -> bob sent 1 min late, no answer"
    )


def test_what_was_fired_late_says_by_how_much() -> None:
    case = Case("critical")
    case.asleep_to(23)
    assert of(case, State.FIRED)["e1:c1:backup"].startswith("(18 min late): ")


def test_what_is_due_and_not_fired_is_late() -> None:
    case = Case("critical")
    case.now += minutes(8)
    assert of(case, State.LATE) == {
        "e1:c1:backup": "(3 min late, not fired): not acknowledged for 5 min: backup"
    }


def test_an_acknowledgement_cancels_the_steps_of_l1_and_says_so() -> None:
    case = Case("critical")
    case.to(6)
    case.ack("bob")
    gone = of(case, State.CANCELLED)
    assert set(gone) == {"e1:c1:emergency", "e1:c1:again:1", "e1:c1:L2"}
    assert gone["e1:c1:emergency"] == "(bob acknowledged): not acknowledged for 10 min: emergency"


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("ended", "(down ended)"),
        ("resolved", "(alice resolved it)"),
        ("escalated", "(alice escalated to L2)"),
    ],
)
def test_a_rule_that_is_off_says_why(how: str, cause: str) -> None:
    case = Case("warning")
    case.ack()
    case.fact("down")
    case.to(3)
    if how == "ended":
        case.end("down")
    elif how == "resolved":
        case.resolve()
    else:
        case.do(lifecycle.escalate(case.incident, next(iter(case.roster.upper)), "", case.now, "alice"))
    (words,) = [w for step, w in of(case, State.CANCELLED).items() if ":rule:down" in step]
    assert words.startswith(cause)


def test_a_timer_that_another_one_spent_is_cancelled_by_it() -> None:
    case = Case("critical", on_call=roster(backup="alice"))
    case.to(6)
    assert of(case, State.CANCELLED)["e1:c1:emergency"].startswith("(another page did its work): ")


def test_whoever_is_busy_does_not_fill_the_list_with_questions_never_asked() -> None:
    case = Case("critical")
    case.ack()
    for minute in range(1, 20):
        case.to(minute)
        case.do([lifecycle.event("noted", case.now, "alice", text="looking")])
    assert not [step for step in of(case, State.CANCELLED) if step.endswith(":ask")]


def test_a_ladder_that_is_switched_off_and_on_stands_again() -> None:
    case = Case("warning")
    case.ack()
    case.severity("info")
    assert of(case, State.CANCELLED)["e1:ladder:L2"].startswith("(severity is info)")
    case.severity("warning")
    assert log(case)["e1:ladder:L2"].state is State.ARMED


def test_armed_ones_come_first_in_the_order_of_their_due_times() -> None:
    case = Case("critical")
    case.alert(alert("a1"))
    case.to(40)
    states = [entry.state for entry in entries(case.events, case.now)]
    assert states == sorted(states, key=lambda s: s is not State.ARMED)
    armed = [e.due_at for e in entries(case.events, case.now) if e.state is State.ARMED]
    assert armed == sorted(armed)


def test_no_timeline_has_no_timer() -> None:
    assert entries([], Case("info").now) == []
