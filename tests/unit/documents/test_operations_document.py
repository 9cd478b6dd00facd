"""docs/operations-document.md: no line of the operations document is missing, and no row leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.__main__ import app
from bot.desk import words_incident, words_other
from bot.documents.runbook_file import slug
from pipeline.operations import get, parse, registry

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "docs" / "operations-document.md").read_text(encoding="utf-8")
DOCUMENT = ROOT.parent / "shared" / "runbook.md"
LABELS = {"Response Steps:", "Symptoms:", "Troubleshooting Steps:"}  # they only announce what follows
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#([^)]*))?\)(?:: `([^`]*)`)?")
SHOWN = re.compile(r"`([^`]+)`")
WORDS = {"/incident": words_incident.WORDS, **words_other.WORDS}


def plain(text: str) -> str:
    """A line without marks, links' targets and pictures."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"[*`]", "", text))
    return " ".join(re.sub(r"[^\x00-\x7f]+", "", text).split())


def lines_of(document: str) -> list[str]:
    """Every heading, sentence, bullet and command of the document, in its order; a script is its first line."""
    found: list[str] = []
    fenced = script = False
    for line in (raw.strip() for raw in document.splitlines()):
        if line.startswith("```"):
            fenced = not fenced
        elif script:
            script = line != '"'
        elif not line or (fenced and line.startswith("#")):
            continue
        elif fenced:
            script = line == 'python -c "'
            found.append(plain(line))
        else:
            found.append(plain(re.sub(r"^(#+|[-*]|\d+\.)\s+", "", re.sub(r"^#+\s+", "", line))))
    return [text for text in found if text not in LABELS]


def rows() -> list[tuple[str, str, str]]:
    """The rows of all tables: (in the document, here, shown by)."""
    cells = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in TABLE.splitlines()
        if line.startswith("| ")
    ]
    return [(plain(first), here, shown) for first, here, shown in cells if first != "In the document"]


def steps_of(path: Path) -> set[str]:
    return {slug(title) for title in re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)}


def test_no_line_of_the_document_is_missing() -> None:
    if not DOCUMENT.is_file():
        pytest.skip("needs ../shared")
    numbered = re.compile(r"^\d+\. ")
    wanted = [numbered.sub("", line) for line in lines_of(DOCUMENT.read_text(encoding="utf-8"))]
    assert [numbered.sub("", first) for first, _, _ in rows()] == wanted


@pytest.mark.parametrize(("first", "here", "shown"), rows())
def test_each_row_leads_to_a_place_and_to_what_shows_it(first: str, here: str, shown: str) -> None:
    places = LINK.findall(here)
    assert places, f"{first}: no place"
    for target, anchor, text in places:
        path = (ROOT / "docs" / target).resolve()
        assert path.is_file(), target
        assert not anchor or anchor in steps_of(path), f"{target} has no step {anchor}"
        assert text in path.read_text(encoding="utf-8"), f"{target} does not say {text}"
    assert SHOWN.findall(shown), f"{first}: nothing shows it"
    for one in SHOWN.findall(shown):
        _shows(one)


def _shows(one: str) -> None:
    """A command that is understood, or a test that exists."""
    words = one.split()
    if words[0].startswith("tests/"):
        path, _, name = one.partition("::")
        assert (ROOT / path).is_file(), one
        assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), one
    elif words[0] == "make":
        goals = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert all(word in goals for word in words[1:] if word != "--"), one
    elif words[:3] == ["python", "-m", "bot"]:
        from typer.main import get_command

        assert words[3] in get_command(app).commands, one  # type: ignore[attr-defined]
    elif words[:4] == ["python", "-m", "pipeline", "run"]:
        assert words[4] in ("flex", "direct"), one
    elif words[:3] == ["python", "-m", "pipeline"]:
        _operation(words[3:])
    elif words[0] in WORDS:
        assert len(words) == 1 or words[1] in WORDS[words[0]], one
    else:
        _operation([words[0].lstrip("/"), *words[1:]])


def _operation(words: list[str]) -> None:
    """The words of an operation with flags that it takes."""
    name = ".".join(words[:2])
    if name not in registry():
        name = f"pipeline.{words[0]}"
        words = ["pipeline", *words]
    parse(get(name), words[2:])
