"""Changes of the pipeline as people make them in Slack: plan, confirm, run, verify; and the watch."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bot.demo_world import Trouble
from tests.e2e.people import People
from tests.e2e.running import Json, metadata, staged

SPEED = 60.0  # a minute of the incident's time passes in a second


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A workspace whose incidents live sixty times as fast; the story of this module goes on in it."""
    now = time.time()
    with staged(tmp_path_factory.mktemp("operations"), clock=f"{now},{now},{SPEED}") as stage:
        yield People(stage)


def dead_letter(number: int) -> Json:
    """A valid click that was refused by an older version of the code."""
    click = {
        "event_type": "click",
        "event_id": f"e{number}",
        "product_id": f"p{number}",
        "user_id": "u123456789012",
        "timestamp": "2026-11-23T00:00:00Z",
        "session_id": f"s{number}",
        "page_type": "product",
    }
    envelope = {
        "event_type": "click",
        "error": "page_type: not allowed",
        "payload": json.dumps(click),
        "attributes": {},
        "violations": [{"field": "page_type", "rule": "allowed", "value": "product"}],
        "stage": "validate",
        "code_version": "1",
        "first_failed_at": "2026-11-23T00:00:01Z",
        "replay_count": 0,
    }
    return {"data": json.dumps(envelope), "attributes": {}}


def waiting(people: People, room: str) -> int:
    """How many dead letters the report counts."""
    text = people.ask("alice", room, "/dlq stats", "Dead letters of orders")["text"]
    found = re.search(r"messages in dead-letter-sub (\d+)", text)
    assert found is not None, text
    return int(found[1])


def buttons(message: Json) -> list[str]:
    """The action_ids on a message."""
    return [e["action_id"] for b in message["blocks"] if b["type"] == "actions" for e in b["elements"]]


def started(people: People, name: str, operation: str) -> int:
    """How often an operation of an incident began."""
    return sum(e["data"]["operation"] == operation for e in people.events(name, "operation_started"))


def test_the_watch_opens_an_incident_without_any_alert(people: People) -> None:
    people.world(scenario="job_failed")
    room = people.channel_of("INC-1", 60)
    incident = people.stage.incident("INC-1")
    assert incident["severity"] == "critical"
    reason = incident["events"][0]["data"]["reason"]
    assert "Cloud Monitoring is silent: no alert came for this." in reason
    assert "should have fired" in reason
    page = people.page("alice", "L1")
    assert "orders is down" in page["text"]
    assert "failed at " in page["text"], "an instant, and no age that ages"
    offered = people.saw("for you: Restart the pipeline", channel=room)
    assert "step_run" in buttons(offered)


def test_a_replay_waits_for_the_restart(people: People) -> None:
    room = people.channel_of("INC-1")
    people.world(dead_letters=[dead_letter(n) for n in range(40)])
    since = people.mark()
    people.stage.command("alice", room, "/dlq replay")
    plan = people.plan("dlq.replay", "Not possible now", since)
    assert "Restart first, have it verified, then replay" in plan["text"]
    assert buttons(plan) == []


def test_peeking_masks_and_leaves_every_message(people: People) -> None:
    room = people.channel_of("INC-1")
    before = waiting(people, room)
    assert before >= 40
    shown = people.ask("alice", room, "/dlq peek", "Nothing was taken out of dead-letter-sub")
    assert "u123456789012" not in json.dumps(shown)
    assert "page_type" in json.dumps(shown)
    assert waiting(people, room) >= before, "looking took messages out"


def test_forcing_a_replay_needs_a_second_person_of_a_higher_level(people: People) -> None:
    room = people.channel_of("INC-1")
    since = people.mark()
    people.stage.command("alice", room, "/dlq replay --force --limit 5")
    plan = people.plan("dlq.replay", "waiting for confirmation", since)
    assert people.confirm("alice", plan).get("closed")
    waits = people.plan("dlq.replay", "a second person must approve", since)
    assert sorted(buttons(waits)) == ["plan_approve", "plan_cancel"]
    for user, why in (
        ("alice", "the second person must be somebody else"),
        ("bob", "needs a technical lead"),
    ):
        before = people.mark()
        people.click(user, waits, "plan_approve")
        assert people.saw(why, since=before)["ephemeral"]
    people.click("carol", waits, "plan_approve")
    people.plan("dlq.replay", "Done", since)
    assert people.events("INC-1", "plan_approved")[-1]["actor"] == "carol"


def test_a_cancelled_plan_is_not_run(people: People) -> None:
    room = people.channel_of("INC-1")
    since = people.mark()
    people.stage.command("alice", room, "/pipeline restart")
    plan = people.plan("pipeline.restart", "waiting for confirmation", since)
    assert sorted(buttons(plan)) == ["plan_cancel", "plan_confirm"]
    people.click("alice", plan, "plan_cancel")
    cancelled = people.plan("pipeline.restart", "Cancelled", since)
    assert buttons(cancelled) == []
    since = people.mark()
    late = {"user": "alice", "channel": plan["channel"], "ts": plan["ts"], "action_id": "plan_confirm"}
    with pytest.raises(Trouble, match="no such button"):
        people.stage.sandbox.post("/sim/click", late)
    assert started(people, "INC-1", "pipeline.restart") == 0


def test_an_old_plan_expires_and_says_so(people: People) -> None:
    room = people.channel_of("INC-1")
    since = people.mark()
    people.stage.command("alice", room, "/pipeline restart")
    plan = people.plan("pipeline.restart", "waiting for confirmation", since)
    made = time.monotonic()
    people.stage.until(lambda: time.monotonic() - made > 16 * 60 / SPEED, 40, "time does not pass")
    people.click("alice", plan, "plan_confirm")
    said = people.saw("This plan is older than 15 minutes", since=since)
    assert said["ephemeral"]
    expired = people.plan("pipeline.restart", "plan again", since)
    assert buttons(expired) == []
    assert started(people, "INC-1", "pipeline.restart") == 0


def test_a_restart_is_confirmed_once_run_and_verified(people: People) -> None:
    room = people.channel_of("INC-1")
    people.stage.sandbox.post("/sim/users", {"name": "mallory"})
    since = people.mark()
    people.stage.command("alice", room, "/pipeline restart")
    plan = people.plan("pipeline.restart", "waiting for confirmation", since)
    people.stage.sandbox.post("/sim/message", {"user": "mallory", "channel": room, "text": "may I?"})
    people.click("mallory", plan, "plan_confirm")
    people.saw("only people on the roster may do this", since=since)
    declined = people.click("alice", plan, "plan_confirm", confirm=False)
    assert declined.get("confirmed") is False
    people.click("alice", plan, "plan_confirm")
    second = {"user": "bob", "channel": plan["channel"], "ts": plan["ts"], "action_id": "plan_confirm"}
    with contextlib.suppress(Trouble):  # the button may be gone already
        people.stage.sandbox.post("/sim/click", second)
    verified = people.stage.until(lambda: _verified(people), 60, "the restart was not verified")
    assert verified["data"]["severity"] == "ok", verified
    assert started(people, "INC-1", "pipeline.restart") == 1
    people.plan("pipeline.restart", "Done", since)
    living = [j for j in _jobs(people) if j["state"] == "RUNNING"]
    assert len(living) == 1, living


def _verified(people: People) -> dict[str, Any] | None:
    found = people.events("INC-1", "operation_verified")
    return next((e for e in found if e["data"]["operation"] == "pipeline.restart"), None)


def _jobs(people: People) -> list[Any]:
    world = people.stage.sandbox.post("/sim/world", {})
    return list(world["jobs"])


def test_a_second_restart_within_half_an_hour_needs_l2(people: People) -> None:
    room = people.channel_of("INC-1")
    since = people.mark()
    people.stage.command("bob", room, "/pipeline restart")
    plan = people.plan("pipeline.restart", "waiting for confirmation", since)
    people.click("bob", plan, "plan_confirm")
    said = people.saw("a second restart needs an L2", since=since)
    assert said["ephemeral"]
    assert "carol" in said["text"]
    people.click("bob", plan, "plan_cancel")
    people.plan("pipeline.restart", "Cancelled", since)


def test_dead_letters_go_back_and_the_incident_ends(people: People) -> None:
    room = people.channel_of("INC-1")

    def planned() -> Json | None:
        since = people.mark()
        people.stage.command("alice", room, "/dlq replay")
        plan = people.plan("dlq.replay", "", since)
        return plan if "waiting for confirmation" in plan["text"] else None

    plan = people.stage.until(planned, 60, "a replay is not possible")
    assert plan is not None
    since = people.mark()
    people.click("alice", plan, "plan_confirm")
    people.plan("dlq.replay", "Done", since, 60)
    finished = people.events("INC-1", "operation_finished")[-1]
    assert finished["data"]["operation"] == "dlq.replay"
    replayed = re.match(r"Replayed (\d+) dead letters", finished["data"]["verdict"])
    assert replayed is not None, finished
    assert int(replayed[1]) >= 35, "each of ours passes now"
    assert waiting(people, room) < 40


def test_good_probes_resolve_it_and_the_review_is_there_once(people: People) -> None:
    people.becomes("INC-1", "resolved", 60)
    resolved = people.events("INC-1", "resolved")[-1]
    assert resolved["data"].get("auto")
    room = people.channel_of("INC-1")
    people.saw("Review of INC-1 is in this channel as a file.", channel=room)
    people.stage.until_quiet()
    channel = people.stage.channels("inc-0001")[0]
    assert len(channel["files"]) == 1
    headline = [m for m in channel["messages"] if metadata(m)[0] == "streamwatch_headline"]
    assert [m["ts"] for m in headline] == channel["pins"]
