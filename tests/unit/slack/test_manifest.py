"""Promise: the manifest is one that Slack takes, and asks for what the room uses, no more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

import sandbox.slack.methods  # noqa: F401  (registers the methods)
from bot.slack.listeners import COMMANDS
from sandbox.slack import scopes
from sandbox.slack.registry import METHODS

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT.parent / "shared/samples/slack/manifest/manifest.schema.2.0.0.json"
# Not of a method: commands, an event, metadata in history, and the base of users:read.email; and the
# scopes that extend a method of public channels to private ones and to direct messages.
OTHER_REASONS = {"commands", "reactions:read", "metadata.message:read", "users:read"}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((ROOT / "slack-manifest.yaml").read_text())
    return loaded


def used_methods() -> set[str]:
    """Every Web API method that the room's source names."""
    source = "".join(path.read_text() for path in (ROOT / "bot/slack").glob("*.py"))
    return {name for name in re.findall(r'"([a-z]+\.[A-Za-z]+)"', source) if name in METHODS}


def test_the_manifest_follows_slacks_schema(manifest: dict[str, Any]) -> None:
    if not SCHEMA.exists():
        pytest.skip("needs ../shared")
    schema = json.loads(SCHEMA.read_text())
    problems = [e.message for e in jsonschema.Draft7Validator(schema).iter_errors(manifest)]
    assert problems == []


def test_every_method_that_is_called_has_a_scope(manifest: dict[str, Any]) -> None:
    have = set(manifest["oauth_config"]["scopes"]["bot"])
    used = used_methods()
    assert {"chat.postMessage", "conversations.create", "views.open", "dnd.info"} <= used
    without = {m for m in used if METHODS[m].scopes and not have & set(METHODS[m].scopes)}
    assert without == set()


def test_no_scope_is_asked_for_in_vain(manifest: dict[str, Any]) -> None:
    needed = {scope for m in used_methods() for scope in METHODS[m].scopes} | OTHER_REASONS
    assert set(manifest["oauth_config"]["scopes"]["bot"]) <= needed


def test_the_sandbox_installs_an_app_with_these_scopes_commands_and_events(manifest: dict[str, Any]) -> None:
    assert set(manifest["oauth_config"]["scopes"]["bot"]) <= set(scopes.SCOPES)
    commands = [c["command"] for c in manifest["features"]["slash_commands"]]
    assert set(commands) == set(scopes.COMMANDS) == set(COMMANDS)
    assert set(manifest["settings"]["event_subscriptions"]["bot_events"]) <= set(scopes.EVENTS)


def test_every_command_has_a_hint_and_escapes_mentions(manifest: dict[str, Any]) -> None:
    for command in manifest["features"]["slash_commands"]:
        assert command["usage_hint"]
        assert command["should_escape"] is True
