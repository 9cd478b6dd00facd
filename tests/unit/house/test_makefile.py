"""The Makefile: what each goal would run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def make(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """GNU make, only saying what it would do; free of what an outer make has set."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", "--no-print-directory", "-f", str(ROOT / "Makefile"), *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout on which nothing was installed."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / name).write_text("", encoding="utf-8")
    return tmp_path


@pytest.fixture
def ready(bare: Path) -> Path:
    """A checkout on which everything was installed after the locks were written."""
    (bare / ".venv").mkdir()
    for name in (".stamp-base", ".stamp-all"):
        (bare / ".venv" / name).touch()
    return bare


def test_the_demo_needs_the_bots_lock_alone(bare: Path) -> None:
    said = make("demo", "ARGS=--exit", folder=bare).stdout
    assert "requirements.lock" in said
    assert "requirements-dev.lock" not in said
    assert said.rstrip().endswith("-m bot demo --exit")


@pytest.mark.parametrize("goal", ["test", "lint", "bench", "chaos", ".venv"])
def test_the_rest_installs_the_bots_lock_first_then_everything(goal: str, bare: Path) -> None:
    said = make(goal, folder=bare).stdout
    assert -1 < said.find("-r requirements.lock") < said.find("-r requirements-dev.lock")


def test_packages_are_taken_by_their_hashes(bare: Path) -> None:
    said = make(".venv", folder=bare).stdout
    # Both locks, by uv and by pip.
    assert len(re.findall(r"pip install [^;]*--require-hashes", said)) == said.count("pip install ") == 4


def test_a_second_install_does_nothing(ready: Path) -> None:
    assert "install" not in make(".venv", folder=ready).stdout


def test_a_newer_lock_is_installed_again(ready: Path) -> None:
    os.utime(ready / "requirements-dev.lock", (4_000_000_000, 4_000_000_000))
    said = make(".venv", folder=ready).stdout
    assert "-r requirements-dev.lock" in said
    assert "-r requirements.lock" not in said


@pytest.mark.parametrize(
    ("words", "operation"), [(["dlq-consumer"], "peek"), (["dlq-consumer", "--", "--ack"], "ack")]
)
def test_the_dead_letter_goal_of_the_operations_document(
    words: list[str], operation: str, ready: Path
) -> None:
    said = make(*words, folder=ready)
    assert said.returncode == 0
    assert f"-m pipeline dlq {operation}" in said.stdout


@pytest.mark.parametrize(
    "goal", ["test", "demo", "lint", "bench", "chaos", "dlq-consumer", ".venv", "lock", "help"]
)
def test_every_goal_is_there(goal: str, ready: Path) -> None:
    said = make(goal, folder=ready)
    assert said.returncode == 0, said.stderr
