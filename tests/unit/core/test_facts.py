"""Rules: Facts. A fact begins once and ends once; unknown is never fine, and keeps its timers."""

from dataclasses import replace

import pytest

from bot.core.facts import established_by
from bot.core.policy import Thresholds
from tests.unit.core.incident_case import START, Case, alert, minutes


@pytest.mark.parametrize(("fact", "ends"), [("down", 2), ("error_rate", 5), ("degraded", 5)])
def test_a_fact_ends_only_after_it_was_false_for_a_while(fact: str, ends: int) -> None:
    case = Case("warning")
    case.fact(fact)
    case.to(20)
    case.fact(fact, False)
    case.to(20 + ends - 0.5)
    case.fact(fact, False)
    assert case.incident.facts[fact].ended_at is None
    case.to(20 + ends)
    case.fact(fact, False)
    assert case.incident.facts[fact].ended_at == START + minutes(20 + ends)


def test_true_again_in_between_begins_the_wait_anew_and_keeps_the_begin() -> None:
    case = Case("warning")
    case.fact("error_rate")
    case.to(10)
    case.fact("error_rate", False)
    case.to(14)
    case.fact("error_rate", True)
    case.fact("error_rate", False)
    case.to(18)
    case.fact("error_rate", False)
    assert case.incident.facts["error_rate"].ended_at is None
    assert case.incident.facts["error_rate"].begin == START


def test_minutes_that_nobody_measured_do_not_count_as_false() -> None:
    case = Case("warning")
    case.fact("error_rate")
    case.fact("error_rate", False)
    case.to(1)
    case.fact("error_rate", None)
    case.to(6)
    case.fact("error_rate", False)
    assert case.incident.facts["error_rate"].ended_at is None
    case.to(11)
    case.fact("error_rate", False)
    assert case.incident.facts["error_rate"].ended_at is not None


def test_a_fact_that_nobody_can_measure_keeps_its_begin_and_says_when_it_was_last_measured() -> None:
    case = Case("warning")
    case.fact("degraded", since=0)
    case.to(12)
    case.fact("degraded", None)
    fact = case.incident.facts["degraded"]
    assert (fact.begin, fact.ended_at, fact.unknown_since) == (START, None, START + minutes(12))
    assert case.of("fact_unknown")[0].data["last_measured"] == START.isoformat()


def test_nothing_is_written_while_nothing_changes() -> None:
    case = Case("warning")
    case.fact("degraded")
    before = len(case.events)
    case.fact("degraded")
    case.fact("cost", False)
    case.fact("cost", None)
    assert len(case.events) == before


def test_a_begin_in_the_future_is_now() -> None:
    case = Case("warning")
    case.fact("degraded", since=30)
    assert case.incident.facts["degraded"].begin == START


def test_a_fact_that_no_rule_can_be_about_is_no_fact() -> None:
    case = Case("warning")
    case.fact("weather")
    assert case.incident.facts == {}


def test_a_close_that_proves_ends_the_fact_where_nothing_measures_it() -> None:
    case = Case("critical", kind="health")
    case.alert(alert("a1"))
    case.alert(alert("a1", state="closed"))
    assert case.incident.holding == ()


def test_a_close_does_not_end_a_fact_that_a_probe_measures() -> None:
    case = Case("critical", kind="health")
    case.alert(alert("a1"))
    case.probe(False, down=True)
    case.alert(alert("a1", state="closed"))
    assert [fact.id for fact in case.incident.holding] == ["down"]


def test_a_close_does_not_end_a_fact_that_another_open_alert_holds() -> None:
    case = Case("critical", kind="health")
    case.alert(alert("a1"))
    case.alert(alert("a2"))
    case.alert(alert("a1", state="closed"))
    assert [fact.id for fact in case.incident.holding] == ["down"]


@pytest.mark.parametrize(
    ("severity", "kind", "facts"),
    [
        ("critical", "health", ("down",)),
        ("warning", "health", ("degraded",)),
        ("critical", "performance", ("degraded",)),
        ("warning", "cost", ("cost",)),
        ("info", "health", ("persistent_minor",)),
        ("info", "security", ("security",)),
        ("critical", "security", ("security",)),
        ("warning", "quality", ()),
        ("critical", "other", ()),
    ],
)
def test_an_alert_is_evidence_of_a_fact(severity: str, kind: str, facts: tuple[str, ...]) -> None:
    assert established_by(alert(severity=severity, kind=kind)) == facts


@pytest.mark.parametrize(("escalate", "facts"), [(0.25, ("error_rate",)), (0.40, ())])
def test_an_error_rate_is_a_fact_above_the_policys_threshold(escalate: float, facts: tuple[str, ...]) -> None:
    rate = replace(alert(kind="quality"), metric_type="custom/error_rate", observed=30.0, threshold=10.0)
    assert established_by(rate, Thresholds(error_rate_escalate=escalate)) == facts


@pytest.mark.parametrize(
    ("names", "observed", "threshold", "facts"),
    [
        ({"metric_type": "custom/error_rate"}, 15.0, None, ()),  # per cent, where no threshold says otherwise
        ({"metric_type": "custom/error_rate"}, 30.0, None, ("error_rate",)),
        ({"metric_type": "custom/error_rate"}, 0.3, None, ("error_rate",)),
        ({"condition_name": "High error rate"}, 0.3, 0.1, ("error_rate",)),
        ({"condition_name": "High error rate"}, 300.0, 100.0, ()),  # errors a second
        ({"policy_name": "orders: more than 100 dead letters"}, 300.0, 100.0, ()),  # letters
        ({"metric_type": "logging.googleapis.com/user/events_invalid"}, 4000.0, 1000.0, ()),  # events
    ],
)
def test_a_count_is_no_error_rate(
    names: dict[str, str], observed: float, threshold: float | None, facts: tuple[str, ...]
) -> None:
    measured = replace(alert(kind="quality"), observed=observed, threshold=threshold, **names)  # type: ignore[arg-type]
    assert established_by(measured) == facts


def test_a_budget_that_is_used_up_is_no_evidence_that_cost_is_above_normal() -> None:
    used_up = replace(alert(severity="warning", kind="cost"), source="billing-budget")
    assert established_by(used_up) == ()


def test_what_an_alert_states_itself_counts_first_and_words_that_are_no_facts_are_left_out() -> None:
    stated = alert(severity="critical", kind="cost", facts=("budget_overrun", "rain"))
    assert established_by(stated) == ("budget_overrun",)
