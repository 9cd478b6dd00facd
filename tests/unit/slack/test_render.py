"""Promise: outside text can never ping a channel, break a message or inject markup; limits hold."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.delivery import Kind, Outbound
from bot.core.incident import FactState, Status
from bot.slack.blocks import Message, Unrenderable
from bot.slack.render import references, render
from bot.slack.render_incident import topic
from bot.slack.render_page import PageItem, render_pages
from bot.slack.words import Frame
from sandbox.slack.blocks import check_blocks
from tests.unit.slack.samples import AT, incident, page, plan, report, row

HOSTILE = st.one_of(
    st.text(max_size=400),
    st.text(alphabet="<>&!@#|`*_~^ \n\u202e\u200bab", max_size=600),
    st.sampled_from(
        [
            "<!channel> <!here|x> <@U01ALICE> <#C01GENERAL|g> <https://evil.example|ok>",
            "```<!everyone>```" * 50,
            "&lt;!channel&gt; &amp;amp;",
            "x" * 6000,
            "<!date^0^{date}|now>" * 30,
            "\u202eleft\u2066 right \U0001f469\u200d\U0001f4bb",
        ]
    ),
)
# What renderers themselves put in: dates, and the mentions that the test's frame knows.
OURS = re.compile(
    r"<!date\^\d+\^\{date_num\} \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>|<@U01ALICE>|<!subteam\^S012345>|<#C07>"
    r"|<#C0INC7>|<https://console\.cloud\.google\.com/[^|<>]*\|[^<>]*>"
)


def texts(value: Any) -> list[str]:
    """Every text of a message's blocks."""
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [t for v in value.values() for t in texts(v)]
    if isinstance(value, list | tuple):
        return [t for v in value for t in texts(v)]
    return []


def check(message: Message) -> None:
    """What Slack demands, and what outside text may not do."""
    assert 0 < len(message.text) <= 3900
    assert len(message.blocks) <= 50
    problems = check_blocks(list(message.blocks))
    assert not problems, problems
    for text in [message.text, *texts(message.blocks)]:
        bare = OURS.sub("", text)
        assert "<" not in bare, bare
        assert ">" not in bare, bare
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", text)
        assert re.search(r"&(?!amp;|lt;|gt;)", text) is None
        assert text.count("```") % 2 == 0


def rows(text: str) -> list[Outbound]:
    button = {
        "action": "step_run",
        "label": text,
        "value": "v",
        "confirm": {"title": text, "text": text, "ok": text, "deny": text},
    }
    buttons = [button | {"label": f"Run {text}"}] * 3
    words: dict[str, Any] = {
        "text": f"said {text}",
        "mentions": ["alice", text, "S012345"],
        "buttons": buttons,
    }
    hostile_page: dict[str, Any] = dict.fromkeys(("title", "summary", "pipeline", "severity", "level"), text)
    return [
        page(**hostile_page, reasons=[text] * 9, lines=[text] * 30, late_s=400),
        Outbound(
            key="m", kind=Kind.PAGE_MENTION, lane="l", priority=page().priority, incident=7,
            data={**page().data, **hostile_page, "also": [text, "alice"]},
        ),
        row(Kind.HEADLINE, buttons=buttons),
        row(Kind.ANNOUNCE, buttons=buttons),
        row(Kind.ANNOUNCE, text=text + "x"),
        row(Kind.POST, form="text", **words),
        row(Kind.POST, form="list", lines=[text] * 60, table={"columns": [text], "rows": [[text]] * 60}, **words),
        row(Kind.POST, form="progress", state=text, **words),
        row(Kind.POST, form="timers", timers=[{"lead": text, "due": text, "words": text}], zone=text, **words),
        row(Kind.POST, form="report", report=report(text), **words),
        row(Kind.POST, form="plan", plan=plan(text), state="", **words),
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@example(text="```")
@example(text="`")
@example(text="<!channel>")
@given(text=HOSTILE)
def test_outside_text_in_any_field_of_any_row_is_harmless_and_within_limits(text: str) -> None:
    case = incident(text=text, channel_id="C0INC7", last_status=text, acked_by=text, assignee=text + "b")
    frame = Frame(incident=case, people={"alice": "U01ALICE"})
    for out in rows(text):
        message = render(out, frame)
        check(message)
        assert message.metadata is not None
        assert message.metadata["event_payload"]["outbox_id"] == out.key


@settings(max_examples=40, deadline=None)
@given(text=HOSTILE)
def test_topic_is_short_and_has_no_markup(text: str) -> None:
    said = topic(incident(text=text, assignee=text))
    assert 0 < len(said) <= 250
    assert "<" not in said
    assert "\n" not in said


def test_two_hundred_backticks_cannot_leave_a_table() -> None:
    out = row(Kind.POST, form="report", report=report("`" * 200))
    check(render(out, Frame()))


def test_the_text_alone_tells_a_page_in_full() -> None:
    message = render(page(late_s=90), Frame(incident=incident(channel_id="C0INC7")))
    for part in ("Page to L1", "INC-7", "CRITICAL", "Dataflow job stopped", "orders", "L1 at once"):
        assert part in message.text
    assert "2026-11-23 03:10 UTC" in message.text
    assert "1 min 30 s late" in message.text
    assert "<#C0INC7>" in message.text
    assert message.metadata is not None
    assert message.metadata["event_type"] == "streamwatch_page"
    assert message.metadata["event_payload"] == {
        "outbox_id": "page:7:1:L1:alice",
        "incident": "INC-7",
        "epoch": 1,
        "step": "e1:c1:L1",
        "level": "L1",
        "person": "alice",
        "due_at": AT.isoformat(),
    }
    button = message.blocks[-1]["elements"][0]
    assert button["action_id"] == "page_ack"
    assert button["value"] == "7:1:L1:alice"
    assert button["text"]["text"] == "Acknowledge INC-7"


def test_a_page_that_may_be_a_repeat_says_so() -> None:
    assert "(may be a repeat)" in render(page(repeat=True), Frame()).text
    assert "(may be a repeat)" not in render(page(), Frame()).text


def test_several_pages_are_one_message_with_a_button_each() -> None:
    second = {**page().data, "incident": "INC-8", "page": "8:1:L1:alice", "title": "Cost spike"}
    items = [
        PageItem(key="a", data=page().data, frame=Frame()),
        PageItem(key="b", data=second, frame=Frame()),
    ]
    message = render_pages(items)
    check(message)
    labels = [e["text"]["text"] for b in message.blocks if b["type"] == "actions" for e in b["elements"]]
    assert labels == ["Acknowledge INC-7", "Acknowledge INC-8"]
    assert message.metadata is not None
    assert message.metadata["event_payload"]["pages"] == ["a", "b"]
    assert "2 pages for you" in message.text


def test_headline_names_the_next_escalation_and_loses_its_buttons_when_resolved() -> None:
    before = render(row(Kind.HEADLINE), Frame(incident=incident()))
    assert "Next escalation: L1" in before.text
    assert "Nobody has acknowledged" in before.text
    assert [e["action_id"] for e in before.blocks[-1]["elements"]] == ["incident_ack", "incident_resolve"]
    done = incident(
        status=Status.RESOLVED, resolved_at=AT, resolved_by="alice", acked_by="alice", acked_at=AT
    )
    after = render(row(Kind.HEADLINE), Frame(incident=done))
    assert "Resolved by alice" in after.text
    assert all(block["type"] != "actions" for block in after.blocks)


def test_a_plan_asks_before_it_runs_and_has_no_buttons_afterwards() -> None:
    buttons = [
        {"action": "plan_confirm", "label": "Replay 214 messages", "value": "run-1"},
        {"action": "plan_cancel", "label": "Cancel the replay", "value": "run-1"},
    ]
    asked = plan() | {"refusal": None, "pipeline": "orders"}
    waiting = render(row(Kind.POST, form="plan", plan=asked, state="planned", buttons=buttons), Frame())
    confirm = waiting.blocks[-1]["elements"][0]["confirm"]
    assert confirm["confirm"]["text"] == "Replay 214 messages"
    assert "orders" in confirm["text"]["text"]
    done = render(row(Kind.POST, form="plan", plan=asked, state="done", buttons=buttons), Frame())
    assert all(block["type"] != "actions" for block in done.blocks)
    assert "State: done" in done.text
    assert done.metadata is not None
    assert done.metadata["event_type"] == "streamwatch_plan"


def test_a_report_gives_its_verdict_first_and_severity_in_words() -> None:
    message = render(row(Kind.POST, form="report", report=report()), Frame(incident=incident()))
    assert message.text.startswith("CRITICAL: The pipeline is stopped.")
    assert message.metadata is not None
    assert message.metadata["event_type"] == "streamwatch_report"
    payload = message.metadata["event_payload"]
    assert (payload["incident"], payload["operation"], payload["severity"]) == (
        "INC-7",
        "pipeline.health",
        "critical",
    )


def test_what_was_measured_has_its_time_only_where_it_is_not_the_report_s() -> None:
    at = "2026-11-23T03:05:00Z"
    measured = [
        {"what": "system lag", "value": 362.0, "unit": "s", "at": at},
        {"what": "events", "value": 1412, "unit": "events", "at": at},
        {"what": "quota cpus", "value": 0.167, "unit": "ratio", "at": "2026-11-23T03:09:30Z"},
    ]
    findings = [
        {"id": "slow", "severity": "warning", "text": "It is slow.", "evidence": measured},
        {"id": "plain", "severity": "ok", "text": "Nothing measured.", "evidence": []},
    ]
    told = {**report(), "as_of": "2026-11-23T03:10:00Z", "findings": findings}
    message = render(row(Kind.POST, form="report", report=told), Frame(incident=incident()))
    assert (
        "It is slow. (system lag 362 s; events 1,412 events at 2026-11-23 03:05 UTC; quota cpus 16.7 %)"
        in message.text
    )
    mark = f"<!date^{int(datetime.fromisoformat(at).timestamp())}^"
    assert json.dumps(message.blocks).count(mark) == 1, "in the reader's zone, once for what has one time"


@pytest.mark.parametrize(
    "broken", [{"severity": "fine"}, {"as_of": "soon"}, {"findings": [{}]}, {"tables": 7}]
)
def test_a_row_that_cannot_be_rendered_is_given_up_and_holds_nobody_up(broken: dict[str, Any]) -> None:
    with pytest.raises(Unrenderable):
        render(row(Kind.POST, form="report", report={**report(), **broken}), Frame(incident=incident()))


def test_a_timeline_is_told_in_the_reader_s_zone() -> None:
    events = [{"at": "2026-11-23T23:30:00+00:00", "words": "[e1] <!channel> `x`"}]
    told = render(row(Kind.EPHEMERAL, form="timeline", text="Timeline", events=events), Frame())
    assert "2026-11-23 23:30 UTC [e1] &lt;!channel&gt;" in told.text
    assert "<!date^1795476600^" in json.dumps(told.blocks)


def test_a_fact_that_is_measured_as_gone_is_not_shown_as_if_it_held() -> None:
    fact = FactState(id="down", begin=AT, known_at=AT, false_since=AT + timedelta(minutes=4))
    told = render(row(Kind.HEADLINE), Frame(incident=incident(facts={"down": fact}))).text
    assert (
        "Fact: down, since 2026-11-23 03:10 UTC (measured since 2026-11-23 03:14 UTC: it does not hold; over"
        in told
    )


def test_equal_buttons_stand_in_rows_of_their_own() -> None:
    buttons = [{"action": "step_run", "label": f"Run step {n}", "value": str(n)} for n in range(3)]
    message = render(row(Kind.POST, text="Next", buttons=buttons), Frame())
    assert sum(1 for block in message.blocks if block["type"] == "actions") == 3


def test_an_announcement_says_until_when_once_it_is_over() -> None:
    open_ = render(row(Kind.ANNOUNCE), Frame(incident=incident())).text
    assert "since 2026-11-23 03:10 UTC" in open_
    over = incident(status=Status.RESOLVED, resolved_at=AT + timedelta(minutes=9), resolved_by="alice")
    assert (
        "from 2026-11-23 03:10 UTC to 2026-11-23 03:19 UTC"
        in render(row(Kind.ANNOUNCE), Frame(incident=over)).text
    )


def test_a_private_incident_is_never_announced() -> None:
    with pytest.raises(Unrenderable, match="private"):
        render(row(Kind.ANNOUNCE), Frame(incident=incident(private=True)))


def test_a_button_value_is_never_cut() -> None:
    with pytest.raises(Unrenderable, match="longer"):
        render(
            row(Kind.POST, text="x", buttons=[{"action": "a", "label": "A", "value": "v" * 2001}]), Frame()
        )


def test_metadata_of_the_desk_wins_and_keeps_the_key() -> None:
    asked = {"event_type": "streamwatch_review", "event_payload": {"incident": "INC-7"}}
    message = render(row(Kind.POST, key="k", text="x", metadata=asked), Frame())
    assert message.metadata == {
        "event_type": "streamwatch_review",
        "event_payload": {"incident": "INC-7", "form": "text", "outbox_id": "k"},
    }


def test_references_are_those_who_are_mentioned() -> None:
    out = row(Kind.POST, text="x", mentions=["alice", "alice", "bob@example.com", ""])
    assert references(out) == ("alice", "bob@example.com")


def test_a_verdict_is_said_once_and_progress_is_counted() -> None:
    said = row(Kind.POST, form="report", report=report(), text="The pipeline is stopped.")
    assert render(said, Frame()).text.count("The pipeline is stopped.") < render(
        row(Kind.POST, form="report", report=report(), text="Another lead. The pipeline is stopped."), Frame()
    ).text.count("The pipeline is stopped.")
    counted = render(row(Kind.POST, form="progress", text="Publishing", done=40, total=214), Frame())
    assert "Progress: 40 of 214 (18 %)" in counted.text
