"""One runbook for each kind of mistake: `python -m bot check` names file, line, mistake and remedy.

The operations are the real ones; what is written in each row is what a person would get wrong.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from bot.checks import check
from bot.documents import Surroundings, load_all
from bot.known import known_operations
from pipeline.operations import registry

SHIPPED = Path(__file__).parents[3] / "runbooks"
FRONT = "---\nkind: health\nowner: team@example.com\nnext_review: 2999-01-01\n---\n"
STEP = FRONT + "# T\n\n## A\n\n"  # the first heading is line 8, a block below it begins in line 10
MISTAKES = {
    "no front matter": ("# T\n\n## A\n", 1, "the runbook has no front matter", "Begin the file with `---`"),
    "front matter open": ("---\nkind: health\n\n# T\n\n## A\n", 1, "has no end", "Put a line `---`"),
    "unknown kind": ("---\nkind: healht\n---\n## A\n", 2, "“healht” is not possible", "Did you mean “health”?"),
    "unknown key": ("---\nkind: health\nownr: x\n---\n## A\n", 3, "unknown key “ownr”", "Did you mean “owner”?"),
    "no date": ("---\nkind: health\nnext_review: soon\n---\n## A\n", 3, "“soon” is not a date", "2026-01-31"),
    "dates turned round": (
        "---\nkind: cost\nlast_reviewed: 2026-02-01\nnext_review: 2026-01-01\n---\n## A\n",
        4, "the next review is not after the last", "Set a later date",
    ),
    "unknown threshold": (
        "---\nkind: health\nthresholds: {facts.error_rate.crtical: 50%}\n---\n## A\n",
        3, "unknown key “facts.error_rate.crtical”", "Did you mean “facts.error_rate.critical”?",
    ),
    "threshold without a unit": (
        "---\nkind: health\nthresholds: {ladder.L2: 2}\n---\n## A\n", 3, "is not a duration", "needs its unit",
    ),
    "unknown contact": (
        "---\nkind: health\ncontacts: [netwrok]\n---\n## A\n", 3, "no contact “netwrok”", "Did you mean “network”?",
    ),
    "not YAML": ("---\nkind: [health\n---\n## A\n", 2, "this is not YAML", "brackets"),
    "no steps": (FRONT + "# T\n\nJust prose.\n", 1, "the runbook has no steps", "Add at least one heading"),
    "heading twice": (FRONT + "# T\n\n## A\n\n## a!\n", 10, "there twice (first in line 8)", "a name of its own"),
    "heading without words": (FRONT + "# T\n\n## A\n\n## !!!\n", 10, "no words", "letters or digits"),
    "unknown operation": (
        STEP + "```step\nrun: pipeline.helth\n```\n",
        11, "there is no operation “pipeline.helth”", "Did you mean “pipeline.health”?",
    ),
    "unknown parameter": (
        STEP + "```step\nrun: pipeline.logs\nwith: {limt: 5}\n```\n",
        12, "pipeline.logs knows no parameter “limt”", "Did you mean “limit”?",
    ),
    "parameter of the caller": (
        STEP + "```step\nrun: pipeline.logs\nwith: {pipeline: orders}\n```\n",
        12, "knows no parameter “pipeline”", "Remove it: the step runs on the incident's pipeline",
    ),
    "parameter of another type": (
        STEP + "```step\nrun: pipeline.logs\nwith: {limit: many}\n```\n", 12, "“many” is not a number", "digits",
    ),
    "parameter out of range": (
        STEP + "```step\nrun: pipeline.logs\nwith: {limit: 0}\n```\n", 12, "“0” is out of range", "at least 1",
    ),
    "parameter without an operation": (
        STEP + "```step\nwith: {limit: 3}\n```\n", 11, "`with` needs an operation", "Add `run: OPERATION`",
    ),
    "branch to nowhere": (
        STEP + "```step\nrun: pipeline.health\nnext: {stopped: restrt, else: b}\n```\n## Restart\n## B\n",
        12, "there is no step “restrt”", "Did you mean “restart”?",
    ),
    "no else": (
        STEP + "```step\nrun: pipeline.health\nnext: {stopped: b}\n```\n## B\n",
        12, "these branches have no else", "Add `else: STEP`",
    ),
    "finding that is never found": (
        STEP + "```step\nrun: pipeline.health\nnext: {stoped: b, else: b}\n```\n## B\n",
        12, "pipeline.health never finds “stoped”", "Did you mean “stopped”?",
    ),
    "finding that cannot be one": (
        STEP + "```step\nrun: pipeline.health\nnext: {Not So: b}\n```\n## B\n", 12, "cannot be a finding", "severity",
    ),
    "unreachable step": (
        STEP + "```step\nrun: pipeline.health\nnext: b\n```\n## Lost\n## B\n",
        14, "no way leads to the step “Lost”", "Name it (`lost`) in the `next` of an earlier step",
    ),
    "circle of reading steps": (
        STEP + "```step\nrun: pipeline.health\n```\n## B\n\n```step\nrun: pipeline.logs\nnext: a\n```\n",
        8, "the bot would turn in a circle here: `a` -> `b` -> `a`", "Put a person's step between them",
    ),
    "no end": (
        STEP + "## B\n\n```step\nnext: a\n```\n", 8, "no way leads from “A” to an end", "lead to `end`",
    ),
    "gate skipped by a parameter": (
        STEP + "```step\nrun: pipeline.restart\nwith: {yes: true}\n```\n",
        12, "this step has no gate: “yes” would confirm for a person", "Remove `yes`",
    ),
    "gate forced": (
        STEP + "```step\nrun: dlq.replay\nwith: {force: true}\n```\n",
        12, "this step has no gate: “force” would go past what the plan refuses", "Remove `force`",
    ),
    "destroys before anybody looked": (
        STEP + "```step\nrun: pipeline.health\n```\n\n## B\n\n```step\nrun: dlq.ack\n```\n",
        14, "this step has no gate: dlq.ack destroys", "Put a heading without `run` before it",
    ),
    "a checklist changes something": (
        STEP.replace("health", "daily") + "```step\nrun: pipeline.scale\nwith: {max: 3}\n```\n",
        8, "nobody asked for this checklist", "Put a heading without `run` before it",
    ),
    "draft to nobody": (
        STEP + "```step\ndraft: Dear all\n```\n", 11, "this draft goes to nobody", "Add `contact:`",
    ),
    "reminder of what the bot does": (
        STEP + "```step\nrun: pipeline.health\nremind: 5m\n```\n", 12, "nobody can be reminded", "Remove `remind`",
    ),
    "reminder without a unit": (
        STEP + "```step\ncontact: data\nremind: 5\n```\n", 12, "“5” is not a duration", "needs its unit",
    ),
    "two blocks": (
        STEP + "```step\nrun: pipeline.health\n```\n\n```step\nrun: dlq.stats\n```\n",
        14, "this step has a second block", "a heading of its own",
    ),
    "block without an end": (
        STEP + "```step\nrun: pipeline.health\n", 10, "this block has no end", "Put a line ```",
    ),
    "misspelt fence": (
        STEP + "```stpe\nrun: pipeline.health\n```\n", 10, "named “stpe”, so its step would not be seen", "```step",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped folder, without its runbooks."""
    for name in ("pipelines.yaml", "escalation.yaml", "roster.yaml"):
        shutil.copy(SHIPPED / name, tmp_path / name)
    return tmp_path


def test_every_kind_of_mistake_is_told_with_file_line_and_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (text, *_) in MISTAKES.items():
        (folder / f"{name.replace(' ', '-')}.md").write_text(text, encoding="utf-8")
    assert check({"RUNBOOKS_DIR": str(folder), "GOOGLE_CLOUD_PROJECT": "demo-project", "REGION": "r"}) == 1
    told = capsys.readouterr().err.splitlines()
    for name, (_, line, mistake, remedy) in MISTAKES.items():
        place = f"{folder / name.replace(' ', '-')}.md:{line}: "
        mine = [said.removeprefix(place) for said in told if said.startswith(place)]
        assert any(mistake in said.split(". ")[0] + "." for said in mine), (name, mine or told)
        assert any(remedy in said for said in mine), (name, mine)
    files = {said.partition(".md:")[0] for said in told}
    assert len(files) == len(MISTAKES) == len(told), "one mistake in each file, and none elsewhere"


DOUBTS = {
    "overdue": ("next_review: 2026-01-31", 3, "the review was due on 2026-01-31"),
    "too rarely": ("last_reviewed: 2026-05-01\nnext_review: 2026-12-01", 4, "214 days after the last"),
    "never again": ("owner: me", 2, "no date is set for the next review"),
    "nobody's": ("next_review: 2026-09-01", 2, "nobody owns this runbook"),
    "another number": (
        "thresholds:\n  facts.error_rate.critical: 40%", 4, "is not “40%” in the policy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTS)
def test_what_only_needs_a_look_is_a_warning(folder: Path, name: str) -> None:
    front, line, says = DOUBTS[name]
    (folder / "book.md").write_text(f"---\nkind: other\n{front}\n---\n## A\n", encoding="utf-8")
    known = Surroundings(operations=known_operations(registry()), today=date(2026, 6, 1))
    warnings = load_all(folder, known).warnings
    assert [(Path(w.file).name, w.line) for w in warnings if says in w.text] == [("book.md", line)]
    assert all(w.remedy for w in warnings)


def test_a_contact_that_the_roster_lacks_is_a_warning(folder: Path) -> None:
    roster = (folder / "roster.yaml").read_text(encoding="utf-8")
    (folder / "roster.yaml").write_text(roster.split("# Each is a person")[0], encoding="utf-8")
    (folder / "book.md").write_text(
        "---\nkind: other\ncontacts: [data]\n---\n## A\n\n```step\ncontact: network\n```\n", encoding="utf-8"
    )
    warnings = load_all(folder, Surroundings(operations=known_operations(registry()))).warnings
    assert {(w.line, w.text) for w in warnings if "roster" in w.text} == {
        (3, "the roster names nobody for “data”"),
        (8, "the roster names nobody for “network”"),
    }


def test_a_person_s_step_makes_a_circle_a_way_to_look_again(folder: Path) -> None:
    text = (
        STEP
        + "```step\nrun: pipeline.health\nnext: {healthy: end, else: b}\n```\n## B\n\n```step\nnext: a\n```\n"
    )
    (folder / "book.md").write_text(text, encoding="utf-8")
    known = Surroundings(operations=known_operations(registry()))
    (book,) = load_all(folder, known).runbooks
    assert [step.id for step in book.steps] == ["a", "b"]
