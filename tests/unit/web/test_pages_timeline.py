"""What the incident's page draws and folds: the axis of the ladder, and a timeline without routine and repeats."""

from __future__ import annotations

from datetime import timedelta

from bot.core.incident import Event
from bot.core.review import draft
from bot.core.sentences import sentence
from bot.web.pages_axis import axis
from bot.web.pages_timeline import minutes
from bot.web.pages_view import rungs
from tests.unit.core.incident_case import Case


def drawn(case: Case) -> tuple[list[str], list[int], str]:
    now = case.now
    made = axis(case.incident, rungs(case.incident, case.events, now), now)
    return [mark.label for mark in made.marks], [mark.x for mark in made.marks], made.words


def test_the_axis_shows_each_step_of_the_ladder_once_in_order() -> None:
    case = Case("critical", kind="health")
    case.to(20)
    labels, places, words = drawn(case)
    assert labels == ["L1", "backup", "emergency", "L2", "L3", "L4"]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (32, 696)
    assert words == "Not acknowledged; unresolved for 20 min."


def test_the_axis_ends_with_the_resolve() -> None:
    case = Case("critical", kind="health")
    case.to(3)
    case.ack()
    case.to(30)
    case.resolve()
    labels, _, words = drawn(case)
    assert labels == ["L1"]
    assert words == "Acknowledged by alice after 3 min; resolved after 30 min."


def test_deliveries_of_a_minute_are_one_line_and_a_late_one_is_its_own() -> None:
    case = Case("critical", kind="health")
    told = {"person": "alice", "level": "L1"}
    lines: list[tuple[str, dict[str, object]]] = [
        ("page_delivered", {**told, "place": "direct message"}),
        ("page_delivered", {**told, "place": "hook"}),
        ("announced", {}),
        ("page_delivered", {**told, "place": "e-mail", "late_s": 90}),
    ]
    at = case.now + timedelta(minutes=5)
    events = [
        Event(seq=n, type=kind, at=at, actor="streamwatch", data=data)
        for n, (kind, data) in enumerate(lines, 1)
    ]
    (minute,) = minutes(case.incident, events)
    folded, late = minute.items
    assert folded.summary == "The page to alice (L1) went out by direct message, by the hook; announced"
    assert [line.seq for line in folded.lines] == [1, 2, 3]
    assert (late.summary, late.lines[0].text) == ("", sentence(case.incident, events[3]))


def test_a_report_and_the_step_that_repeats_it_are_one_line_that_cites_both() -> None:
    case = Case("critical", kind="health")
    said = {
        "operation": "pipeline.health",
        "verdict": "orders is down.",
        "severity": "critical",
        "findings": [],
    }
    step = {
        "runbook": "pipeline-health",
        "title": "Look",
        "state": "done",
        "verdict": "orders is down.",
        "ref": "x",
    }
    first = len(case.events) + 1
    made = [
        Event(seq=first, type="reported", at=case.now, actor="streamwatch", data=said),
        Event(seq=first + 1, type="step", at=case.now, actor="streamwatch", data=step),
    ]
    (minute,) = minutes(case.incident, made)
    (item,) = minute.items
    assert (item.lines[0].seq, item.lines[0].also) == (first + 1, (first,))
    text = draft(case.incident, [*case.events, *made])
    assert text.split("## Timeline")[1].count("orders is down") == 1, "once, beside what it says in short"
    assert f"[e{first}] [e{first + 1}]" in text
