"""Where a run of a runbook stands, folded from its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core import walk
from bot.core.runbook import Branch, Runbook, Step
from bot.core.walk import Walk

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

BOOK = Runbook(
    name="book",
    title="Book",
    kind="health",
    steps=(
        Step(
            id="look", title="Look", prose="", line=1, run="pipeline.health", risk="read", following="restart",
            branches=(Branch("stopped", "restart"), Branch("else", "ask")),
        ),
        Step(id="restart", title="Restart", prose="", line=2, run="pipeline.restart", risk="change", following="ask"),
        Step(
            id="ask", title="Ask", prose="", line=3, remind=30 * MINUTE,
            branches=(Branch("again", "look"), Branch("else", None)),
        ),
    ),
)  # fmt: skip


class Run:
    """One run, driven as the desk drives it."""

    def __init__(self) -> None:
        self.at = NIGHT
        self.walk: Walk | None = None
        self.told: list[str] = []
        self.tell(walk.STARTED, walk.started(BOOK, None))

    def tell(self, kind: str, data: dict[str, Any], actor: str = "streamwatch") -> None:
        """Fold an event and whatever must follow from it."""
        self.walk = walk.fold(self.walk, kind, self.at, actor, data)
        while self.walk is not None and (coming := walk.follow(self.walk, BOOK, "alice")) is not None:
            self.told.append(coming[0])
            self.walk = walk.fold(self.walk, coming[0], self.at, "streamwatch", coming[1])

    def end(self, *findings: str, severity: str = "unknown", actor: str = "streamwatch") -> None:
        """The current step ends with these findings, or this answer."""
        assert self.walk is not None
        visit = self.walk.current
        assert visit is not None
        data = walk.done(self.walk, visit, BOOK.step(visit.step), "done", findings, severity)
        self.tell(walk.STEP, data, actor)

    @property
    def ref(self) -> str:
        """The reference of the step whose turn it is."""
        assert self.walk is not None
        return self.walk.ref(self.walk.current) if self.walk.current is not None else ""


def test_findings_choose_the_way_and_each_visit_has_a_reference_of_its_own() -> None:
    run = Run()
    assert run.ref == "book/look#1.1"
    run.end("stopped", severity="critical")
    assert run.ref == "book/restart#1.1"
    run.end(severity="ok")
    assert run.ref == "book/ask#1.1"
    run.end("again", actor="alice")
    assert run.ref == "book/look#1.2", "a way that leads back is another visit"
    run.end("healthy", severity="ok")
    run.end(actor="alice")
    assert run.ref == ""
    assert run.walk is not None
    assert (run.walk.ended, [visit.step for visit in run.walk.visits]) == (
        "it is through",
        ["look", "restart", "ask", "look", "ask"],
    )


def test_progress_says_the_place_and_for_whom_it_waits_since_when() -> None:
    run = Run()
    assert walk.progress(run.walk, NIGHT) == "step 1 of 3, pipeline.health is being run: Look"
    run.end("stopped")
    later = NIGHT + 12 * MINUTE
    assert walk.progress(run.walk, later) == "step 2 of 3, waiting for alice since 12 min: Restart"
    assert walk.progress(run.walk, later, "bob") == "step 2 of 3, waiting for bob since 12 min: Restart"
    run.tell("operation_started", {"ref": run.ref})
    assert walk.progress(run.walk, later) == "step 2 of 3, pipeline.restart is being run: Restart"
    run.at = later
    run.tell("operation_unknown", {"ref": run.ref})
    assert walk.progress(run.walk, later + MINUTE) == (
        "step 2 of 3, outcome unknown since 1 min, waiting for alice: Restart"
    )


def test_an_operation_that_failed_leaves_its_step_open() -> None:
    run = Run()
    run.end("stopped")
    run.tell("operation_started", {"ref": run.ref})
    run.tell("operation_finished", {"ref": run.ref, "failed": "no quota"})
    assert run.ref == "book/restart#1.1"
    assert run.walk is not None
    assert run.walk.current is not None
    assert run.walk.current.state == walk.OPEN


def test_what_is_about_another_visit_changes_nothing() -> None:
    run = Run()
    run.end("stopped")
    before = run.walk
    for kind in (walk.STEP, "operation_started", "operation_unknown", "step_reminded"):
        run.tell(kind, {"ref": "book/look#1.1", "goto": None})
        run.tell(kind, {})
    assert run.walk == before


def test_a_reminder_is_due_after_its_time_and_again_after_the_next() -> None:
    run = Run()
    run.end("healthy")
    assert walk.next_reminder(run.walk) == NIGHT + 30 * MINUTE
    assert walk.reminder(run.walk, NIGHT + 29 * MINUTE) is None
    run.at = NIGHT + 30 * MINUTE
    data = walk.reminder(run.walk, run.at)
    assert data is not None
    assert (data["waits_for"], data["since_s"]) == ("alice", 1800.0)
    run.tell(walk.REMINDED, data)
    assert walk.reminder(run.walk, run.at) is None
    assert walk.next_reminder(run.walk) == NIGHT + 60 * MINUTE
    run.end(actor="alice")
    assert walk.next_reminder(run.walk) is None


def test_a_document_that_lost_the_next_step_ends_the_run_and_says_so() -> None:
    run = Run()
    assert run.walk is not None
    visit = run.walk.current
    assert visit is not None
    data = {**walk.done(run.walk, visit, BOOK.step("look"), "done", [], "ok"), "goto": "gone"}
    state = walk.fold(run.walk, walk.STEP, NIGHT, "streamwatch", data)
    assert state is not None
    assert walk.follow(state, BOOK, "alice") == (
        walk.ENDED,
        {"runbook": "book", "reason": "the document has no step gone any more"},
    )
    assert walk.follow(state, None, "alice") == (
        walk.ENDED,
        {"runbook": "book", "reason": "the document is not there any more"},
    )


def test_a_second_run_in_the_same_place_has_another_number() -> None:
    first = Run()
    assert first.walk is not None
    first.tell(walk.STARTED, walk.started(BOOK, first.walk))
    assert first.ref == "book/look#2.1"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["stopped", "again", "else"]), max_size=25))
def test_no_visit_is_taken_twice_whatever_is_found(found: list[str]) -> None:
    run = Run()
    refs = [run.ref]
    for what in found:
        if run.ref:
            run.end(what)
            refs.append(run.ref)
    assert run.walk is not None
    taken = [run.walk.ref(visit) for visit in run.walk.visits]
    assert len(taken) == len(set(taken))
    assert [ref for ref in refs if ref] == taken
