"""Maintenance and running operations (rules: "From alert to incident"), decided alone and played as a story."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.alert_model import Alert, Kind, Severity
from bot.core.facts import Measured
from bot.core.holding import (
    Hold,
    Tally,
    Why,
    attached,
    breaks_through,
    counted_from,
    holding,
    measured_meanwhile,
    operation_over,
    summary,
)
from bot.core.policy import Thresholds
from bot.core.rehearsal import Happening, Line, Maintained, Story
from tests.unit.core.test_rehearse import START, at, closes, down, fact, minute, opens, play

LIMITS = Thresholds()
HOLD = Hold(
    name="maintenance:3",
    why=Why.MAINTENANCE,
    pipeline="orders",
    reason="new schema",
    by="alice",
    begin=START,
    until=at(120),
)


def maintained(minutes: float, begin: float = 0) -> Maintained:
    return Maintained(at(begin), timedelta(minutes=minutes), "orders")


def said(story: Story) -> list[str]:
    return [line.text for line in story.lines if line.kind == "announced"]


def paged_at(story: Story) -> list[tuple[float, str | None]]:
    return [(minute(line.at), line.level) for line in story.pages()]


def alert(kind: Kind = Kind.HEALTH, **more: object) -> Alert:
    return Alert(source="s", key="k", state="open", title="t", kind=kind, severity=Severity.CRITICAL, **more)  # type: ignore[arg-type]


# --- the decision -----------------------------------------------------------------------------------------


def test_only_alerts_of_its_pipeline_and_its_time_are_held() -> None:
    assert holding([HOLD], "orders", alert(), START, LIMITS) == HOLD
    assert holding([HOLD], "orders", alert(), at(120), LIMITS) is None
    assert holding([HOLD], "orders", alert(), at(-1), LIMITS) is None
    assert holding([HOLD], "other", alert(), START, LIMITS) is None


@pytest.mark.parametrize(
    ("which", "through"),
    [
        (alert(), False),
        (alert(Kind.COST), False),
        (alert(Kind.SECURITY), True),
        (alert(facts=("data_loss",)), True),
    ],
)
def test_data_loss_and_security_break_through(which: Alert, through: bool) -> None:
    assert breaks_through(which, LIMITS) is through


def test_a_probe_begins_nothing_meanwhile_but_data_loss_and_what_is_known_goes_on() -> None:
    seen = [Measured(id=name, on=True) for name in ("down", "degraded", "data_loss")]
    seen.append(Measured(id="error_rate", on=False))
    kept = measured_meanwhile(seen, ["degraded"])
    assert [m.id for m in kept] == ["degraded", "data_loss", "error_rate"]


def test_a_fact_of_the_maintenance_counts_from_its_end() -> None:
    seen = [
        Measured(id="down", on=True, since=at(5)),
        Measured(id="data_loss", on=True, since=at(5)),
        Measured(id="degraded", on=True, since=at(130)),
    ]
    assert [m.since for m in counted_from(seen, at(120))] == [at(120), at(5), at(130)]
    assert counted_from(seen, None) == tuple(seen)


@pytest.mark.parametrize(
    ("state", "minutes", "why"),
    [
        ("running", 14, ""),
        ("running", 15, "it runs for more than 15 min"),
        ("done", 14, ""),
        ("done", 15, "it was done 15 min ago"),
        ("failed", 0, "it failed"),
        ("cancelled", 0, "it failed"),
        ("unknown", 0, "its outcome is unknown"),
    ],
)
def test_an_operation_holds_until_it_fails_or_is_15_min_over(state: str, minutes: float, why: str) -> None:
    assert operation_over(state, START, at(minutes), timedelta(minutes=15)) == why


def test_the_summary_counts_exactly() -> None:
    head = "The maintenance of orders (alice: new schema) is over after 2 h."
    assert summary(HOLD, Tally(), at(120)) == f"{head} No alert came."
    tally = Tally(alerts=3, notifications=7, closed=2, opened=("INC-4",))
    assert summary(HOLD, tally, at(120)) == (
        f"{head} 3 alerts came in 7 notifications: 2 closed again, 1 still open (INC-4)."
    )
    assert "1 alert of orders came" in attached(HOLD, Tally(alerts=1))


# --- the story --------------------------------------------------------------------------------------------


def test_nobody_is_paged_for_an_alert_that_closes_within_the_maintenance() -> None:
    story = play(maintained(120), opens(5), closes(60))
    assert story.pages() == ()
    assert said(story) == [
        "orders is in maintenance until 2026-03-02 05:10 UTC (somebody: rehearsed). Its alerts are stored and page "
        "nobody; data loss and security break through.",
        "The maintenance of orders (somebody: rehearsed) is over after 2 h. 1 alert came in 2 notifications; all of "
        "them closed again.",
    ]


def test_an_alert_that_is_still_open_at_the_end_opens_an_incident_then() -> None:
    """Its fact counts from the end too: the planned time without a pipeline was no outage."""
    story = play(maintained(120), opens(5))
    assert paged_at(story)[0] == (120, "L1")
    assert min(when for when, level in paged_at(story) if level == "L2") == 135
    assert "1 still open (INC-1)" in said(story)[1]


def test_an_alert_after_the_end_pages_at_once() -> None:
    assert paged_at(play(maintained(120), opens(121)))[0] == (121, "L1")


@pytest.mark.parametrize("order", [(5, 6), (6, 5)])
def test_open_and_close_in_either_order_end_alike(order: tuple[int, int]) -> None:
    named = {"key": "one"}
    events: list[Happening] = [opens(order[0], **named), opens(order[1], state="closed", **named)]
    story = play(maintained(60), *sorted(events, key=lambda event: event.at))
    assert story.pages() == ()
    assert "1 alert came in 2 notifications; all of them closed again" in said(story)[-1]


def test_a_late_copy_of_what_was_held_and_closed_opens_nothing() -> None:
    named = {"key": "one"}
    story = play(maintained(60), opens(5, **named), opens(6, state="closed", **named), opens(70, **named))
    assert story.pages() == ()


def test_security_pages_in_the_middle_of_a_maintenance() -> None:
    story = play(maintained(120), opens(5, kind="security"))
    assert paged_at(story)[0][0] == 5


def test_the_watch_opens_nothing_meanwhile_but_for_data_loss() -> None:
    quiet = play(maintained(120), fact(5, "down"), fact(100, "down", on=False))
    assert quiet.pages() == ()
    loss = play(maintained(120), fact(5, "data_loss"))
    assert {level for when, level in paged_at(loss) if when <= 10} >= {"L1", "L2"}


def test_the_watch_opens_at_the_end_what_holds_then_and_counts_from_there() -> None:
    story = play(maintained(120), fact(5, "down"))
    assert paged_at(story)[0] == (120, "L1")
    assert min(when for when, level in paged_at(story) if level == "L2") == 135


def test_a_bot_that_is_down_at_the_end_does_it_when_it_is_back_and_counts_from_the_end() -> None:
    story = play(maintained(60), opens(5), down(50, "bot", 30))
    first = story.pages()[0]
    assert (minute(first.at), first.level) == (80, "L1")
    assert first.due is not None
    assert minute(first.due) == 60


def test_other_pipelines_page_as_ever() -> None:
    story = play(maintained(120), opens(5, pipeline="payments"))
    assert paged_at(story)[0] == (5, "L1")


def test_a_file_may_say_it(tmp_path: Path) -> None:
    from bot.documents.loading import load_rehearsal

    path = tmp_path / "m.yaml"
    path.write_text(
        "start: 2026-03-02T03:10:00Z\nevents:\n"
        "  - {at: +0m, maintenance: orders, for: 2h}\n"
        "  - {at: +5m, alert: {pipeline: orders, severity: critical}, for: 10m}\n"
    )
    told = load_rehearsal(path)
    assert told.happenings[0] == Maintained(START, timedelta(hours=2), "orders")
    lines: tuple[Line, ...] = play(*told.happenings).lines
    assert [line.kind for line in lines] == ["announced", "announced"]
