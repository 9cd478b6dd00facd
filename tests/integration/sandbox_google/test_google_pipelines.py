"""Several pipelines live in one world, whatever shape their topics have in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.google import pipelines
from sandbox.google.world import World
from tests.integration.sandbox_google.google import HandClock

TWO = """\
pipelines:
  - name: orders
    job_name: orders
    topics: {click: web-hits, stock: movements}
    subscriptions: [web-hits-sub, movements-reader]
  - name: returns
    job_name: orders-returns
    project: other-project
    region: us-east1
    topics: [transactions]
    subscriptions: [transactions-eu]
    dead_letter: {topic: dead, subscription: dead-sub}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "pipelines.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_topics_may_be_a_list_or_a_mapping(tmp_path: Path) -> None:
    first, second = pipelines.load(write(tmp_path, TWO))
    lanes = [(lane.event_type, lane.topic, lane.subscription) for lane in (*first.lanes, *second.lanes)]
    assert lanes == [
        ("click", "web-hits", "web-hits-sub"),
        ("stock", "movements", "movements-reader"),
        ("transaction", "transactions", "transactions-eu"),
    ]
    assert (first.dead_letter_subscription, second.dead_letter_subscription) == (
        "dead-letter-sub",
        "dead-sub",
    )


def test_a_scenario_meets_one_pipeline_only(tmp_path: Path) -> None:
    clock = HandClock()
    world = World(clock, write(tmp_path, TWO))
    world.apply({"scenario": "job_failed", "pipeline": "returns"})
    clock.go(300)
    running = {one["name"]: one["running"] for one in world.describe()["pipelines"]}
    assert running == {"orders": 1, "returns": 0}
    with world.turn():
        assert world.flow_for("orders-returns", "us-east1", "other-project").spec.name == "returns"


@pytest.mark.parametrize("text", ["", "pipelines: 3", "pipelines: [{project: x}]", "pipelines: [", "- a"])
def test_an_unusable_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"pipelines\.yaml"):
        World(HandClock(), write(tmp_path, text))


def test_what_is_put_into_a_queue_is_its_total(tmp_path: Path) -> None:
    world = World(HandClock(), write(tmp_path, TWO))
    body = {
        "dead_letters": [{"data": "x"}] * 3,
        "backlog": {"dead-letter-sub": {"count": 10, "oldest_s": 60}},
    }
    assert world.apply(body)["backlog"]["dead-letter-sub"] == {"count": 10, "oldest_s": 60.0}


def test_jobs_can_be_forced_into_a_state_or_added(tmp_path: Path) -> None:
    world = World(HandClock(), write(tmp_path, TWO))
    jobs = [
        {"name": "orders", "state": "JOB_STATE_DRAINING"},
        {"name": "orders-2", "state": "RUNNING", "id": "j-2"},
    ]
    states = {job["name"]: job["state"] for job in world.apply({"jobs": jobs})["jobs"]}
    assert states == {"orders": "DRAINING", "orders-2": "RUNNING", "orders-returns": "RUNNING"}
