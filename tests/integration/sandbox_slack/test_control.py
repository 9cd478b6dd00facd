"""The control interface: looking, waiting, arranging; refusals have a reason and change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from slack_sdk import WebClient

from sandbox.listening import listen
from sandbox.slack import scopes

from .conftest import Sim


def test_state_has_the_seed(sim: Sim) -> None:
    state = sim.get("state")
    assert [user["name"] for user in state["users"]] == [
        "alice",
        "bob",
        "carol",
        "dave",
        "erin",
        "streamwatch",
    ]
    assert [(c["id"], c["name"]) for c in state["channels"]] == [
        ("C01GENERAL", "general"),
        ("C02INCIDENTS", "incidents"),
    ]
    keys = {
        "topic",
        "members",
        "pins",
        "bookmarks",
        "files",
        "messages",
        "ephemerals",
        "is_archived",
        "is_private",
    }
    assert keys <= set(state["channels"][0])


def test_wait_finds_texts_inside_blocks_of_a_channel_that_did_not_exist(sim: Sim, client: WebClient) -> None:
    since = sim.get("state")["seq"]
    found: list[dict[str, Any]] = []
    thread = threading.Thread(
        target=lambda: found.append(sim.wait("Backlog 42", channel="inc-0001-x", since=since))
    )
    thread.start()
    channel = client.conversations_create(name="inc-0001-x")["channel"]["id"]
    blocks = [{"type": "section", "fields": [{"type": "mrkdwn", "text": "Backlog 42 s"}]}]
    ts = client.chat_postMessage(channel=channel, text="facts", blocks=blocks)["ts"]
    thread.join(60)
    assert found[0]["ts"] == ts


def test_wait_counts_an_edit_as_new_and_gives_up_in_time(sim: Sim, client: WebClient) -> None:
    ts = client.chat_postMessage(channel="C02INCIDENTS", text="open")["ts"]
    since = sim.get("state")["seq"]
    assert sim.get("wait", status=408, contains="open", since=since, timeout=0.05)["error"]
    client.chat_update(channel="C02INCIDENTS", ts=ts, text="resolved")
    assert sim.wait("resolved", since=since)["ts"] == ts


def test_direct_messages_are_found_by_the_person(sim: Sim, client: WebClient) -> None:
    client.chat_postMessage(channel="U03CAROL", text="page")
    assert sim.wait("page", channel="carol")["channel_name"] == "U03CAROL"
    answer = sim.post("message", user="carol", channel="@streamwatch", text="on it")
    assert sim.channel("U03CAROL")["id"] == answer["channel"]
    assert sim.channel("U03CAROL")["is_im"] is True


@pytest.mark.parametrize(
    "path", ["command", "message", "click", "submit", "react", "push", "faults", "world"]
)
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, rb'{"data": "\ud800"}'])
def test_malformed_bodies_are_refused(sim: Sim, path: str, body: bytes) -> None:
    answer = sim.http.post(f"/sim/{path}", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("command", {"user": "zoe", "channel": "incidents", "text": "/pipeline"}, 404),
        ("command", {"user": "alice", "channel": "nowhere", "text": "/pipeline"}, 404),
        ("command", {"user": "alice", "channel": "incidents", "text": "pipeline"}, 400),
        ("command", {"user": "streamwatch", "channel": "incidents", "text": "/pipeline"}, 400),
        ("message", {"user": "alice", "channel": "incidents"}, 400),
        ("message", {"user": "alice", "channel": "incidents", "text": 7}, 400),
        ("click", {"user": "alice", "channel": "incidents", "ts": "1.1", "label": "x"}, 404),
        ("submit", {"user": "alice", "values": {}}, 404),
        ("push", {"data": "x", "attributes": [1]}, 400),
        ("world", {"scenario": "flood"}, 400),
        ("config", {"colour": "red"}, 400),
        ("config", {"limits": "yes"}, 400),
        ("config", {"retry_delays": 5}, 400),
        ("config", {"events": ["reaction_added"], "scopes": ["chat:write"], "limits": "yes"}, 400),
        ("config", {"commands": None}, 400),
        ("users", {"name": ""}, 400),
        ("usergroups", {"handle": "night", "users": 5}, 400),
        ("message", {"user": "alice", "channel": "incidents", "text": "hm", "thread_ts": []}, 404),
        ("faults", {"method": ["chat.postMessage"], "kind": "reset"}, 400),
    ],
)
def test_senseless_requests_are_refused_with_a_reason(
    sim: Sim, path: str, body: dict[str, Any], status: int
) -> None:
    before, settings = sim.get("state")["seq"], sim.get("config")
    assert sim.post(path, status=status, **body)["error"]
    assert sim.get("state")["seq"] == before
    assert sim.get("config") == settings


@pytest.mark.parametrize("query", ["since=x", "timeout=-1", "timeout=soon"])
def test_senseless_waits_are_refused(sim: Sim, query: str) -> None:
    assert sim.http.get(f"/sim/wait?{query}").status_code == 400


def test_reset_starts_over(sim: Sim, client: WebClient) -> None:
    client.conversations_create(name="inc-0001-x")
    sim.post("world", scenario="job_failed")
    sim.post("faults", method="*", kind="http_500", count=9)
    seq = sim.get("state")["seq"]
    assert sim.post("reset")["seq"] > seq
    assert len(sim.get("state")["channels"]) == 2
    assert sim.get("faults")["faults"] == []
    assert sim.get("world") == {"scenario": "healthy"}


def test_app_is_installed_as_the_manifest_says(sim: Sim) -> None:
    manifest = YAML(typ="safe").load((Path(__file__).parents[3] / "slack-manifest.yaml").read_text())
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == set(scopes.APP_SCOPES)
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == list(scopes.EVENTS)
    sim.post("reset")
    assert sim.get("config")["events"] == list(scopes.EVENTS)
    assert sim.post("config", status=400, events=["message"])["events"]


def test_people_can_be_added_and_put_to_sleep(sim: Sim, client: WebClient) -> None:
    zoe = sim.post("users", name="zoe", dnd=True)
    assert client.users_lookupByEmail(email="zoe@example.com")["user"]["id"] == zoe["id"]
    assert client.api_call("dnd.info", params={"user": zoe["id"]}, http_verb="GET")["dnd_enabled"] is True
    group = sim.post("usergroups", handle="oncall", users=["zoe"])
    assert client.usergroups_users_list(usergroup=group["id"])["users"] == [zoe["id"]]


def test_stream_tells_of_changes(sim: Sim) -> None:
    with httpx.stream("GET", f"{sim.url}/sim/events", timeout=10, trust_env=False) as answer:
        lines = answer.iter_lines()
        first = next(int(line[6:]) for line in lines if line.startswith("data: "))
        sim.post("message", user="alice", channel="incidents", text="news")
        second = next(int(line[6:]) for line in lines if line.startswith("data: "))
    assert second > first


def test_text_of_people_is_composed_as_slack_does(sim: Sim) -> None:
    sim.post("message", user="alice", channel="incidents", text="a < b & @bob <@U03CAROL> #general")
    text = sim.channel("incidents")["messages"][0]["text"]
    assert text == "a &lt; b &amp; <@U02BOB> <@U03CAROL> <#C01GENERAL|general>"


def run(*args: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if name != "STREAMWATCH_CLOCK"}
    command = [sys.executable, "-m", "sandbox", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_command_line_runs_prints_its_settings_and_ends_cleanly() -> None:
    process = run("--port", "0", "--app-url", "http://127.0.0.1:1")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox: http://127.0.0.1:")
        port = line.strip().rsplit(":", 1)[1]
        out, _ = run("env", "--port", port).communicate(timeout=30)
        env = dict(item.split("=", 1) for item in out.splitlines())
        assert env["SLACK_API_URL"] == f"http://127.0.0.1:{port}/api/"
        assert env["PUBSUB_PUSH_AUDIENCE"] == "http://127.0.0.1:1/webhooks/pubsub"
        world = httpx.get(f"http://127.0.0.1:{port}/sim/world", trust_env=False).json()
        assert world["scenario"] == "healthy"
        assert "<html" in httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_taken_port_is_said_clearly() -> None:
    listener = listen(0)
    try:
        process = run("--port", str(listener.getsockname()[1]))
        _, err = process.communicate(timeout=30)
    finally:
        listener.close()
    assert process.returncode == 2
    assert "cannot be used" in err
    assert "Traceback" not in err


def test_settings_are_printed_without_a_sandbox_too() -> None:
    out, err = run("env", "--port", "1").communicate(timeout=30)
    assert "SLACK_API_URL=http://127.0.0.1:1/api/" in out
    assert "defaults" in err
