"""Commands, buttons, modals and events reach a Bolt app, signed and within Slack's three seconds."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from slack_sdk import WebClient

from sandbox.app import running
from sandbox.slack import ids
from sandbox.slack.hub import Hub

from .conftest import App, Sim, SmallWorld, bolt_app


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(label: str, action_id: str, **extra: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain(label), "action_id": action_id, **extra}


CONFIRM = {
    "title": plain("Sure?"),
    "text": plain("It restarts."),
    "confirm": plain("Restart"),
    "deny": plain("No"),
}
FIELD = {"type": "plain_text_input", "action_id": "text", "min_length": 3}
CHOICE = {
    "type": "static_select",
    "action_id": "level",
    "options": [{"text": plain("Critical"), "value": "critical"}, {"text": plain("Info"), "value": "info"}],
}
MODAL = {
    "type": "modal",
    "callback_id": "declare",
    "title": plain("Declare"),
    "submit": plain("Declare"),
    "notify_on_close": True,
    "blocks": [
        {"type": "input", "block_id": "title", "label": plain("Title"), "element": FIELD},
        {"type": "input", "block_id": "level", "label": plain("Level"), "element": CHOICE, "optional": True},
    ],
}


@pytest.fixture(scope="module")
def held() -> threading.Event:
    """Set: /cost is answered at once; clear: it waits."""
    return threading.Event()


@pytest.fixture(scope="module", autouse=True)
def bolt(app: App, hub: Hub, held: threading.Event) -> list[dict[str, Any]]:
    """An app with a listener of every kind; what they saw is in the list."""
    found = bolt_app(hub)
    seen: list[dict[str, Any]] = []

    @found.command("/pipeline")
    async def pipeline(ack: Any, command: dict[str, Any], respond: Any) -> None:
        seen.append(command)
        await ack("checking")
        await respond(text="all is well", response_type="in_channel")

    @found.command("/cost")
    async def cost(ack: Any) -> None:
        await asyncio.to_thread(held.wait, 10)
        await ack()

    @found.command("/incident")
    async def incident(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @found.action("restart")
    async def restart(ack: Any, body: dict[str, Any], respond: Any) -> None:
        seen.append(body)
        await ack()
        await respond(text="restarting", replace_original=True)

    @found.view("declare")
    async def declare(ack: Any, body: dict[str, Any]) -> None:
        seen.append(body)
        if body["view"]["state"]["values"]["title"]["text"]["value"] == "bad":
            await ack(response_action="errors", errors={"title": "Say more."})
        elif body["view"]["state"]["values"]["title"]["text"]["value"] == "push":
            await ack(response_action="push", view={**MODAL, "title": plain("Second")})
        elif body["view"]["state"]["values"]["title"]["text"]["value"] == "update":
            await ack(response_action="update", view={**MODAL, "title": plain("Changed")})
        elif body["view"]["state"]["values"]["title"]["text"]["value"] == "clear":
            await ack(response_action="clear")
        else:
            await ack()

    @found.view_closed("declare")
    async def closed(ack: Any, body: dict[str, Any]) -> None:
        seen.append(body)
        await ack()

    @found.event("app_mention")
    async def mention(event: dict[str, Any], say: Any) -> None:
        seen.append(event)
        await say(f"hello <@{event['user']}>")

    @found.event({"type": "message"})
    async def message(event: dict[str, Any]) -> None:
        seen.append(event)

    @found.event("reaction_added")
    async def reaction(event: dict[str, Any]) -> None:
        seen.append(event)

    app.start(found)
    return seen


@pytest.fixture(autouse=True)
def _fresh(sim: Sim, app: App, bolt: list[dict[str, Any]], held: threading.Event) -> None:
    held.set()
    app.refuse_events = None
    app.heard.clear()
    app.headers.clear()
    app.webhooks.clear()
    bolt.clear()


def until(fine: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not fine():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_command_is_acknowledged_and_answered(sim: Sim, bolt: list[dict[str, Any]]) -> None:
    answer = sim.post("command", user="alice", channel="incidents", text="/pipeline health @bob #general <b>")
    assert (answer["status"], answer["body"], answer["shown"]) == (200, "checking", True)
    assert bolt[0]["text"] == "health <@U02BOB|bob> <#C01GENERAL|general> &lt;b&gt;"
    assert (bolt[0]["user_id"], bolt[0]["channel_name"]) == ("U01ALICE", "incidents")
    assert sim.wait("checking")["ephemeral"] is True
    assert sim.wait("all is well")["ephemeral"] is False
    delivered = [item for item in sim.get("deliveries")["items"] if item["kind"] == "command"]
    assert [(item["name"], item["status"], item["error"]) for item in delivered] == [("/pipeline", 200, None)]


def test_command_that_nobody_handles_fails_visibly(sim: Sim) -> None:
    answer = sim.post("command", user="alice", channel="incidents", text="/dlq stats")
    assert (answer["status"], answer["error"]) == (404, "dispatch_failed")
    shown = sim.wait("dispatch_failed")
    assert (shown["text"], shown["sender"]) == ('/dlq failed with the error "dispatch_failed"', ids.SLACKBOT)


def test_command_answered_too_late_times_out_visibly(sim: Sim, held: threading.Event) -> None:
    held.clear()
    sim.post("config", ack_seconds=0.3)
    answer = sim.post("command", user="alice", channel="incidents", text="/cost report")
    held.set()
    assert (answer["status"], answer["error"]) == (None, "operation_timeout")
    assert sim.wait("operation_timeout")["text"] == '/cost failed with the error "operation_timeout"'


def test_command_outside_the_manifest_never_reaches_the_app(sim: Sim, app: App) -> None:
    answer = sim.post("command", status=404, user="alice", channel="incidents", text="/deploy now")
    assert answer["error"] == '"/deploy" is not a valid command'
    assert sim.wait("not a valid command")["user"] == "U01ALICE"
    assert sim.get("deliveries")["items"] == []


def test_button_is_found_by_label_and_its_message_replaced(
    sim: Sim, client: WebClient, bolt: list[dict[str, Any]]
) -> None:
    elements = [button("Restart", "restart", value="7", confirm=CONFIRM), button("Wait", "wait")]
    ts = client.chat_postMessage(
        channel="C02INCIDENTS", text="t", blocks=[{"type": "actions", "elements": elements}]
    )["ts"]
    where = {"user": "alice", "channel": "incidents", "ts": ts}
    refused = sim.post("click", **where, label="Restart", confirm=False)
    assert (refused["confirmed"], bolt) == (False, [])
    assert sim.post("click", **where, label="restart")["status"] == 200
    until(lambda: bool(bolt))
    assert bolt[0]["actions"][0]["value"] == "7"
    assert bolt[0]["message"]["ts"] == ts
    assert sim.wait("restarting")["ts"] == ts
    assert sim.channel("incidents")["messages"][0]["blocks"] == []


def test_a_button_pressed_while_its_message_is_edited_is_still_that_button(
    sim: Sim, client: WebClient
) -> None:
    blocks = [{"type": "actions", "elements": [button("Restart", "step_run", value="7")]}]
    posted = client.chat_postMessage(channel="C02INCIDENTS", text="x", blocks=blocks)
    where = {
        "user": "alice",
        "channel": "incidents",
        "ts": posted["ts"],
        "action_id": "step_run",
        "value": "7",
    }
    seen = posted["message"]["blocks"][0]["block_id"]
    client.chat_update(channel="C02INCIDENTS", ts=posted["ts"], text="y", blocks=blocks)
    assert "ms" in sim.post("click", **where, block_id=seen), "it reached the app"
    other = sim.post("click", status=404, **{**where, "value": "8"}, block_id=seen)
    assert len(other["candidates"]) == 1


def test_ambiguous_click_lists_what_there_is(sim: Sim, client: WebClient) -> None:
    elements = [[button("Run", "step_run", value=str(n))] for n in range(2)]
    blocks = [{"type": "actions", "elements": item} for item in elements]
    ts = client.chat_postMessage(channel="C02INCIDENTS", text="t", blocks=blocks)["ts"]
    where = {"user": "alice", "channel": "incidents", "ts": ts}
    several = sim.post("click", status=409, **where, action_id="step_run")
    assert [item["value"] for item in several["candidates"]] == ["0", "1"]
    nothing = sim.post("click", status=404, **where, label="Stop")
    assert len(nothing["candidates"]) == 2
    assert sim.post("click", **where, action_id="step_run", value="1")["status"] == 404


def opened(sim: Sim) -> dict[str, Any]:
    sim.post("command", user="alice", channel="incidents", text="/incident declare")
    until(lambda: bool(sim.get("state")["views"]))
    found: dict[str, Any] = sim.get("state")["views"][-1]
    return found


def fields(title: str, level: str | None = None) -> dict[str, Any]:
    return {"title": {"text": title}, **({"level": {"level": level}} if level else {})}


def test_modal_is_opened_filled_in_and_submitted(sim: Sim, bolt: list[dict[str, Any]]) -> None:
    view = opened(sim)
    assert (view["title"]["text"], view["user"]) == ("Declare", "U01ALICE")
    answer = sim.post("submit", user="alice", values=fields("orders late", "critical"))
    assert (answer["status"], answer["closed"]) == (200, True)
    values = bolt[-1]["view"]["state"]["values"]
    assert values["title"]["text"] == {"type": "plain_text_input", "value": "orders late"}
    assert values["level"]["level"]["selected_option"]["value"] == "critical"
    assert sim.get("state")["views"] == []


def test_modal_refuses_what_slacks_client_would(sim: Sim, app: App) -> None:
    opened(sim)
    assert "title" in sim.post("submit", status=422, user="alice", values={})["errors"]
    assert "title" in sim.post("submit", status=422, user="alice", values=fields("ab"))["errors"]
    assert sim.post("submit", status=400, user="alice", values=fields("orders", "purple"))["error"]
    assert sim.post("submit", status=400, user="alice", values={"other": {"x": 1}})["fields"]
    assert sim.post("submit", status=404, user="bob", values={})["error"]


def test_modal_answers_change_the_stack(sim: Sim, bolt: list[dict[str, Any]]) -> None:
    first = opened(sim)
    assert sim.post("submit", user="alice", values=fields("bad"))["errors"] == {"title": "Say more."}
    assert sim.get("state")["views"][0]["errors"] == {"title": "Say more."}
    assert sim.post("submit", user="alice", values=fields("update"))["view_id"] == first["id"]
    assert sim.get("state")["views"][0]["title"]["text"] == "Changed"
    for _ in range(2):
        assert sim.post("submit", user="alice", values=fields("push"))["status"] == 200
    assert len(sim.get("state")["views"]) == 3
    assert "trouble connecting" in sim.post("submit", user="alice", values=fields("push"))["error"]
    assert sim.post("submit", user="alice", values=fields("clear"))["closed"] is True
    assert sim.get("state")["views"] == []


def test_closing_a_modal_tells_the_app_that_asked_for_it(sim: Sim, bolt: list[dict[str, Any]]) -> None:
    view = opened(sim)
    assert sim.post("close", user="alice", view_id=view["id"])["closed"] is True
    assert bolt[-1]["type"] == "view_closed"


def test_trigger_ids_work_once_and_for_three_seconds(sim: Sim, client: WebClient, hub: Hub) -> None:
    def error(trigger: str) -> Any:
        answer = sim.http.post(
            "/api/views.open",
            json={"trigger_id": trigger, "view": MODAL},
            headers={"Authorization": f"Bearer {ids.TOKEN}"},
        )
        return answer.json().get("error")

    trigger = hub.tickets.trigger("U01ALICE")
    assert [error(trigger), error(trigger)] == [None, "exchanged_trigger_id"]
    assert error("1.2.3") == "invalid_trigger_id"
    sim.post("config", trigger_seconds=0)
    assert error(hub.tickets.trigger("U01ALICE")) == "expired_trigger_id"


def test_response_url_works_five_times(sim: Sim, bolt: list[dict[str, Any]]) -> None:
    sim.post("command", user="alice", channel="incidents", text="/pipeline")
    sim.wait("all is well")
    url = bolt[0]["response_url"]
    answers = [httpx.post(url, json={"text": str(n)}, trust_env=False) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 404]
    assert answers[0].text == "ok"
    assert answers[-1].json()["error"] == "expired_url"
    assert [e["text"] for e in sim.channel("incidents")["ephemerals"]] == ["checking", "0", "1", "2", "3"]


def test_mention_is_two_events_and_the_answer_comes_back_as_a_third(
    sim: Sim, app: App, bolt: list[dict[str, Any]]
) -> None:
    sim.post("message", user="bob", channel="incidents", text="@streamwatch are you there?")
    assert sim.wait("hello <@U02BOB>")["user"] == ids.BOT_USER
    until(lambda: len(app.heard) >= 3)
    kinds = sorted((e["event"]["type"], "bot_id" in e["event"]) for e in app.heard)
    assert kinds == [("app_mention", False), ("message", False), ("message", True)]
    assert all(header["x-slack-signature"].startswith("v0=") for header in app.headers)
    assert {event["type"] for event in bolt} == {"app_mention", "message"}


def test_events_stay_away_from_channels_without_the_app(sim: Sim, app: App) -> None:
    sim.post("channels", user="alice", name="secret", is_private=True)
    sim.post("message", user="alice", channel="secret", text="nobody listens")
    sim.post("message", user="alice", channel="incidents", text="everybody listens")
    until(lambda: bool(app.heard))
    assert [e["event"]["text"] for e in app.heard] == ["everybody listens"]
    assert sim.post("message", status=403, user="bob", channel="secret", text="let me in")["error"]


def test_failed_event_is_tried_again_with_the_same_id(sim: Sim, app: App) -> None:
    sim.post("config", retry_delays=[0, 0.01, 0.02])
    app.refuse_events = {}
    sim.post("message", user="alice", channel="incidents", text="hello")
    until(lambda: len(app.heard) == 4)
    assert len({e["event_id"] for e in app.heard}) == 1
    assert [h.get("x-slack-retry-num") for h in app.headers] == [None, "1", "2", "3"]
    assert {h.get("x-slack-retry-reason") for h in app.headers[1:]} == {"http_error"}


def test_app_can_ask_for_no_retry(sim: Sim, app: App) -> None:
    sim.post("config", retry_delays=[0, 0, 0])
    app.refuse_events = {"x-slack-no-retry": "1"}
    sim.post("message", user="alice", channel="incidents", text="first")
    until(lambda: bool(app.heard))
    app.refuse_events = None
    sim.post("message", user="alice", channel="incidents", text="second")
    until(lambda: len(app.heard) == 2)
    assert [e["event"]["text"] for e in app.heard] == ["first", "second"]


def test_reaction_reaches_the_app_and_the_state(sim: Sim, bolt: list[dict[str, Any]]) -> None:
    ts = sim.post("message", user="alice", channel="incidents", text="note this")["ts"]
    sim.post("react", user="bob", channel="incidents", ts=ts, name="pushpin")
    until(lambda: any(event["type"] == "reaction_added" for event in bolt))
    assert sim.channel("incidents")["messages"][0]["reactions"][0]["users"] == ["U02BOB"]
    assert sim.post("react", status=409, user="bob", channel="incidents", ts=ts, name="pushpin")["error"]


def test_user_groups_are_told_as_slack_tells_them(sim: Sim, app: App) -> None:
    def heard() -> list[dict[str, Any]]:
        events = [body["event"] for body in app.heard if body["type"] == "event_callback"]
        return [event for event in events if event["type"].startswith("subteam")]

    sim.post("config", retry_delays=[])
    made = sim.post("usergroups", handle="owners", users=["alice", "bob"])
    sim.post("usergroups", handle="owners", users=["bob", "carol"])
    sim.post("usergroups", handle="owners", disabled=True)
    until(lambda: len(heard()) == 4)
    by_seq = sorted(heard(), key=lambda event: float(event["event_ts"]))
    kinds = ["subteam_created", "subteam_members_changed", "subteam_updated", "subteam_updated"]
    assert [event["type"] for event in by_seq] == kinds
    created, changed, updated, disabled = by_seq
    assert (created["subteam"]["id"], created["subteam"]["handle"]) == (made["id"], "owners")
    assert (changed["subteam_id"], changed["added_users"], changed["removed_users"]) == (
        made["id"], ["U03CAROL"], ["U01ALICE"],
    )  # fmt: skip
    assert updated["subteam"]["users"] == ["U02BOB", "U03CAROL"]
    assert (updated["subteam"]["date_delete"], disabled["subteam"]["date_delete"] > 0) == (0, True)


def test_address_is_verified_at_the_start(app: App) -> None:
    with running(SmallWorld, app_url=app.url):
        until(lambda: any(body["type"] == "url_verification" for body in app.heard))
    assert app.headers[0]["x-slack-signature"].startswith("v0=")


def test_push_is_signed_with_the_key_that_is_served(sim: Sim, app: App) -> None:
    answer = sim.post("push", data={"costAmount": 1}, attributes={"budgetId": "b"})
    assert answer["status"] == 200
    path, headers, body = app.webhooks[0]
    assert path == "/webhooks/pubsub"
    assert json.loads(base64.b64decode(body["message"]["data"])) == {"costAmount": 1}
    assert body["message"]["attributes"] == {"budgetId": "b"}
    token = headers["authorization"].removeprefix("Bearer ")
    certificates = sim.http.get("/oauth2/v1/certs").json()
    certificate = certificates[jwt.get_unverified_header(token)["kid"]]
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(key, RSAPublicKey)
    env = sim.get("env")
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=env["PUBSUB_PUSH_AUDIENCE"])
    assert (claims["email"], claims["iss"]) == (env["PUBSUB_PUSH_EMAIL"], "https://accounts.google.com")


def test_alert_is_posted_as_cloud_monitoring_does(sim: Sim, app: App) -> None:
    answer = sim.post("alert", incident={"incident_id": "0.x", "policy_name": "<!channel>"})
    assert (answer["status"], answer["incident_id"]) == (200, "0.x")
    path, headers, body = app.webhooks[0]
    assert path == "/webhooks/cloud-monitoring"
    assert headers["authorization"].startswith("Basic ")
    assert body["version"] == "1.2"
    assert (body["incident"]["policy_name"], body["incident"]["state"]) == ("<!channel>", "open")


def test_replicas_of_an_app_take_turns_and_one_that_is_gone_is_passed_over() -> None:
    heard: list[str] = []

    class Replica(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path.startswith("/webhooks"):
                heard.append(self.headers["host"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    servers = [HTTPServer(("127.0.0.1", 0), Replica) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    places = [f"127.0.0.1:{server.server_port}" for server in servers]
    gone = HTTPServer(("127.0.0.1", 0), Replica)
    gone.server_close()
    urls = ",".join(f"http://{place}" for place in (*places, f"127.0.0.1:{gone.server_port}"))
    with running(SmallWorld, app_url=urls) as hub:
        answers = [httpx.post(f"{hub.base_url}/sim/alert", json={}, timeout=30).json() for _ in range(6)]
    for server in servers:
        server.shutdown()
        server.server_close()
    assert [answer["status"] for answer in answers] == [200] * 6
    assert set(heard) == set(places)
    assert len(heard) == 6
