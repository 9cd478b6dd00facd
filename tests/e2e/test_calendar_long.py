"""The week's and the month's rounds, and runbooks to review, as people meet them.

The week begins on a Sunday, the hour is Berlin's, and the history of four months is known.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo_world import get
from pipeline.history import History
from pipeline.report import Report
from tests.e2e.people import People
from tests.e2e.running import Json, Stage, staged, verified
from tests.support.servers import free_port

# A minute of the calendar passes in a second: the next day begins after 24 minutes, on no machine within a test.
SPEED = 60.0
THURSDAY = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
SUNDAY = datetime(2027, 1, 3, 6, 29, tzinfo=UTC)  # a minute before 07:30 in Berlin
TUESDAY = datetime(2027, 1, 5, 6, 35, tzinfo=UTC)
NEXT_SUNDAY = datetime(2027, 1, 10, 7, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MONTHS = {9: 1000.0, 10: 1100.0, 11: 1210.0, 12: 1331.0}  # events an hour
ENV = {"CALENDAR_DAYS": "sun-thu", "CALENDAR_TZ": "Europe/Berlin", "CALENDAR_HOUR": "07:30"}


def clock(at: datetime) -> str:
    return f"{time.time()},{at.timestamp()},{SPEED}"


def lived(url: str) -> None:
    """Four months of probes, once a day, and of a budget that grows by 8 USD a day."""
    with History.open(url) as history:
        at, received = datetime(2026, 9, 1, tzinfo=UTC), 0.0
        while at <= SUNDAY:
            totals = {"received": received, "valid": received, "invalid": 0.0}
            data = {"events": {"jobs": ["earlier"], "totals": totals}}
            history.record_probe(
                Report(
                    operation="pipeline.health",
                    pipeline="orders",
                    verdict="v",
                    severity="ok",
                    as_of=at,
                    data=data,
                )
            )
            received += 24 * MONTHS.get(at.month, 1331.0)
            at += DAY
        for ago in range(40):
            at = SUNDAY.replace(hour=20) - (ago + 1) * DAY
            period = at.replace(day=1).date().isoformat()
            cost = 8.0 * at.day
            history.record_budget(
                budget="orders-monthly", period=period, cost=cost, amount=250.0, currency="USD", at=at
            )


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """The story of this module goes on in one workspace."""
    with staged(
        tmp_path_factory.mktemp("calendar"), clock=clock(THURSDAY), env=ENV, runbooks={"_": ""}
    ) as stage:
        known = "SELECT name FROM kv WHERE name = 'calendar.since'"
        stage.until(lambda: stage.rows(known), 40, "the calendar never began")
        stage.kill_bot()
        lived(stage.env["DATABASE_URL"])
        again(stage, SUNDAY)
        yield People(stage)
        with contextlib.suppress(KeyError):  # whoever runs one test alone never started it
            stage.processes.kill("second")


def again(stage: Stage, at: datetime) -> None:
    """The bot is killed, and started at another time."""
    stage.kill_bot()
    stage.env["STREAMWATCH_CLOCK"] = clock(at)
    stage.start_bot()


def digest(people: People, title: str) -> Json:
    """The digest of this title, as it stands."""
    return next(m for m in people.messages(event="streamwatch_round") if m["text"].startswith(title))


def tick(people: People, user: str, title: str, label: str, expect: str) -> None:
    since = people.mark()
    people.click(user, digest(people, title), "round_tick", label=label)
    people.saw(expect, channel="incidents", since=since)


def files(people: People) -> dict[str, Any]:
    """The files of the announcement channel by title."""
    room = next(c for c in people.stage.state()["channels"] if c["name"] == "incidents")
    return {f["title"]: f for f in room["files"]}


WEEK = "Weekly operations, 2027-W01"
MONTH = "Monthly operations, 2027-01"


def test_the_week_begins_on_its_first_working_day_at_berlins_hour_and_stands_beside_four_weeks(
    people: People,
) -> None:
    text = people.saw(f"{WEEK}: due Sun 2027-01-03 07:30 CET", channel="incidents")["text"]
    assert "orders, Analyse throughput and latency: orders: " in text
    found = re.search(
        r"- Events a day: ([\d,]+); the week before ([\d,]+) .*; the mean of 4 weeks ([\d,]+) ", text
    )
    assert found, text
    now, before, mean = (float(figure.replace(",", "")) for figure in found.groups())
    # The live job's events of a few hours come to it; four weeks back lies a piece of November.
    assert now == pytest.approx(24 * 1331, rel=0.05)
    assert before == pytest.approx(24 * 1331, rel=0.01)
    assert mean == pytest.approx(24 * 1331, rel=0.01)
    assert "- open: Save costs (owner carol, by Mon " in text
    assert "- open: Update the validation rules (owner carol, by Mon " in text
    assert "Write to data (data-sources@yourcompany.com): “From next week we validate" in text


def test_a_month_tells_growth_and_budget_with_charts_that_need_no_eyes(people: People) -> None:
    text = people.saw(f"{MONTH}: due Sun 2027-01-03 07:30 CET", channel="incidents")["text"]
    mean = (1000 + 1100 + 1210) / 3 * 24
    assert (
        f"- Events a day: {1331 * 24:,}; the month before {1210 * 24:,} (+10 %); the mean of 3 months {mean:,.0f}"
        in text
    )
    assert f"(+10.0 % a month), in 3 months about {1331 * 24 * 1.1**3:,.0f} events come a day" in text
    assert "orders, Forecast the budget: orders-monthly will be at about " in text
    assert "0 incidents in 30 days." in text
    assert "“orders will cost about ... next month" in text, "the draft, with the pipeline's name"
    chart = people.saw("Events a day of orders (by month, the newest first):", channel="incidents")
    assert f"████████████ 2026-12: {1331 * 24:,} events\n" in chart["text"] + "\n"
    assert "█████████░░░ 2026-09: 24,000 events" in chart["text"]
    people.saw("orders-monthly, budget: 250.00 USD", channel="incidents")
    # They are drawn one after the other.
    events, forecast = "Events a day of orders, 2027-01", "Forecast of costs for orders, 2027-01"
    people.stage.until(lambda: {events, forecast} <= files(people).keys(), 40, "the pictures did not come")
    known = files(people)
    drawing = known[events]
    assert f"2026-12: {1331 * 24:,} events; 2026-11: " in drawing["alt_txt"]
    assert drawing["mimetype"] == "image/png", "what Slack shows without a click"
    assert drawing["name"] == "events-orders.png"
    assert drawing["size"] > 10_000
    assert "forecast: " in known[forecast]["alt_txt"]


def test_people_tick_with_and_without_a_note_and_whoever_did_not_is_reminded_by_name(people: People) -> None:
    tick(people, "alice", WEEK, "Done: Save costs", "- done: Save costs (alice)")
    since = people.mark()
    people.click("bob", digest(people, WEEK), "round_note", label="With a note: Plan capacity")
    people.stage.until(lambda: people.stage.state()["views"], 40, "no form opened for the note")
    people.submit("bob", {"note": "the sale of the 15th needs two workers more"})
    people.saw(
        "- done: Plan capacity (bob): the sale of the 15th needs two workers more",
        channel="incidents",
        since=since,
    )
    for title in ("Plan the scaling", "Agree on the budget", "Review the pattern of incidents"):
        tick(people, "carol", MONTH, f"Done: {title}", f"- done: {title} (carol)")
    for title in ("Carry out the lessons", "Update the procedures"):
        tick(people, "dave", MONTH, f"Done: {title}", f"- done: {title} (dave)")
    assert "Everything is ticked off." in digest(people, MONTH)["text"]
    # Whatever changes a page, adds a component or is over: it is asked for with the next day's digest.
    folder = people.stage.folder / "runbooks"
    page = folder / "high-latency.md"
    page.write_text(page.read_text() + "\nOne more word to whoever reads this.\n")
    page = folder / "cost-overruns.md"
    page.write_text(re.sub(r"next_review: .*", "next_review: 2027-01-04", page.read_text()))
    page = folder / "high-error-rate.md"
    old = re.sub(r"last_reviewed: .*", "last_reviewed: 2026-09-01", page.read_text())
    page.write_text(re.sub(r"next_review: .*\n", "", old))
    claims = folder / "pipelines.yaml"
    claims.write_text(
        claims.read_text().replace("budgets: [orders-monthly]", "budgets: [orders-monthly, orders-extra]")
    )
    people.ask("alice", "general", "/incident declare critical performance Lag grows", "is declared")
    room = people.channel_of("INC-1")
    people.ask("alice", room, "/incident resolve it fell again", "resolved")
    people.ask(
        "alice", room, "/review actions add Put an index on the table @bob 2027-01-05", "The action is added."
    )
    people.ask("alice", room, "/review actions add Look at quotas @carol 2027-01-06", "The action is added.")
    people.ask("alice", "general", "/incident declare critical cost Spend doubles", "is declared")
    people.ask("alice", people.channel_of("INC-2"), "/incident resolve a forgotten job", "resolved")
    since = people.mark()
    again(people.stage, TUESDAY)
    reminder = people.saw(f"Not ticked off yet, carol: {WEEK}", channel="incidents", since=since)
    assert "<@U03CAROL>" in reminder["text"]
    assert "- Sign the week (owner carol)" in reminder["text"]
    assert "Save costs" not in reminder["text"]


def test_runbooks_are_to_be_reviewed_for_each_reason_once(people: People) -> None:
    text = people.saw("Runbooks to review, 2027-01-05", channel="incidents")["text"]
    reasons = {
        "performance.md": "after the critical incident INC-1",
        "high-latency.md": "its page has changed",
        "cost-overruns.md": "its review was due on 2027-01-04",
        "high-error-rate.md": "a review is due each quarter, the last one was on 2026-09-01",
        "cost-spike.md": "the pipeline has something new: orders budget orders-extra",
    }
    for name, reason in reasons.items():
        line = next(line for line in text.splitlines() if f"({name})" in line)
        assert reason in line, line
    assert text.count("a review is due each quarter") == 1, "the others were reviewed in November"
    line = next(line for line in text.splitlines() if "(high-latency.md)" in line)
    label = "Reviewed: " + line.removeprefix("- open: ").partition(" (owner")[0]
    tick(
        people,
        "bob",
        "Runbooks to review, 2027-01-05",
        label[:75],
        "- done: High latency (high-latency.md): its page has changed",
    )


def test_an_action_has_an_owner_and_a_date_is_reminded_of_and_tracked_to_its_end(people: People) -> None:
    direct = people.saw(
        "Your action item is due: INC-1 action 1, Put an index on the table (owner bob, due 2027-01-05, today)"
    )
    assert [m["is_im"] for m in people.messages() if m["ts"] == direct["ts"]] == [True]
    daily = people.saw("Daily operations, 2027-01-05", channel="incidents")["text"]
    assert "Action items due: 1." in daily
    assert "- INC-1 action 1, Put an index on the table (owner bob, due 2027-01-05, today)" in daily
    people.ask("alice", "general", "/review actions", "2 open action items of all incidents, 1 of them due")
    # The review is closed, its actions are not: they are done later.
    room = people.channel_of("INC-1")
    assert people.stage.command("alice", room, "/review edit")["status"] == 200
    people.stage.until(lambda: people.stage.state()["views"], 40, "no form opened for the review")
    people.submit("alice", {"root_cause": "a missing index"})
    people.stage.until(lambda: people.events("INC-1", "review_stated"), 40, "the cause was not stated")
    people.ask("carol", room, "/review done", "closed")
    people.ask("bob", "general", "/review actions INC-1 done 1", "Action 1 is done.")
    people.refused("bob", "general", "/review actions INC-1 add Another", "The review of INC-1 is closed.")
    shown = get(f"{people.stage.app_url}/operations", timeout=30)["actions"]
    assert [(a["incident"], a["id"], a["owner"]) for a in shown] == [("INC-1", 2, "carol")]


def test_the_next_week_closes_what_was_left_and_two_replicas_begin_it_once(people: People) -> None:
    stage = people.stage
    stage.kill_bot()
    stage.env["STREAMWATCH_CLOCK"] = clock(NEXT_SUNDAY)
    stage.processes.start("second", ["bot", "serve"], {**stage.env, "PORT": str(free_port())})
    stage.start_bot()
    people.saw("Weekly operations, 2027-W02: due Sun 2027-01-10 07:30 CET", channel="incidents")
    people.saw("Daily operations, 2027-01-10: due Sun 2027-01-10 07:30 CET", channel="incidents")
    stage.until_quiet()
    people.saw(
        "Your action item is due: INC-1 action 2, Look at quotas (owner carol, due 2027-01-06, 4 d overdue)"
    )
    assert not [
        m for m in people.messages() if "action 1, Put an index" in m["text"] and "overdue" in m["text"]
    ]
    week = digest(people, "Weekly operations, 2027-W02")["text"]
    assert "Action items open: 1." in week
    assert "2 incidents in 7 days: 1 cost, 1 performance; 2 critical; 0 not resolved yet." in week
    # Five working days later nobody has stated a cause; INC-1 is reviewed.
    people.saw(
        "The review of INC-2 is still open, more than 5 working days", channel=people.channel_of("INC-2")
    )
    assert not [m for m in people.messages() if "The review of INC-1 is still open" in m["text"]]
    old = digest(people, WEEK)["text"]
    assert "Closed: the next round has begun." in old
    assert "- not ticked off: Sign the week (owner carol)" in old
    heads = [m["text"].partition(":")[0] for m in people.messages(event="streamwatch_round")]
    assert sorted(heads) == sorted(set(heads)), "each round is one message"
    keys = [key for (key,) in stage.rows("SELECT id FROM rounds WHERE kind = 'daily' ORDER BY id")]
    assert keys == ["daily:2027-01-03", "daily:2027-01-05", "daily:2027-01-10"], "no Friday, no Saturday"
    asked = [key for (key,) in stage.rows("SELECT id FROM rounds WHERE kind = 'review' ORDER BY id")]
    assert asked == ["review:2027-01-05"], "each reason is told once"


def test_history_is_kept_and_shown_and_every_tick_is_in_the_audit_book(people: People) -> None:
    shown = {
        each["id"]: each["words"] for each in get(f"{people.stage.app_url}/operations", timeout=30)["rounds"]
    }
    assert "lapsed" in shown["weekly:2027-W01"]
    assert "2 of 6 ticked off by alice, bob" in shown["weekly:2027-W01"]
    assert "5 of 5 ticked off by carol, dave" in shown["monthly:2027-01"]
    people.ask("bob", "general", "/runbook rounds", "weekly:2027-W01, lapsed")
    told = [
        e["text"]
        for e in get(f"{people.stage.app_url}/audit", timeout=30)["entries"]
        if e["what"] == "ticked"
    ]
    assert f"alice ticked off “Save costs” of {WEEK}" in told
    assert f"bob ticked off “Plan capacity” of {WEEK}: the sale of the 15th needs two workers more" in told
    assert len(told) == 8
    assert verified(people.stage) == (0, "Every timeline is intact, and the audit book.")
