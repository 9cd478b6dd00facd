"""The operations calendar as people meet it: a digest, its buttons, a reminder, and a day that fell into an outage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bot.demo_world import get
from tests.e2e.people import People
from tests.e2e.running import Stage, staged

SPEED = 600.0  # ten minutes of the calendar pass in a second
MONDAY = datetime(2026, 12, 7, 12, 0, tzinfo=UTC)
TUESDAY = datetime(2026, 12, 8, 9, 0, tzinfo=UTC)
THURSDAY = datetime(2026, 12, 10, 12, 0, tzinfo=UTC)


def clock(at: datetime) -> str:
    return f"{time.time()},{at.timestamp()},{SPEED}"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """The story of this module goes on in one workspace."""
    env = {"CALENDAR_DAYS": "mon-fri"}
    with staged(tmp_path_factory.mktemp("calendar"), clock=clock(MONDAY), env=env) as stage:
        known = "SELECT name FROM kv WHERE name = 'calendar.since'"
        stage.until(lambda: stage.rows(known), 40, "the calendar never began")
        again(stage, TUESDAY)
        yield People(stage)


def again(stage: Stage, at: datetime) -> None:
    """The bot is killed, and started at another time."""
    stage.kill_bot()
    stage.env["STREAMWATCH_CLOCK"] = clock(at)
    stage.start_bot()


def test_a_digest_comes_with_readings_and_what_is_for_a_person(people: People) -> None:
    digest = people.saw("Daily operations, 2026-12-08: due Tue 2026-12-08 09:00 UTC", channel="incidents")
    assert "Measured: 7 readings" in digest["text"]
    assert "- open: Sign the day (owner alice, by Tue " in digest["text"]
    assert "- later: Hand it on (owner alice)" in digest["text"]


def test_an_item_that_nobody_ticks_off_is_reminded_of_and_then_ticked_off_with_a_note(people: People) -> None:
    reminder = people.saw("Not ticked off yet, alice: Daily operations, 2026-12-08", channel="incidents")
    assert "<@U01ALICE>" in reminder["text"]
    since = people.mark()
    people.click("alice", reminder, "round_tick", label="Something needs work: Sign the day")
    digest = people.saw(
        "- done: Sign the day (alice, something needs work)", channel="incidents", since=since
    )
    assert "- open: Hand it on (owner alice" in digest["text"]
    since = people.mark()
    people.click("bob", digest, "round_note")
    people.stage.until(lambda: people.stage.state()["views"], 40, "no form opened for the note")
    people.submit("bob", {"note": "carol mends the lag until Friday"})
    done = people.saw("Everything is ticked off.", channel="incidents", since=since)
    assert "- done: Hand it on (bob): carol mends the lag until Friday" in done["text"]


def test_history_statistics_and_actions_are_asked_for_in_slack_and_on_the_web(people: People) -> None:
    people.ask("alice", "general", "/runbook rounds", "daily:2026-12-08, done")
    people.ask("alice", "general", "/review patterns 30", "0 incidents in 30 days.")
    people.ask("alice", "general", "/review actions", "0 open action items of all incidents, 0 of them due")
    shown = get(f"{people.stage.app_url}/operations", timeout=30)
    assert "daily:2026-12-08" in [each["id"] for each in shown["rounds"]]
    assert shown["statistics"]["incidents"] == 0


def test_a_private_incident_comes_and_is_over(people: People) -> None:
    people.ask("alice", "general", "/incident declare security zebrafish leaked", "is declared")
    people.channel_of("INC-1")
    people.ask("alice", "general", "/incident resolve INC-1 it is revoked --yes", "is resolved")
    people.stage.until_quiet()


def test_a_day_that_fell_into_an_outage_comes_once_and_says_how_late(people: People) -> None:
    stage = people.stage
    since = people.mark()
    again(stage, THURSDAY)
    digest = people.saw("Daily operations, 2026-12-10: due Thu 2026-12-10 09:00 UTC, ", since=since)
    assert "late; 1 earlier one was missed." in digest["text"]
    stage.until_quiet()
    rows = stage.rows("SELECT id FROM rounds WHERE kind = 'daily' ORDER BY id")
    assert rows == [("daily:2026-12-08",), ("daily:2026-12-10",)]
    heard = [
        m for m in people.messages(event="streamwatch_round") if "Daily operations, 2026-12-10" in m["text"]
    ]
    assert len(heard) == 1, "one message, that is edited"


def test_the_runbook_of_a_private_incident_is_to_be_reviewed_and_only_its_channel_is_told(
    people: People,
) -> None:
    room = people.channel_of("INC-1")
    asked = people.saw("INC-1 was critical, so the runbook security is to be reviewed", channel=room)
    since = people.mark()
    people.click("alice", asked, "runbook_reviewed")
    people.saw("alice has reviewed the runbook security.", channel=room, since=since)
    public = [m for m in people.messages() if m["channel"] != asked["channel"] and not m["is_im"]]
    assert "INC-1" not in str(public)
    assert "zebrafish" not in str(public)
    (of_owner,) = [c for c in people.stage.channels(room) if c["is_private"]]
    assert "U04DAVE" not in of_owner["members"]
