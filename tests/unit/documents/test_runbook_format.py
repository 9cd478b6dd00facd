"""The page that explains the format, and the schema: both true to what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bot.core.roster import CONTACTS
from bot.core.runbook import KINDS
from bot.documents import Surroundings, load_runbooks
from bot.documents.runbook_front import KEYS as FRONT_KEYS
from bot.documents.runbook_step import KEYS as STEP_KEYS
from bot.known import known_operations
from pipeline.operations import registry

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "runbooks" / "README.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs" / "runbook.schema.json").read_text(encoding="utf-8"))
BOOKS = sorted(path for path in (ROOT / "runbooks").glob("*.md") if path.name != "README.md")
FENCE = re.compile(r"^```step\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def judge(part: str, value: object) -> list[str]:
    """What the schema says against a value."""
    validator = jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{part}"})
    return [error.message for error in validator.iter_errors(value)]


def plain(text: str) -> Any:
    """YAML as editors take it: dates stay texts."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    dated = re.sub(r"^(\w+_reviewe?d?|next_review): (\S+)$", r"\1: '\2'", text, flags=re.MULTILINE)
    return yaml.load(dated)


def parts(text: str) -> tuple[Any, list[Any]]:
    """Front matter and step blocks of a runbook."""
    return plain(text.split("---\n")[1]), [plain(block) for block in FENCE.findall(text)]


def example() -> str:
    found = re.search(r"````markdown\n(.*?)````", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_of_the_page_has_no_mistake_and_no_doubt(tmp_path: Path) -> None:
    (tmp_path / "slow-baskets.md").write_text(example(), encoding="utf-8")
    warnings: list[Any] = []
    (book,) = load_runbooks(tmp_path, Surroundings(operations=known_operations(registry())), warnings)
    assert warnings == []
    assert [step.how for step in book.steps] == ["read", "change", "person", "person"]
    assert book.steps[2].answers == ("they_did", "they_did_not")


def test_the_page_is_in_the_folder_and_no_runbook() -> None:
    known = Surroundings(operations=known_operations(registry()))
    assert "README" not in {book.name for book in load_runbooks(ROOT / "runbooks", known)}


@pytest.mark.parametrize(("heading", "keys"), [("Front matter", FRONT_KEYS), ("The step block", STEP_KEYS)])
def test_the_page_explains_every_key(heading: str, keys: tuple[str, ...]) -> None:
    told = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = " ".join(re.findall(r"^\| (`.*?`) \|", told, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == set(keys)


def test_the_schema_knows_what_is_read() -> None:
    front, step = SCHEMA["$defs"]["front_matter"]["properties"], SCHEMA["$defs"]["step"]["properties"]
    assert (set(front), set(step)) == (set(FRONT_KEYS), set(STEP_KEYS))
    assert tuple(front["kind"]["enum"]) == KINDS
    assert tuple(SCHEMA["$defs"]["contact"]["enum"]) == CONTACTS


@pytest.mark.parametrize("text", [example(), *(path.read_text(encoding="utf-8") for path in BOOKS)])
def test_the_schema_takes_every_runbook_that_is_shipped(text: str) -> None:
    front, steps = parts(text)
    assert judge("front_matter", front) == []
    assert [judge("step", step) for step in steps] == [[] for _ in steps]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("front_matter", {"owner": "x"}),
        ("front_matter", {"kind": "healht"}),
        ("front_matter", {"kind": "health", "next_review": "soon"}),
        ("front_matter", {"kind": "health", "contacts": ["netwrok"]}),
        ("step", {}),
        ("step", {"with": {"limit": 3}}),
        ("step", {"run": "pipeline.health", "next": {"stopped": "a"}}),
        ("step", {"run": "pipeline.health", "nxt": "a"}),
        ("step", {"contact": "data", "remind": "5"}),
        ("step", {"draft": "to nobody"}),
    ],
)
def test_the_schema_refuses_what_has_another_shape(part: str, value: object) -> None:
    assert judge(part, value) != []
