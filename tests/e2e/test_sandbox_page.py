"""The sandbox's page in headless Chromium: the real sandbox, with a small app of our own behind it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.chart import Chart
from pipeline.painter import paint, size
from sandbox.app import running
from sandbox.google.world import World
from sandbox.page import routes as page_routes
from tests.support.servers import find_chromium, require

pytestmark = pytest.mark.needs("chromium")

Json = dict[str, Any]
ROOM = "inc-0007-orders-down"
HOSTILE = '<img src=x onerror="window.hacked = 1"> <!channel> <script>window.hacked = 2</script> ```'
ESCAPED = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _section(text: Json, **more: Any) -> Json:
    return {"type": "section", "text": text, **more}


def _button(text: str, action_id: str, **more: Any) -> Json:
    return {"type": "button", "text": _plain(text), "action_id": action_id, **more}


def _option(text: str, value: str) -> Json:
    return {"text": _plain(text), "value": value}


CONFIRM = {
    "title": _plain("Restart orders?"),
    "text": _mrkdwn("The job *ecommerce-streaming* is drained first."),
    "confirm": _plain("Restart the job"),
    "deny": _plain("Leave it"),
    "style": "danger",
}

VIEW = {
    "type": "modal",
    "callback_id": "resolve",
    "title": _plain("Resolve INC-7"),
    "submit": _plain("Resolve"),
    "close": _plain("Not yet"),
    "blocks": [
        _section(_mrkdwn("What fixed *it*?")),
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
                "options": [_option("Data quality", "quality"), _option("Cost", "cost")],
            },
        },
    ],
}

HEADLINE: list[Json] = [
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
    _section(
        _mrkdwn(
            "Job `ecommerce-streaming` _failed_; see <https://example.com/job|the job> :fire:\n"
            "&gt; out of *memory*\n```worker-1: OOM\nworker-2: OOM```"
        ),
        accessory={
            "type": "overflow",
            "action_id": "more",
            "options": [_option("Show timers", "timers"), _option("Escalate", "escalate")],
        },
    ),
    {"type": "divider"},
    {
        "type": "actions",
        "block_id": "act",
        "elements": [
            _button("Acknowledge", "incident_ack", style="primary"),
            _button("Restart job", "plan_confirm", style="danger", confirm=CONFIRM),
            _button("Resolve", "incident_resolve"),
        ],
    },
    {"type": "context", "elements": [_mrkdwn("Runbook: *pipeline health*"), _plain("Updates by itself")]},
]

FINDINGS: list[Json] = [
    _section(_mrkdwn(f"Last log line: {ESCAPED}")),
    _section(_plain(HOSTILE)),
    {
        "type": "markdown",
        "text": f"# Findings\n\n| what | value |\n|---|---|\n| errors | **31 %** |\n\n- one\n- two {HOSTILE}",
    },
]


class Bot:
    """An app that answers as a person would expect, and remembers what reached it."""

    def __init__(self) -> None:
        self.client: WebClient
        self.commands: list[str] = []
        self.actions: list[Json] = []
        self.submitted: list[Json] = []
        self.events: list[Json] = []
        self.alerts: list[Json] = []

    async def slack(self, request: Request) -> Response:
        """POST /slack/events."""
        raw = (await request.body()).decode()
        if raw.startswith("{"):
            body = json.loads(raw)
            self.events.append(body.get("event", {}))
            return PlainTextResponse(body.get("challenge", ""))
        form = {name: values[0] for name, values in parse_qs(raw).items()}
        if "payload" in form:
            return await asyncio.to_thread(self._interaction, json.loads(form["payload"]))
        self.commands.append(f"{form['command']} {form.get('text', '')}")
        if form["command"] == "/cost":
            return PlainTextResponse("no", status_code=500)
        return JSONResponse({"response_type": "ephemeral", "text": "Health of orders: *critical*"})

    def _interaction(self, payload: Json) -> Response:
        if payload["type"] == "view_submission":
            values = payload["view"]["state"]["values"]
            self.submitted.append(values)
            if values["cause"]["text"]["value"] == "dunno":
                return JSONResponse({"response_action": "errors", "errors": {"cause": "Say what it was."}})
            return PlainTextResponse("")
        action = payload["actions"][0]
        self.actions.append(action)
        if action["action_id"] == "incident_resolve":
            self.client.views_open(trigger_id=payload["trigger_id"], view=VIEW)
        else:
            self.client.chat_postMessage(
                channel=payload["channel"]["id"], text=f"Done: {action['action_id']}"
            )
        return PlainTextResponse("")

    async def monitoring(self, request: Request) -> Response:
        """POST /webhooks/cloud-monitoring."""
        self.alerts.append((await request.json())["incident"])
        return JSONResponse({"status": "accepted"})

    def seed(self) -> None:
        """An incident's channel as the page should show it, and what stands around it."""
        slack = self.client
        people = ["U01ALICE", "U02BOB"]
        room = slack.conversations_create(name=ROOM)["channel"]["id"]
        slack.conversations_invite(channel=room, users=people)
        slack.conversations_setTopic(channel=room, topic="critical | open | lead: nobody yet")
        metadata = {"event_type": "streamwatch_headline", "event_payload": {"incident": "INC-7"}}
        said = slack.chat_postMessage(channel=room, text="INC-7 critical", blocks=HEADLINE, metadata=metadata)
        slack.chat_update(channel=room, ts=said["ts"], text="INC-7 critical: orders is down", blocks=HEADLINE)
        slack.pins_add(channel=room, timestamp=said["ts"])
        slack.bookmarks_add(channel_id=room, title="Runbook", type="link", link="https://example.com/runbook")
        slack.chat_postMessage(channel=room, text=f"Last log line: {ESCAPED}", blocks=FINDINGS)
        slack.chat_postMessage(channel=room, text="in a thread", thread_ts=said["ts"])
        slack.files_upload_v2(
            channel=room, filename="review.md", title="Review of INC-7", content=f"# Review\n{HOSTILE}"
        )
        slack.chat_postEphemeral(channel=room, user="U02BOB", text="for bob alone")
        secret = slack.conversations_create(name="inc-0008-keys", is_private=True)["channel"]["id"]
        slack.conversations_invite(channel=secret, users=people[:1])
        old = slack.conversations_create(name="inc-0001-old")["channel"]["id"]
        slack.conversations_archive(channel=old)
        slack.chat_postMessage(channel="U01ALICE", text="You are on call.")


@pytest.fixture
def bot() -> Iterator[Bot]:
    bot = Bot()
    app = Starlette(
        routes=[
            Route("/slack/events", bot.slack, methods=["POST"]),
            Route("/webhooks/cloud-monitoring", bot.monitoring, methods=["POST"]),
        ]
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        deadline = time.monotonic() + 40
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        with running(
            World, app_url=f"http://127.0.0.1:{listener.getsockname()[1]}", pages=page_routes
        ) as hub:
            bot.client = WebClient(token="xoxb-sandbox", base_url=f"{hub.base_url}/api/")
            bot.seed()
            yield bot
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def address(bot: Bot) -> str:
    """The sandbox's address."""
    return bot.client.base_url.removesuffix("/api/")


def _act(address: str, what: str, **body: Any) -> None:
    """Do something as a person, without the page."""
    raw = json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/sim/{what}", data=raw)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = require("chromium", find_chromium())
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(path), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The incident's channel as alice; fails the test when the browser's console has an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # A form that the sandbox refuses is an answer of 4xx by design, which Chromium reports as an error.
        if message.type == "error" and "status of 4" not in message.text:
            errors.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(8000)
    page.goto(f"{address}/#channel={ROOM}&as=alice")
    expect(page.get_by_role("heading", name=ROOM)).to_be_visible()
    yield page
    assert errors == []
    context.close()


def test_a_newcomer_sees_the_incident_with_its_words_buttons_and_hint(page: Page, tmp_path: Path) -> None:
    main = page.get_by_role("main")
    expect(main.get_by_role("heading", name="INC-7 Pipeline orders is down")).to_be_visible()
    expect(main.get_by_role("button", name="Acknowledge")).to_be_visible()
    expect(main.get_by_text("(edited)")).to_be_visible()
    expect(main.locator("strong", has_text="Severity").first).to_be_visible()
    expect(main.locator("pre", has_text="worker-2: OOM")).to_be_visible()
    expect(main.locator("blockquote", has_text="out of memory")).to_be_visible()
    expect(main.get_by_role("link", name="the job")).to_have_attribute("href", "https://example.com/job")
    expect(page.get_by_label("What to try next")).to_contain_text("Choose a scenario")
    expect(page.get_by_role("complementary", name="World")).to_contain_text("clicks-sub")
    expect(main.get_by_text("for bob alone")).to_have_count(0)
    picture = tmp_path / "page.png"
    page.screenshot(path=str(picture))
    assert picture.stat().st_size > 20_000


def test_the_list_shows_what_this_person_may_see(page: Page) -> None:
    nav = page.get_by_role("navigation", name="Channels")
    expect(nav.get_by_role("button", name="general")).to_be_visible()
    expect(nav.get_by_role("button", name=re.compile("inc-0008-keys, private"))).to_be_visible()
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


def test_a_posted_message_appears_and_is_announced(page: Page, bot: Bot) -> None:
    blocks = [{"type": "actions", "elements": [_button("Show the backlog", "show")]}]
    bot.client.chat_postMessage(channel=f"#{ROOM}", text="Backlog is *shrinking*", blocks=blocks)
    expect(page.get_by_role("main").get_by_role("button", name="Show the backlog")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("Backlog is *shrinking*")
    bot.client.chat_postMessage(channel="incidents", text="Another one")
    nav = page.get_by_role("navigation", name="Channels")
    expect(nav.get_by_role("button", name="incidents, 1 unread")).to_be_visible()


def test_a_picture_is_shown_in_the_message_with_its_words(page: Page, bot: Bot) -> None:
    rows = (("2026-12", 31944.0, "31,944 events"), ("2026-11", 29040.0, "29,040 events"))
    chart = Chart(name="events-orders", title="Events a day of orders", note="by month", rows=rows)
    bot.client.files_upload_v2(
        channel=bot.client.conversations_create(name="charts")["channel"]["id"],
        filename="events-orders.png",
        alt_txt=chart.words,
        content=paint(chart),
    )
    page.get_by_role("navigation", name="Channels").get_by_role("button", name=re.compile("charts")).click()
    shown = page.get_by_role("main").get_by_role("img", name=chart.words)
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("complete", True)
    expect(shown).to_have_js_property("naturalWidth", size(chart)[0])


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


MRKDWN = {
    "*bold* _it_ ~no~": "<strong>bold</strong> <em>it</em> <s>no</s>",
    "*a _b_ c*": "<strong>a <em>b</em> c</strong>",
    "2*3*4 snake_case_name a~b": "2*3*4 snake_case_name a~b",
    "* not bold *": "* not bold *",
    "`*code* &lt;b&gt;`": "<code>*code* &lt;b&gt;</code>",
    "```\n*x*\n```after": "<pre><code>*x*</code></pre>after",
    "open ``` only": "open ``` only",
    "&amp;lt;b&amp;gt;": "&amp;lt;b&amp;gt;",
    "<javascript:alert(1)|click>": "<span>click</span>",
    "&lt;!channel&gt;": "&lt;!channel&gt;",
    "<!channel>": '<span class="mention me">@channel</span>',
    "<@U09NOBODY>": '<span class="mention">@U09NOBODY</span>',
    "&gt; one\n&gt; two\nthree": "<blockquote>one\ntwo</blockquote>three",
    ":unknown_thing: at 12:30:15": ":unknown_thing: at 12:30:15",
    "<!date^x^{date}|some day>": '<time title="some day" class="date">some day</time>',
}


def test_mrkdwn_reads_as_in_slack(page: Page) -> None:
    render = """async (texts) => {
        const { mrkdwn } = await import("/page/mrkdwn.js");
        const ctx = { viewerId: "U01ALICE", user: () => null, channel: () => null };
        return texts.map((text) => {
            const box = document.createElement("div");
            box.append(...mrkdwn(text, ctx).flat(Infinity));
            return box.innerHTML;
        });
    }"""
    shown = page.evaluate(render, list(MRKDWN))
    assert dict(zip(MRKDWN, shown, strict=True)) == MRKDWN


def test_a_wall_of_marks_is_drawn_at_once(page: Page) -> None:
    took = page.evaluate(
        """async (texts) => {
        const { mrkdwn } = await import("/page/mrkdwn.js");
        const { markdown } = await import("/page/markdown.js");
        const start = performance.now();
        for (const text of texts) { mrkdwn(text, {}); markdown(text); }
        return performance.now() - start;
    }""",
        [
            "*" * 8000,
            "*a " * 3000,
            "_`~" * 3000,
            "<" * 8000,
            ":a" * 4000,
            "> " * 4000,
            "|" * 8000,
            "[" * 8000,
        ],
    )
    assert took < 20_000, "what is read again and again for each mark takes minutes"


def test_a_slash_command_is_suggested_sent_and_answered_only_to_the_asker(page: Page, bot: Bot) -> None:
    box = page.locator("#composer-input")
    box.click()
    box.press_sequentially("/pi")
    expect(page.get_by_role("option", name=re.compile("pipeline"))).to_be_visible()
    box.press("Tab")
    box.press_sequentially("health")
    box.press("Enter")
    answer = page.locator(".message.ephemeral", has_text="Health of orders")
    expect(answer).to_have_count(1)
    expect(answer).to_contain_text("Only visible to you")
    assert bot.commands == ["/pipeline health"]


def test_a_failing_command_is_told_in_slacks_words(page: Page) -> None:
    box = page.locator("#composer-input")
    box.fill("/cost report")
    box.press("Enter")
    expect(page.locator(".message.ephemeral")).to_contain_text("/cost failed with the error")
    box.fill("/nonsense")
    box.press("Enter")
    expect(page.locator(".message.ephemeral").last).to_contain_text('"/nonsense" is not a valid command')


def test_what_is_typed_is_shown_as_it_was_typed(page: Page) -> None:
    box = page.locator("#composer-input")
    box.fill("@bob see #general: a < b & *c*")
    box.press("Enter")
    line = page.locator(".message", has_text="@bob see #general: a < b & c")
    expect(line.locator(".mention", has_text="@bob")).to_be_visible()
    expect(line.locator("strong", has_text="c").last).to_be_visible()
    line.get_by_role("button", name="#general").click()
    expect(page.get_by_role("heading", name="# general")).to_be_visible()


def test_a_button_with_confirm_asks_first(page: Page, bot: Bot) -> None:
    restart = page.get_by_role("button", name="Restart job")
    restart.click()
    dialog = page.get_by_role("dialog", name="Restart orders?")
    expect(dialog).to_contain_text("is drained first")
    dialog.get_by_role("button", name="Leave it").click()
    expect(dialog).to_have_count(0)
    assert bot.actions == []
    restart.click()
    dialog.get_by_role("button", name="Restart the job").click()
    expect(page.get_by_role("main").get_by_text("Done: plan_confirm")).to_be_visible()
    assert [a["action_id"] for a in bot.actions] == ["plan_confirm"]


def test_menus_choose_by_keyboard_and_carry_the_option(page: Page, bot: Bot) -> None:
    page.get_by_role("button", name="More actions").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_text("Done: more")).to_be_visible()
    assert bot.actions[0]["selected_option"]["value"] == "escalate"


def test_a_modal_is_filled_in_checked_and_submitted(page: Page, bot: Bot) -> None:
    page.get_by_role("button", name="Resolve", exact=True).click()
    dialog = page.get_by_role("dialog", name="Resolve INC-7")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog.get_by_text("Please complete this required field.").first).to_be_visible()
    dialog.get_by_label("Cause").fill("dunno")
    dialog.get_by_label("Kind").select_option("quality")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog.get_by_text("Say what it was.")).to_be_visible()
    expect(dialog.get_by_label("Kind")).to_have_value("quality")
    dialog.get_by_label("Cause").fill("A worker ran out of memory")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog).to_have_count(0)
    values = bot.submitted[-1]
    assert values["cause"]["text"]["value"] == "A worker ran out of memory"
    assert values["kind"]["pick"]["selected_option"]["value"] == "quality"


def test_escape_closes_a_modal(page: Page) -> None:
    page.get_by_role("button", name="Resolve", exact=True).click()
    dialog = page.get_by_role("dialog", name="Resolve INC-7")
    expect(dialog.get_by_label("Cause")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_thread_opens_by_its_reply_count_and_takes_a_reply(page: Page) -> None:
    page.get_by_role("button", name=re.compile("1 reply")).click()
    pane = page.get_by_role("complementary", name="Thread")
    expect(pane.get_by_text("in a thread")).to_be_visible()
    pane.get_by_role("textbox").fill("me too")
    pane.get_by_role("textbox").press("Enter")
    expect(pane.get_by_text("me too")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button", name=re.compile("2 replies"))).to_be_visible()


def test_the_pushpin_works_without_a_mouse(page: Page, address: str, bot: Bot) -> None:
    _act(address, "message", user="bob", channel=ROOM, text="It was the *quota*")
    message = page.locator(".message", has_text="It was the quota")
    message.get_by_role("button", name="Put on the timeline (pushpin)").focus()
    page.keyboard.press("Enter")
    expect(message.get_by_role("button", name=re.compile("pushpin, 1: alice"))).to_be_visible()
    assert page.evaluate("document.activeElement.title") == "Put on the timeline (pushpin)"


def test_the_world_takes_a_scenario_and_an_alert(page: Page, bot: Bot) -> None:
    world = page.get_by_role("complementary", name="World")
    world.get_by_label("Scenario").select_option("job_failed")
    world.get_by_role("button", name="Make it happen").click()
    expect(world.get_by_text("Scenario: job_failed")).to_be_visible()
    world.get_by_text("Raise an alert").click()
    world.get_by_label("Summary").fill("The job has failed")
    world.get_by_role("button", name="Send the alert").click()
    world.get_by_role("button", name="Close the alert").click()
    expect(world.get_by_role("button", name="Close the alert")).to_have_count(0)
    assert [(a["summary"], a["state"]) for a in bot.alerts] == [
        ("The job has failed", "open"),
        ("The job has failed", "closed"),
    ]
    assert bot.alerts[0]["incident_id"] == bot.alerts[1]["incident_id"]


def test_it_fits_a_narrow_screen(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 420, "height": 800})
    page.reload()
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.get_by_role("button", name="Channels", exact=True).click()
    page.get_by_role("navigation").get_by_role("button", name="general").click()
    expect(page.get_by_role("heading", name="# general")).to_be_visible()
    picture = tmp_path / "narrow.png"
    page.screenshot(path=str(picture))
    assert picture.stat().st_size > 10_000


def test_only_its_own_files_are_served_with_a_strict_policy(page: Page, address: str) -> None:
    answer = page.request.get(f"{address}/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert page.request.get(f"{address}/page/app.js").headers["content-type"].startswith("text/javascript")
    for name in ("__init__.py", "..%2Fclock.py", "nothing.js"):
        assert page.request.get(f"{address}/page/{name}").status == 404
