"""What import-linter cannot say: the core needs the standard library alone, and nobody loads Beam by accident."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORE = sorted((ROOT / "bot" / "core").glob("**/*.py"))
# `datetime` is a type of the core; asking it for the present is not.
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}


def imported(path: Path) -> Iterator[str]:
    """The modules that a file names in its imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "bot.core" if node.level else str(node.module)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_imports_the_standard_library_and_itself(path: Path) -> None:
    strangers = {
        name
        for name in imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not f"{name}.".startswith("bot.core.")
    }
    assert strangers == set()


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_asks_no_clock_and_rolls_no_dice(path: Path) -> None:
    assert {"random", "secrets", "socket", "subprocess", "threading", "asyncio", "time"}.isdisjoint(
        imported(path)
    )
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asked = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCKS
        and ast.unparse(node.value) in ("datetime", "date", "datetime.datetime", "time")
    ]
    assert asked == []


@pytest.mark.parametrize("module", ["bot.app", "pipeline.operations", "pipeline.__main__", "sandbox.app"])
def test_no_process_loads_beam(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'apache_beam', 'slack_bolt', 'bot'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = ["bot", "slack_bolt"] if module == "bot.app" else []
    assert done.stdout.strip() == str(expected)


def test_every_library_of_the_bot_has_a_wall() -> None:
    walls = configparser.ConfigParser()
    walls.read(ROOT / ".importlinter", encoding="utf-8")
    forbidden = {
        name
        for section in walls.sections()
        for name in walls.get(section, "forbidden_modules", fallback="").split()
    }
    guarded = {
        "apache_beam",
        "google",
        "markdown_it",
        "ruamel",
        "slack_bolt",
        "slack_sdk",
        "sqlalchemy",
        "starlette",
    }
    assert guarded <= forbidden
