"""The operations document's "Escalation Procedures", line by line, against the shipped policy.

Each row is the document's own words, then what they are taken to mean. Every row must page on time, not a second
early, and not at all when the incident was resolved or the fact ended a second before.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core import lifecycle
from bot.core.policy import Level, Policy
from bot.documents.loading import load_policy
from tests.unit.core.incident_case import Case

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT.parent / "shared" / "runbook.md"
SHIPPED = load_policy(ROOT / "runbooks" / "escalation.yaml")
HOUR = 60

AT_ONCE, IN_1_HOUR, IN_4_HOURS = "Immediately Escalate", "Escalate Within 1 Hour", "Escalate Within 4 Hours"
#    heading     the document's line                        fact                   severity  held  then  page (minutes)
RULES = [
    (AT_ONCE,    "Pipeline completely down > 15 minutes",   "down",                "warning",  15,   0, "L2"),
    (AT_ONCE,    "Data loss or corruption detected",        "data_loss",           "warning",   0,   0, "L2"),
    (AT_ONCE,    "Security incident suspected",             "security",            "warning",   0,   0, "L2"),
    (AT_ONCE,    "Budget overrun > 20%",                    "budget_overrun",      "warning",   0,   0, "L2"),
    (IN_1_HOUR,  "Pipeline degraded performance > 1 hour",  "degraded",            "warning",  60,  60, "L2"),
    (IN_1_HOUR,  "Error rate > 25% for > 30 minutes",       "error_rate",          "warning",  30,  60, "L2"),
    (IN_1_HOUR,  "Cost spike > 50% above normal",           "cost",                "warning",   0,  60, "L2"),
    (IN_4_HOURS, "Persistent minor issues",                 "persistent_minor",    "info",      0, 240, "L2"),
    (IN_4_HOURS, "Resource constraint warnings",            "resource_constraint", "info",      0, 240, "L2"),
    (IN_4_HOURS, "Performance degradation trends",          "degradation_trend",   "info",      0, 240, "L2"),
]  # fmt: skip
#   heading, the document's line, while nobody acknowledged, minutes, level, person
LEVELS = [
    ("Level 1: On-Call Engineer", "Primary",                                     True,             0, "L1", "alice"),
    ("Level 1: On-Call Engineer", "Backup",                                      True,             5, "L1", "bob"),
    ("Level 2: Technical Lead",   "Escalation threshold: > 2 hours unresolved",  False,          120, "L2", "carol"),
    ("Level 3: Engineering Manager", "Escalation threshold: > 4 hours unresolved", False,        240, "L3", "dave"),
    ("Level 4: Director",         "Escalation threshold: > 8 hours unresolved",  False,          480, "L4", "erin"),
]  # fmt: skip
# "Emergency" of level 1 is a number to dial: after 10 min without an acknowledgement it is printed where people are.
EMERGENCY = ("Level 1: On-Call Engineer", "Emergency", 10)

RULE = pytest.mark.parametrize(
    ("fact", "severity", "due", "level"),
    [pytest.param(f, s, held + then, level, id=line) for _, line, f, s, held, then, level in RULES],
)
# Nothing but the rules is in the way: no ladder, and no 15 minutes of a critical incident.
RULES_ALONE = replace(SHIPPED, ladder={Level.L4: timedelta(days=29)}, l2_if_critical=timedelta(days=29))
BEGAN, SECOND = 3.0, 1 / 60


def ruled(fact: str, severity: str) -> Case:
    """An incident that somebody has in hand, and at minute 3 the fact."""
    case = Case(severity, policy=RULES_ALONE)
    if severity != "info":
        case.ack()
    case.to(BEGAN)
    case.fact(fact)
    return case


def above_l1(case: Case) -> list[tuple[float, str]]:
    return [(at, level) for at, level, _ in case.pages() if level != "L1"]


# --- When to Escalate ---


@RULE
def test_it_pages_on_time(fact: str, severity: str, due: float, level: str) -> None:
    case = ruled(fact, severity)
    case.to(BEGAN + due)
    assert above_l1(case) == [(BEGAN + due, level)]
    assert case.of("paged")[-1].data["rule"] == fact


@RULE
def test_it_does_not_page_early(fact: str, severity: str, due: float, level: str) -> None:
    case = Case(severity, policy=RULES_ALONE)
    if severity != "info":
        case.ack()
    if due:
        case = ruled(fact, severity)
        case.to(BEGAN + due - SECOND)
    else:
        case.to(10 * HOUR)  # at once means: as soon as it is true, and not before
    assert above_l1(case) == []


@RULE
def test_it_does_not_page_when_the_incident_was_resolved(
    fact: str, severity: str, due: float, level: str
) -> None:
    if due:
        case = ruled(fact, severity)
        case.to(BEGAN + due - SECOND)
        case.resolve()
    else:
        case = Case(severity, policy=RULES_ALONE)
        case.resolve()
        case.fact(fact)  # a measurement that comes after the resolve
    case.to(BEGAN + due + 24 * HOUR)
    assert above_l1(case) == []


@RULE
def test_it_does_not_page_when_the_fact_ended(fact: str, severity: str, due: float, level: str) -> None:
    if due:
        case = ruled(fact, severity)
        case.to(BEGAN + due - SECOND)
        case.end(fact)
    else:
        case = Case(severity, policy=RULES_ALONE)
        began = {"fact": fact, "begin": case.now.isoformat(), "text": ""}
        ended = {"fact": fact}
        case.do(
            [
                lifecycle.event(f"fact_{n}", case.now, "watch", **d)
                for n, d in (("began", began), ("ended", ended))
            ]
        )
    case.to(BEGAN + due + 24 * HOUR)
    assert above_l1(case) == []


@RULE
def test_it_pages_within_what_the_document_allows(fact: str, severity: str, due: float, level: str) -> None:
    allowed = {AT_ONCE: 0, IN_1_HOUR: 60, IN_4_HOURS: 240}
    (row,) = [row for row in RULES if row[2] == fact]
    (rule,) = [rule for rule in SHIPPED.rules if rule.fact == fact]
    assert rule.for_ == timedelta(minutes=row[4])
    assert rule.within <= timedelta(minutes=allowed[row[0]])
    assert due == (rule.for_ + rule.within) / timedelta(minutes=1)
    assert level == rule.to


# --- Escalation Contacts ---


def leveled(unacknowledged: bool) -> Case:
    case = Case("warning", policy=replace(SHIPPED, ack_idle=timedelta(days=29)))
    if not unacknowledged:
        case.ack()
    return case


LEVEL = pytest.mark.parametrize(
    ("unacknowledged", "due", "level", "person"),
    [pytest.param(u, due, level, who, id=f"{head}, {line}") for head, line, u, due, level, who in LEVELS],
)
LATER = pytest.mark.parametrize(
    ("unacknowledged", "due", "level", "person"),
    [
        pytest.param(u, due, level, who, id=f"{head}, {line}")
        for head, line, u, due, level, who in LEVELS
        if due
    ],
)


@LEVEL
def test_a_level_is_paged_on_time(unacknowledged: bool, due: float, level: str, person: str) -> None:
    case = leveled(unacknowledged)
    case.to(due)
    assert next(at for at, _, who in case.pages(level) if who == person) == due


@LATER
def test_a_level_is_not_paged_early(unacknowledged: bool, due: float, level: str, person: str) -> None:
    case = leveled(unacknowledged)
    case.to(due - SECOND)
    assert [who for _, _, who in case.pages(level) if who == person] == []


@LATER
def test_a_level_is_not_paged_when_resolved(
    unacknowledged: bool, due: float, level: str, person: str
) -> None:
    case = leveled(unacknowledged)
    case.to(due - SECOND)
    case.resolve()
    case.to(due + 24 * HOUR)
    assert [who for _, _, who in case.pages(level) if who == person] == []


@pytest.mark.parametrize(("level", "due"), [(row[4], row[3]) for row in LEVELS[2:]])
def test_unresolved_is_unresolved_though_every_fact_ended(level: str, due: float) -> None:
    case = leveled(unacknowledged=False)
    case.fact("degraded")
    case.to(due - SECOND)
    case.end("degraded")
    case.to(due)
    assert case.pages(level)[0][0] == due


@pytest.mark.parametrize("how", ["nobody answers", "acknowledged", "resolved"])
def test_the_emergency_number_is_printed_when_nobody_answers_and_only_then(how: str) -> None:
    due = EMERGENCY[2]
    case = leveled(unacknowledged=True)
    case.to(due - SECOND)
    assert case.at("emergency") == []
    if how == "acknowledged":
        case.ack()
    elif how == "resolved":
        case.resolve()
    case.to(due + 3 * HOUR)
    assert case.at("emergency") == ([due] if how == "nobody answers" else [])
    assert [e.data["number"] for e in case.of("emergency")] == ["+1-555-DATA-ENG"] * len(case.of("emergency"))


# --- the table against the document ---


def section(text: str) -> dict[str, list[str]]:
    """The lines under each bold heading of "Escalation Procedures"."""
    inside = text.split("## 🚨 Escalation Procedures", 1)[1].split("\n## ", 1)[0]
    found: dict[str, list[str]] = {}
    heading = ""
    for line in inside.splitlines():
        if line.startswith("**"):
            heading = line.strip("*: ")
        elif line.startswith("- ") and heading:
            found.setdefault(heading, []).append(line[2:].lstrip("🔴🟠🟡 "))
    return found


def test_no_line_of_the_document_is_missing_and_none_is_invented() -> None:
    if not DOCUMENT.exists():
        pytest.skip("needs ../shared")
    document = section(DOCUMENT.read_text(encoding="utf-8"))
    # A level's other lines are addresses: they are the roster's.
    told = {
        heading: [line.split(": ")[0] if "@" in line or "+1" in line else line for line in lines]
        for heading, lines in document.items()
    }
    wanted = {(heading, line) for heading, lines in told.items() for line in lines if "@" not in line}
    assert wanted == {(row[0], row[1]) for row in [*RULES, *LEVELS, EMERGENCY]}


def test_the_table_has_every_rule_of_the_shipped_policy() -> None:
    assert sorted(rule.fact for rule in SHIPPED.rules) == sorted(row[2] for row in RULES)
    assert SHIPPED.ladder == {Level(row[4]): timedelta(minutes=row[3]) for row in LEVELS[2:]}
    assert SHIPPED.ladder == Policy().ladder
