"""Maintenance as people use it: set in Slack, alerts held over a kill -9, ended in the terminal, told to all."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.people import People
from tests.e2e.running import ROOT, Stage


def in_terminal(stage: Stage, words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *words.split()], cwd=ROOT, env={**clean, **stage.env},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_alerts_of_a_maintenance_page_nobody_until_it_ends_and_then_those_that_are_open(
    staging: Staging,
) -> None:
    stage = staging()
    people = People(stage)
    stage.command("alice", "general", "/pipeline maintenance orders 2h new schema")
    plan = people.plan("pipeline.maintenance", "Maintenance of orders for 2 h")
    people.click("alice", plan, "plan_confirm")
    people.saw("orders is in maintenance until", channel="incidents")
    people.refused("bob", "general", "/pipeline maintenance orders 20x why", "is no duration such as")

    sent = [alert("0.stays"), alert("0.goes"), alert("0.goes", state="closed")]
    assert [answer.status for answer in stage.post_many(sent, at_once=1)] == [200] * 3
    stage.kill_bot()
    stage.start_bot()
    stage.until(lambda: not stage.health()["inbox_waiting"], 40, "the inbox did not become empty")
    assert stage.incidents() == []
    people.ask("alice", "general", "/pipeline maintenance", "1 pipeline in maintenance: orders")

    assert in_terminal(stage, "maintenance end orders").returncode == 2
    ended = in_terminal(stage, "maintenance end orders --confirm orders")
    assert ended.returncode == 0, ended.stderr
    told = people.saw("The maintenance of orders (alice: new schema) is over", channel="incidents")["text"]
    assert "2 alerts came in 3 notifications: 1 closed again, 1 still open (INC-1)." in told
    people.page("alice", "L1")
    assert [e["data"]["key"] for e in people.events("INC-1", "alert_opened")] == ["0.stays"]
    assert "Counted from" in people.events("INC-1", "noted")[0]["data"]["text"]
    stage.post(alert("0.stays", state="closed"))
    people.becomes("INC-1", "recovering")
    assert len(stage.incidents()) == 1
