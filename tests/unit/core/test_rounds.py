"""The operations calendar: when it is due, what a round waits for, and how it tells that it is late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from bot.core import periods, rounds
from bot.core.periods import Calendar, latest, missed, parse_days, working_days
from bot.core.refusal import Refused
from bot.core.rounds import DONE, LAPSED, OPEN, Item, Reading, Round
from bot.core.runbook import Branch, Runbook, Step

BERLIN = Calendar(tz="Europe/Berlin")
FRIDAY = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_each_working_day_has_its_slot_at_the_hour_of_the_zone() -> None:
    slot = latest(BERLIN, "daily", FRIDAY)
    assert slot is not None
    assert (slot.id, slot.due_at) == ("daily:2026-03-06", datetime(2026, 3, 6, 8, 0, tzinfo=UTC))
    sunday = latest(BERLIN, "daily", FRIDAY + 2 * DAY)
    assert sunday == slot
    before_dawn = latest(BERLIN, "daily", FRIDAY - 5 * HOUR)
    assert before_dawn is not None
    assert before_dawn.key == "2026-03-05"


def test_the_hour_stays_when_the_clocks_change() -> None:
    found = [latest(BERLIN, "daily", datetime(2026, 3, day, 23, tzinfo=UTC)) for day in (27, 30)]
    assert [slot.due_at.hour for slot in found if slot is not None] == [8, 7]


def test_week_and_month_begin_with_their_first_working_day() -> None:
    week = latest(BERLIN, "weekly", FRIDAY)
    assert week is not None
    assert (week.id, week.due_at.date().isoformat()) == ("weekly:2026-W10", "2026-03-02")
    month = latest(BERLIN, "monthly", datetime(2026, 8, 20, tzinfo=UTC))
    assert month is not None, "the first of August 2026 is a Saturday"
    assert (month.key, month.due_at.date().isoformat()) == ("2026-08", "2026-08-03")


def test_what_was_slept_through_is_counted() -> None:
    slot = latest(BERLIN, "daily", FRIDAY)
    assert slot is not None
    assert missed(BERLIN, "daily", slot.due_at - 4 * DAY, slot) == 3
    assert missed(BERLIN, "daily", slot.due_at - DAY, slot) == 0
    assert working_days(BERLIN, FRIDAY, FRIDAY + 7 * DAY) == 5


@pytest.mark.parametrize(
    ("text", "days"),
    [("mon-fri", {0, 1, 2, 3, 4}), ("sun-thu", {6, 0, 1, 2, 3}), ("mon, WED", {0, 2}), ("off", set())],
)
def test_working_days_are_words(text: str, days: set[int]) -> None:
    assert parse_days(text) == days


def test_a_calendar_that_is_off_has_no_slot_and_nonsense_is_refused() -> None:
    assert latest(Calendar(days=frozenset(), at=time(7)), "daily", FRIDAY) is None
    with pytest.raises(ValueError, match="mon-fri"):
        parse_days("weekdays")


BOOK = Runbook(
    name="daily",
    title="Daily operations",
    kind="daily",
    steps=(
        Step(id="look", title="Look", prose="", line=1, run="pipeline.health", risk="read"),
        Step(
            id="sign", title="Sign", prose="Sign it.", line=2, remind=4 * HOUR, following="hand-on",
            branches=(Branch("all_is_well", None), Branch("work", "hand-on"), Branch("else", None)),
        ),
        Step(id="hand-on", title="Hand it on", prose="", line=3, remind=4 * HOUR),
    ),
)  # fmt: skip


def opened(at: datetime = FRIDAY) -> Round:
    slot = latest(BERLIN, "daily", FRIDAY)
    assert slot is not None
    made = rounds.from_runbook(BOOK, slot, at, pipelines=["orders", "clicks"], owner="alice", missed=2)
    return rounds.settled(rounds.replace(made, state=OPEN, posted_at=at), at)


def test_readings_are_the_bots_for_each_pipeline_and_the_rest_waits_for_people() -> None:
    this = opened()
    assert [(r.pipeline, r.operation) for r in this.readings] == [
        ("orders", "pipeline.health"), ("clicks", "pipeline.health"),
    ]  # fmt: skip
    assert [item.id for item in this.waiting] == ["sign"], "what follows a question waits for its answer"
    lines = rounds.digest(this, BERLIN, str.capitalize)
    assert lines[0] == (
        "Daily operations, 2026-03-06: due Fri 2026-03-06 09:00 CET, 4 h late; 2 earlier ones were missed."
    )
    assert "- open: Sign (owner Alice, by Fri 17:00 CET)." in lines
    assert "- later: Hand it on (owner Alice)" in lines
    assert [b["label"] for b in rounds.buttons(this)] == [
        "All is well: Sign", "Work: Sign", "Something else", "With a note: Sign",
    ]  # fmt: skip


def test_an_answer_ends_the_round_or_leads_on() -> None:
    with pytest.raises(Refused, match="several ways on; choose one: all_is_well, work, something_else"):
        rounds.tick(opened(), "sign", "alice", FRIDAY, note="as ever")
    well = rounds.tick(opened(), "sign", "alice", FRIDAY, answer="all_is_well")
    assert (well.state, well.over_at) == (DONE, FRIDAY)
    work = rounds.tick(opened(), "sign", "alice", FRIDAY, answer="work", note="see the lag")
    assert [item.id for item in work.waiting] == ["hand-on"]
    done = rounds.tick(work, "hand-on", "bob", FRIDAY)
    assert done.state == DONE
    assert "- done: Sign (alice, work): see the lag" in rounds.digest(done, BERLIN, str)
    with pytest.raises(Refused, match="already, by alice"):
        rounds.tick(work, "sign", "bob", FRIDAY)
    with pytest.raises(Refused, match="not yet"):
        rounds.tick(opened(), "hand-on", "bob", FRIDAY)


def test_the_owner_is_reminded_three_times_and_no_more() -> None:
    this, now = opened(), FRIDAY
    told = 0
    for _ in range(40):
        now += HOUR
        items = rounds.overdue(this, now)
        told += len(items)
        this = rounds.reminded(this, items, now)
    assert told == 3
    late = opened()
    (item,) = rounds.overdue(late, FRIDAY + 9 * HOUR)
    assert rounds.reminded(late, [item], FRIDAY + 9 * HOUR).items[0].reminded == 2, (
        "one for what was slept through"
    )


def test_the_next_round_closes_what_was_left() -> None:
    old = rounds.lapsed(opened(), FRIDAY + DAY)
    assert (old.state, old.waiting, rounds.buttons(old)) == (LAPSED, (), [])
    assert "- not ticked off: Sign (owner alice)" in rounds.digest(old, BERLIN, str)
    assert rounds.summary(old).startswith(
        "daily:2026-03-06, lapsed, 4 h late; 2 earlier ones were missed: worst"
    )
    with pytest.raises(Refused):
        rounds.tick(old, "sign", "alice", FRIDAY)
    assert periods.latest(BERLIN, "daily", FRIDAY) is not None


def test_a_digest_holds_plain_words_that_whoever_shows_them_escapes() -> None:
    """Once: escaped here too, a reader would see the escapes."""
    reading = Reading(run="r", title="Look", operation="pipeline.health", pipeline="orders", severity="warning",
                      verdict="R&D <orders> is 3 > 2 late")  # fmt: skip
    item = Item(id="write", title="Write", contact="data (a@b.c)", draft="<orders> & co")
    lines = rounds.digest(replace(opened(), readings=(reading,), items=(item,)), BERLIN, lambda owner: owner)
    told = "\n".join(lines)
    assert "R&D <orders> is 3 > 2 late" in told
    assert "“<orders> & co”" in told


def test_an_answer_stands_on_a_digest_s_button_as_on_a_runbook_s() -> None:
    item = Item(id="ask", title="Ask", leads={"google_cloud": "", "else": ""})
    labels = [button["label"] for button in rounds.buttons(replace(opened(), items=(item,)))]
    assert labels == ["Google Cloud: Ask", "Something else", "With a note: Ask"]
