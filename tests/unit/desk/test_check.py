"""`python -m bot check` on a folder of documents: exit code, words and JSON."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from bot.checks import check
from bot.clock import Clock
from bot.core.overrides import Override
from bot.core.policy import Level
from bot.store.database import Database

ROOT = Path(__file__).resolve().parents[3]
FAULTY = """
people:
  alice: {slack: U01ALICE, tz: Europe/Berlin, phone: "+1-555-0101"}
  bob: {phone: "+1-555-0102"}
levels:
  L1: {primary: {rotation: weekly, people: [alice, bob], start: 2026-01-05}, backup: alice}
  L2: [alice]
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    shutil.copytree(ROOT / "runbooks", tmp_path / "runbooks")
    return {"RUNBOOKS_DIR": str(tmp_path / "runbooks")}


def test_the_shipped_roster_is_proved_and_only_slack_is_named(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(env) == 0
    said = capsys.readouterr()
    assert "Every page of the policy reaches somebody, at every instant of the next 365 days" in said.out
    assert "Only Slack reaches alice (L1)" in said.out
    assert said.err == ""
    assert check({**env, "SMTP_HOST": "mail.example.com"}) == 0
    assert "Only Slack" not in capsys.readouterr().out


def test_a_faulty_roster_fails_with_the_dates_of_its_gaps(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(env["RUNBOOKS_DIR"]) / "roster.yaml").write_text(FAULTY, encoding="utf-8")
    assert check(env) == 1
    said = capsys.readouterr()
    assert "No message reaches bob, who is the primary of L1" in said.err
    assert "09:00 UTC to " in said.err
    assert "Nobody holds L3 or a level above" in said.err
    assert "bob (L1) have no tz" in said.out
    assert "reaches somebody, at every instant" not in said.out
    assert check(env, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    codes = {finding["code"] for finding in told["on_call"]["findings"]}
    assert {"unreachable", "nobody", "same_person", "no_zone", "no_contact", "slack_only"} <= codes
    assert any(line.startswith("No message reaches bob") for line in told["mistakes"])
    spans = [f["spans"] for f in told["on_call"]["findings"] if f["code"] == "unreachable"]
    assert all(len(each) > 20 for each in spans)


def test_overrides_of_the_database_are_walked_too(
    env: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What somebody took over in Slack; whoever is not told of it here would find out by a page."""
    roster = Path(env["RUNBOOKS_DIR"]) / "roster.yaml"
    known = roster.read_text(encoding="utf-8").replace(
        "people:\n", "people:\n  mute: {phone: '+1-555-0199'}\n", 1
    )
    roster.write_text(known, encoding="utf-8")
    env = {**env, "DATABASE_URL": f"sqlite:///{tmp_path / 'streamwatch.db'}"}
    assert check(env) == 0
    assert "Overrides and swaps are left out: there is no database here" in capsys.readouterr().out
    now = Clock().now()
    with Database(env["DATABASE_URL"], Clock(), create=True) as database:
        made = Override(
            kind="override", person="mute", level=Level.L1, place="primary", made_by="alice", made_at=now,
            begin=now + timedelta(days=2), end=now + timedelta(days=3),
        )  # fmt: skip
        database.write(lambda tx: tx.put_override(made))
    assert check(env, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["on_call"]["overrides"] == 1
    assert ["No message reaches mute" in line and "by alice" in line for line in told["mistakes"]] == [True]
    assert check({**env, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}) == 0
    assert "Overrides and swaps are left out: the database cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("owner", "fails", "says"),
    [
        ("alcie", True, "the roster knows no owner “alcie”. Did you mean “alice”?"),
        ("lead@example.com", False, "the roster knows no owner “lead@example.com”."),
        ("Alice", False, ""),
        ("l3", False, ""),
        ("sre-team@yourcompany.com", False, ""),
        ("security@yourcompany.com", False, ""),
    ],
)
def test_an_owner_who_is_nobody_is_named_with_its_line(
    env: dict[str, str], capsys: pytest.CaptureFixture[str], owner: str, fails: bool, says: str
) -> None:
    page = f"---\nkind: guide\nowner: {owner}\nlast_reviewed: 2026-11-01\nnext_review: 2027-02-01\n---\n# A\n\n## B\n"
    file = Path(env["RUNBOOKS_DIR"]) / "book.md"
    file.write_text(page, encoding="utf-8")
    assert check(env) == (1 if fails else 0)
    said = capsys.readouterr()
    told = said.err if fails else said.out
    assert (f"{file}:3: {says}" in told) if says else ("knows no owner" not in told)
    assert not says or "Write a name of `people`, a level such as L2" in told


def test_what_cannot_be_read_is_not_walked(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    (Path(env["RUNBOOKS_DIR"]) / "roster.yaml").write_text("people: []\n", encoding="utf-8")
    assert check(env, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["mistakes"]
    assert "on_call" not in told
