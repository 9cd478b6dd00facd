"""`python -m bot check` on a folder of documents: exit code, words and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bot.checks import check

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


def test_what_cannot_be_read_is_not_walked(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    (Path(env["RUNBOOKS_DIR"]) / "roster.yaml").write_text("people: []\n", encoding="utf-8")
    assert check(env, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["mistakes"]
    assert "on_call" not in told
