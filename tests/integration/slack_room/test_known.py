"""`python -m bot check` asks Slack who of the roster is there."""

from __future__ import annotations

import asyncio

from bot.slack.known import unknown
from tests.integration.slack_room.conftest import Slack


async def test_whom_slack_does_not_know_is_named(slack: Slack) -> None:
    """By id, by address and by handle."""
    refs = ["U01ALICE", "U99NOBODY", "bob@example.com", "zoe@example.com", "@carol", "@zoe"]
    api_url = f"{slack.base_url}/api/"
    found = await asyncio.to_thread(unknown, "xoxb-sandbox", api_url, refs)
    assert found == (["U99NOBODY", "zoe@example.com", "@zoe"], "")


async def test_a_slack_that_cannot_be_asked_is_told_and_is_no_mistake(slack: Slack) -> None:
    api_url = f"{slack.base_url}/api/"
    strangers, trouble = await asyncio.to_thread(unknown, "xoxb-wrong", api_url, ["U01ALICE"])
    assert (strangers, trouble) == ([], "invalid_auth")
