"""The pages over HTTP: who sees them, what they say, and what they never show."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.core.action_items import Todo
from bot.core.alert_model import Kind, Severity
from bot.core.book import Entry
from bot.core.folding import fold
from bot.core.incident import Action, Event, Incident
from bot.core.lifecycle import opened
from bot.core.oncall import with_overrides
from bot.core.overrides import Override
from bot.core.policy import Level, Policy
from bot.core.receipts import Receipt
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.core.rounds import Round
from bot.core.statistics import compute
from bot.web.pages import routes
from bot.web.pages_operations import Aside, Operations

START = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
TOKEN = "pages-token"
HOSTILE = '<img src=x onerror="alert(1)"> \u202e {{ 7 * 7 }} password=hunter2'
Line = tuple[float, str, str, dict[str, Any]]
Told = tuple[Incident, Sequence[Event]]


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def told(
    number: int, lines: Sequence[Line] = (), kind: Kind = Kind.HEALTH, severity: str = "critical"
) -> Told:
    first = opened(
        project="demo-project", pipeline="orders", family="stream", title=f"Trouble {number} {HOSTILE}", kind=kind,
        severity=Severity(severity), policy=Policy(), now=START, actor="watch", reason="a probe",
    )  # fmt: skip
    rest = [Event(type=name, at=at(m), actor=actor, data=data) for m, name, actor, data in lines]
    events = [replace(e, seq=n) for n, e in enumerate([first, *rest], start=1)]
    incident = fold(number, events)
    assert incident is not None
    return incident, events


PAGE = {"page": "p1", "epoch": 1, "step": "e1:c1:L1", "level": "L1", "person": "alice", "due_at": at(0).isoformat(),
        "reasons": ["critical incident: L1 at once"]}  # fmt: skip
PAGED: list[Line] = [
    (0, "fact_began", "watch", {"fact": "down", "begin": at(-1).isoformat(), "text": "no job is running"}),
    (0, "paged", "streamwatch", PAGE),
    (0, "timer_fired", "streamwatch", {"steps": ["e1:c1:L1"], "due_at": at(0).isoformat(), "kind": "ladder"}),
    (1.5, "page_delivered", "streamwatch",
     {"page": "p1", "level": "L1", "person": "alice", "place": "direct message", "late_s": 90.0}),
    (2, "noted", "alice", {"text": HOSTILE}),
    (2, "channel_created", "streamwatch", {"channel": "C07", "name": "inc-0007-trouble"}),
]  # fmt: skip
STEP = {"runbook": "book", "ref": "book/ask#1.1", "title": "Ask", "how": "person", "place": 3, "of": 7, "nth": 1,
        "waits_for": "alice"}  # fmt: skip
OVER: list[Line] = [*PAGED, (30, "resolved", "alice", {"reason": "fixed"})]


class Reading:
    """The port over incidents in memory."""

    def __init__(self, *incidents: Told) -> None:
        self._all = {incident.id: (incident, events) for incident, events in incidents}

    async def incidents(self) -> Sequence[Incident]:
        return [incident for incident, _ in self._all.values()]

    async def incident(self, number: int) -> Told | None:
        return self._all.get(number)

    async def oncall(self) -> tuple[Roster, Sequence[Override], Sequence[Receipt]]:
        override = Override(
            id=4, kind="override", person="bob", other="alice", level=Level.L1, place="primary", begin=at(0),
            end=at(90), reason=HOSTILE, made_by="alice", made_at=at(0),
        )  # fmt: skip
        people = {name: Person(name=name, slack=f"U{name.upper()}") for name in ("alice", "bob")}
        roster = Roster(people=people, first=FirstLevel(primary=Always("alice")))
        sent = Receipt(id="r", person="bob", level="L1", method="slack", made_at=at(-9), sent_at=at(-8))
        return with_overrides(roster, [override]), [override], [sent]

    async def book(self) -> Sequence[Entry]:
        return [
            Entry(at=at(3), actor="mallory", what="refused", data={"asked": HOSTILE, "reason": "no"}, seq=2)
        ]

    async def operations(self) -> Operations:
        found = compute(list(self._all.values()), at(-9), at(99))
        item = Action(id=2, text=HOSTILE, owner="bob", due="2026-03-01")
        todo = Todo(incident="INC-8", private=False, action=item, late=1)
        began = Round(id="daily:2026-03-02", kind="daily", title="Daily", due_at=at(0), began_at=at(30))
        aside = Aside(
            at=at(5), what="notification 3 from cloud-monitoring", reason=f"no policy in it {HOSTILE}"
        )
        return Operations(found=found, rounds=[began], todos=[todo], aside=[aside])

    def now(self) -> datetime:
        return at(20)


WORLD = Reading(
    told(7, PAGED), told(8, OVER), told(9, kind=Kind.SECURITY), told(10, OVER[-1:], severity="warning"),
    told(11, [(3, "review_drafted", "alice", {"filename": "x.md"})]),
    told(12, [(3, "runbook_started", "streamwatch", {"runbook": "book", "title": HOSTILE, "steps": 7, "number": 1}),
              (8, "step_taken", "streamwatch", STEP)]),
)  # fmt: skip


@asynccontextmanager
async def browse(
    token: str | None = None, client: str = "127.0.0.1", base: str = "http://127.0.0.1", **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes(WORLD, token))
    transport = httpx.ASGITransport(app=app, client=(client, 50000))
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as made:
        yield made


JSON = {"accept": "application/json"}
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_the_page_and_its_json_say_how_far_the_runbook_is() -> None:
    async with browse() as web:
        page = (await web.get("/incidents/INC-12", headers=HTML)).text
        body = (await web.get("/incidents/INC-12", headers=JSON)).json()
    assert "step 3 of 7, waiting for alice since 12 min: Ask" in page
    assert HOSTILE not in page
    assert body["runbook"]["name"] == "book"
    assert body["runbook"]["progress"].endswith("step 3 of 7, waiting for alice since 12 min: Ask")


@pytest.mark.parametrize("name", ["INC-7", "inc-7", "7", "INC-0007"])
async def test_an_incident_is_found_by_every_form_of_its_id(name: str) -> None:
    async with browse() as web:
        assert (await web.get(f"/incidents/{name}", headers=JSON)).json()["id"] == "INC-7"


@pytest.mark.parametrize("name", ["INC-99", "abc", "7x", "-7", "٧", "9" * 40, "INC-", "7%2F..", "INC-9", "9"])
async def test_what_is_not_there_and_what_is_private_look_the_same(name: str) -> None:
    async with browse() as web:
        for path in (f"/incidents/{name}", f"/incidents/{name}/review"):
            answer = await web.get(path)
            assert answer.status_code == 404
    async with browse() as web:
        private, absent = await web.get("/incidents/9"), await web.get("/incidents/99")
    assert private.text == absent.text
    assert private.headers == absent.headers


async def test_the_on_call_page_shows_overrides_and_receipts_behind_the_same_gate() -> None:
    async with browse() as web:
        page = (await web.get("/oncall?tz=Europe/Berlin", headers=HTML)).text
        told = (await web.get("/oncall", headers=JSON)).json()
    row = page[page.index('<th scope="row">L1 primary</th>') :].partition("</tr>")[0]
    assert "<strong>bob</strong>" in row
    assert "(override 4, by alice)" in row
    assert "Mon 2026-03-02 05:40 Europe/Berlin" in row
    assert '<time datetime="2026-03-02">Mon<br>2 Mar</time><br>today' in page
    assert '<td colspan="1" data-label="Mon 2 Mar"><span>alice, 04:10 bob, 05:40 alice</span></td>' in page
    assert '<td colspan="13" data-label="Tue 3 Mar to Sun 15 Mar"><span>alice</span></td>' in page
    assert '<td colspan="14" data-label="Mon 2 Mar to Sun 15 Mar"><span>NOBODY</span></td>' in page
    assert "Test page to bob by Slack: sent 2026-03-02 03:02 UTC, not acknowledged" in page
    assert "<img" not in page
    assert "hunter2" not in page
    assert told["now"][0]["person"] == "bob"
    assert told["now"][0]["until"] == "2026-03-02T04:40:00Z"
    assert [(h["from"], h["to"]) for h in told["hand_overs"]] == [("bob", "alice")]
    assert told["test_pages"][0]["acknowledged_at"] is None
    async with browse(TOKEN) as web:
        assert (await web.get("/oncall")).status_code == 401


async def test_the_json_has_the_promised_fields() -> None:
    async with browse() as web:
        body = (await web.get("/incidents/INC-7", headers=JSON)).json()
    promised = {
        "id",
        "status",
        "severity",
        "kind",
        "pipeline",
        "channel",
        "epoch",
        "events",
        "timers",
        "pages",
    }
    assert promised <= body.keys()
    assert (body["status"], body["severity"], body["kind"]) == ("open", "critical", "health")
    assert (body["pipeline"], body["channel"], body["channel_id"], body["epoch"]) == (
        "orders", "inc-0007-trouble", "C07", 1,
    )  # fmt: skip
    assert [e["seq"] for e in body["events"]] == list(range(1, 8))
    page = body["pages"][0]
    assert (page["person"], page["level"], page["late_s"]) == ("alice", "L1", 90.0)
    assert (page["due_at"], page["sent_at"]) == ("2026-03-02T03:10:00Z", "2026-03-02T03:11:30Z")


async def test_the_timers_are_those_of_the_rules_with_their_due_times() -> None:
    async with browse() as web:
        timers = (await web.get("/incidents/7", headers=JSON)).json()["timers"]
    due = {t["step"]: t["due_at"] for t in timers}
    assert due["e1:ladder:L2"] == "2026-03-02T05:10:00Z"
    assert due["e1:ladder:L4"] == "2026-03-02T11:10:00Z"
    assert [t["due_at"] for t in timers] == sorted(t["due_at"] for t in timers)
    backup = next(t for t in timers if t["kind"] == "backup")
    assert backup["late_s"] == 900.0


async def test_the_list_leaves_private_incidents_out() -> None:
    async with browse() as web:
        rows = (await web.get("/incidents", headers=JSON)).json()["incidents"]
        html = (await web.get("/incidents", headers=HTML)).text
    assert [row["id"] for row in rows] == ["INC-7", "INC-8", "INC-10", "INC-11", "INC-12"]
    assert "INC-9" not in html
    assert "INC-8" in html


async def test_the_page_tells_the_ladder_in_words() -> None:
    async with browse() as web:
        answer = await web.get("/incidents/INC-7", headers=HTML)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = answer.text
    assert "L1, ladder" in text
    assert "fired 2026-03-02 03:10:00 UTC, in time" in text
    assert "alice: sent 2026-03-02 03:11:30 UTC, 1 min 30 s late; not acknowledged" in text
    assert "armed, due in 1 h 40 min" in text
    assert "due now, 15 min late" in text
    assert "down</strong> since 2026-03-02 03:09:00 UTC: holds" in text


async def test_outside_text_brings_no_markup_into_the_page() -> None:
    async with browse() as web:
        pages = [(await web.get(path, headers=HTML)).text for path in ("/incidents", "/incidents/7")]
    for text in pages:
        assert "<img" not in text
        assert "&lt;img" in text
        assert "{{ 7 * 7 }}" in text
        assert "\u202e" not in text
        assert "hunter2" not in text


async def test_secrets_are_masked_in_the_json_too() -> None:
    async with browse() as web:
        text = (await web.get("/incidents/7", headers=JSON)).text
    assert "hunter2" not in text
    assert "password=[masked]" in json.loads(text)["events"][5]["data"]["text"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("text/html, application/json;q=0.9", "text/html"),
        ("application/json;q=0", "text/html"),
        ("application/json;q=rubbish", "text/html"),
        ("*/*", "text/html"),
        ("", "text/html"),
    ],
)
async def test_the_accept_header_chooses_the_form(accept: str, kind: str) -> None:
    async with browse() as web:
        for path in ("/incidents", "/incidents/7"):
            answer = await web.get(path, headers={"accept": accept})
            assert answer.headers["content-type"].startswith(kind)


async def test_the_audit_book_is_shown_to_people_and_scripts() -> None:
    async with browse() as web:
        page = (await web.get("/audit", headers=HTML)).text
        (entry,) = (await web.get("/audit", headers=JSON)).json()["entries"]
    assert "<img" not in page
    assert "mallory was refused" in page
    assert (entry["seq"], entry["actor"], entry["what"]) == (2, "mallory", "refused")
    for text in (page, json.dumps(entry)):
        assert "hunter2" not in text


@pytest.mark.parametrize(("name", "status"), [("7", 404), ("8", 200), ("10", 404), ("11", 200)])
async def test_there_is_a_review_once_drafted_or_when_a_critical_one_is_resolved(
    name: str, status: int
) -> None:
    async with browse() as web:
        answer = await web.get(f"/incidents/{name}/review")
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
        assert answer.text.startswith("# Review of INC-")


async def test_the_review_carries_the_head_hash_where_it_can_be_read() -> None:
    async def head(number: int) -> str:
        return f"{number:064x}"

    app = Starlette(routes=routes(WORLD, None, head=head))
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as web:
        assert f"`{8:064x}`" in (await web.get("/incidents/8/review")).text


PATHS = ["/incidents", "/incidents/7", "/incidents/8/review", "/incidents/99"]


@pytest.mark.parametrize("path", PATHS)
async def test_with_a_token_nobody_gets_in_without_it_not_even_from_this_machine(path: str) -> None:
    async with browse(TOKEN) as web:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            answer = await web.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "Trouble" not in answer.text
        assert (await web.get(path, params={"token": "wrong"})).status_code == 401
        assert (await web.get(path, params={"token": ""})).status_code == 401


async def test_the_bearer_header_lets_in_from_anywhere() -> None:
    async with browse(TOKEN, client="10.1.2.3", base="http://bot.example") as web:
        answer = await web.get("/incidents/7", headers={**JSON, "authorization": f"bearer {TOKEN}"})
    assert answer.json()["id"] == "INC-7"


async def test_a_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    async with browse(TOKEN, client="10.1.2.3", base="https://bot.example") as web:
        first = await web.get("/incidents/7", params={"token": TOKEN, "x": "1"}, headers=HTML)
        assert first.status_code == 303
        assert first.headers["location"] == "/incidents/7?x=1"
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" in cookie
        assert TOKEN not in cookie
        assert (await web.get("/incidents/8", headers=HTML)).status_code == 200


@pytest.mark.parametrize("scheme", ["https", "HTTPS, http"])
async def test_behind_a_proxy_that_ends_https_the_cookie_is_for_https_alone(scheme: str) -> None:
    async with browse(TOKEN, client="10.1.2.3", base="http://bot.example") as web:
        headers = {**HTML, "x-forwarded-proto": scheme}
        first = await web.get("/incidents/7", params={"token": TOKEN}, headers=headers)
        assert "Secure" in first.headers["set-cookie"]
        plain = await web.get("/incidents/7", params={"token": TOKEN}, headers=HTML)
        assert "Secure" not in plain.headers["set-cookie"]


async def test_a_script_with_the_token_in_the_address_gets_its_answer_at_once() -> None:
    async with browse(TOKEN, client="10.1.2.3") as web:
        assert (await web.get("/incidents/7", params={"token": TOKEN}, headers=JSON)).json()["id"] == "INC-7"


async def test_a_redirect_never_leads_to_another_host() -> None:
    async with browse(TOKEN) as web:
        answer = await web.get("http://127.0.0.1//incidents/7", params={"token": TOKEN}, headers=HTML)
    assert answer.status_code == 404 or answer.headers["location"] == "/incidents/7"


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_without_a_token_this_machine_gets_in(client: str) -> None:
    async with browse(client=client) as web:
        assert (await web.get("/incidents")).status_code == 200


@pytest.mark.parametrize(
    ("client", "base", "headers"),
    [
        ("10.1.2.3", "http://127.0.0.1", {}),
        ("testclient", "http://127.0.0.1", {}),
        ("127.0.0.1", "http://127.0.0.1", {"x-forwarded-for": "127.0.0.1"}),
        ("127.0.0.1", "http://127.0.0.1", {"forwarded": "for=10.0.0.1"}),
        ("127.0.0.1", "http://rebound.example", {}),
    ],
)
async def test_without_a_token_nobody_else_gets_in(client: str, base: str, headers: dict[str, str]) -> None:
    async with browse(client=client, base=base, **headers) as web:
        answer = await web.get("/incidents/7", headers=JSON)
    assert answer.status_code == 403
    assert "WEB_TOKEN" in answer.json()["hint"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_every_answer_is_locked_down(path: str, token: str | None) -> None:
    async with browse(token) as web:
        headers = (await web.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


async def test_the_style_is_served_and_the_page_needs_nothing_else() -> None:
    async with browse() as web:
        style = await web.get("/incidents/static/style.css")
        html = (await web.get("/incidents/7", headers=HTML)).text
    assert style.headers["content-type"].startswith("text/css")
    assert '<link rel="stylesheet" href="/incidents/static/style.css">' in html
    assert "style=" not in html
    assert "<script" not in html


async def test_nothing_can_be_changed_through_the_pages() -> None:
    async with browse() as web:
        for path in ("/incidents", "/incidents/7", "/incidents/8/review"):
            assert (await web.post(path)).status_code == 405


async def test_a_long_timeline_shows_its_newest_lines_and_says_what_is_left_out() -> None:
    many: list[Line] = [(0, "noted", "alice", {"text": f"line {n}."}) for n in range(600)]
    app = Starlette(routes=routes(Reading(told(3, many)), None))
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as web:
        html = (await web.get("/incidents/3", headers=HTML)).text
        body = (await web.get("/incidents/3", headers=JSON)).json()
    assert "101 older events" in html
    assert "line 599." in html
    assert "line 99." not in html
    assert len(body["events"]) == 601


async def test_a_timer_that_another_one_spent_is_no_rung_of_the_ladder() -> None:
    spent: list[Line] = [
        *PAGED,
        (5, "timer_fired", "streamwatch", {"steps": ["e1:c1:emergency"], "kind": "emergency"}),
        (5, "timer_fired", "streamwatch", {"steps": ["e1:c1:again:2"], "kind": "missed"}),
    ]
    app = Starlette(routes=routes(Reading(told(3, spent)), None))
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as web:
        html = (await web.get("/incidents/3", headers=HTML)).text
    ladder = html.split("<h2>Ladder</h2>")[1].split("</ol>")[0]
    assert ladder.count('class="fired"') == 1


async def test_operations_shows_statistics_with_the_chart_as_a_table_too() -> None:
    async with browse() as web:
        page = (await web.get("/operations", headers=HTML)).text
        told = (await web.get("/operations", headers=JSON)).json()
    assert "Time to acknowledge (MTTA): " in page
    assert 'role="img"' in page
    assert '<td data-label="Week">week of 2026-03-02</td>' in page
    for title in ("Mean time to resolve (MTTR) by week", "Incidents by kind", "Noisiest alert policies"):
        assert f"<h2>{title}</h2>" in page
    assert 'aria-label="Incidents by kind. health: ' in page, "a drawing says all that it shows"
    assert "daily:2026-03-02, measuring, 30 min late" in page
    assert "INC-8 action 2" in page
    assert "notification 3 from cloud-monitoring" in page
    assert "no policy in it" in page
    assert "hunter2" not in page
    assert "<img" not in page
    assert (told["statistics"]["incidents"], told["rounds"][0]["id"]) == (6, "daily:2026-03-02")
    assert told["actions"][0]["late_days"] == 1
    assert told["aside"][0]["at"] == "2026-03-02T03:15:00Z"
    assert "hunter2" not in told["aside"][0]["reason"]
    async with browse(TOKEN, "203.0.113.9") as web:
        assert (await web.get("/operations")).status_code == 401


@pytest.mark.parametrize("path", ["/incidents", "/incidents/INC-7", "/oncall", "/operations", "/audit"])
async def test_on_a_telephone_where_no_heads_stand_above_them_cells_say_what_they_hold(path: str) -> None:
    async with browse() as web:
        page = (await web.get(path, headers=HTML)).text
    cells = re.findall("<td[^>]*>", page)
    assert cells or path == "/incidents"
    assert [cell for cell in cells if "data-label=" not in cell] == []
