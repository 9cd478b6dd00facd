"""README.md says what is there: settings, commands, goals, files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from bot.__main__ import app
from bot.desk import words_incident, words_other
from pipeline.operations import registry

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What a platform or a shell sets, and nobody sets for Streamwatch.
PLATFORMS = {"GAE_ENV", "GAE_APPLICATION", "GAE_INSTANCE", "K_SERVICE", "USER"}
ENVIRONMENTS = re.compile(r"(^|\.)(env|environ)$|^\(os\.environ if ")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table_settings() -> set[str]:
    return set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", section("Settings"), re.MULTILINE))


def read_in(path: Path) -> Iterator[str]:
    """Names of environment variables that a module reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            owner, _, method = called.rpartition(".")
            first = node.args[0]
            from_env = method in ("get", "pop") and ENVIRONMENTS.search(owner.strip())
            if from_env or (path.name == "settings.py" and called == "text") or called == "os.getenv":
                if isinstance(first, ast.Constant):
                    yield str(first.value)
                elif isinstance(first, ast.Name) and first.id in constants:
                    yield str(constants[first.id])
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield ast.unparse(node.slice).strip("'")


def code_settings() -> set[str]:
    modules = [path for room in ("bot", "pipeline", "sandbox") for path in (ROOT / room).glob("**/*.py")]
    return {name for path in modules for name in read_in(path)} - PLATFORMS


def test_the_reader_of_the_code_finds_settings() -> None:
    found = code_settings()
    assert {"SLACK_BOT_TOKEN", "RUNBOOKS_DIR", "STREAMWATCH_CLOCK", "GOOGLE_API_ENDPOINT", "REGION"} <= found


def test_every_setting_that_the_code_reads_is_explained() -> None:
    assert code_settings() - table_settings() == set()


def test_every_setting_that_is_explained_is_read() -> None:
    assert table_settings() - code_settings() == set()


def test_every_operation_is_in_the_table_of_commands() -> None:
    said = section("Commands")
    for name in registry():
        family, _, word = name.partition(".")
        assert f"| `/{family} {word}` |" in said
        terminal = word if family == "pipeline" else f"{family} {word}"
        assert f"`python -m pipeline {terminal}`" in said


def test_every_operation_in_the_table_exists() -> None:
    said = re.findall(r"^\| `/(pipeline|dlq|cost) (\w+)` \|", section("Commands"), re.MULTILINE)
    assert {f"{family}.{word}" for family, word in said} == set(registry())


def test_every_word_of_the_other_commands_is_there() -> None:
    rows = [line for line in section("Commands").splitlines() if line.startswith("| `/")]
    words = {"/incident": set(words_incident.WORDS)}
    words |= {command: set(known) for command, known in words_other.WORDS.items() if command != "/oncall"}
    for command, known in words.items():
        said = " ".join(row.split(" | ")[0] for row in rows if row.startswith(f"| `{command}"))
        assert {word for word in known if not re.search(rf"\b{word}\b", said)} == set()


def test_the_bots_own_commands_are_there() -> None:
    said = set(re.findall(r"^\| `python -m bot (\w+)", section("Commands"), re.MULTILINE))
    assert said == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_every_goal_that_is_named_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    goals = set(re.findall(r"^([.\w-]+):(?!=)", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake (\.?[a-z][\w-]*)", README)) - {"which"}
    assert named <= goals | {".venv"}, named - goals


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_module_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:bot|pipeline|sandbox|runbooks|tests)/[\w./-]*\w)`", README))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
