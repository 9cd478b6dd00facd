"""What leaves the building because of an event (rules: "Escalation", "A page waits for nothing"; "Security")."""

from collections.abc import Sequence

import pytest

from bot.core import lifecycle
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.effects import effects
from bot.core.incident import Event
from bot.core.paging import page_by_hand
from bot.core.policy import Level
from bot.core.sentences import sentence
from tests.unit.core.incident_case import Case, alert, roster


def rows(case: Case, events: Sequence[Event] | None = None) -> list[Outbound]:
    told = case.events if events is None else events
    return effects(None if events is None else case.incident, case.incident, told)


def kinds(found: Sequence[Outbound]) -> list[Kind]:
    return [row.kind for row in found]


def with_channel(case: Case) -> Case:
    data = {"channel": "C7", "name": "inc-0007-trouble"}
    case.store([lifecycle.event("channel_created", case.now, "streamwatch", **data)])
    return case


def test_the_first_page_leaves_before_anything_else_and_does_not_wait_for_its_channel() -> None:
    found = rows(Case("critical"))
    first = min(found, key=lambda row: row.priority)
    assert (first.kind, first.needs_channel, first.priority) == (Kind.PAGE_DM, False, Priority.PAGE)


def test_a_page_goes_to_each_place_once_under_a_key_of_its_own() -> None:
    found = [row for row in rows(Case("critical")) if row.kind in (Kind.PAGE_DM, Kind.PAGE_MENTION)]
    assert [row.key for row in found] == ["page:INC-7:e1:c1:L1:alice:dm", "page:INC-7:e1:c1:L1:alice:channel"]


def test_keys_are_unique_over_a_whole_night() -> None:
    case = Case("critical", kind="health")
    case.alert(alert("a1"))
    case.to(300)
    lasting = [row.key for row in rows(case) if not row.replaces]
    assert len(lasting) == len(set(lasting))


def test_info_has_no_channel_but_a_line_with_a_button_that_opens_one() -> None:
    found = rows(Case("info"))
    assert Kind.CREATE_CHANNEL not in kinds(found)
    (line,) = [row for row in found if row.kind is Kind.ANNOUNCE]
    assert line.data["buttons"][0]["action"] == "channel_open"


def test_what_nobody_can_read_does_not_wait_for_a_channel_that_nobody_asked_for() -> None:
    case = Case("info")
    noted = lifecycle.event("noted", case.now, "slack:U99", text="look", who="mallory (not on the roster)")
    case.store([noted])
    assert not [row for row in rows(case, [noted]) if row.needs_channel]
    assert sentence(case.incident, case.events[-1]) == "Note by mallory (not on the roster): look"


def test_info_that_becomes_a_warning_gets_a_channel() -> None:
    case = Case("info")
    before = case.incident
    case.severity("warning")
    found = effects(before, case.incident, case.events[1:])
    assert Kind.CREATE_CHANNEL in kinds(found)


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_security_incident_is_private_and_announced_nowhere(severity: str) -> None:
    found = rows(Case(severity, kind="security"))
    assert Kind.ANNOUNCE not in kinds(found)
    (channel,) = [row for row in found if row.kind is Kind.CREATE_CHANNEL]
    assert channel.data["private"] is True


def said(found: Sequence[Outbound]) -> list[str]:
    return [str(row.data.get("text", "")) for row in found if row.kind is Kind.POST]


def test_nothing_is_said_twice_within_one_change() -> None:
    case = with_channel(Case("critical", kind="health"))
    assert not any(text.startswith("Down since") for text in said(rows(case))), "headline and page say it"
    case.fact("down")
    began = [e for e in case.events if e.type == "fact_began"]
    assert any(text.startswith("Down since") for text in said(rows(case, began))), "later it is news"
    over = lifecycle.event("fact_ended", case.now, "alice", fact="down", text="resolved")
    resolved = lifecycle.event("resolved", case.now, "alice", reason="")
    assert said(rows(case, [over, resolved])) == ["INC-7 is resolved by alice."]
    assert said(rows(case, [over])) == ["Over: down (resolved)."]
    case.end("down")
    recovering = lifecycle.event("recovering", case.now, "streamwatch", reason="all its alerts are closed")
    (told,) = said(rows(case, [over, recovering]))
    assert told.startswith("INC-7 is recovering: all its alerts are closed."), (
        "which says that its facts are over"
    )
    by_hand = list(lifecycle.escalate(case.incident, Level.L2, "help", case.now, "alice"))
    assert said(rows(case, by_hand)) == ["alice escalates to L2: help."]
    paged = page_by_hand(case.incident, Level.L2, roster(), case.now, "alice", "help")
    assert "alice escalates to L2: help." not in said(rows(case, [*by_hand, *paged])), (
        "the page says who and why"
    )


def test_what_one_form_states_in_a_review_is_one_line() -> None:
    case = with_channel(Case("critical"))
    fields = ("root_cause", "impact", "went_well", "could_improve", "preventive")
    told = [lifecycle.event("review_stated", case.now, "carol", field=f, text="x") for f in fields]
    assert said(rows(case, told)) == [
        "carol stated the root cause, the impact, what went well, what could be improved and preventive measures."
    ]


def test_a_runbook_that_ends_offers_to_resolve_because_its_end_does_not() -> None:
    case = with_channel(Case("critical"))
    ended = lifecycle.event(
        "runbook_ended", case.now, "streamwatch", runbook="health", reason="it is through"
    )
    (line,) = [row for row in rows(case, [ended]) if row.kind is Kind.POST]
    assert (
        line.data["text"]
        == "Runbook health ends: it is through. INC-7 itself is not resolved yet: resolve it when it is over."
    )
    (button,) = line.data["buttons"]
    assert (button["action"], button["label"], button["value"]) == ("incident_resolve", "Resolve INC-7", "7")
    assert button["confirm"]["title"] == "Resolve INC-7?"


def test_many_alerts_are_one_message_with_exact_counts() -> None:
    case = Case("critical", kind="health")
    for number in range(40):
        case.alert(alert(f"a{number}"))
    case.alert(alert("a3", state="closed"))
    found = [row for row in rows(case) if row.key == "alerts:INC-7:1"]
    assert all(row.replaces for row in found)
    assert found[-1].data["text"] == "Alerts of INC-7: 39 open, 1 closed, 40 in all."
    assert len(found[-1].data["lines"]) == 8


def test_the_page_tells_the_facts_that_hold_and_when_data_is_lost() -> None:
    case = Case("critical")
    case.probe(False, deletion=90, down=True)
    case.to(15)
    page = [row for row in rows(case) if row.kind is Kind.PAGE_DM][-1]
    assert page.data["lines"][0].startswith("Holds since ")
    assert page.data["lines"][0].endswith("UTC: down")
    assert "deleted" in page.data["lines"][1]
    assert "04:40 UTC" in page.data["lines"][1]


def test_the_emergency_step_mentions_people_at_the_priority_of_a_page() -> None:
    case = Case("critical")
    case.to(10)
    (told,) = [row for row in rows(case) if row.data.get("mentions")]
    assert told.priority is Priority.PAGE
    assert told.data["mentions"] == ["UALICE", "UBOB", "UCAROL"]
    assert "Dial +1-555-DATA-ENG" in told.data["text"]


def test_an_acknowledgement_shows_on_pages_that_were_sent() -> None:
    case = with_channel(Case("critical"))
    (page,) = case.incident.pages
    case.store([lifecycle.event("page_delivered", case.now, "streamwatch", page=page)])
    events = lifecycle.acknowledge(case.incident, "alice", case.now)
    case.store(events)
    found = [row for row in rows(case, events) if row.kind is Kind.PAGE_DM]
    assert found
    assert all(row.data["refresh"] and row.data["acknowledged_by"] == "alice" for row in found)


def test_a_further_reason_is_told_in_the_channel() -> None:
    case = Case("critical")
    case.fact("data_loss")
    case.fact("security")
    noted = case.of("rule_noted")[0]
    (line,) = [row for row in rows(case) if row.key == f"line:INC-7:{noted.seq}"]
    assert line.data["text"] == "L2 has this incident already; a further reason: security."


def test_a_warning_does_not_promise_a_page_to_a_level_that_has_the_incident_already() -> None:
    case = Case("warning")
    case.fact("data_loss")
    case.fact("cost")
    case.to(30)
    (warned,) = case.of("warned")
    assert (
        sentence(case.incident, warned)
        == "L2 has this incident already and will soon be told a further reason: cost."
    )


def test_every_event_of_a_night_has_a_sentence() -> None:
    case = Case("critical", kind="health")
    case.alert(alert("a1"))
    case.ack()
    case.to(200)
    case.alert(alert("a1", state="closed", proves=False))
    case.resolve()
    told = [sentence(case.incident, event) for event in case.events]
    assert all(told)
    assert "INC-7 is resolved by alice: mended." in told


def test_a_timer_that_fired_is_named_in_words_and_never_by_its_key() -> None:
    case = Case("critical", kind="health")
    case.to(500)
    told = [sentence(case.incident, e) for e in case.events if e.type == "timer_fired"]
    assert told[0] == "Timer fired: L1 at once."
    assert any("nobody acknowledged for 5 min, the backup is next" in line for line in told)
    assert any("L3, unresolved for 4 h" in line for line in told)
    assert any("one repeat" in line for line in told)
    assert not [line for line in told if ":c1" in line or "e1:" in line]
