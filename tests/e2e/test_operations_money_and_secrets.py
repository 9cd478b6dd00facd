"""Incidents of another kind: budgets, announcements without a channel, security."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo_world import get
from tests.e2e.people import People
from tests.e2e.running import ROOT, Json, staged, texts

PERIOD = "2026-11-01T00:00:00Z"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A workspace with a healthy pipeline; budgets of different names do not meet."""
    with staged(tmp_path_factory.mktemp("money")) as stage:
        yield People(stage)


def budget(
    people: People, name: str, cost: float, *, threshold: float | None = None, forecast: float | None = None
) -> Json:
    """One notification of Google's, as Pub/Sub pushes it; the budget is 200 EUR."""
    data = {
        "budgetDisplayName": name,
        "costAmount": cost,
        "costIntervalStart": PERIOD,
        "budgetAmount": 200.0,
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "currencyCode": "EUR",
    }
    if threshold is not None:
        data["alertThresholdExceeded"] = threshold
    if forecast is not None:
        data["forecastThresholdExceeded"] = forecast
    answer = people.push(
        data, {"billingAccountId": "01A2B3", "budgetId": f"id-{name}", "schemaVersion": "1.0"}
    )
    assert 200 <= answer["status"] < 300, answer
    return answer


def cost_incidents(people: People, word: str) -> list[Json]:
    """Incidents whose title contains a budget's name."""
    people.stage.until_quiet()
    return [i for i in people.stage.incidents() if word in str(i["title"])]


def test_cost_is_unknown_before_and_known_after_a_notification(people: People) -> None:
    people.ask("alice", "general", "/cost report", "no budget notification has come yet")
    budget(people, "orders-monthly", 61.5)
    people.ask("alice", "general", "/cost report", "61.5")
    assert cost_incidents(people, "orders-monthly") == [], "figures alone open nothing"


def test_a_chart_comes_as_a_picture_with_its_figures_to_who_asked(people: People) -> None:
    since = people.mark()
    people.ask("bob", "general", "/cost drivers --visualize", "Its chart comes to you as a picture")
    told = people.saw("Cost drivers of orders (as of", since=since)
    figures = re.search("████████████ (Cloud Dataflow: [0-9.]+ USD)\n", told["text"])
    assert figures, told["text"]
    (file,) = told["files"]
    assert file["mimetype"] == "image/png"
    assert figures.group(1) in file["alt_txt"]
    room = next(c for c in people.stage.state()["channels"] if c["id"] == told["channel"])
    assert room["is_im"]


def test_in_an_incidents_channel_everybody_there_sees_the_picture(people: People) -> None:
    people.ask("bob", "general", "/incident declare info quality What is drawn here", "is declared")
    name = next(str(i["id"]) for i in people.stage.incidents() if i["title"] == "What is drawn here")
    room, since = people.channel_of(name), people.mark()
    people.ask("bob", room, "/cost drivers --visualize", "Its chart comes as a picture in this channel")
    told = people.saw("Cost drivers of orders (as of", channel=room, since=since)
    assert [file["name"] for file in told["files"]] == ["cost-drivers-orders.png"]


def test_in_the_terminal_a_chart_is_a_file(people: People, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "cost", "drivers", "--visualize", "--json"],
        env={"RUNBOOKS_DIR": str(ROOT / "runbooks"), **people.stage.env, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    report = json.loads(done.stdout)
    assert (tmp_path / report["data"]["chart"]).read_bytes().startswith(b"\x89PNG"), done.stderr
    assert report["findings"][-1]["text"] == f"The chart is in {report['data']['chart']}."


def test_a_forecast_is_a_line_and_a_button_opens_the_channel(people: People) -> None:
    budget(people, "ahead", 80, forecast=1.0)
    line = people.saw("ahead", channel="incidents")
    (incident,) = cost_incidents(people, "ahead")
    assert incident["severity"] == "info"
    number = int(str(incident["id"]).removeprefix("INC-"))
    assert people.stage.channels(f"inc-{number:04d}") == []
    assert people.stage.incident(str(incident["id"]))["pages"] == []
    people.click("bob", line, "channel_open")
    assert people.channel_of(str(incident["id"]))


def test_a_full_budget_is_a_warning_once(people: People) -> None:
    budget(people, "full", 203, threshold=1.0)
    (incident,) = cost_incidents(people, "full")
    assert incident["severity"] == "warning"
    before = people.stage.incident(str(incident["id"]))
    for _ in range(3):
        budget(people, "full", 203, threshold=1.0)
    (again,) = cost_incidents(people, "full")
    after = people.stage.incident(str(again["id"]))
    assert len(after["events"]) == len(before["events"]), "a repeated threshold is nothing new"
    assert len(after["pages"]) == len(before["pages"]) == 1

    room = people.channel_of(str(incident["id"]))
    people.ask("alice", room, "/incident resolve agreed with finance --yes", "agreed with finance.")
    people.becomes(str(incident["id"]), "resolved")
    budget(people, "full", 206, threshold=1.0)
    (held,) = cost_incidents(people, "full")
    assert held["status"] == "resolved", "a decision holds for the period"


def test_a_large_overrun_pages_l2_at_once(people: People) -> None:
    budget(people, "blown", 245, threshold=1.2)
    (incident,) = cost_incidents(people, "blown")
    assert incident["severity"] == "critical"
    page = people.page("carol", "L2")
    assert "blown" in page["text"]
    steps = [p["step"] for p in people.stage.incident(str(incident["id"]))["pages"]]
    assert any("budget_overrun" in step for step in steps), steps


def test_an_announcement_opens_no_channel_until_somebody_asks(people: People) -> None:
    people.alert(
        "0.info1",
        severity="info",
        policy_name="Planned work",
        resource={
            "type": "dataflow_job",
            "labels": {"job_name": "billing-export", "project_id": "demo-project"},
        },
        resource_display_name="billing-export",
        policy_user_labels={"severity": "info"},
        metric={"type": "custom.googleapis.com/notice", "displayName": "Notice", "labels": {}},
    )
    line = people.saw("billing-export", channel="incidents")
    (incident,) = [i for i in people.stage.incidents() if i["pipeline"] == "billing-export"]
    number = int(str(incident["id"]).removeprefix("INC-"))
    assert people.stage.channels(f"inc-{number:04d}") == []
    people.click("dave", line, "channel_open")
    people.channel_of(str(incident["id"]))


def test_a_security_incident_is_seen_by_its_members_alone(people: People) -> None:
    said = people.ask("alice", "general", "/incident declare security Token leaked", "is declared")
    assert said["ephemeral"]
    name = said["text"].split()[0]
    room = people.channel_of(name)
    people.page("carol", "L2")
    people.stage.until_quiet()
    (channel,) = people.stage.channels(room)
    assert channel["is_private"]
    assert channel["members"] == ["U0STREAMWATCH", "U01ALICE", "U02BOB", "U03CAROL"]
    state = people.stage.state()
    for place in state["channels"]:
        if place["id"] != channel["id"] and not place["is_im"]:
            assert "Token leaked" not in "\n".join(texts({"channels": [{**place, "ephemerals": []}]}))
    assert name not in [i["id"] for i in people.stage.incidents()]
    assert "Token leaked" not in str(get(f"{people.stage.app_url}/healthz"))
    people.refused("dave", "general", f"/incident timeline {name}", f"There is no {name}.")
    people.refused("dave", "general", f"/incident ack {name}", f"There is no {name}.")
    listed = people.ask("dave", "general", "/incident list", "INC-")
    assert name not in listed["text"]
    people.ask("carol", "general", "/incident list", "Token leaked")
