"""The terminal as a user meets it: words, flags, exit codes, stdout and stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.history import History

from .conftest import Stand


def run(stand: Stand, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    now = stand.clock.now().timestamp()
    settings = {
        "PATH": os.environ["PATH"],
        "GOOGLE_API_ENDPOINT": stand.address,
        "RUNBOOKS_DIR": str(stand.catalogue_file.parent),
        "DATABASE_URL": f"sqlite:///{stand.catalogue_file.parent / 'history.db'}",
        # the hand-driven clock stands still at this moment
        "STREAMWATCH_CLOCK": f"{now},{now},0",
    }
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=settings | env, cwd=os.getcwd(), check=False
    )


def test_health_prints_the_report_and_its_exit_code(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    fine = run(stand, "health")
    assert fine.returncode == 0, fine.stderr
    assert fine.stdout.startswith("OK orders is running")
    assert "\x1b" not in fine.stdout
    stand.happen({"scenario": "job_failed"}, minutes=5)
    broken = run(stand, "health", "--json")
    assert broken.returncode == 1
    report = json.loads(broken.stdout)
    assert set(report) >= {
        "operation",
        "pipeline",
        "verdict",
        "severity",
        "findings",
        "tables",
        "next",
        "as_of",
    }
    assert report["severity"] == "critical"
    status = run(stand, "status", "--json")
    assert json.loads(status.stdout)["severity"] == "critical"
    assert status.returncode == 1


def test_production_wants_its_name_before_a_change(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=3)
    for words in (["restart"], ["restart", "--yes"], ["restart", "--confirm", "other"]):
        refused = run(stand, *words)
        assert refused.returncode == 2
        assert "othing was done" in refused.stderr
    dry = run(stand, "restart", "--dry-run", "--json")
    assert dry.returncode == 0
    assert json.loads(dry.stdout)["operation"] == "pipeline.restart"
    assert {job["state"] for job in stand.read("pipeline.jobs").data["jobs"]} == {"FAILED"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["helth"], "Did you mean health?"),
        (["dlq"], "`dlq` is followed by ack, export, peek, replay or stats."),
        (["cost"], "`cost` is followed by drivers, forecast, leaks or report."),
        (["run"], "`run` is followed by direct or flex."),
        (["health", "--pipelin", "orders"], "Did you mean --pipeline?"),
        (["health", "--pipeline", "order"], "Did you mean orders?"),
        (["dlq", "peek", "--limit", "many"], "whole number"),
        (["logs", "--since", "soon"], "30m"),
    ],
)
def test_wrong_use_gets_a_suggestion_on_stderr_and_exit_2(stand: Stand, words: list[str], said: str) -> None:
    answer = run(stand, *words)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert answer.stdout == ""


def test_an_unreachable_cloud_is_unknown_and_says_so(stand: Stand, tmp_path: Path) -> None:
    stand.happen({"errors": [{"method": "*", "code": "PERMISSION_DENIED", "count": 500}]})
    answer = run(stand, "health", "--json")
    assert answer.returncode == 2
    assert json.loads(answer.stdout)["severity"] == "unknown"
    jobs = run(stand, "jobs", "--json")
    assert jobs.returncode == 2
    assert "denies access" in jobs.stderr
    failure = json.loads(jobs.stdout)
    assert failure["severity"] == "unknown"
    assert "denies access" in failure["verdict"]


def test_every_mistake_of_pipelines_yaml_is_told_at_once(stand: Stand, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "pipelines.yaml").write_text(
        "pipelines:\n  - name: a\n    regin: x\n    topics: 3\n", encoding="utf-8"
    )
    answer = run(stand, "health", RUNBOOKS_DIR=str(folder))
    assert answer.returncode == 2
    for said in ("pipelines.yaml:3", "did you mean `region`", "pipelines.yaml:4", "`project` is needed"):
        assert said in answer.stderr


def test_cost_report_compares_with_the_budget_that_is_given(stand: Stand, tmp_path: Path) -> None:
    unknown = run(stand, "cost", "report", "--budget", "200.00", "--json")
    assert unknown.returncode == 2
    assert "not known" in json.loads(unknown.stdout)["verdict"]
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        for cost in (230.0, 250.0, 240.0):
            history.record_budget(
                budget="orders-monthly",
                period="2026-11-01T07:00:00Z",
                cost=cost,
                amount=1000.0,
                currency="USD",
                at=stand.clock.now(),
            )
    fine = run(stand, "cost", "report", "--json")
    assert fine.returncode == 0
    assert "250.00 USD of 1,000.00 USD" in json.loads(fine.stdout)["verdict"]
    over = run(stand, "cost", "report", "--budget", "200.00", "--json")
    assert over.returncode == 1
    report = json.loads(over.stdout)
    assert report["severity"] == "critical"
    assert "overrun" in report["verdict"]


def test_help_lists_what_there_is(stand: Stand) -> None:
    overview = run(stand, "--help")
    assert overview.returncode == 0
    assert "dlq replay" in overview.stdout
    one = run(stand, "dlq", "replay", "--help")
    assert one.returncode == 0
    assert "--rule" in one.stdout
    assert "--confirm" in one.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["validate"], 0),
        (["perf"], 0),
        (["cost", "leaks"], 0),
        (["cost", "forecast"], 2),
        (["cost", "drivers"], 2),
        (["scale", "--max", "8", "--dry-run"], 0),
        (["scale"], 0),
        (["workers"], 0),
        (["cancel", "--dry-run"], 0),
        (["dlq", "ack", "--dry-run"], 1),
        (["dlq", "export"], 0),
    ],
)
def test_every_operation_answers_in_words_and_in_json(stand: Stand, words: list[str], code: int) -> None:
    stand.happen({}, minutes=12)
    plain = run(stand, *words)
    assert plain.returncode == code, plain.stdout + plain.stderr
    assert "Traceback" not in plain.stderr
    assert plain.stdout.strip()
    exact = run(stand, *words, "--json")
    assert exact.returncode == code
    name = ".".join(word for word in words if word.isalpha())
    assert json.loads(exact.stdout)["operation"] in (
        name,
        f"pipeline.{name}",
        "pipeline.workers" if words == ["scale"] else name,
    )


def test_a_destructive_change_of_production_wants_its_name(stand: Stand) -> None:
    refused = run(stand, "cancel", "--yes")
    assert refused.returncode == 2
    assert "--confirm orders" in refused.stderr
    assert stand.read("pipeline.jobs").data["jobs"][0]["state"] == "RUNNING"
