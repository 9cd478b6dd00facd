"""What the timelines say of a month, and when actions and reviews of runbooks are due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bot.core import statistics_words, upkeep
from bot.core.action_items import todos
from bot.core.alert_model import Kind, Severity
from bot.core.folding import fold
from bot.core.incident import Action, Event, Incident
from bot.core.lifecycle import opened
from bot.core.policy import Policy
from bot.core.runbook import Runbook, Step
from bot.core.statistics import compute

START = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
BOOK = Runbook(
    name="book", title="Book", kind="health", last_reviewed=date(2026, 3, 1), next_review=date(2026, 5, 1),
    steps=tuple(Step(id=name, title=name, prose="", line=1) for name in ("look", "ask", "mend")),
)  # fmt: skip
Line = tuple[float, str, str, dict[str, Any]]


def told(number: int, lines: Sequence[Line] = (), day: int = 0) -> tuple[Incident, Sequence[Event]]:
    start = START + timedelta(days=day)
    first = opened(
        project="p", pipeline="orders", family="stream", title="It stopped", kind=Kind.HEALTH,
        severity=Severity.CRITICAL, policy=Policy(), now=start, actor="watch", reason="a probe",
    )  # fmt: skip
    first = replace(first, data={**first.data, "runbook": "book"})
    rest = [
        Event(type=t, at=start + timedelta(minutes=m), actor=actor, data=data) for m, t, actor, data in lines
    ]
    events = [replace(e, seq=n) for n, e in enumerate([first, *rest], 1)]
    incident = fold(number, events)
    assert incident is not None
    return incident, events


def ack(minute: float) -> Line:
    return (minute, "acknowledged", "alice", {"person": "alice"})


def resolved(minute: float) -> Line:
    return (minute, "resolved", "alice", {"reason": "fixed"})


def paged(minute: float, rule: str, person: str) -> Line:
    page = {"page": f"{rule}{minute}", "epoch": 1, "step": "s", "level": "L2", "person": person, "rule": rule}
    return (minute, "paged", "streamwatch", {**page, "due_at": START.isoformat(), "reasons": []})


def alert(minute: float, key: str) -> Line:
    data = {"source": "m", "key": key, "title": "High lag", "severity": "critical", "kind": "health"}
    return (minute, "alert_opened", "m", {**data, "policy_name": "Lag"})


def test_times_kinds_and_weeks() -> None:
    found = compute(
        [told(1, [ack(2), resolved(10)]), told(2, [ack(4), resolved(30)], 8), told(3, (), 9)],
        START,
        START + timedelta(days=14),
    )
    assert (found.incidents, found.unresolved, found.unacknowledged) == (3, 1, 1)
    assert found.acknowledge is not None
    assert found.resolve is not None
    assert (found.acknowledge.mean_s, found.acknowledge.worst) == (180.0, "INC-2")
    assert (found.resolve.median_s, found.resolve.longest_s) == (1200.0, 1800.0)
    assert found.weeks == (("2026-03-02", 1), ("2026-03-09", 2), ("2026-03-16", 0))
    lines = statistics_words.lines(found)
    assert lines[1] == (
        "Time to acknowledge (MTTA): mean 3 min, median 3 min, longest 4 min (INC-2); 1 never acknowledged."
    )
    assert compute([], START, START + timedelta(days=1)).incidents == 0


def test_what_came_again_and_what_was_the_noisiest() -> None:
    found = compute(
        [told(1, [alert(1, "a"), alert(2, "b")]), told(2, [alert(1, "c")])], START, START + timedelta(days=7)
    )
    assert [(c.name, c.count, c.part) for c in found.policies] == [("Lag", 3, 2)]
    assert [(c.name, c.where) for c in found.causes] == [("Lag", ("INC-1", "INC-2"))]


def test_a_rule_is_idle_when_nobody_acted_on_its_page() -> None:
    idle = told(1, [ack(1), paged(15, "pipeline_down", "dave"), resolved(30)])
    acted = told(2, [paged(15, "pipeline_down", "dave"), ack(16), resolved(30)])
    found = compute([idle, acted], START, START + timedelta(days=1))
    assert [(c.name, c.count, c.part, c.where) for c in found.rules] == [("pipeline_down", 2, 1, ("INC-1",))]


def test_steps_that_failed_were_left_or_never_reached() -> None:
    def taken(minute: float, step: str) -> Line:
        data = {"ref": f"book/{step}#1.1", "title": step, "how": "read", "place": 1, "of": 3, "nth": 1}
        return (minute, "step_taken", "streamwatch", {"runbook": "book", **data})

    said = {
        "step": "book/look",
        "runbook": "book",
        "ref": "book/look#1.1",
        "state": "done",
        "verdict": "could not be measured: no",
    }
    lines = [
        (0, "runbook_started", "streamwatch", {"runbook": "book", "title": "Book", "steps": 3, "number": 1}),
        taken(1, "look"), (2, "step", "streamwatch", said), taken(3, "ask"), resolved(9),
    ]  # fmt: skip
    found = compute([told(1, lines)], START, START + timedelta(days=1), [BOOK])
    assert [c.name for c in found.failed_steps] == ["book/look"]
    assert [c.name for c in found.left_steps] == ["book/ask"]
    assert found.never_run == {"book": ("mend",)}
    assert "Steps never reached: book: mend." in statistics_words.lines(found)


def test_actions_are_due_on_their_day_and_once_a_week_from_then_on() -> None:
    incident, _ = told(7)
    actions = (
        Action(id=1, text="later", due="2026-03-20"), Action(id=2, text="late", owner="bob", due="2026-03-02"),
        Action(id=3, text="done", due="2026-03-02", done_by="bob"), Action(id=4, text="some day"),
    )  # fmt: skip
    today = date(2026, 3, 12)
    found = todos([replace(incident, actions=actions)], today)
    assert [todo.action.id for todo in found] == [2, 1, 4]
    assert found[0].words == "INC-7 action 2, late (owner bob, due 2026-03-02, 10 d overdue)"
    assert [todo.reminder(today) for todo in found] == ["action:INC-7:2:2026-W11", None, None]
    (first, *_) = todos([replace(incident, actions=actions)], date(2026, 3, 2))
    assert first.reminder(date(2026, 3, 2)) == "action:INC-7:2:2026-W10"


def why(book: Runbook, today: date, **more: Any) -> list[str]:
    usual: dict[str, Any] = {"known": {}, "new_components": (), "incidents": (), "reviewed": {}}
    return [reason.key.partition(":")[0] for reason in upkeep.reasons([book], today, **{**usual, **more})]


def test_a_runbook_is_to_be_reviewed_for_five_reasons() -> None:
    today = date(2026, 3, 10)
    assert why(BOOK, today) == []
    assert why(BOOK, today, known={"book": "older"}) == ["changed"]
    assert why(BOOK, today, known={"book": upkeep.fingerprint(BOOK)}) == []
    moved = replace(BOOK, next_review=date(2027, 1, 1))
    assert upkeep.fingerprint(moved) == upkeep.fingerprint(BOOK), "a review is no change of the page"
    assert why(BOOK, today, new_components=["orders topic refunds"]) == ["component"]
    critical, _ = told(7, [resolved(5)])
    assert why(BOOK, today, incidents=[critical]) == ["incident"]
    assert why(BOOK, today, incidents=[replace(critical, private=True)]) == []
    assert why(BOOK, date(2026, 5, 1)) == ["due"]
    assert why(BOOK, date(2026, 5, 2), reviewed={"book": "2026-05-01"}) == []
    assert why(replace(BOOK, next_review=None), date(2026, 7, 1)) == ["quarter"]
    assert why(replace(BOOK, next_review=None), date(2026, 7, 1), reviewed={"book": "2026-06-01"}) == []
