"""The terminal as other people's scripts use it: JSON, exit codes, mistakes, the evidence."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bot.demo_world import Trouble
from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import ROOT, Stage

REPORT = {"operation", "pipeline", "verdict", "severity", "findings", "tables", "next", "as_of"}
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s", "HOST": "127.0.0.1"}
NOWHERE = {
    "GOOGLE_CLOUD_PROJECT": "demo-project",
    "GOOGLE_API_ENDPOINT": "127.0.0.1:1",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    "GOOGLE_REST_ENDPOINT": "http://127.0.0.1:1",
}


def _run(words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", *words.split()], cwd=ROOT, env={**clean, **env}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


def _report(words: str, code: int, stage: Stage) -> dict[str, Any]:
    """What an operation says on a terminal, once it ends so: what is not measured in time, as on a busy machine, is
    unknown, and whoever asked asks again."""
    done: list[subprocess.CompletedProcess[str]] = []

    def ended() -> bool:
        done.append(_run(f"pipeline {words} --json", stage.env))
        return done[-1].returncode == code

    try:
        stage.until(ended, 120, f"{words} did not end with {code}")
    except Trouble as trouble:
        raise Trouble(f"{trouble}\n{done[-1].stdout[-2000:]}\n{done[-1].stderr[-2000:]}") from trouble
    return dict(json.loads(done[-1].stdout))


def test_reports_are_json_alone_with_the_exit_code_of_what_was_found(staging: Staging) -> None:
    stage = staging()
    for words, code in (
        ("health", 0),
        ("jobs", 0),
        ("dlq stats", 0),
        ("cost report", 0),
        ("dlq nonsense", 2),
    ):
        report = _report(words, code, stage)
        assert set(report) >= REPORT
        assert report["severity"] in ("ok", "info") if code == 0 else report["severity"] == "unknown"
        for finding in report["findings"]:
            assert set(finding) == {"id", "severity", "text", "evidence"}
            assert all(set(e) == {"what", "value", "unit", "at"} for e in finding["evidence"])
    stage.sandbox.post("/sim/world", {"scenario": "job_failed"})

    assert _report("health", 1, stage)["severity"] == "critical"
    # The bot's own probe of a moment ago may be the last one, and began before the job failed.
    assert _report("status", 1, stage)["severity"] == "critical"


def test_a_cloud_that_does_not_answer_is_said_with_exit_2(tmp_path: Path) -> None:
    env = {**NOWHERE, "DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}"}
    words = ["pipeline health --json", "pipeline perf --json", "pipeline logs --json"]
    with ThreadPoolExecutor(len(words)) as pool:
        health, perf, logs = pool.map(lambda each: _run(each, env), words)
    for done in (health, perf, logs):
        assert done.returncode == 2, done.stderr
        assert json.loads(done.stdout)["severity"] == "unknown"
    assert "cannot be judged" in json.loads(health.stdout)["verdict"]
    assert "Cloud Logging is not reachable" in json.loads(logs.stdout)["verdict"]
    silent = [f["text"] for f in json.loads(perf.stdout)["findings"] if f["text"].startswith("Not measured")]
    assert len(silent) == len(set(silent)), "nobody is asked a second time"


def test_all_mistakes_of_settings_and_documents_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text("pipelines:\n  - {nme: a}\n", encoding="utf-8")
    (tmp_path / "escalation.yaml").write_text("ladder: {L2: 4}\n", encoding="utf-8")
    (tmp_path / "roster.yaml").write_text("people: {alice: {slak: U01}}\n", encoding="utf-8")
    env = {"PORT": "x", "SLACK_API_URL": "http://x/api", "HOOK_URL": "x", "RUNBOOKS_DIR": str(tmp_path)}
    done = _run("bot serve", env)
    assert done.returncode == 2
    for word in (
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        "PORT",
        "SLACK_API_URL",
        "HOOK_URL",
        "nme",
        "slak",
        "ladder",
    ):
        assert word in done.stderr, (word, done.stderr)
    checked = _run("bot check", env)
    assert checked.returncode == 1
    assert "slak" in checked.stderr
    assert "Traceback" not in done.stderr + checked.stderr


@pytest.mark.parametrize("place", ["GAE_ENV", "K_SERVICE"])
def test_a_sqlite_file_is_refused_where_the_disk_does_not_last(tmp_path: Path, place: str) -> None:
    env = {**SLACK, place: "standard", "DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}", "PORT": "0"}
    done = _run("bot serve", env)
    assert done.returncode == 2
    assert place in done.stderr
    assert not (tmp_path / "x.db").exists()


def test_the_shipped_documents_are_without_mistake() -> None:
    done = _run("bot check", {})
    assert done.returncode == 0, done.stderr
    assert "no mistake" in done.stdout


def test_a_rehearsal_pages_who_is_in_the_groups_that_its_file_names_and_says_of_which_it_names_none(
    tmp_path: Path,
) -> None:
    rehearsals = ROOT / "runbooks" / "rehearsals"
    shipped = f"bot rehearse {rehearsals / 'security.yaml'} --expect {rehearsals / 'security.expected.jsonl'}"
    assert _run(shipped, {}).returncode == 0

    for each in (ROOT / "runbooks").glob("*.[my]*"):
        text = each.read_text(encoding="utf-8").replace("L2: [carol] ", 'L2: ["@data-leads"] ')
        (tmp_path / each.name).write_text(text.replace("L3: [dave] ", 'L3: ["@heads"] '), encoding="utf-8")
    story = tmp_path / "story.yaml"
    events = (rehearsals / "security.yaml").read_text(encoding="utf-8")
    events = events.replace("events:", 'groups: {"@data-leads": [frank, carol]}\nevents:')
    story.write_text(events.replace("ack: carol", "ack: frank"), encoding="utf-8")
    done = _run(f"bot rehearse {story} --json", {"RUNBOOKS_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert ("page", "L2", "frank") in {(each["kind"], each["level"], each["person"]) for each in lines}
    assert done.stderr.startswith("Who is in @heads (L3) is not known")
    assert (
        "Who is in @heads (L3) is not known"
        in _run(f"bot rehearse {story}", {"RUNBOOKS_DIR": str(tmp_path)}).stdout
    )


def test_an_altered_timeline_is_found_and_the_first_broken_link_named(staging: Staging) -> None:
    stage = staging()
    stage.post(alert("evidence"))
    stage.until_told(1)
    assert _run("bot audit verify", stage.env).returncode == 0
    with sqlite3.connect(stage.folder / "streamwatch.db", timeout=10) as database:
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            database.execute("update events set actor = 'mallory' where incident = 1 and seq = 2")
        database.execute("drop trigger events_no_update")
        database.execute("update events set actor = 'mallory' where incident = 1 and seq = 2")
    broken = _run("bot audit verify", stage.env)
    assert broken.returncode == 1
    found = json.loads(broken.stdout)
    assert (found["incident"], found["seq"]) == (1, 2)
    drafted = _run("bot review INC-1", stage.env)
    assert drafted.returncode == 0
    assert "not stated" in drafted.stdout
