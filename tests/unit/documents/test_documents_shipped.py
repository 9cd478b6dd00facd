"""The documents that are shipped: without mistakes, and true to the operations document."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core import walk
from bot.core.policy import Policy
from bot.core.rehearsal import Outage, PersonActs
from bot.core.roster import CONTACTS, Always, PhoneNumber, owners
from bot.core.runbook import END, Runbook, Step, choose_next, for_kind, targets
from bot.documents import Documents, Surroundings, load_all, load_rehearsal
from bot.known import known_operations
from pipeline.operations import registry

FOLDER = Path(__file__).parents[3] / "runbooks"
OPERATIONS = Surroundings(operations=known_operations(registry()))


@pytest.fixture(scope="module")
def documents() -> Documents:
    return load_all(FOLDER, OPERATIONS)


def test_the_shipped_policy_file_says_every_default_in_so_many_words(documents: Documents) -> None:
    assert documents.policy == Policy()


def test_the_shipped_roster_fills_every_level_and_every_contact(documents: Documents) -> None:
    roster = documents.roster
    assert roster.first.primary == Always("alice")
    assert roster.first.backup == Always("bob")
    assert roster.first.emergency == PhoneNumber("+1-555-DATA-ENG")
    assert {str(level): [holder.person for holder in held] for level, held in roster.upper.items()} == {
        "L2": ["carol"],
        "L3": ["dave"],
        "L4": ["erin"],
    }
    assert {subject: contact.kind for subject, contact in roster.contacts.items()} == {
        "infrastructure": "link",
        "network": "mailbox",
        "data": "mailbox",
        "business": "mailbox",
        "security": "mailbox",
        "compliance": "mailbox",
    }
    assert roster.people["alice"].phone == "+1-555-0101"


def reading(runbook: Runbook) -> list[Step]:
    """What the bot does by itself when nothing in particular is found, up to the first step of a person."""
    found: list[Step] = []
    step: Step | None = runbook.steps[0]
    while step is not None and step.automatic:
        found.append(step)
        step = runbook.step(choose_next(step, set(), "unknown") or END)
    return found


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("health", ["pipeline.health", "pipeline.logs", "pipeline.health"]),
        ("quality", ["pipeline.quality", "dlq.stats", "dlq.peek", "pipeline.health"]),
        ("cost", ["cost.report", "cost.leaks", "pipeline.health", "cost.forecast", "cost.drivers"]),
        ("performance", ["pipeline.health", "pipeline.jobs", "pipeline.perf", "pipeline.logs"]),
    ],
)
def test_each_procedure_begins_with_what_only_reads(
    documents: Documents, kind: str, first: list[str]
) -> None:
    runbook = for_kind(documents.runbooks, kind)
    assert runbook is not None
    assert [step.run for step in reading(runbook)] == first


@pytest.mark.parametrize(
    ("finding", "operations"),
    [
        ("stopped", ["pipeline.restart"]),
        ("error_rate_critical", ["dlq.stats", "dlq.peek"]),
        ("dead_letters", ["dlq.stats", "dlq.peek"]),
    ],
)
def test_the_finding_leads_to_the_immediate_action(
    documents: Documents, finding: str, operations: list[str]
) -> None:
    runbook = for_kind(documents.runbooks, "health")
    assert runbook is not None
    step = runbook.step(choose_next(reading(runbook)[-1], {finding}, "critical") or END)
    found: list[str] = []
    while step is not None and step.run is not None and len(found) < len(operations):
        found.append(step.run)
        step = runbook.step(choose_next(step, set(), "unknown") or END)
    assert found == operations


@pytest.mark.parametrize(
    "finding", ["schema_change", "new_required_field", "invalid_format", "rule_violation"]
)
def test_each_root_cause_leads_to_a_person_then_to_containment(documents: Documents, finding: str) -> None:
    runbook = for_kind(documents.runbooks, "quality")
    assert runbook is not None
    found = runbook.step("identify-the-root-cause")
    assert found is not None
    cause = runbook.step(choose_next(found, {finding}, "warning") or END)
    assert cause is not None
    assert cause.run is None
    assert choose_next(cause, set(), "unknown") == "contain-the-damage"


@pytest.mark.parametrize("name", ["pipeline-down", "data-quality"])
def test_the_shipped_rehearsals_load_in_time_order(documents: Documents, name: str) -> None:
    rehearsal = load_rehearsal(FOLDER / "rehearsals" / f"{name}.yaml", documents.roster)
    times = [happening.at for happening in rehearsal.happenings]
    assert times == sorted(times)
    assert rehearsal.start == times[0]
    assert any(isinstance(happening, PersonActs) for happening in rehearsal.happenings)


def test_a_slack_outage_of_a_rehearsal_has_its_length(documents: Documents) -> None:
    rehearsal = load_rehearsal(FOLDER / "rehearsals" / "data-quality.yaml", documents.roster)
    outages = [happening for happening in rehearsal.happenings if isinstance(happening, Outage)]
    assert [(outage.what, outage.length) for outage in outages] == [("slack", timedelta(minutes=10))]


def test_shipped_documents_give_no_cause_for_doubt(documents: Documents) -> None:
    """Branches ask for what can be found, thresholds are the policy's, reviews are a quarter apart at most."""
    assert documents.warnings == ()


@pytest.mark.parametrize("subject", CONTACTS)
def test_every_contact_is_written_to_somewhere_with_a_draft_and_a_reminder(
    documents: Documents, subject: str
) -> None:
    steps = [step for book in documents.runbooks for step in book.steps if step.contact == subject]
    assert any(step.draft and step.remind for step in steps)
    assert any(subject in book.contacts for book in documents.runbooks)


@pytest.mark.parametrize("kind", ["daily", "weekly", "monthly"])
def test_each_calendar_has_one_checklist_that_reads_and_asks_for_a_signature(
    documents: Documents, kind: str
) -> None:
    (book,) = [book for book in documents.runbooks if book.kind == kind]
    assert any(step.automatic for step in book.steps)
    assert any(step.how == "person" and step.remind for step in book.steps)
    assert all(step.how in ("read", "person") for step in book.steps)


def test_only_a_person_leads_back_in_a_shipped_runbook(documents: Documents) -> None:
    for runbook in documents.runbooks:
        places = {step.id: place for place, step in enumerate(runbook.steps)}
        for step in runbook.steps:
            forward = all(places[goal] > places[step.id] for goal in targets(step))
            assert forward or step.run is None, (runbook.name, step.id)


@pytest.mark.parametrize(
    ("found", "goes"),
    [
        ({"stopped"}, "restart-the-pipeline"),
        ({"stopped", "resource_issue"}, "check-quotas-and-permissions"),
        ({"stuck", "infrastructure_issue", "backlog"}, "check-network-and-google-cloud"),
        ({"stopped", "data_issue", "dead_letters"}, "restart-the-pipeline"),
        ({"resource_issue", "degraded"}, "check-quotas-and-permissions"),
    ],
)
def test_a_known_cause_comes_before_what_it_did(documents: Documents, found: set[str], goes: str) -> None:
    """What stopped for want of a quota would stop again; each such way leads to a restart once it is mended."""
    health = next(book for book in documents.runbooks if book.name == "pipeline-health")
    step = health.step("identify-the-issue-type")
    assert step is not None
    assert choose_next(step, found, "critical") == goes
    seen, waiting = set[str](), [goes]
    while waiting:
        at = health.step(waiting.pop())
        if at is not None and at.id not in seen:
            seen.add(at.id)
            waiting += targets(at)
    assert any((one := health.step(name)) is not None and one.run == "pipeline.restart" for name in seen)


def test_every_owner_is_known_to_the_roster(documents: Documents) -> None:
    known = owners(documents.roster)
    assert {book.owner for book in documents.runbooks if (book.owner or "").casefold() not in known} == set()
    assert documents.faults == ()


def test_every_shipped_draft_is_reminded_of_while_nobody_ticks_its_step_off(documents: Documents) -> None:
    """In its own time, and by whoever has it; a checklist of the calendar reminds in its own way."""
    at = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
    drafts = [(book, step) for book in documents.runbooks for step in book.steps if step.draft]
    assert {step.contact for _, step in drafts} == set(CONTACTS)
    for book, step in drafts:
        assert step.remind is not None, f"{book.name}: {step.title}"
        run = walk.fold(None, walk.STARTED, at, "alice", walk.started(book, None))
        assert run is not None
        run = walk.fold(run, walk.TAKEN, at, "streamwatch", walk.taken(run, book, step, "alice"))
        assert walk.reminder(run, at + step.remind - timedelta(seconds=1)) is None
        told = walk.reminder(run, at + step.remind)
        assert told is not None
        assert (told["title"], told["waits_for"]) == (step.title, "alice")
