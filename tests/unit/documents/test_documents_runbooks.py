"""Runbooks are read as people write them, and every mistake names its line and a remedy."""

from datetime import date
from pathlib import Path

import pytest

from bot.core.runbook import Branch, Known, Runbook
from bot.documents import DocumentErrors, Mistake, Surroundings, load_runbooks
from bot.documents.runbook_file import slug

OPERATIONS = Surroundings(
    operations={
        name: Known(risk=risk)
        for name, risk in {
            "pipeline.health": "read",
            "pipeline.restart": "change",
            "dlq.stats": "read",
        }.items()
    }
)
FRONT = "---\nkind: health\n---\n"


def _load(folder: Path, text: str) -> Runbook:
    (folder / "book.md").write_text(text, encoding="utf-8")
    (runbook,) = load_runbooks(folder, OPERATIONS)
    return runbook


def _mistakes(folder: Path, text: str) -> list[Mistake]:
    with pytest.raises(DocumentErrors) as caught:
        _load(folder, text)
    return list(caught.value.mistakes)


WHOLE = """\
---
kind: health
triggers: [an alert, the watch]
owner: team@example.com
last_reviewed: 2026-01-31
next_review: 2026-04-30
---

# The *whole* thing

How it **works**.

## 1. Look at the `job`

Prose before.

```step
run: pipeline.health
with: {limit: 50, deep: true, name: "7"}
next: {stopped: restart, warning: Call a person, else: end}
```

Prose after.

## 2. Restart it

```step
run: pipeline.restart
```

## Call a person

By hand.
"""


def test_a_whole_runbook_becomes_data(tmp_path: Path) -> None:
    runbook = _load(tmp_path, WHOLE)
    assert (runbook.name, runbook.title, runbook.kind) == ("book", "The whole thing", "health")
    assert runbook.intro == "How it **works**."
    assert runbook.triggers == ("an alert", "the watch")
    assert (runbook.last_reviewed, runbook.next_review) == (date(2026, 1, 31), date(2026, 4, 30))
    look, restart, call = runbook.steps
    assert (look.id, look.title, look.line) == ("look-at-the-job", "1. Look at the job", 13)
    assert look.prose == "Prose before.\n\n\nProse after."
    assert (look.run, look.risk, look.params) == (
        "pipeline.health",
        "read",
        {"limit": 50, "deep": True, "name": "7"},
    )
    assert look.branches == (
        Branch("stopped", "restart-it"),
        Branch("warning", "call-a-person"),
        Branch("else", None),
    )
    assert (restart.risk, restart.following, restart.automatic) == ("change", "call-a-person", False)
    assert (call.run, call.branches, call.following) == (None, (), None)


@pytest.mark.parametrize("change", ["\ufeff", "\r\n"])
def test_byte_order_marks_and_windows_line_ends_change_nothing(tmp_path: Path, change: str) -> None:
    plain = _load(tmp_path, WHOLE)
    text = change + WHOLE if change == "\ufeff" else WHOLE.replace("\n", change)
    (tmp_path / "book.md").write_bytes(text.encode())
    assert load_runbooks(tmp_path, OPERATIONS) == (plain,)


def test_a_readme_in_the_folder_is_no_runbook(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# How to write a runbook\n")
    assert load_runbooks(tmp_path, OPERATIONS) == ()


def test_a_step_block_that_is_only_shown_or_commented_out_is_no_step(tmp_path: Path) -> None:
    text = (
        FRONT
        + "# T\n\n## A\n\n````\n```step\nrun: nothing.here\n```\n````\n\n<!--\n```step\nrun: x.y\n```\n-->\n"
    )
    assert [step.run for step in _load(tmp_path, text).steps] == [None]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Restart", "restart"),
        ("2. Restart the job!", "restart-the-job"),
        ("Step 3: Look  twice", "look-twice"),
        ("Check the pipeline's status", "check-the-pipelines-status"),
        ("Größe – prüfen", "größe-prüfen"),
        ("…", ""),
    ],
)
def test_headings_become_ids_as_on_code_hosts(title: str, expected: str) -> None:
    assert slug(title) == expected


STEP = FRONT + "# T\n\n## A\n\n"
MISTAKES = [
    pytest.param("# T\n\n## A\n", 1, "no front matter", "`kind: health`", id="no front matter"),
    pytest.param("---\nkind: health\n\n# T\n\n## A\n", 1, "front matter has no end", "---", id="front matter open"),
    pytest.param("---\n\n---\n## A\n", 1, "front matter is empty", "kind", id="front matter empty"),
    pytest.param("---\nowner: x\n---\n## A\n", 2, "has no kind", "health, quality", id="no kind"),
    pytest.param("---\nkind: healht\n---\n## A\n", 2, "“healht” is not possible", "“health”", id="unknown kind"),
    pytest.param("---\nkind: health\nownr: x\n---\n## A\n", 3, "unknown key “ownr”", "“owner”", id="unknown key"),
    pytest.param("---\nkind: health\nnext_review: soon\n---\n## A\n", 3, "not a date", "2026-01-31", id="bad date"),
    pytest.param(
        "---\nkind: cost\nlast_reviewed: 2026-02-01\nnext_review: 2026-01-01\n---\n## A\n",
        4, "not after the last", "later date", id="review in the past",
    ),
    pytest.param("---\nkind: [health\n---\n## A\n", 2, "not YAML", "brackets", id="open bracket"),
    pytest.param(FRONT + "# T\n\nJust prose.\n", 1, "no steps", "heading", id="no steps"),
    pytest.param(STEP + "```step\nrun: pipeline.helth\n```\n", 9, "no operation “pipeline.helth”",
                 "“pipeline.health”", id="unknown operation"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nnxt: x\n```\n", 10, "unknown key “nxt”", "“next”",
                 id="unknown key in a block"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nnext: {stopped: restrt, else: b}\n```\n## Restart\n## B\n",
                 10, "no step “restrt”", "“restart”", id="unknown goal"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nnext:\n  else: b\n```\n## Lost\n## B\n", 13,
                 "no way leads to the step “Lost”", "`lost`", id="unreachable"),
    pytest.param(FRONT + "# T\n\n## A\n\n## a!\n", 8, "there twice (first in line 6)", "name of its own",
                 id="heading twice"),
    pytest.param(FRONT + "# T\n\n## A\n\n## !!!\n", 8, "no words", "letters", id="heading without words"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nrun: dlq.stats\n```\n", 10, "there twice (first in line 9)",
                 "Keep one", id="key twice"),
    pytest.param(STEP + "```step\nrun: pipeline.health\n```\n\n```step\nrun: dlq.stats\n```\n", 12,
                 "second block", "heading of its own", id="two blocks"),
    pytest.param(STEP + "```step\n```\n", 8, "block is empty", "`run: OPERATION`", id="empty block"),
    pytest.param(STEP + "```step\nwith: {limit: 3}\n```\n", 9, "`with` needs an operation", "remove",
                 id="with without run"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nwith: 50\n```\n", 10, "with must be a mapping", "key: value",
                 id="with no mapping"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nnext: [a]\n```\n", 10, "next must be a mapping", "else",
                 id="next a list"),
    pytest.param(STEP + "```step\nrun: pipeline.health\nnext: {Not So: a}\n```\n", 10, "cannot be a finding",
                 "severity", id="bad finding"),
    pytest.param(STEP + "```step\nrun: 'pipeline.health\n```\n", 9, "not YAML", "quotes", id="open quote"),
    pytest.param(STEP + "```step\n\trun: pipeline.health\n```\n", 9, "not YAML", "spaces", id="tab"),
    pytest.param(STEP + "``step\nrun: pipeline.health\n```\n", 8, "would not be seen", "```step", id="two ticks"),
    pytest.param(STEP + "'''step\nrun: pipeline.health\n'''\n", 8, "would not be seen", "```step", id="quotes"),
    pytest.param(STEP + "```stpe\nrun: pipeline.health\n```\n", 8, "named “stpe”", "```step", id="misspelt fence"),
    pytest.param(STEP + "```\nrun: pipeline.health\n```\n", 8, "has no name", "```step", id="fence without a name"),
    pytest.param(STEP + "    ```step\n    run: pipeline.health\n    ```\n", 8, "would not be seen", "```step",
                 id="indented fence"),
    pytest.param(STEP + "run: pipeline.health\n", 8, "outside a step block", "```step", id="no fence at all"),
    pytest.param(STEP + "```step\nrun: pipeline.health\n", 8, "block has no end", "```", id="fence without end"),
    pytest.param(STEP + "```bash\nls\n\n```step\nrun: pipeline.health\n```\n", 11, "would not be seen", "```step",
                 id="swallowed by an open block"),
    pytest.param(FRONT + "\n```step\nrun: pipeline.health\n```\n\n# T\n## A\n", 5, "before any heading", "heading",
                 id="block before headings"),
    pytest.param(STEP + "```step\nrun: &x pipeline.health\nwith: {a: *x}\n```\n", 10, "aliases", "Write the value",
                 id="alias"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "says", "remedy"), MISTAKES)
def test_each_mistake_names_file_line_and_remedy(
    tmp_path: Path, text: str, line: int, says: str, remedy: str
) -> None:
    (mistake,) = _mistakes(tmp_path, text)
    assert mistake.file == str(tmp_path / "book.md")
    assert (mistake.line, says in mistake.text, remedy in mistake.remedy) == (line, True, True), str(mistake)


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("## A\n\n```step\nrun: nope\nnext: {else: nowhere}\n```\n")
    (tmp_path / "b.md").write_bytes(FRONT.encode() + b"## A\n\n\xff\n")
    with pytest.raises(DocumentErrors) as caught:
        load_runbooks(tmp_path, OPERATIONS)
    assert [(Path(mistake.file).name, mistake.line) for mistake in caught.value.mistakes] == [
        ("a.md", 1),
        ("a.md", 4),
        ("a.md", 5),
        ("b.md", 6),
    ]


def test_unicode_line_separators_do_not_shift_the_line(tmp_path: Path) -> None:
    text = FRONT + "# T\n\n## A \u2028 \x85 b\n\n```step\nwith: {a: 'x\u2028y\x85z'}\nrun: nope\n```\n"
    assert [mistake.line for mistake in _mistakes(tmp_path, text)] == [10]


def test_a_missing_folder_is_one_clear_mistake(tmp_path: Path) -> None:
    with pytest.raises(DocumentErrors, match="the folder is missing"):
        load_runbooks(tmp_path / "nowhere", OPERATIONS)
