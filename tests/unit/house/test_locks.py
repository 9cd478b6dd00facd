"""The lock files: whole, with hashes, without an address, and the bot's own is part of the whole one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.lock", "requirements-dev.lock")
NAME = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, set[str]]:
    """Package -> the versions that the lock may choose (by platform or Python)."""
    found: dict[str, set[str]] = {}
    for package, version in NAME.findall(read(name)):
        found.setdefault(package, set()).add(version)
    return found


def wanted(requirements: list[str]) -> set[str]:
    names = (re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0] for text in requirements)
    return {re.sub(r"[._-]+", "-", name).lower() for name in names}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    assert re.findall(r"https?:|file:|--index|--find-links|--extra-index|--trusted-host", read(name)) == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_its_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", read(name).strip())
    bare = [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert bare == []
    assert len(entries) > 50


def test_the_bots_lock_is_part_of_the_whole_one() -> None:
    whole = pins("requirements-dev.lock")
    differing = {name: found for name, found in pins("requirements.lock").items() if whole.get(name) != found}
    assert differing == {}


def test_what_the_project_file_asks_for_is_locked() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert wanted(project["dependencies"]) <= set(pins("requirements.lock"))
    assert wanted(project["optional-dependencies"]["dev"]) <= set(pins("requirements-dev.lock"))


def test_the_bot_is_installed_without_beam() -> None:
    assert "apache-beam" not in pins("requirements.lock")
    assert "apache-beam" in pins("requirements-dev.lock")


def test_platforms_install_the_bots_lock() -> None:
    assert read("requirements.txt").split() == ["-r", "requirements.lock"]
