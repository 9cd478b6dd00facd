"""The hand-over brief: composed from the timeline alone (rules: "Escalation")."""

from bot.core import lifecycle
from bot.core.brief import ITEM_MAX, LINE_MAX, Brief, brief, given, wanted
from bot.core.delivery import Kind
from bot.core.effects import effects
from tests.unit.core.incident_case import Case, alert, minutes


def of(case: Case) -> Brief:
    return brief(case.incident, case.events, case.now)


def say(case: Case, kind: str, actor: str = "alice", **data: object) -> None:
    case.do([lifecycle.event(kind, case.now, actor, **data)])


def busy() -> Case:
    """Two hours of an incident that somebody works on."""
    case = Case("critical")
    case.alert(alert("a1"))
    case.to(2)
    case.ack()
    say(
        case,
        "reported",
        operation="pipeline.validate",
        run="r1",
        severity="ok",
        verdict="All 14 checks pass.",
    )
    say(
        case,
        "reported",
        operation="pipeline.health",
        run="r2",
        severity="critical",
        verdict="The job is gone.",
    )
    case.to(10)
    say(case, "operation_started", operation="pipeline.restart", run="r3")
    case.to(12)
    say(case, "operation_finished", operation="pipeline.restart", run="r3", verdict="Launched, then failed.")
    say(case, "noted", text="tried: a smaller worker")
    say(case, "noted", text="Ruled out: quota")
    say(case, "noted", text="next: ask the vendor")
    say(case, "noted", text="risk - the sink fills up")
    say(case, "noted", text="had a coffee")
    return case


def test_it_says_state_tried_ruled_out_next_and_risks() -> None:
    told = of(busy())
    assert told.state[0] == "critical, unresolved for 12 min, acknowledged by alice at 03:12 UTC"
    assert "pipeline.health at 03:12 UTC: The job is gone" in told.state
    assert told.tried == ("a smaller worker (alice)", "pipeline.restart at 03:22 UTC: Launched, then failed")
    assert told.ruled_out == ("quota (alice)", "pipeline.validate at 03:12 UTC: All 14 checks pass")
    assert told.next[0] == "ask the vendor (alice)"
    assert told.next[1].startswith("L2 is paged at ")
    assert told.risks == ("the sink fills up (alice)",)
    assert not any("coffee" in line for line in told.lines())


def test_who_was_paged_and_who_did_not_answer_is_part_of_the_state() -> None:
    case = Case("critical")
    case.to(16)
    case.ack("carol")
    assert of(case).state[-1] == (
        "paged: L1 alice has not answered yet, L1 bob has not answered yet, L2 carol answered"
    )


def test_the_data_loss_clock_is_said_in_words() -> None:
    case = Case("warning")
    case.ack()
    case.probe(False, deletion=300)
    case.to(20)
    assert of(case).risks[0] == "data will start to be deleted at 08:10 UTC, in 4 h 40 min"
    case.to(310)
    assert of(case).risks[0] == "data is being deleted since 08:10 UTC"


def test_what_nobody_can_measure_and_what_ended_in_doubt_are_risks() -> None:
    case = Case("critical")
    case.fact("down")
    case.to(5)
    case.fact("down", None)
    say(case, "operation_unknown", operation="dlq.replay", run="r9", remedy="look")
    assert of(case).risks == (
        "nobody can measure down since 03:15 UTC",
        "1 operation ended with an unknown outcome",
    )


def test_a_report_that_turned_bad_is_not_ruled_out_any_more() -> None:
    case = busy()
    say(case, "reported", operation="pipeline.validate", run="r4", severity="critical", verdict="No bucket.")
    assert of(case).ruled_out == ("quota (alice)",)


def test_a_plan_waits_for_a_decision_until_there_is_one() -> None:
    case = Case("critical")
    say(case, "planned", operation="pipeline.restart", run="r1", summary="launch it again", digest="d")
    assert of(case).next[0] == "the plan for pipeline.restart waits for a decision: launch it again"
    say(case, "plan_cancelled", operation="pipeline.restart", run="r1")
    assert not any("waits" in item for item in of(case).next)


def test_the_runbook_s_waiting_step_is_next() -> None:
    case = Case("critical")
    say(case, "runbook_started", "streamwatch", runbook="book", title="Book", steps=7, number=1)
    say(case, "step_taken", "streamwatch", runbook="book", ref="book/ask#1.1", title="Ask", how="person", place=3,
        of=7, nth=1, waits_for="alice")  # fmt: skip
    assert "runbook book, step 3 of 7, waiting for alice since 0 s: Ask" in of(case).next


def test_an_empty_timeline_says_that_nothing_is_known() -> None:
    assert of(Case("info")).lines()[1:] == [
        "Tried: nothing that the timeline knows of.",
        "Ruled out: nothing yet.",
        "Next: nobody wrote down a next step.",
        "Risks: none known.",
    ]


def test_it_is_cut_to_length_masked_and_on_one_line_each() -> None:
    case = Case("critical")
    for n in range(9):
        say(case, "noted", text=f"tried: {n} token=abcdefghijkl\n<!channel> {'x' * 5000}")
    told = of(case)
    assert all(len(item) <= ITEM_MAX + 40 for item in told.tried)
    line = told.lines()[1]
    assert len(line) <= LINE_MAX
    assert "abcdefghijkl" not in line
    assert "\n" not in line


def test_every_page_to_l2_and_above_brings_it_and_the_channel_reads_it_once() -> None:
    case = Case("critical")
    before = case.incident
    known = len(case.events)
    case.to(15)
    made = case.events[known:]
    rows = effects(before, case.incident, made)
    assert wanted(rows)
    out = given(case.incident, rows, made, of(case))
    briefed = [row for row in out if row.data.get("brief")]
    assert {(row.kind, row.data["person"]) for row in briefed} >= {(Kind.PAGE_DM, "carol")}
    assert {row.data["level"] for row in briefed} == {"L2"}
    (post,) = [row for row in out if row.key.startswith("brief:")]
    assert post.data["lines"] == of(case).lines()
    assert post.needs_channel


def test_a_repeat_brings_it_to_its_person_alone() -> None:
    case = Case("critical")
    case.to(29)
    before, known = case.incident, len(case.events)
    case.to(30)
    made = case.events[known:]
    assert any(str(e.data.get("step", "")).endswith(":repeat") for e in made)
    out = given(case.incident, effects(before, case.incident, made), made, of(case))
    assert [row for row in out if row.data.get("brief")]
    assert not [row for row in out if row.key.startswith("brief:")]


def test_a_first_page_to_l1_needs_none() -> None:
    case = Case("critical")
    assert not wanted(effects(None, case.incident, case.events))
    assert minutes(0) == case.now - case.events[0].at
