"""A bot without a public address, whose only way to Slack's clicks is a socket: Slack being away keeps nothing else
from working, and what was asked just before the bot's orderly end is done."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator

import pytest

from bot.demo_world import Processes
from sandbox.slack import ids
from tests.e2e.alerts import alert
from tests.e2e.running import ROOT, Stage, until

OPEN = "apps.connections.open"


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A sandbox that refuses every socket, and no bot yet."""
    with Processes(ROOT, tmp_path_factory.mktemp("stage")) as processes:
        made = Stage(processes, env={"SLACK_APP_TOKEN": ids.APP_TOKEN})
        made.sandbox.post("/sim/faults", {"method": OPEN, "kind": "http_503", "count": 1_000_000})
        yield made
        if processes.code("bot") is None:
            processes.kill("bot")
        processes.kill("sandbox")


def test_the_way_in_stands_while_slack_gives_no_socket_and_the_last_request_is_done(stage: Stage) -> None:
    stage.start_bot()
    assert stage.post(alert("0.socket")).accepted
    stage.until_told(1)
    assert any(call["method"] == OPEN for call in stage.sandbox_json("/sim/calls?since=0")["items"])
    urllib.request.urlopen(urllib.request.Request(f"{stage.sandbox.url}/sim/faults", method="DELETE")).close()

    def by_socket() -> bool:
        stage.command("alice", "general", "/incident list")
        return _delivered(stage, "path", "socket")

    stage.until(by_socket, 40.0, "no socket was opened")
    (room,) = stage.channels()
    where = {"user": "alice", "channel": room["id"]}
    said = stage.sandbox.post("/sim/message", {**where, "text": "the template is gone"})
    stage.sandbox.post("/sim/faults", {"method": "conversations.history", "kind": "slow", "count": 1})
    stage.sandbox.post("/sim/react", {**where, "ts": said["ts"], "name": "pushpin"})
    stage.until(lambda: _delivered(stage, "name", "reaction_added"), 40.0, "the reaction was not delivered")
    os.kill(stage.processes.pid("bot"), signal.SIGTERM)
    until(lambda: stage.processes.code("bot") is not None, 40.0, "the bot did not end", lambda: None)
    assert stage.processes.code("bot") == 0
    assert stage.rows("SELECT COUNT(*) FROM events WHERE type = 'pinned'") == [(1,)]


def _delivered(stage: Stage, key: str, value: str) -> bool:
    return any(item[key] == value for item in stage.sandbox_json("/sim/deliveries?since=0")["items"])
