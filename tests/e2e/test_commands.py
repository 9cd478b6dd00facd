"""Every command as a person types it, and what that person then reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.people import People
from tests.e2e.running import metadata, staged


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A workspace with a healthy pipeline; the tests of this module share it."""
    with staged(tmp_path_factory.mktemp("commands")) as stage:
        yield People(stage)


@pytest.fixture(scope="module")
def room(people: People) -> str:
    """The channel of INC-1, a declared warning that bob has acknowledged."""
    people.ask("alice", "general", "/incident declare warning quality Totals look wrong", "INC-1 is declared")
    channel = people.channel_of("INC-1")
    people.ask("bob", channel, "/incident ack", "bob acknowledged INC-1")
    return channel


@pytest.mark.parametrize(
    ("typed", "explains"),
    [
        ("/incident help", "snooze [ID] 2h REASON"),
        ("/pipeline help", "/pipeline restart: Restart the pipeline"),
        ("/dlq help", "/dlq peek: Show dead letters"),
        ("/cost help", "/cost report: "),
        ("/runbook help", "run NAME [--dry-run]"),
        ("/oncall help", "who holds which level"),
        ("/review help", "actions [ID] [add TEXT"),
        ("/pipeline health help", "Usage: `/pipeline health [--pipeline"),
        ("/dlq replay --help", "--dry-run"),
    ],
)
def test_help_says_what_each_command_can_do(people: People, typed: str, explains: str) -> None:
    answer = people.ask("alice", "general", typed, explains)
    assert answer["ephemeral"], "help is for the one who asked"


# What the help of each command has for each: mallory is on no roster, alice is L1, carol a technical lead.
HELP = {
    "/incident": ({"declare", "note", "timeline"}, {"ack", "resolve", "snooze"}, set()),
    "/pipeline": ({"health", "jobs"}, {"restart", "cancel", "maintenance"}, set()),
    "/dlq": ({"stats", "peek"}, {"replay", "ack", "export"}, set()),
    "/cost": ({"report", "leaks"}, set(), set()),
    "/runbook": ({"list", "show", "rounds"}, {"run", "done", "stop"}, set()),
    "/oncall": ({"now"}, {"override", "swap", "cancel"}, set()),
    "/review": ({"show", "actions", "patterns"}, {"edit"}, {"done"}),
}


@pytest.mark.parametrize("name", HELP)
def test_help_lists_only_what_the_asker_may_use(people: People, name: str) -> None:
    people.stage.sandbox.post("/sim/users", {"name": "mallory"})
    everybody, on_call, leads = HELP[name]
    allowed = {"mallory": everybody, "alice": everybody | on_call, "carol": everybody | on_call | leads}
    for user, words in allowed.items():
        answer = people.ask(user, "general", f"{name} help", f"{name} can do this")
        assert answer["ephemeral"]
        listed = {
            word
            for word in everybody | on_call | leads
            if re.search(rf"{name} {word}[ :]", str(answer["text"]))
        }
        assert listed == words, user


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [
        ("/incident lst", "Did you mean `/incident list`?"),
        ("/pipeline helth", "Did you mean `/pipeline health`?"),
        ("/dlq peak", "Did you mean `/dlq peek`?"),
        ("/cost reprot", "Did you mean `/cost report`?"),
        ("/runbook lits", "Did you mean `/runbook list`?"),
        ("/runbook show pipline", "Did you mean pipeline-health?"),
        ("/review actoins", "Did you mean `/review actions`?"),
        ("/pipeline health --frob", "does not know --frob"),
        ("/pipeline health --pipeline foo", "There is no pipeline foo"),
        ("/incident ack", "Which incident?"),
        ("/incident ack INC-99", "There is no INC-99."),
        ("/incident snooze INC-99 2h x", "There is no INC-99."),
    ],
)
def test_what_is_not_known_gets_a_suggestion_and_changes_nothing(
    people: People, typed: str, suggestion: str
) -> None:
    people.refused("alice", "general", typed, suggestion)


def test_oncall_names_every_level_and_contact(people: People) -> None:
    text = people.ask("dave", "general", "/oncall", "L1 primary: alice")["text"]
    for line in ("L1 backup: bob", "L1 emergency: +1-555-DATA-ENG", "L2: carol", "L3: dave", "L4: erin"):
        assert line in text
    assert "security: security@yourcompany.com" in text


def test_an_override_is_shown_and_both_people_are_told(people: People) -> None:
    since = people.mark()
    people.ask("carol", "general", "/oncall override L2 @dave for 2h dentist", "dave takes L2 from carol")
    for person in ("carol", "dave"):
        told = people.saw("dave takes L2 from carol", channel=person, since=since)
        assert "dentist" in told["text"]
    people.saw("L2: from carol to dave", channel="incidents", since=since)
    people.saw("You are on call now", channel="dave", since=since)
    people.saw("You handed over on-call", channel="carol", since=since)
    text = people.ask("bob", "general", "/oncall", "L2: dave until")["text"]
    assert "override 1, by carol" in text
    people.refused("bob", "general", "/oncall override L2 @bob for 1h", "You may not do that")
    people.ask("dave", "general", "/oncall cancel 1", "Cancelled")
    people.ask("bob", "general", "/oncall", "L2: carol")


def test_runbooks_can_be_listed_read_and_rehearsed(people: People) -> None:
    people.ask("alice", "general", "/runbook", "pipeline-health: Pipeline health")
    shown = people.ask("alice", "general", "/runbook show pipeline-health", "1. Check pipeline status")
    assert "runs pipeline.health" in shown["text"]
    dry = people.ask("alice", "general", "/runbook run pipeline-health --dry-run", "nothing is done")
    assert "Restart the pipeline: offers the plan of `/pipeline restart`" in dry["text"]


@pytest.mark.parametrize(
    ("typed", "verdict"),
    [
        ("/pipeline health", "orders is running"),
        ("/pipeline status", "Status of all pipelines"),
        ("/pipeline jobs", "ecommerce-streaming has been RUNNING"),
        ("/pipeline logs", "No error lines of orders"),
        ("/pipeline quality", "orders keeps its quality"),
        ("/dlq stats", "dead-letter-sub is empty"),
        ("/dlq peek", "Nothing was taken out of dead-letter-sub"),
        ("/cost report", "no budget notification has come yet"),
    ],
)
def test_a_reading_answers_privately_outside_of_incidents(people: People, typed: str, verdict: str) -> None:
    answer = people.ask("alice", "general", typed, verdict)
    assert answer["ephemeral"]
    assert ".0 events" not in answer["text"], "counts are whole numbers"


def test_a_replay_of_nothing_says_so(people: People) -> None:
    since = people.mark()
    people.ask("alice", "general", "/dlq replay", "Planning: dlq replay on orders")
    plan = people.plan("dlq.replay", "There is nothing to replay", since)
    assert not [b for b in plan["blocks"] if b["type"] == "actions"], "what is refused has no button"


def test_declaring_takes_the_correlation_key(people: People, room: str) -> None:
    people.refused(
        "alice", "general", "/incident declare critical health Orders stopped", "INC-1 is open for orders"
    )
    people.ask("alice", "general", "/incident list", "INC-1 warning acknowledged: Totals look wrong")


@pytest.mark.parametrize("spelled", ["INC-1", "inc-1", "1", "inc-0001", "INC1", ""])
def test_an_incident_is_named_in_any_spelling(people: People, room: str, spelled: str) -> None:
    where = "general" if spelled else room
    people.ask("bob", where, f"/incident timers {spelled}".strip(), "Timers of INC-1")


def test_people_assign_and_state_and_note(people: People, room: str) -> None:
    people.ask("bob", room, "/incident assign @carol", "INC-1 is assigned to carol by bob.")
    people.refused("bob", room, "/incident assign @nobody", "not on the roster")
    people.ask("bob", room, "/incident status We are on it", "Status by bob: We are on it")
    people.ask(
        "bob", "general", "/incident note inc-1 5 rows <!channel> lost", "Note by bob: 5 rows", within=room
    )
    people.refused("bob", room, "/incident note", "The note has no text.")
    headline = people.messages(room, "streamwatch_headline")
    assert len(headline) == 1
    assert "carol" in headline[0]["text"]
    assert "Last status: We are on it" in headline[0]["text"]
    assert not [m for m in people.messages(room) if "<!channel>" in str(m["blocks"])]


def test_severity_changes_by_people_with_a_reason(people: People, room: str) -> None:
    people.refused("bob", room, "/incident severity frightful", "Which severity?")
    people.ask("bob", room, "/incident severity critical it got worse", "by bob: it got worse.")
    people.refused("bob", room, "/incident severity critical", "INC-1 is critical already.")
    people.saw("CRITICAL INC-1", channel="incidents")


def test_escalating_pages_the_next_level_at_once(people: People, room: str) -> None:
    people.ask("bob", room, "/incident escalate need eyes", "L2 is paged for INC-1 now: carol.")
    page = people.page("carol", "L2")
    assert "escalated by bob: need eyes" in page["text"]
    payload = metadata(page)[1]
    assert {"outbox_id", "incident", "epoch", "step", "level", "person", "due_at"} <= set(payload)


def test_only_who_was_paged_answers_a_page(people: People, room: str) -> None:
    page = people.page("carol", "L2")
    mentions = people.stage.until(
        lambda: [m for m in people.messages(room, "streamwatch_page") if metadata(m)[1]["person"] == "carol"],
        40,
        "carol is not mentioned in the channel",
    )
    mention = mentions[0]
    since = people.mark()
    people.stage.sandbox.post("/sim/users", {"name": "mallory"})
    people.stage.command("mallory", room, "/incident ack")
    refusal = people.saw("only people on the roster may do this", channel=room, since=since)
    assert refusal["ephemeral"]
    people.click("mallory", mention, "page_ack")
    people.saw("only people on the roster may do this", since=int(refusal["seq"]))
    assert not people.events("INC-1", "page_acknowledged")
    people.click("carol", page, "page_ack")
    people.stage.until(
        lambda: people.events("INC-1", "page_acknowledged"), 40, "carol's page is not acknowledged"
    )


def test_snooze_needs_a_length_and_a_reason(people: People, room: str) -> None:
    people.refused("bob", room, "/incident snooze", "Snooze for how long, and why?")
    people.refused("bob", room, "/incident snooze 2h", "A snooze needs a reason.")
    people.refused("bob", room, "/incident snooze 20h no hurry", "at most 8 h")
    people.refused("bob", room, "/incident snooze tomorrow x", "is not a duration")
    people.ask("bob", room, "/incident snooze 2h waiting for the vendor", "waiting for the vendor.")


def test_a_pushpin_puts_a_message_on_the_timeline_once(people: People, room: str) -> None:
    said = people.stage.sandbox.post(
        "/sim/message", {"user": "dave", "channel": room, "text": "the join drops half of them"}
    )
    for user in ("bob", "alice"):
        reaction = {"user": user, "channel": room, "ts": said["ts"], "name": "pushpin"}
        people.stage.sandbox.post("/sim/react", reaction)
    people.saw("Pinned by", channel=room)
    people.stage.until_quiet()
    pinned = people.events("INC-1", "pinned")
    assert [(e["data"]["author"], e["data"]["text"]) for e in pinned] == [
        ("dave", "the join drops half of them")
    ]


def test_the_timeline_tells_it_all_in_order(people: People, room: str) -> None:
    text = people.ask("erin", room, "/incident timeline", "Timeline of INC-1")["text"]
    told = ["[e1] INC-1 opened", "bob acknowledged", "assigned to carol", "escalates to L2", "Pinned by"]
    assert [text.index(part) for part in told] == sorted(text.index(part) for part in told)


def test_somebody_without_a_right_reads_and_tells_but_changes_nothing(people: People, room: str) -> None:
    people.stage.sandbox.post("/sim/users", {"name": "mallory"})
    people.refused("mallory", room, "/incident resolve", "only people on the roster")
    people.refused("mallory", room, "/pipeline restart", "You may not run pipeline.restart")
    people.ask("mallory", room, "/incident note I saw it first", "mallory")
    listed = people.ask("mallory", "general", "/pipeline help", "/pipeline health")
    assert "/pipeline restart" not in listed["text"], "help lists only what the asker may run"


def test_resolve_review_reopen(people: People, room: str) -> None:
    people.refused("bob", room, "/review", "INC-1 is not resolved yet")
    people.refused("bob", room, "/incident reopen", "INC-1 is not resolved.")
    people.ask("bob", room, "/incident resolve the totals are right again", "INC-1 is resolved by bob")
    people.saw("Review of INC-1 is in this channel as a file.", channel=room)
    people.refused("bob", room, "/incident ack", "INC-1 is resolved")
    people.ask("bob", room, "/review", "still missing: a root cause")
    people.refused("bob", room, "/review done", "needs a technical lead or above")
    people.refused("carol", room, "/review done", "The review lacks: a root cause")

    people.ask("bob", room, "/review actions add Alert on totals", "Action 1: Alert on totals")
    people.refused("bob", room, "/review actions done 7", "INC-1 has no action 7.")
    actions = people.ask("bob", room, "/review actions", "open: action 1, Alert on totals")
    people.click("bob", actions, "action_done")
    people.saw("Action 1 done by bob.", channel=room)

    people.form("bob", room, "/review edit")
    people.submit("bob", {"root_cause": "A join without a key", "impact": "Totals of one hour"})
    people.saw("bob stated the root cause and the impact.", channel=room)
    people.form("bob", room, "/review actions add")
    people.submit("bob", {"text": "Test the join", "owner": "U02BOB", "due": "2027-01-15"})
    people.saw("Action 2: Test the join (owner bob, due 2027-01-15).", channel=room)
    people.ask("carol", room, "/review done", "INC-1 is reviewed")
    assert people.becomes("INC-1", "reviewed")["status"] == "reviewed"
    people.refused("bob", room, "/incident reopen it is back", "reviewed")


def test_reopening_pages_l1_again(people: People, room: str) -> None:
    people.ask("alice", "general", "/incident declare critical performance Slow again", "INC-2 is declared")
    channel = people.channel_of("INC-2")
    people.ask("alice", channel, "/incident resolve false alarm", "INC-2 is resolved by alice: false alarm.")
    people.ask("bob", channel, "/incident reopen it is back", "INC-2 is open again: it is back.")

    def paged_twice() -> bool:
        return [p["level"] for p in people.stage.incident("INC-2")["pages"]].count("L1") == 2

    people.stage.until(paged_twice, 40, "L1 was not paged again")
    assert len(people.messages(channel, "streamwatch_headline")) == 1
