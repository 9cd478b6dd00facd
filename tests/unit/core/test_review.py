"""The drafted review: everything is on it, everything cites its event, nothing is invented."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bot.core import review
from bot.core.alert_model import Kind, Severity
from bot.core.folding import fold
from bot.core.incident import Event, Incident
from bot.core.lifecycle import opened
from bot.core.policy import Policy

START = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
Line = tuple[float, str, str, dict[str, Any]]


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def story(lines: Iterable[Line], severity: Severity = Severity.CRITICAL) -> tuple[Incident, list[Event]]:
    first = opened(
        project="demo-project", pipeline="orders", family="stream", title="Job orders is down",
        kind=Kind.HEALTH, severity=severity, policy=Policy(), now=START, actor="cloud-monitoring",
        reason="an alert opened", runbook="pipeline-health",
    )  # fmt: skip
    rest = [Event(type=kind, at=at(m), actor=actor, data=data) for m, kind, actor, data in lines]
    events = [replace(e, seq=n) for n, e in enumerate([first, *rest], start=1)]
    incident = fold(7, events)
    assert incident is not None
    return incident, events


def paged(level: str, person: str, due: float) -> dict[str, Any]:
    return {
        "page": f"INC-7:{level}:{person}", "epoch": 1, "step": f"e1:{level}", "level": level, "person": person,
        "due_at": at(due).isoformat(), "reasons": ["critical incident: L1 at once"],
    }  # fmt: skip


def sent(level: str, person: str, late: float) -> dict[str, Any]:
    return {
        "page": f"INC-7:{level}:{person}", "level": level, "person": person, "place": "direct message",
        "late_s": late,
    }  # fmt: skip


ALERT = {
    "source": "cloud-monitoring", "key": "0.abc", "title": "Job failed", "severity": "critical", "kind": "health",
    "summary": "The job is not running", "observed": "0 workers", "threshold": 1,
}  # fmt: skip
OUTAGE: list[Line] = [
    (0, "alert_opened", "cloud-monitoring", ALERT),
    (0, "fact_began", "watch", {"fact": "down", "begin": at(-2).isoformat(), "text": "no job is running"}),
    (0, "paged", "streamwatch", paged("L1", "alice", 0)),
    (0, "timer_fired", "streamwatch", {"steps": ["e1:c1:L1"]}),
    (0.01, "page_delivered", "streamwatch", sent("L1", "alice", 0.6)),
    (15, "paged", "streamwatch", paged("L2", "carol", 15)),
    (16, "page_delivered", "streamwatch", sent("L2", "carol", 60)),
    (20, "page_acknowledged", "carol", {"page": "INC-7:L2:carol", "person": "carol"}),
    (20, "acknowledged", "carol", {"person": "carol"}),
    (30, "operation_finished", "carol",
     {"operation": "dlq.replay", "verdict": "Replayed 12 dead letters", "data": {"sent": 12, "topics": {}}}),
    (40, "fact_ended", "watch", {"fact": "down", "text": "running again"}),
    (41, "alert_closed", "cloud-monitoring",
     {"source": "cloud-monitoring", "key": "0.abc", "title": "Job failed", "proves": True}),
    (50, "resolved", "carol", {"reason": "restarted"}),
]  # fmt: skip
STATED: list[Line] = [
    (90, "review_stated", "carol", {"field": "cause", "text": "A deploy dropped a field."}),
    (91, "action_added", "carol", {"id": 1, "text": "process: test schemas", "owner": "bob", "due": "2026-04-01"}),
]  # fmt: skip


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next heading of any depth."""
    found = re.search(rf"^#+ {re.escape(title)}\n\n(.*?)(?=^#|\Z)", text, re.S | re.M)
    assert found is not None, f"no section {title!r}"
    return found[1].strip()


def test_every_heading_of_the_document_is_there_in_its_order() -> None:
    text = review.draft(*story(OUTAGE))
    headings = re.findall(r"^#{2,3} (.*)$", text, re.M)
    wanted = [
        "In short",
        "Incident Summary", "Timeline of events", "Root cause analysis", "Impact assessment", "Who was paged",
        "Open questions", "Lessons Learned", "What went well", "What could be improved", "Preventive measures",
        "Action Items", "Immediate fixes", "Long-term improvements", "Process changes", "Follow-up", "Evidence",
    ]  # fmt: skip
    assert headings == wanted


@pytest.mark.parametrize(
    "title",
    ["Root cause analysis", "What went well", "What could be improved", "Preventive measures"],
)
def test_what_nobody_stated_reads_not_stated(title: str) -> None:
    assert section(review.draft(*story(OUTAGE)), title) == "_not stated_"


def test_the_impact_nobody_stated_is_not_stated_but_its_facts_are_measured() -> None:
    text = review.draft(*story(OUTAGE))
    impact = section(text, "Impact assessment")
    assert impact.startswith("_not stated_")
    assert "2026-03-02 03:08:00 UTC to 2026-03-02 03:50:00 UTC, 42 min [e3] [e12]" in impact
    facts = section(text, "Measured facts")
    assert (
        "| down | 2026-03-02 03:08:00 UTC | 2026-03-02 03:50:00 UTC | 42 min | no job is running |" in facts
    )


def test_durations_come_from_the_timeline_and_cite_it() -> None:
    text = review.draft(*story(OUTAGE))
    assert "| Time to acknowledge (MTTA) | 20 min [e10] |" in text
    assert "| Time to resolve (MTTR) | 50 min [e14] |" in text
    assert "| Unresolved time | 50 min |" in text


def test_unresolved_time_leaves_out_the_gap_before_a_reopen() -> None:
    lines = [
        *OUTAGE,
        (80.0, "reopened", "alice", {"reason": "again"}),
        (90.0, "resolved", "alice", {"reason": ""}),
    ]
    text = review.draft(*story(lines))
    assert "| Unresolved time | 1 h |" in text
    assert "| Time to resolve (MTTR) | 1 h 30 min [e16] |" in text


def test_an_open_incident_has_no_resolve_and_its_fact_has_no_end() -> None:
    text = review.draft(*story(OUTAGE[:3]))
    assert "| Resolved | not resolved |" in text
    assert "| Acknowledged | never |" in text
    assert "until now: not every fact ended" in text


def test_a_fact_that_the_resolve_ended_is_not_called_measured() -> None:
    lines: list[Line] = [
        *OUTAGE[:2],
        (9, "fact_ended", "bob", {"fact": "down", "text": "resolved: fine now"}),
        (9, "resolved", "bob", {"reason": "fine now"}),
    ]
    assert "(with the resolve, not by a measurement)" in section(
        review.draft(*story(lines)), "Measured facts"
    )


def test_every_line_of_the_timeline_cites_an_event_and_routine_is_folded_in() -> None:
    _, events = story(OUTAGE)
    lines = section(review.draft(*story(OUTAGE)), "Timeline of events").splitlines()
    assert all(re.search(r"\[e\d+\]", line) for line in lines)
    assert not any(line.startswith("- ") and "Timer fired" in line for line in lines)
    assert any(line.endswith("; then routine: timer fired, page delivered [e5] to [e6]") for line in lines)
    # A late page is no routine.
    assert any("60 s after it was due" in line for line in lines)
    spans = [
        (int(a), int(b or a)) for line in lines for a, b in re.findall(r"\[e(\d+)\](?: to \[e(\d+)\])?", line)
    ]
    assert sorted(n for a, b in spans for n in range(a, b + 1)) == [e.seq for e in events]


def test_a_page_into_do_not_disturb_has_a_line_of_its_own() -> None:
    lines: list[Line] = [
        OUTAGE[2],
        (1, "page_delivered", "streamwatch", {**sent("L1", "alice", 0), "dnd": True}),
    ]
    shown = section(review.draft(*story(lines)), "Timeline of events").splitlines()
    assert shown[-1].endswith("do-not-disturb was on. [e3]")


def test_who_was_paged_says_due_sent_late_and_acknowledged() -> None:
    rows = section(review.draft(*story(OUTAGE)), "Who was paged").splitlines()[2:]
    assert rows[0].startswith("| L1 | alice | critical incident: L1 at once | 2026-03-02 03:10:00 UTC |")
    assert "| in time | no | [e4] |" in rows[0]
    assert "| 2026-03-02 03:26:00 UTC | 1 min | 2026-03-02 03:30:00 UTC | [e7] |" in rows[1]


def test_replays_are_listed_with_their_counts() -> None:
    letters = section(review.draft(*story(OUTAGE)), "Dead letters and replays")
    assert letters.endswith(r"Replayed 12 dead letters (sent 12) [e11]")


def test_what_people_stated_is_quoted_with_who_and_when() -> None:
    cause = section(review.draft(*story([*OUTAGE, *STATED])), "Root cause analysis")
    assert cause == "> A deploy dropped a field.\n\nStated by carol, 2026-03-02 04:40:00 UTC [e15]"


def test_actions_stand_under_their_sort_and_say_when_they_are_done() -> None:
    lines: list[Line] = [
        *OUTAGE, *STATED, (99, "action_done", "bob", {"id": 1}),
        (99, "action_added", "bob", {"id": 2, "text": "no sort given"}),
    ]  # fmt: skip
    text = review.draft(*story(lines))
    done = "| 1 | test schemas | bob | 2026-04-01 | by bob, 2026-03-02 04:49:00 UTC | [e16] [e17] |"
    assert done in section(text, "Process changes")
    assert section(text, "Immediate fixes") == "None."
    assert "| 2 | no sort given | nobody yet | not set | no | [e18] |" in section(text, "Not sorted")
    assert "1 of 2 done" in section(text, "Follow-up")


def test_the_head_hash_is_shown_when_it_is_given() -> None:
    incident, events = story(OUTAGE)
    assert f"`{'ab' * 32}`" in review.draft(incident, events, head="ab" * 32)
    assert "Hash of the last event: not given" in review.draft(incident, events)


def test_the_same_timeline_gives_the_same_text() -> None:
    assert review.draft(*story(OUTAGE)) == review.draft(*story(OUTAGE))


def test_required_once_it_was_critical_even_if_it_was_lowered() -> None:
    lowered: list[Line] = [
        (5, "severity_changed", "carol", {"from": "critical", "to": "warning", "reason": "x"})
    ]
    assert review.required(story(lowered)[0])
    assert not review.required(story([], Severity.WARNING)[0])


def test_closing_needs_a_cause_and_an_action_with_owner_and_due_date() -> None:
    missing = review.may_close(story(OUTAGE)[0])
    assert missing == ["a root cause", "an action item with an owner and a due date"]
    assert review.may_close(story([*OUTAGE, STATED[1]])[0]) == ["a root cause"]
    assert review.may_close(story([*OUTAGE, *STATED])[0]) == []
    blank: list[Line] = [*OUTAGE, (90, "review_stated", "carol", {"field": "cause", "text": "  "})]
    assert "a root cause" in review.may_close(story(blank)[0])


def test_the_file_is_named_after_the_channel() -> None:
    assert review.filename(story(OUTAGE)[0]) == "inc-0007-job-orders-is-down-review.md"


HOSTILE = (
    "<img src=x onerror=alert(1)> <script>x</script> [click](https://evil.example/a) ![i](http://evil.example/b) "
    "`code` | cell | **bold** _it_ https://evil.example/c www.evil.example mail me@evil.example @channel "
    "<!channel> javascript:alert(1)\n# heading\n\n- item\n1. one\n```\nfence\n[e1]: https://evil.example"
)


def test_outside_text_brings_no_markup_into_the_review() -> None:
    lines: list[Line] = [
        (
            0,
            "alert_opened",
            "cloud-monitoring",
            {**ALERT, "title": HOSTILE, "summary": HOSTILE, "observed": HOSTILE},
        ),
        (0, "fact_began", "watch", {"fact": "down", "begin": at(0).isoformat(), "text": HOSTILE}),
        (1, "noted", "slack:U1<b>", {"text": HOSTILE}),
        (1, "paged", "streamwatch", {**paged("L1", "al|ice", 0), "reasons": [HOSTILE]}),
        (2, "review_stated", "bob", {"field": "cause", "text": HOSTILE}),
        (2, "action_added", "bob", {"id": 1, "text": HOSTILE, "owner": HOSTILE, "due": HOSTILE}),
    ]
    incident, events = story(lines)
    html = MarkdownIt("commonmark", {"linkify": False}).enable("table").render(review.draft(incident, events))
    tags = set(re.findall(r"<(\w+)", html))
    assert tags <= {"h1", "h2", "h3", "h4", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
                    "blockquote", "em", "code", "pre"}  # fmt: skip
    assert "heading" in html
    assert re.findall(r"<code>(.*?)</code>", html) == [
        "immediate:",
        "long-term:",
        "process:",
        "python -m bot audit verify",
    ]
    text = review.draft(incident, events)
    assert not re.search(r"(?<!\\)://", text)
    assert "www.evil" not in text
    assert "@channel" not in text
    assert "me@evil" not in text


def test_a_hostile_cell_keeps_its_row_whole() -> None:
    lines: list[Line] = [(1, "paged", "streamwatch", {**paged("L1", "a|b\\|c", 0), "reasons": ["x|y\nz`|`"]})]
    html = MarkdownIt("commonmark").enable("table").render(review.draft(*story(lines)))
    rows = re.findall(r"<tr>(.*?)</tr>", html.split("Who was paged")[1].split("<h2>")[0], re.S)
    assert [row.count("<td>") for row in rows] == [0, 8]


def test_an_incident_without_any_event_still_has_a_review() -> None:
    text = review.draft(story([])[0], [])
    assert section(text, "Timeline of events") == "No events."


def test_a_lead_reads_first_what_held_who_came_what_was_done_and_how_it_ended() -> None:
    short = section(review.draft(*story(OUTAGE)), "In short")
    assert short.splitlines()[:4] == [
        "- What: down since 2026-03-02 03:08 UTC (no job is running) [e3].",
        "- Who: carol acknowledged after 20 min [e10]; paged were L1 alice, L2 carol [e4] [e7].",
        "- Done: dlq.replay: Replayed 12 dead letters [e11].",
        "- End: resolved by carol (restarted) 50 min after it was opened [e14].",
    ]


def test_the_chart_shows_what_held_until_when_and_who_was_paged() -> None:
    drawn = section(review.draft(*story(OUTAGE)), "In short").partition("```text\n")[2].splitlines()
    rows = {line[:24].strip(): line[24:] for line in drawn}
    assert rows["UTC"].split() == ["2026-03-02", "03:08", "2026-03-02", "04:00"]
    assert set(rows["down"]) == {"█"}
    assert 36 <= len(rows["down"]) <= 40, "42 of 52 min"
    assert rows["L1 alice"].strip() == "P"
    assert rows["L2 carol"].split() == ["P", "A"]
    assert rows["INC-7"].strip().rstrip("R").endswith("·")
    assert rows["INC-7"].index("A") == rows["L2 carol"].index("A")


def test_what_the_timeline_leaves_unexplained_is_asked_with_its_evidence() -> None:
    lines: list[Line] = [
        *OUTAGE[:5],
        (3, "operation_finished", "streamwatch",
         {"operation": "pipeline.restart", "verdict": "it went to FAILED", "failed": "x", "run": "r1"}),
        (9, "fact_ended", "bob", {"fact": "down", "text": "resolved: fine now"}),
        (9, "resolved", "bob", {"reason": "fine now"}),
        (9, "action_added", "bob", {"id": 1, "text": "test it", "owner": "", "due": ""}),
    ]  # fmt: skip
    assert section(review.draft(*story(lines)), "Open questions").splitlines() == [
        "- Is it over? No measurement ended “down”, but the resolve did. [e8]",
        "- Why is the alert “Job failed” still open? [e2]",
        "- Why did L1 alice not acknowledge the page? [e4]",
        "- Why did pipeline.restart not come out well? [e7]",
        "- Action 1 has no owner and no due date: test it",
    ]
