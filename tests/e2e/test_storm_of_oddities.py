"""Notifications that are not among the samples: the odd ones are understood and harmless, the unusable refused
with a reason."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from tests.e2e.conftest import Staging
from tests.e2e.odd import long_name, unusable, usable
from tests.e2e.running import Stage, texts

NAME = re.compile(r"inc-\d{4}-[a-z0-9_-]{1,71}")
# What Slack would carry out instead of showing. The bot itself may name an incident's channel and its people.
COMMANDS = re.compile(r"<!(?!date\^)[^>]*>")
CHANNELS = re.compile(r"<#([^>|]+)")
PINGS = re.compile(r"<@([^>|]+)")
LINKS = re.compile(r"<([a-z]+:[^>|]+)")
SAFE = ("https:", "http://127.0.0.1", "mailto:")


def settled(stage: Stage, count: int) -> dict[str, Any]:
    """The workspace when all incidents are told."""
    stage.until_told(count, 60)
    return stage.state()


def test_odd_notifications_are_understood_and_harmless(staging: Staging) -> None:
    stage = staging()
    odd = usable()
    answers = stage.post_many(list(odd.values()), at_once=4)
    refused = {name: answer for name, answer in zip(odd, answers, strict=True) if answer.status != 200}
    assert refused == {}
    state = settled(stage, len(odd))
    assert_harmless(state)
    assert_readable(stage, state)
    assert stage.health()["inbox_dead"] == stage.health()["outbox_dead"] == 0


def assert_harmless(state: dict[str, Any]) -> None:
    """No command, no foreign ping, no character that turns the reading direction, in any text."""
    # erin is the director: nothing is due to her, so only outside text could call her.
    people = {user["id"] for user in state["users"]} - {"U05ERIN"}
    rooms = {c["id"] for c in state["channels"] if str(c["name"]).startswith("inc-")}
    for text in texts(state):
        assert COMMANDS.findall(text) == [], text
        assert set(PINGS.findall(text)) <= people, text
        assert set(CHANNELS.findall(text)) <= rooms, text
        links = LINKS.findall(text)
        assert [link for link in links if not link.startswith(SAFE) or "evil.example" in link] == [], text
        hidden = [char for char in text if unicodedata.category(char) == "Cf" and char != "\u200d"]
        assert hidden == [], ascii(text)


def assert_readable(stage: Stage, state: dict[str, Any]) -> None:
    """Legal channel names, and titles that a person recognises."""
    rooms = [c for c in state["channels"] if str(c["name"]).startswith("inc-")]
    assert [c["name"] for c in rooms if not NAME.fullmatch(c["name"]) or len(c["name"]) > 80] == []
    rows = {row["pipeline"]: row for row in stage.incidents()}
    assert {row["severity"] for row in rows.values()} <= {"critical", "warning"}
    said = " ".join(texts(state))
    for script in ("german", "japanese", "hindi"):
        assert long_name(script)[:60] in said
    assert "!channel" in said, "what was written is shown, as text"
    assert rows["upper"]["severity"] == rows["acked"]["severity"] == "critical"
    assert {"logged", "mql", "promql", "absent", "newer", "nulls"} <= set(rows)


def test_unusable_notifications_are_refused_with_a_reason_and_change_nothing(staging: Staging) -> None:
    stage = staging()
    before = stage.state()
    bodies = unusable()
    answers = dict(zip(bodies, stage.post_many(list(bodies.values()), at_once=4), strict=True))
    assert {name: a.status for name, a in answers.items() if not 400 <= a.status < 500} == {}
    assert {name: a.body for name, a in answers.items() if not json.loads(a.body).get("error")} == {}
    too_large = stage.post(b" " * 1_100_000)
    assert too_large.status == 413
    assert stage.rows("SELECT count(*) FROM inbox") == [(0,)]
    assert stage.incidents() == []
    assert [c["messages"] for c in stage.state()["channels"]] == [c["messages"] for c in before["channels"]]
