"""What a draft to a contact says is wrong (a runbook's `{verdict}`)."""

from __future__ import annotations

from dataclasses import replace

from bot.desk.walking import values_of
from tests.unit.core.incident_case import START, Case


def test_a_draft_says_what_is_wrong_and_never_that_all_is_well() -> None:
    case = Case("warning", kind="cost")
    assert values_of(case.incident)["verdict"] == case.incident.title, "nothing was measured yet"
    case.fact("cost")
    holding = {name: replace(f, text="9 USD a day, normal is 5.") for name, f in case.incident.facts.items()}
    measured = replace(case.incident, facts=holding, measurable=True, probe_verdict="orders is stopped.")
    assert values_of(measured)["verdict"] == "orders is stopped"
    within = replace(measured, probe_verdict="It is within its budget.", good_since=START)
    assert values_of(within)["verdict"] == "9 USD a day, normal is 5"
    unknown = replace(measured, probe_verdict="Nobody knows.", measurable=False)
    assert values_of(unknown)["verdict"] == "9 USD a day, normal is 5"
