"""Rules: From alert to incident. Recovering, resolve, reopen, severity, kind, snooze: what people and sources do."""

from datetime import timedelta
from itertools import permutations

import pytest

from bot.core import lifecycle, signals
from bot.core.alert_model import Kind
from bot.core.policy import Policy
from bot.core.refusal import Refused
from tests.unit.core.incident_case import START, Case, alert, minutes


def opened(severity: str = "critical", **more: object) -> Case:
    case = Case(severity, kind="health", **more)  # type: ignore[arg-type]
    case.alert(alert("a1", severity=severity))
    return case


# --- recovering ---


def test_the_last_close_that_proves_makes_it_recover_and_ten_quiet_minutes_resolve_it() -> None:
    case = opened()
    case.ack()
    case.to(20)
    case.alert(alert("a1", state="closed"))
    assert case.status() == "recovering"
    case.to(29)
    assert case.status() == "recovering"
    case.to(30)
    assert case.status() == "resolved"
    assert case.incident.resolved_by == "streamwatch"


def test_it_does_not_recover_while_another_alert_is_open() -> None:
    case = opened()
    case.alert(alert("a2"))
    case.alert(alert("a1", state="closed"))
    assert case.status() == "open"


def test_the_ladder_runs_on_while_it_recovers() -> None:
    case = opened("warning")
    case.ack()
    case.to(115)
    case.alert(alert("a1", state="closed"))
    case.to(120)
    assert case.pages("L2") == [(120, "L2", "carol")]


def test_a_close_that_proves_nothing_changes_no_status_and_keeps_the_facts_timers() -> None:
    case = opened()
    case.to(5)
    case.alert(alert("a1", state="closed", proves=False))
    assert case.status() == "open"
    assert case.incident.facts["down"].unknown_since is not None
    case.to(15)
    assert any("down" in reason for reason in case.reasons("L2")[0])


def test_after_a_close_that_proves_nothing_a_good_probe_makes_it_recover() -> None:
    case = opened()
    case.alert(alert("a1", state="closed", proves=False))
    case.probe(True)
    assert case.status() == "recovering"


def test_probes_good_for_ten_minutes_resolve() -> None:
    case = opened()
    case.ack()
    case.to(20)
    case.alert(alert("a1", state="closed"))
    case.to(24)
    case.probe(False)
    assert case.status() == "acknowledged"
    case.to(26)
    case.probe(True)
    case.to(35.9)
    assert case.status() == "recovering"
    case.to(36)
    assert case.status() == "resolved"


def test_a_probe_that_says_bad_keeps_it_from_recovering() -> None:
    case = opened()
    case.probe(False)
    case.alert(alert("a1", state="closed"))
    assert case.status() == "open"


def test_another_alert_while_it_recovers_is_a_relapse() -> None:
    case = opened()
    case.ack()
    case.alert(alert("a1", state="closed"))
    case.to(5)
    case.alert(alert("a2"))
    assert case.status() == "acknowledged"
    case.to(30)
    assert case.status() == "acknowledged"


def test_an_unacknowledged_relapse_takes_l1s_steps_up_again_and_none_of_them_is_late() -> None:
    case = opened("warning")
    case.to(1)
    case.alert(alert("a1", severity="warning", state="closed"))
    case.to(8)
    assert case.pages() == [(0, "L1", "alice")]
    case.alert(alert("a2", severity="warning"))
    page = case.of("paged")[-1]
    assert (page.data["person"], page.data["due_at"]) == ("bob", (START + minutes(8)).isoformat())


def test_a_declared_incident_is_resolved_by_people_only() -> None:
    case = opened(declared=True)
    case.ack()
    case.alert(alert("a1", state="closed"))
    case.probe(True)
    case.to(119)
    assert case.incident.active


# --- close before open ---


def test_what_was_closed_before_it_was_seen_to_open_pages_nobody() -> None:
    case = Case("critical", kind="health", recovering=True)
    case.to(9)
    assert case.pages() == []
    case.to(10)
    assert case.status() == "resolved"


@pytest.mark.parametrize("healthy", [False, None], ids=["bad", "not measurable"])
def test_its_probe_being_bad_or_impossible_opens_it_and_pages_l1(healthy: bool | None) -> None:
    case = Case("critical", kind="health", recovering=True)
    case.probe(healthy)
    assert case.status() == "open"
    assert case.pages() == [(0, "L1", "alice")]


def test_its_ladder_counts_from_the_relapse() -> None:
    case = Case("warning", recovering=True)
    case.to(4)
    case.probe(False)
    case.ack()
    case.to(123)
    assert case.pages("L2") == []
    case.to(124)
    assert case.pages("L2") == [(124, "L2", "carol")]


# --- resolve and reopen ---


def test_resolving_with_open_alerts_asks_first_and_then_mutes_them() -> None:
    case = opened()
    with pytest.raises(Refused, match="1 open alert"):
        lifecycle.resolve(case.incident, case.now, "alice", "", confirmed=False)
    case.resolve()
    assert case.incident.open_alerts == ()
    assert case.incident.alerts["cloud-monitoring:a1"].muted


@pytest.mark.parametrize("actor", ["alice", "streamwatch"])
def test_a_resolve_ends_the_facts_so_that_a_reopen_does_not_page_for_old_ones(actor: str) -> None:
    case = Case("warning", policy=Policy(ladder={}))
    case.ack()
    case.fact("degraded")
    case.to(30)
    case.resolve(actor)
    assert case.incident.holding == ()
    case.to(80)
    case.reopen()
    case.ack()
    case.to(125)
    assert case.pages("L2") == []


def test_a_reopen_within_an_hour_goes_on_with_the_ladder_and_pages_l1() -> None:
    case = Case("warning")
    case.ack()
    case.to(100)
    case.resolve()
    case.to(150)
    case.reopen()
    assert case.pages()[-1] == (150, "L1", "alice")
    case.ack()
    case.to(169)
    assert case.pages("L2") == []
    case.to(170)
    assert case.pages("L2") == [(170, "L2", "carol")], "unresolved time: 100 + 20 min"


def test_levels_paged_before_a_reopen_are_not_paged_again() -> None:
    case = Case("warning")
    case.ack()
    case.to(125)
    case.ack("carol")
    case.resolve()
    case.to(150)
    case.reopen()
    case.ack()
    case.to(239)
    assert len(case.pages("L2")) == 1


@pytest.mark.parametrize(("gap", "epoch"), [(60, 1), (60.1, 2)])
def test_an_hour_decides_between_the_same_epoch_and_a_new_one(gap: float, epoch: int) -> None:
    case = Case("warning")
    case.to(1)
    case.resolve()
    case.to(1 + gap)
    case.reopen()
    assert case.incident.epoch == epoch


def test_a_new_epoch_has_its_ladder_from_zero_and_its_levels_paged_anew() -> None:
    case = Case("warning")
    case.ack()
    case.to(121)
    case.ack("carol")
    case.resolve()
    case.to(200)
    case.reopen()
    case.ack()
    case.to(319)
    assert case.pages("L2") == [(120, "L2", "carol")]
    case.to(320)
    assert case.pages("L2") == [(120, "L2", "carol"), (320, "L2", "carol")]


@pytest.mark.parametrize("gap", [30, 90])
def test_a_reopened_info_has_no_ladder_until_warning_is_reached(gap: float) -> None:
    case = Case("info")
    case.resolve()
    case.to(gap)
    case.reopen()
    assert case.pages() == []
    case.to(gap + 180)
    case.severity("warning")
    case.ack()
    case.to(gap + 180 + 119)
    assert case.pages("L2") == []
    case.to(gap + 180 + 120)
    assert len(case.pages("L2")) == 1


def test_what_was_reviewed_stays_closed() -> None:
    case = Case("critical")
    case.resolve()
    case.do([lifecycle.event("reviewed", case.now, "carol")])
    with pytest.raises(Refused, match="reviewed"):
        lifecycle.reopen(case.incident, case.now, "alice", "again")


def test_nothing_can_be_done_on_what_is_resolved_but_to_reopen_it() -> None:
    case = Case("critical")
    case.resolve()
    with pytest.raises(Refused, match="resolved"):
        lifecycle.acknowledge(case.incident, "alice", case.now)


def test_an_alert_reopens_only_within_the_hour_and_never_what_was_reviewed() -> None:
    case = Case("warning")
    case.resolve()
    assert lifecycle.may_reopen_by_alert(case.incident, case.now + minutes(60))
    assert not lifecycle.may_reopen_by_alert(case.incident, case.now + minutes(61))
    case.do([lifecycle.event("reviewed", case.now, "carol")])
    assert not lifecycle.may_reopen_by_alert(case.incident, case.now)


# --- severity, kind ---


def test_a_graver_alert_raises_the_severity_and_a_close_does_not_lower_it() -> None:
    case = opened("warning")
    case.alert(alert("a2", severity="critical"))
    assert case.incident.severity == "critical"
    case.alert(alert("a2", severity="critical", state="closed"))
    assert case.incident.severity == "critical"
    assert case.incident.critical_ever


def test_raised_to_critical_and_unacknowledged_l2_is_paged_after_fifteen_minutes() -> None:
    case = opened("warning")
    case.to(10)
    case.alert(alert("a2", severity="critical"))
    case.to(15)
    assert case.pages("L2")[0] == (15, "L2", "carol")


def test_the_kind_is_that_of_the_most_severe_alert_and_the_runbook_follows() -> None:
    case = opened("warning")
    more = signals.alert_opens(
        case.incident,
        alert("a2", severity="critical", kind="quality"),
        began_at=case.now,
        note=None,
        now=case.now,
        runbooks={"quality": "data-quality"},
    )
    case.do(more)
    assert (case.incident.kind, case.incident.runbook) == (Kind.QUALITY, "data-quality")


@pytest.mark.parametrize("order", list(permutations(["a1", "a2", "a3"])), ids="-".join)
@pytest.mark.parametrize("closing", ["each at once", "none"])
def test_the_kind_does_not_depend_on_the_order_of_the_alerts(order: tuple[str, ...], closing: str) -> None:
    kinds = {"a1": ("warning", "quality"), "a2": ("critical", "performance"), "a3": ("critical", "health")}
    first = kinds[order[0]]
    case = Case(first[0], kind=first[1])
    for key in order:
        case.alert(alert(key, severity=kinds[key][0], kind=kinds[key][1]))
        if closing == "each at once":
            case.alert(alert(key, state="closed"))
    assert (case.incident.severity, case.incident.kind) == ("critical", Kind.HEALTH)


def test_a_copy_of_an_alert_changes_nothing() -> None:
    case = opened()
    before = case.incident
    case.alert(alert("a1"))
    assert case.incident == before


def test_a_close_ends_the_facts_of_every_copy_of_its_alert() -> None:
    case = opened("warning")
    assert [fact.id for fact in case.incident.holding] == ["degraded"]
    case.alert(alert("a1", severity="critical"))
    assert {fact.id for fact in case.incident.holding} >= {"down"}
    case.alert(alert("a1", state="closed"))
    assert case.status() == "recovering"
    assert case.incident.holding == ()


def test_the_open_of_an_alert_that_is_closed_changes_nothing() -> None:
    case = opened()
    case.alert(alert("a1", state="closed"))
    before = case.incident
    case.alert(alert("a1"))
    assert case.incident == before


# --- snooze ---


@pytest.mark.parametrize(
    ("kind", "length", "allowed"),
    [("health", timedelta(hours=8), True), ("health", timedelta(hours=8, seconds=1), False),
     ("cost", timedelta(days=7), True), ("cost", timedelta(days=7, seconds=1), False)],
)  # fmt: skip
def test_a_snooze_is_at_most_eight_hours_and_for_cost_seven_days(
    kind: str, length: timedelta, allowed: bool
) -> None:
    case = Case("warning", kind=kind)
    if allowed:
        assert lifecycle.snooze(case.incident, length, "the vendor works on it", case.now, "alice")
    else:
        with pytest.raises(Refused, match="too long"):
            lifecycle.snooze(case.incident, length, "the vendor works on it", case.now, "alice")


def test_a_snooze_needs_a_reason() -> None:
    case = Case("warning")
    with pytest.raises(Refused, match="reason"):
        lifecycle.snooze(case.incident, timedelta(hours=1), "  ", case.now, "alice")
