"""A page wakes: mail and hook beside Slack, with a link that acknowledges once; real servers, real time."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bot.clock import Clock
from bot.demo_world import get
from bot.desk.test_pages import SINCE
from bot.store.database import Database
from tests.e2e.alerts import alert
from tests.e2e.people import People
from tests.e2e.running import Stage, staged
from tests.support.office import Office, request

ESCALATION = """
ladder: {L2: 30m, L3: 40m, L4: 50m}
l1: {backup: 25m, emergency: 26m, l2_if_critical: 27m}
repeat: 28m
patience: 5s
rules:
  - {id: security, fact: security, for: 0m, within: 0m, to: L2}
"""
ROSTER = """
people:
  alice: {slack: U01ALICE, email: alice@example.com, phone: "+1-555-0101"}
  bob: {slack: U02BOB, phone: "+1-555-0102", hook: "%(http)s/hook/bob"}
  carol: {slack: U03CAROL, email: carol@example.com, phone: "+1-555-0103"}
levels:
  L1: {primary: alice, backup: bob, emergency: "+1-555-DATA-ENG"}
  L2: [carol]
contacts: {security: security@example.com, compliance: bob}
"""
Json = dict[str, Any]


@contextlib.contextmanager
def opened(folder: Path, **more: Any) -> Iterator[tuple[Stage, Office]]:
    """A stage whose bot mails and calls; a folder of its own."""
    office = Office()
    folder.mkdir()
    env = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(office.smtp),
        "SMTP_FROM": "pages@example.com",
        "HOOK_URL": f"{office.http}/hook/all",
        **more.pop("env", {}),
    }
    files = {
        "escalation.yaml": ESCALATION,
        "roster.yaml": ROSTER % {"http": office.http},
        **more.pop("files", {}),
    }
    office.start()
    try:
        with staged(folder, runbooks=files, env=env, **more) as stage:
            yield stage, office
    finally:
        office.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Office]]:
    with opened(tmp_path_factory.mktemp("wakes") / "stage") as found:
        yield found


def raised(stage: Stage, key: str, **more: Any) -> str:
    """A new critical alert of a pipeline of its own; the id of the incident that it opens."""
    known = {i["id"] for i in stage.incidents()}
    assert stage.post(alert(key, **more)).status == 200
    found = stage.until(
        lambda: [i["id"] for i in stage.incidents() if i["id"] not in known], 40, "no incident"
    )
    return str(found[0])


def events(stage: Stage, name: str, kind: str) -> list[Json]:
    return [e for e in stage.incident(name)["events"] if e["type"] == kind]


# --- every place at once ---


def of_page(found: list[Json], name: str, person: str = "alice") -> list[Json]:
    return [
        c for c in found if (c["body"]["incident"], c["body"]["person"]) == (name, person)
    ]  # fmt: skip


def mails_of(office: Office, name: str) -> list[Json]:
    return [m for m in office.mails() if m["headers"]["X-Streamwatch-Incident"] == name]


def token_of(text: str) -> str:
    found = re.search(r"/ack/(\S+)", text)
    assert found, text
    return found[1]


def test_a_page_goes_to_every_place_at_once_and_its_link_answers_once(world: tuple[Stage, Office]) -> None:
    stage, office = world
    stage.sandbox.post("/sim/users", {"name": "alice", "dnd": True})
    name = raised(stage, "everywhere", pipeline="everywhere")
    stage.until(
        lambda: mails_of(office, name) and of_page(office.calls(), name), 40, "mail and call did not come"
    )
    mail, call = mails_of(office, name)[0], of_page(office.calls(), name)[0]
    assert mail["to"] == ["alice@example.com"]
    assert mail["headers"]["From"] == "pages@example.com"
    assert name in mail["headers"]["Subject"]
    assert "page to L1" in mail["headers"]["Subject"]
    assert "everywhere" in mail["text"]
    body = call["body"]
    assert call["path"] == "/hook/all"
    assert set(body) == {
        "event", "dedup_key", "summary", "severity", "incident", "level", "person", "ack_url"
    }  # fmt: skip
    assert (body["event"], body["severity"], body["level"]) == ("page", "critical", "L1")

    def everywhere() -> bool:
        return set(stage.incident(name)["pages"][0]["places"].items()) >= {
            ("direct message", "sent"), ("e-mail", "sent"), ("hook", "sent"), ("channel", "sent")
        }  # fmt: skip

    stage.until(everywhere, 40, "not every place said that it was reached")
    quiet = {e["data"]["place"] for e in events(stage, name, "page_delivered") if e["data"]["dnd"]}
    assert quiet == {"direct message"}
    link = body["ack_url"]
    assert link == f"{stage.app_url}/ack/{token_of(mail['text'])}"
    assert request(link, "HEAD")[0] == 200
    status, shown = request(link)
    assert status == 200
    assert f"Acknowledge {name} as alice" in shown
    assert stage.incident(name)["acknowledged_by"] is None
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: request(link, "POST")[0], range(6)))
    assert sorted(answers) == [200, 410, 410, 410, 410, 410]
    assert stage.incident(name)["acknowledged_by"] == "alice"
    assert len(events(stage, name, "page_acknowledged")) == 1
    assert events(stage, name, "acknowledged")[0]["data"]["via"] == "link"
    status, shown = request(link, "POST")
    assert (status, "works once" in shown) == (410, True)
    assert [e["data"]["why"] for e in events(stage, name, "ack_refused")] == ["used"]
    kept = (stage.folder / "bot.log").read_bytes() + (stage.folder / "streamwatch.db").read_bytes()
    assert token_of(mail["text"]).encode() not in kept
    assert body["dedup_key"].startswith(name)


def test_a_link_that_somebody_made_up_is_refused_and_noted(world: tuple[Stage, Office]) -> None:
    stage, office = world
    name = raised(stage, "forged", pipeline="forged")
    stage.until(lambda: of_page(office.calls(), name), 40, "no call came")
    link = of_page(office.calls(), name)[0]["body"]["ack_url"]
    forged = link[:-4] + ("AAAA" if not link.endswith("AAAA") else "BBBB")
    assert request(forged)[0] == 403
    status, said = request(forged, "POST")
    assert status == 403
    assert "not genuine" in said
    assert name not in said
    assert stage.incident(name)["acknowledged_by"] is None
    assert [e["data"]["why"] for e in events(stage, name, "ack_refused")] == ["forged"]
    assert request(f"{stage.app_url}/ack/rubbish", "POST")[0] == 403


def test_a_resolve_is_told_to_the_hook_under_the_key_of_its_page(world: tuple[Stage, Office]) -> None:
    stage, office = world
    name = raised(stage, "ended", pipeline="ended")
    stage.until(lambda: of_page(office.calls(), name), 40, "no call came")
    stage.post(alert("ended", pipeline="ended", state="closed"))
    stage.command("alice", "incidents", f"/incident ack {name}")
    stage.command("alice", "incidents", f"/incident resolve {name} mended")
    stage.until(lambda: len(of_page(office.calls(), name)) > 1, 40, "the resolve was not told")
    first, last = (c["body"] for c in of_page(office.calls(), name))
    assert (first["event"], last["event"]) == ("page", "resolve")
    assert first["dedup_key"] == last["dedup_key"]
    assert last["ack_url"] is None


# --- when a place fails ---


def test_what_is_in_doubt_is_sent_again_under_the_same_name(world: tuple[Stage, Office]) -> None:
    stage, office = world
    office.order(mail=["lost"], hook=["lost", 503])
    name = raised(stage, "doubt", pipeline="doubt")
    stage.until(
        lambda: len(mails_of(office, name)) >= 2 and len(of_page(office.calls(), name)) >= 3,
        40,
        "what was in doubt was not sent again",
    )
    first, second = mails_of(office, name)[:2]
    assert first["headers"]["Message-ID"] == second["headers"]["Message-ID"]
    assert "(may be a repeat)" in second["headers"]["Subject"]
    calls = of_page(office.calls(), name)
    assert len({(c["body"]["dedup_key"], c["headers"]["Idempotency-Key"]) for c in calls}) == 1
    stage.until(lambda: stage.incident(name)["pages"][0]["places"]["hook"] == "sent", 40, "never settled")
    told = {(e["type"], e["data"]["place"]) for e in stage.incident(name)["events"] if "place" in e["data"]}
    assert {("page_doubtful", "e-mail"), ("page_doubtful", "hook"), ("page_delivered", "e-mail")} <= told


def test_one_place_that_fails_is_told_and_both_print_the_number(world: tuple[Stage, Office]) -> None:
    stage, office = world
    office.order(mail=[550], hook=[429])
    one = raised(stage, "onefails", pipeline="onefails")
    stage.until(lambda: events(stage, one, "page_failed"), 40, "the refusal was not told")
    stage.until(
        lambda: stage.incident(one)["pages"][0]["places"]["hook"] == "sent", 40, "429 was not retried"
    )
    assert events(stage, one, "page_failed")[0]["data"]["place"] == "e-mail"
    assert events(stage, one, "dial") == []
    office.order(mail=[550], hook=[410])
    both = raised(stage, "bothfail", pipeline="bothfail")
    stage.until(lambda: printed(stage, both), 40, "the number was not printed")
    assert "+1-555-0101" in printed(stage, both)


def printed(stage: Stage, name: str) -> str:
    """The line with the number to dial, where people are."""
    rooms = [c for c in stage.state()["channels"] if not c["is_im"]]
    said = [m["text"] for c in rooms for m in c["messages"] if "Dial now" in str(m["text"])]
    room = stage.incident(name)["channel_id"]
    own = [m["text"] for c in rooms if c["id"] == room for m in c["messages"] if "Dial now" in str(m["text"])]
    return str((own or [text for text in said if name in text] or [""])[0])


def test_a_mail_server_that_is_down_prints_the_number_and_gets_the_mail_later(
    world: tuple[Stage, Office],
) -> None:
    stage, office = world
    office.stop()
    try:
        name = raised(stage, "down", pipeline="down")
        stage.until(lambda: printed(stage, name), 40, "the number was not printed")
    finally:
        office.start()
    late = {e["data"]["place"] for e in events(stage, name, "page_late")}
    assert late == {"e-mail", "hook"}
    stage.until(lambda: mails_of(office, name), 40, "the mail was given up")
    stage.until(lambda: stage.incident(name)["pages"][0]["places"]["e-mail"] == "sent", 40, "it stays late")
    assert len(events(stage, name, "dial")) == 1


# --- contacts, the emergency step, kills ---


def test_a_security_incident_is_told_to_its_contacts_without_its_title(world: tuple[Stage, Office]) -> None:
    stage, office = world
    labels = {"severity": "critical", "kind": "security"}
    secret = "keys in the open"
    stage.post(alert("leak", pipeline="leak", policy_user_labels=labels, policy_name=secret))

    def told() -> list[Json]:
        return [m for m in office.mails() if m["to"] == ["security@example.com"]]

    stage.until(told, 40, "the security mailbox got no mail")
    name = told()[0]["headers"]["X-Streamwatch-Incident"]
    stage.until(lambda: of_page(office.calls(), name, "bob"), 40, "the compliance contact was not paged")
    assert "ack/" not in told()[0]["text"]
    assert secret not in json.dumps([mails_of(office, name), of_page(office.calls(), name, "bob")])
    assert of_page(office.calls(), name, "bob")[0]["path"] == "/hook/bob"


def test_a_bot_killed_between_send_and_settle_sends_again_under_the_same_name(
    world: tuple[Stage, Office],
) -> None:
    stage, office = world
    office.order(mail=["hang"], hook=["hang"])
    name = raised(stage, "killed", pipeline="killed")
    stage.until(lambda: mails_of(office, name) and of_page(office.calls(), name), 40, "nothing was sent")
    stage.kill_bot()
    stage.start_bot()
    stage.until(
        lambda: len(mails_of(office, name)) >= 2 and len(of_page(office.calls(), name)) >= 2,
        120,
        "not sent again",
    )
    assert len({m["headers"]["Message-ID"] for m in mails_of(office, name)}) == 1
    assert len({c["body"]["dedup_key"] for c in of_page(office.calls(), name)}) == 1
    stage.until(lambda: stage.incident(name)["pages"][0]["places"]["e-mail"] == "sent", 40, "never settled")


def test_the_emergency_step_calls_the_hook_and_an_old_link_is_refused(tmp_path: Path) -> None:
    quick = ESCALATION.replace("backup: 25m, emergency: 26m", "backup: 1s, emergency: 3s") + "link: 1s\n"
    with opened(tmp_path / "stage", files={"escalation.yaml": quick}) as (stage, office):
        name = raised(stage, "emergency")
        stage.until(lambda: events(stage, name, "hook_called"), 40, "the hook was not called")
        call = next(c["body"] for c in office.calls() if not c["body"]["person"])
        assert (call["event"], call["level"], call["incident"]) == ("page", "L1", name)
        assert "+1-555-DATA-ENG" in call["summary"]
        link = of_page(office.calls(), name)[0]["body"]["ack_url"]
        status, said = request(link, "POST")
        assert (status, "was good until" in said) == (410, True)
        assert [e["data"]["why"] for e in events(stage, name, "ack_refused")] == ["expired"]
        assert stage.incident(name)["acknowledged_by"] is None


# --- the weekly test page ---


def test_the_weekly_test_page_goes_by_every_method_and_each_gets_its_receipt(
    world: tuple[Stage, Office],
) -> None:
    stage, office = world
    with Database(stage.env["DATABASE_URL"], Clock.from_env({}), create=False) as database:
        # As if the bot had been there for years: this week's test is due.
        database.write(lambda tx: tx.put_value(SINCE, "2020-01-01T00:00:00+00:00"))

    def receipts() -> dict[tuple[str, str], Json]:
        found = get(f"{stage.app_url}/oncall")["test_pages"]
        return {(r["person"], r["method"]): r for r in found}

    def out() -> bool:
        mine = {method for (person, method), r in receipts().items() if person == "alice" and r["sent_at"]}
        return mine == {"slack", "hook", "email"}

    stage.until(out, 40, "not every method was tried")
    mail = next(m for m in office.mails() if "Test page to L1" in m["headers"]["Subject"])
    link = f"{stage.app_url}/ack/{token_of(mail['text'])}"
    assert request(link)[0] == 200
    assert receipts()["alice", "email"]["seen_at"]
    assert receipts()["alice", "email"]["acknowledged_at"] is None
    assert request(link, "POST")[0] == 200
    assert receipts()["alice", "email"]["acknowledged_at"]
    assert receipts()["alice", "slack"]["acknowledged_at"] is None
    people = People(stage)
    message = people.saw("Test page to L1, alice", channel="alice")
    people.click("alice", message, "oncall_test_ack")
    stage.until(lambda: receipts()["alice", "slack"]["acknowledged_at"], 40, "the button has no receipt")
    assert receipts()["bob", "hook"]["acknowledged_at"] is None
