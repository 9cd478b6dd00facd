"""Every method that is offered keeps to Slack's own specification of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import sandbox.slack.methods  # noqa: F401  (registers the methods)
from sandbox.slack import ids
from sandbox.slack.errors import COMMON
from sandbox.slack.registry import METHODS
from sandbox.slack.scopes import SCOPES

from .conftest import SAMPLES, Sim, needs_shared

pytestmark = needs_shared
SPECS = SAMPLES / "method-specs"
NAMES = sorted(METHODS)
# Slack answers these to any method although its list of common errors does not name them.
EVERYWHERE = {"invalid_auth", "invalid_arguments", "internal_error", "invalid_json"}


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SPECS / f"{name}.json").read_text())
    return found


def common_errors() -> set[str]:
    return set(json.loads((SPECS / "_common_errors.json").read_text())["errors"])


def call(sim: Sim, name: str, args: dict[str, Any]) -> dict[str, Any]:
    token = ids.APP_TOKEN if METHODS[name].app_token else ids.TOKEN
    headers = {"Authorization": f"Bearer {token}"}
    verb = spec(name)["http_method"]
    if verb == "GET":
        answer = sim.http.get(f"/api/{name}", params=args, headers=headers)
    else:
        form = {k: v if isinstance(v, str) else json.dumps(v) for k, v in args.items()}
        answer = sim.http.post(f"/api/{name}", data=form, headers=headers)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def test_errors_for_all_methods_are_slacks() -> None:
    assert common_errors() | EVERYWHERE >= COMMON


@pytest.mark.parametrize("name", NAMES)
def test_declaration_equals_specification(name: str) -> None:
    method, said = METHODS[name], spec(name)
    assert set(method.required) == set(said.get("args", {}).get("required") or []) - {"token"}
    assert set(method.scopes) == set(said.get("scope", {}).get("bot") or [])
    assert method.errors <= set(said.get("errors") or {}) | common_errors() | EVERYWHERE
    assert method.json == bool(said.get("json_input_supported"))
    assert method.tier == (said.get("rate_limits") or "")
    assert method.token == ("token" in (said.get("args", {}).get("required") or []))


@pytest.mark.parametrize("name", NAMES)
def test_every_method_has_a_scope_that_the_app_holds(name: str) -> None:
    scopes = METHODS[name].scopes
    assert not scopes or set(scopes) & set(SCOPES)


@pytest.mark.parametrize("name", NAMES)
def test_missing_arguments_are_refused(sim: Sim, name: str) -> None:
    said = spec(name)
    allowed = set(said.get("errors") or {}) | common_errors() | EVERYWHERE
    needed = METHODS[name].required
    for absent in needed:
        answer = call(sim, name, {other: "x" for other in needed if other != absent})
        assert answer["ok"] is False
        assert answer["error"] in allowed
    if "invalid_arguments" in (answer := call(sim, name, {})).values():
        assert answer["response_metadata"]["messages"][0].startswith(
            ("[ERROR] missing required field", "must")
        )
    elif needed:
        assert answer["ok"] is False


class Story:
    """A workspace in which each method has something to work on."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.channel = self.ask("conversations.create", name="inc-0001-test")["channel"]["id"]
        self.ts = self.post("first")
        self.pinned = self.post("pinned")
        self.ask("pins.add", channel=self.channel, timestamp=self.pinned)
        self.ask("reactions.add", channel=self.channel, timestamp=self.pinned, name="eyes")
        link = {"title": "a", "type": "link", "link": "https://example.com"}
        self.bookmark = self.ask("bookmarks.add", channel_id=self.channel, **link)["bookmark"]["id"]
        self.group = sim.post("usergroups", handle="oncall", users=["alice"])["id"]
        self.file = self.upload(complete=True)

    def ask(self, name: str, /, **args: Any) -> dict[str, Any]:
        answer = call(self.sim, name, args)
        assert answer["ok"], answer
        return answer

    def post(self, text: str) -> str:
        return str(self.ask("chat.postMessage", channel=self.channel, text=text)["ts"])

    def upload(self, *, complete: bool) -> str:
        slot = self.ask("files.getUploadURLExternal", filename="a.md", length=3)
        assert self.sim.http.post(slot["upload_url"], content=b"abc").status_code == 200
        if complete:
            self.ask("files.completeUploadExternal", files=[{"id": slot["file_id"]}])
        return str(slot["file_id"])

    def modal(self, title: str = "t") -> str:
        return json.dumps({"type": "modal", "title": {"type": "plain_text", "text": title}, "blocks": []})

    def trigger(self, view: str | None = None) -> str:
        return self.sim.hub.tickets.trigger("U01ALICE", view)

    def opened(self) -> str:
        return str(self.ask("views.open", trigger_id=self.trigger(), view=self.modal())["view"]["id"])

    def args(self, name: str) -> dict[str, Any]:
        channel, ts = {"channel": self.channel}, self.ts
        link = {"title": "b", "type": "link", "link": "https://example.com"}
        home = json.dumps({"type": "home", "blocks": []})
        table: dict[str, Any] = {
            "bookmarks.add": lambda: {"channel_id": self.channel, **link},
            "bookmarks.edit": lambda: {
                "channel_id": self.channel,
                "bookmark_id": self.bookmark,
                "title": "c",
            },
            "bookmarks.list": lambda: {"channel_id": self.channel},
            "bookmarks.remove": lambda: {"channel_id": self.channel, "bookmark_id": self.bookmark},
            "blocks.validate": lambda: {"blocks": [{"type": "divider"}]},
            "chat.delete": lambda: {**channel, "ts": ts},
            "chat.getPermalink": lambda: {**channel, "message_ts": ts},
            "chat.postEphemeral": lambda: {"channel": "C01GENERAL", "user": "U01ALICE", "text": "x"},
            "chat.postMessage": lambda: {**channel, "text": "x"},
            "chat.update": lambda: {**channel, "ts": ts, "text": "y"},
            "conversations.create": lambda: {"name": "inc-0002-test"},
            "conversations.invite": lambda: {**channel, "users": "U01ALICE,U02BOB"},
            "conversations.kick": lambda: {"channel": "C02INCIDENTS", "user": "U01ALICE"},
            "conversations.open": lambda: {"users": "U01ALICE"},
            "conversations.rename": lambda: {**channel, "name": "inc-0003-test"},
            "conversations.replies": lambda: {**channel, "ts": ts},
            "conversations.setPurpose": lambda: {**channel, "purpose": "p"},
            "conversations.setTopic": lambda: {**channel, "topic": "p"},
            "files.completeUploadExternal": lambda: {"files": [{"id": self.upload(complete=False)}]},
            "files.delete": lambda: {"file": self.file},
            "files.getUploadURLExternal": lambda: {"filename": "x.md", "length": 10},
            "files.info": lambda: {"file": self.file},
            "pins.add": lambda: {**channel, "timestamp": ts},
            "pins.remove": lambda: {**channel, "timestamp": self.pinned},
            "reactions.add": lambda: {**channel, "timestamp": ts, "name": "pushpin"},
            "reactions.get": lambda: {**channel, "timestamp": ts},
            "reactions.remove": lambda: {**channel, "timestamp": self.pinned, "name": "eyes"},
            "usergroups.users.list": lambda: {"usergroup": self.group},
            "users.info": lambda: {"user": "U01ALICE"},
            "users.lookupByEmail": lambda: {"email": "alice@example.com"},
            "views.open": lambda: {"trigger_id": self.trigger(), "view": self.modal()},
            "views.publish": lambda: {"user_id": "U01ALICE", "view": home},
            "views.push": lambda: {"trigger_id": self.trigger(self.opened()), "view": self.modal()},
            "views.update": lambda: {"view_id": self.opened(), "view": self.modal("u")},
        }
        if name == "conversations.unarchive":
            self.ask("conversations.archive", **channel)
        found: dict[str, Any] = table.get(
            name, lambda: channel if "channel" in METHODS[name].required else {}
        )()
        return found


@pytest.mark.parametrize("name", NAMES)
def test_answer_has_the_keys_that_the_specification_requires(sim: Sim, name: str) -> None:
    story = Story(sim)
    answer = call(sim, name, story.args(name))
    assert answer["ok"] is True, answer
    assert set((spec(name).get("output") or {}).get("required") or []) <= set(answer)
    assert sim.get("calls")["items"][-1]["method"] == name
