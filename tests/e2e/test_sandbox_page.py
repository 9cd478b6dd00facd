"""The sandbox's page in headless Chromium, over a small workspace that answers /sim/* as the sandbox does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from sandbox.page import routes as page_routes

pytestmark = pytest.mark.needs("chromium")

Json = dict[str, Any]
BOT = "U0STREAMWATCH"
HOSTILE = '<img src=x onerror="window.hacked = 1"> <!channel> <script>window.hacked = 2</script> ```'


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _button(text: str, action_id: str, **more: Any) -> Json:
    return {"type": "button", "text": _plain(text), "action_id": action_id, **more}


CONFIRM = {
    "title": _plain("Restart orders?"),
    "text": _mrkdwn("The job *ecommerce-streaming* is drained first."),
    "confirm": _plain("Restart the job"),
    "deny": _plain("Leave it"),
    "style": "danger",
}

VIEW = {
    "id": "V1",
    "type": "modal",
    "user": "U01ALICE",
    "title": _plain("Resolve INC-7"),
    "submit": _plain("Resolve"),
    "close": _plain("Not yet"),
    "blocks": [
        {"type": "section", "text": _mrkdwn("What fixed *it*?")},
        {
            "type": "input",
            "block_id": "cause",
            "label": _plain("Cause"),
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "kind",
            "label": _plain("Kind"),
            "element": {
                "type": "static_select",
                "action_id": "pick",
                "options": [
                    {"text": _plain("Data quality"), "value": "quality"},
                    {"text": _plain("Cost"), "value": "cost"},
                ],
            },
        },
    ],
}


def _headline() -> Json:
    return {
        "ts": "1795392000.000100",
        "user": BOT,
        "bot_id": "B0STREAMWATCH",
        "text": "INC-7 critical: pipeline orders is down",
        "metadata": {"event_type": "streamwatch_headline", "event_payload": {"incident": "INC-7"}},
        "edited": {"user": BOT, "ts": "1795392060.000000"},
        "blocks": [
            {"type": "header", "text": _plain("INC-7 Pipeline orders is down")},
            {
                "type": "section",
                "fields": [
                    _mrkdwn("*Severity*\ncritical"),
                    _mrkdwn("*Status*\nopen"),
                    _mrkdwn("*On call*\n<@U01ALICE>, then <@U02BOB>"),
                    _mrkdwn("*Started*\n<!date^1795392000^{date_short_pretty} {time}|2026-11-23 00:00 UTC>"),
                ],
            },
            {
                "type": "section",
                "text": _mrkdwn(
                    "Job `ecommerce-streaming` _failed_; see <https://example.com/job|the job> :fire:\n"
                    "&gt; out of *memory*\n```worker-1: OOM\nworker-2: OOM```"
                ),
                "accessory": {
                    "type": "overflow",
                    "action_id": "more",
                    "options": [
                        {"text": _plain("Show timers"), "value": "timers"},
                        {"text": _plain("Escalate"), "value": "escalate"},
                    ],
                },
            },
            {"type": "divider"},
            {
                "type": "actions",
                "block_id": "act",
                "elements": [
                    _button("Acknowledge", "incident_ack", style="primary"),
                    _button("Restart job", "plan_confirm", style="danger", confirm=CONFIRM),
                    _button("Resolve", "incident_resolve"),
                    {
                        "type": "static_select",
                        "action_id": "severity",
                        "placeholder": _plain("Severity"),
                        "options": [{"text": _plain("Warning"), "value": "warning"}],
                    },
                ],
            },
            {
                "type": "context",
                "elements": [_mrkdwn("Runbook: *pipeline health*"), _plain("Updates by itself")],
            },
        ],
    }


class Workspace:
    """What the sandbox holds, as far as the page looks at it; remembers what the page asked for."""

    def __init__(self) -> None:
        self.seq = 1
        self.asked: list[tuple[str, Json]] = []
        self.views: list[Json] = []
        self.world: Json = {
            "scenario": "job_failed",
            "jobs": [{"id": "j-1", "name": "ecommerce-streaming", "state": "FAILED"}],
            "backlog": {"clicks-sub": {"count": 1200, "oldest_s": 340}},
            "dead_letters": 17,
        }
        names = ["alice", "bob", "carol", "dave", "erin"]
        self.users = [
            {"id": f"U0{i}{n.upper()}", "name": n, "real_name": n.title(), "is_bot": False}
            for i, n in enumerate(names, 1)
        ]
        self.users.append({"id": BOT, "name": "streamwatch", "real_name": "Streamwatch", "is_bot": True})
        everyone = [u["id"] for u in self.users]
        self.channels: list[Json] = [
            self._channel(
                "C01GENERAL", "general", everyone, messages=[self._line("U02BOB", "Morning all", 1)]
            ),
            self._channel("C02INCIDENTS", "incidents", everyone),
            self._channel(
                "C03INC",
                "inc-0007-orders-down",
                everyone,
                topic="critical | open | lead: nobody yet",
                pins=[{"ts": "1795392000.000100"}],
                bookmarks=[{"id": "Bk1", "title": "Runbook", "link": "https://example.com/runbook"}],
                files=[{"id": "F1", "name": "review.md", "title": "Review of INC-7", "size": 30}],
            ),
            self._channel("C04SECRET", "inc-0008-keys", ["U01ALICE", BOT], is_private=True),
            self._channel("C05OLD", "inc-0001-old", everyone, is_archived=True),
            self._channel(
                "D01",
                "",
                ["U01ALICE", BOT],
                is_im=True,
                user="U01ALICE",
                messages=[self._line(BOT, "You are on call.", 2)],
            ),
        ]
        room = self.room("C03INC")
        room["messages"] += [
            _headline(),
            {
                **self._line(BOT, f"Last log line: {_escaped(HOSTILE)}", 200),
                "blocks": [
                    {"type": "section", "text": _mrkdwn(f"Last log line: {_escaped(HOSTILE)}")},
                    {"type": "section", "text": _plain(HOSTILE)},
                    {
                        "type": "markdown",
                        "text": "# Findings\n\n| what | value |\n|---|---|\n| error rate | **31 %** |\n\n- one\n"
                        f"- two {HOSTILE}",
                    },
                ],
            },
            self._line("U02BOB", "Looking at it, *not* the network <https://example.com>", 300),
            {**self._line("U01ALICE", "in a thread", 400), "thread_ts": "1795392000.000100"},
            {
                **self._line(BOT, "The review", 500),
                "files": [{"id": "F1", "name": "review.md", "title": "Review of INC-7", "size": 30}],
            },
        ]
        room["ephemerals"].append(
            {"ts": "1795392001.000900", "user": "U02BOB", "sender": BOT, "text": "for bob alone"}
        )

    def _line(self, user: str, text: str, offset: int) -> Json:
        return {"ts": f"1795392000.{offset:06d}", "user": user, "text": text}

    def _channel(self, id_: str, name: str, members: list[str], **more: Any) -> Json:
        return {
            "id": id_,
            "name": name,
            "is_im": False,
            "user": None,
            "is_private": False,
            "is_archived": False,
            "topic": "",
            "members": members,
            "pins": [],
            "bookmarks": [],
            "files": [],
            "messages": [],
            "ephemerals": [],
            **more,
        }

    def room(self, id_: str) -> Json:
        return next(c for c in self.channels if c["id"] == id_)

    def stamp(self) -> str:
        return f"{time.time():.6f}"

    def change(self) -> None:
        self.seq += 1

    def say(self, channel: str, user: str, text: str, **more: Any) -> None:
        self.room(channel)["messages"].append({"ts": self.stamp(), "user": user, "text": text, **more})
        self.change()

    def answer(self, what: str, body: Json) -> Json:
        """Does what the page asked for; the answer of /sim/<what>."""
        self.asked.append((what, body))
        match what:
            case "command" if body["text"].startswith("/slow"):
                return {"status": 0, "ms": 3000, "body": "", "error": "operation_timeout"}
            case "command":
                return {
                    "status": 200,
                    "ms": 5,
                    "body": f"Health of orders: *critical* (asked with {body['text']})",
                }
            case "message":
                self.say(
                    body["channel"],
                    body["user"],
                    body["text"],
                    **({"thread_ts": body["thread_ts"]} if "thread_ts" in body else {}),
                )
            case "click" if body["action_id"] == "incident_resolve":
                self.views.append(VIEW)
            case "click":
                self.say(body["channel"], BOT, f"Done: {body['action_id']}")
            case "submit" if body["values"]["cause"]["text"]["value"] == "dunno":
                return {
                    "status": 200,
                    "ms": 5,
                    "body": {"response_action": "errors", "errors": {"cause": "Say what it was."}},
                }
            case "submit" | "close":
                self.views.clear()
            case "react":
                message = next(m for m in self.room(body["channel"])["messages"] if m["ts"] == body["ts"])
                message["reactions"] = [{"name": body["name"], "users": [body["user"]], "count": 1}]
            case "world":
                self.world |= body
        self.change()
        return {"status": 200, "ms": 5, "body": ""}

    def state(self) -> Json:
        return {
            "channels": self.channels,
            "users": self.users,
            "views": self.views,
            "hint": "Press Acknowledge, then type /pipeline health",
        }


def _app(workspace: Workspace) -> Starlette:
    async def state(request: Request) -> Response:
        return JSONResponse(workspace.state())

    async def world(request: Request) -> Response:
        return JSONResponse(workspace.world)

    async def events(request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            seen = -1
            while not await request.is_disconnected():
                if workspace.seq != seen:
                    seen = workspace.seq
                    yield f"data: {seen}\n\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def act(request: Request) -> Response:
        return JSONResponse(workspace.answer(request.path_params["what"], json.loads(await request.body())))

    async def file(request: Request) -> Response:
        return PlainTextResponse(f"# Review of INC-7\n{HOSTILE}")

    return Starlette(
        routes=[
            *page_routes,
            Route("/sim/state", state),
            Route("/sim/events", events),
            Route("/sim/world", world, methods=["GET"]),
            Route("/sim/files/{id}", file),
            Route("/sim/{what}", act, methods=["POST"]),
        ]
    )


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
def address(workspace: Workspace) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(
        _app(workspace), host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = _chromium()
    if path is None:
        if os.environ.get("STREAMWATCH_REQUIRE_ALL") == "1":
            pytest.fail("needs chromium")
        pytest.skip("needs chromium")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The incident's channel as alice; fails the test when the browser's console has an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(8000)
    page.goto(f"{address}/#channel=inc-0007-orders-down&as=alice")
    expect(page.get_by_role("heading", name="inc-0007-orders-down")).to_be_visible()
    yield page
    assert errors == []
    context.close()


def _asked(workspace: Workspace, what: str) -> list[Json]:
    return [body for name, body in workspace.asked if name == what]


def test_a_newcomer_sees_the_incident_with_its_words_buttons_and_hint(page: Page, tmp_path: Path) -> None:
    main = page.get_by_role("main")
    expect(main.get_by_role("heading", name="INC-7 Pipeline orders is down")).to_be_visible()
    expect(main.get_by_role("button", name="Acknowledge")).to_be_visible()
    expect(main.get_by_text("(edited)")).to_be_visible()
    expect(main.locator("strong", has_text="Severity").first).to_be_visible()
    expect(main.locator("pre", has_text="worker-2: OOM")).to_be_visible()
    expect(main.locator("blockquote", has_text="out of memory")).to_be_visible()
    expect(main.get_by_role("link", name="the job")).to_have_attribute("href", "https://example.com/job")
    expect(page.get_by_text("Try next: Press Acknowledge")).to_be_visible()
    expect(page.get_by_text("1,200 messages, oldest 340 s")).to_be_visible()
    expect(main.get_by_text("for bob alone")).to_have_count(0)
    picture = tmp_path / "page.png"
    page.screenshot(path=str(picture))
    assert picture.stat().st_size > 20_000


def test_the_list_shows_what_this_person_may_see(page: Page) -> None:
    nav = page.get_by_role("navigation", name="Channels")
    expect(nav.get_by_role("button", name="general, 1 unread")).to_be_visible()
    expect(nav.get_by_role("button", name="inc-0008-keys, private")).to_be_visible()
    expect(nav.get_by_role("button", name="inc-0001-old, archived")).to_be_visible()
    nav.get_by_role("button", name=re.compile("streamwatch")).click()
    expect(page.get_by_role("main").get_by_text("You are on call.")).to_be_visible()
    page.get_by_label("Who am I").select_option("bob")
    expect(nav.get_by_role("button", name=re.compile("inc-0008-keys"))).to_have_count(0)
    expect(nav.get_by_role("button", name=re.compile("streamwatch"))).to_have_count(0)


def test_an_ephemeral_message_is_seen_by_its_person_alone(page: Page) -> None:
    page.get_by_label("Who am I").select_option("bob")
    line = page.locator(".message.ephemeral")
    expect(line).to_contain_text("Only visible to you")
    expect(line).to_contain_text("for bob alone")


def test_a_posted_message_appears_and_is_announced(page: Page, workspace: Workspace) -> None:
    workspace.say(
        "C03INC",
        BOT,
        "Backlog is *shrinking*",
        blocks=[{"type": "actions", "elements": [_button("Show the backlog", "show")]}],
    )
    expect(page.get_by_role("main").get_by_role("button", name="Show the backlog")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("Backlog is *shrinking*")


def test_outside_text_stays_text(page: Page) -> None:
    main = page.get_by_role("main")
    expect(main.get_by_text("<img src=x onerror=").first).to_be_visible()
    assert main.locator("img, script").count() == 0
    hostile = page.locator(".message", has_text="Last log line")
    expect(hostile).to_contain_text("<!channel>")
    assert hostile.locator(".mention").count() == 0
    page.get_by_role("button", name="Read Review of INC-7").click()
    expect(page.get_by_role("dialog")).to_contain_text("<script>")
    assert page.evaluate("window.hacked") is None


def test_a_slash_command_is_suggested_sent_and_answered_only_to_the_asker(
    page: Page, workspace: Workspace
) -> None:
    box = page.locator("#composer-input")
    box.click()
    box.press_sequentially("/pi")
    expect(page.get_by_role("option", name=re.compile("pipeline"))).to_be_visible()
    box.press("Tab")
    box.press_sequentially("health")
    box.press("Enter")
    answer = page.locator(".message.ephemeral", has_text="Health of orders")
    expect(answer).to_contain_text("Only visible to you")
    assert _asked(workspace, "command") == [
        {"user": "U01ALICE", "channel": "C03INC", "text": "/pipeline health"}
    ]
    box.fill("/slow thing")
    box.press("Enter")
    expect(page.get_by_text('/slow failed with the error "operation_timeout"')).to_be_visible()


def test_what_is_typed_goes_out_as_slack_would_send_it(page: Page, workspace: Workspace) -> None:
    box = page.locator("#composer-input")
    box.fill("@bob see #general: a < b & c")
    box.press("Enter")
    expect(page.locator(".message", has_text="@bob see #general: a < b & c")).to_be_visible()
    assert _asked(workspace, "message")[0]["text"] == "<@U02BOB> see <#C01GENERAL|general>: a &lt; b &amp; c"


def test_a_button_with_confirm_asks_first(page: Page, workspace: Workspace) -> None:
    restart = page.get_by_role("button", name="Restart job")
    restart.click()
    dialog = page.get_by_role("dialog", name="Restart orders?")
    expect(dialog).to_contain_text("is drained first")
    dialog.get_by_role("button", name="Leave it").click()
    expect(dialog).to_have_count(0)
    assert _asked(workspace, "click") == []
    restart.click()
    dialog.get_by_role("button", name="Restart the job").click()
    expect(page.get_by_role("main").get_by_text("Done: plan_confirm")).to_be_visible()
    assert _asked(workspace, "click")[0]["ts"] == "1795392000.000100"


def test_menus_choose_by_keyboard_and_carry_the_option(page: Page, workspace: Workspace) -> None:
    page.get_by_role("button", name="More actions").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_text("Done: more")).to_be_visible()
    assert _asked(workspace, "click")[0]["value"] == "escalate"


def test_a_modal_is_filled_in_checked_and_submitted(page: Page, workspace: Workspace) -> None:
    page.get_by_role("button", name="Resolve", exact=True).click()
    dialog = page.get_by_role("dialog", name="Resolve INC-7")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog.get_by_text("Please complete this required field.").first).to_be_visible()
    dialog.get_by_label("Cause").fill("dunno")
    dialog.get_by_label("Kind").select_option("quality")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog.get_by_text("Say what it was.")).to_be_visible()
    dialog.get_by_label("Cause").fill("A worker ran out of memory")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog).to_have_count(0)
    values = _asked(workspace, "submit")[-1]["values"]
    assert values["cause"]["text"]["value"] == "A worker ran out of memory"
    assert values["kind"]["pick"]["selected_option"]["value"] == "quality"


def test_a_thread_opens_by_its_reply_count_and_takes_a_reply(page: Page, workspace: Workspace) -> None:
    page.get_by_role("button", name=re.compile("1 reply")).click()
    pane = page.get_by_role("complementary", name="Thread")
    expect(pane.get_by_text("in a thread")).to_be_visible()
    pane.get_by_role("textbox").fill("me too")
    pane.get_by_role("textbox").press("Enter")
    expect(pane.get_by_text("me too")).to_be_visible()
    assert _asked(workspace, "message")[0]["thread_ts"] == "1795392000.000100"


def test_the_pushpin_works_without_a_mouse(page: Page, workspace: Workspace) -> None:
    message = page.locator('[data-ts="1795392000.000300"]')
    pushpin = message.get_by_role("button", name="Put on the timeline (pushpin)")
    pushpin.focus()
    page.keyboard.press("Enter")
    expect(message.get_by_role("button", name=re.compile("pushpin, 1: alice"))).to_be_visible()
    assert _asked(workspace, "react") == [
        {"user": "U01ALICE", "channel": "C03INC", "ts": "1795392000.000300", "name": "pushpin"}
    ]


def test_the_world_takes_a_scenario_and_an_alert(page: Page, workspace: Workspace) -> None:
    world = page.get_by_role("complementary", name="World")
    world.get_by_label("Scenario").select_option("hot_key")
    world.get_by_role("button", name="Make it happen").click()
    expect(world.get_by_text("Scenario: hot_key")).to_be_visible()
    world.get_by_text("Raise an alert").click()
    world.get_by_label("Summary").fill("The job has failed")
    world.get_by_role("button", name="Send the alert").click()
    expect(world.get_by_role("button", name="Close it")).to_be_visible()
    assert _asked(workspace, "alert")[0]["summary"] == "The job has failed"


def test_it_fits_a_narrow_screen(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 420, "height": 800})
    page.reload()
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.get_by_role("button", name="Channels", exact=True).click()
    page.get_by_role("navigation").get_by_role("button", name=re.compile("general")).click()
    expect(page.get_by_role("main").get_by_text("Morning all")).to_be_visible()


def test_only_its_own_files_are_served_with_a_strict_policy(page: Page, address: str) -> None:
    answer = page.request.get(f"{address}/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert page.request.get(f"{address}/page/app.js").headers["content-type"].startswith("text/javascript")
    for name in ("__init__.py", "..%2Fclock.py", "nothing.js"):
        assert page.request.get(f"{address}/page/{name}").status == 404
