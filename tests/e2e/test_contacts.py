"""A person writes to the contacts of an incident: a draft with the facts, edited, sent, on the timeline, and a reminder
when nobody answered. Nothing of it is sent by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bot.demo_world import get
from tests.e2e.people import WAIT_S, People
from tests.e2e.running import ROOT, Json, staged, verified
from tests.support.office import Office

SPEED = 60.0
ROSTER = (ROOT / "runbooks" / "roster.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """The mail server of the house."""
    made = Office()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, office: Office) -> Iterator[People]:
    """A quality incident whose business contact is a person; the data sources have a mailbox."""
    now = time.time()
    roster = ROSTER.replace("business: business-ops@yourcompany.com ", "business: dave ")
    env = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(office.smtp), "SMTP_FROM": "pages@example.com"}
    folder = tmp_path_factory.mktemp("contacts")
    with staged(folder, clock=f"{now},{now},{SPEED}", env=env, runbooks={"roster.yaml": roster}) as stage:
        people = People(stage)
        people.ask("alice", "general", "/incident declare warning quality Clicks are refused", "is declared")
        people.ask("alice", people.channel_of("INC-1"), "/pipeline quality", "orders")
        yield people


def drafted(people: People, user: str, room: str, subject: str) -> Json:
    """The form with the draft, open for this person."""
    assert people.stage.command(user, room, f"/incident notify {subject}")["status"] == 200

    def opened() -> Json | None:
        views = [v for v in people.stage.state()["views"] if v["user"] == people.id_of(user)]
        return views[-1] if views else None

    found = people.stage.until(opened, WAIT_S, "no form opened")
    assert found is not None
    return found


def written(people: People, subject: str) -> Json:
    """The event of a message to this contact, once it is there."""

    def there() -> list[Any]:
        return [e for e in people.events("INC-1", "contact_written") if e["data"]["subject"] == subject]

    return dict(people.stage.until(there, WAIT_S, f"nothing was written to {subject}")[-1])


def test_a_mailbox_gets_what_a_person_edited_and_the_timeline_has_it(people: People, office: Office) -> None:
    room = people.channel_of("INC-1")
    form = str(drafted(people, "alice", room, "data"))
    assert "data-sources@yourcompany.com" in form
    assert "Did you release something at that time?" in form, "the runbook's own draft"
    assert people.events("INC-1", "contact_written") == [], "nothing is sent by itself"
    mails = [m for m in office.mails() if m["to"] == ["data-sources@yourcompany.com"]]
    assert mails == []
    people.submit("alice", {"text": "Since 03:10 page_type is refused. Did you release?", "remind": "20m"})
    said = written(people, "data")
    assert (said["actor"], said["data"]["sent"], said["data"]["mailed"]) == ("alice", True, True)

    def mailed() -> list[Json]:
        return [m for m in office.mails() if m["to"] == ["data-sources@yourcompany.com"]]

    (mail,) = people.stage.until(mailed, WAIT_S, "no mail came")
    assert "Since 03:10 page_type is refused. Did you release?" in mail["text"]
    assert "/ack/" not in mail["text"]
    assert people.saw("alice wrote to the data contact (data-sources@yourcompany.com)", channel=room)

    def told() -> list[Json]:
        return [e for e in people.events("INC-1", "page_delivered") if e["data"].get("letter")]

    (out,) = people.stage.until(told, WAIT_S, "the timeline does not say that the mail went out")
    assert (out["data"]["person"], out["data"]["place"]) == ("data-sources@yourcompany.com", "e-mail")
    people.stage.until_quiet()  # nothing of it waits to be sent once more
    assert len(mailed()) == 1


def test_nobody_answered_so_the_writer_is_reminded_once_and_an_answer_ends_it(people: People) -> None:
    """The reminder is a timer like any other, so it is listed, and a snooze moves it."""
    room = people.channel_of("INC-1")
    people.ask("alice", room, "/incident timers", "alice wrote to the data contact; no answer yet")
    reminder = people.saw("Nobody noted an answer of the data contact", channel=room)
    assert people.id_of("alice") in str(reminder["blocks"]) + str(reminder["text"])
    found = next(m for m in people.messages(channel=room) if m["ts"] == reminder["ts"])
    people.click("bob", found, "contact_answered")
    people.saw("The data contact answered, says bob", channel=room)
    assert len(people.events("INC-1", "contact_reminded")) == 1


def test_a_person_gets_a_direct_message_and_an_answer_before_its_time_stops_the_reminder(
    people: People,
) -> None:
    room = people.channel_of("INC-1")
    since = people.mark()
    drafted(people, "bob", room, "business")
    people.submit("bob", {"text": "The sales table is incomplete since 03:10.", "remind": "7d"})
    direct = people.saw("bob writes to you about INC-1", since=since)
    assert "The sales table is incomplete" in direct["text"]
    assert [m["is_im"] for m in people.messages() if m["ts"] == direct["ts"]] == [True]
    people.ask("bob", room, "/incident notify business answered they hold the report back", "Noted")
    told = people.events("INC-1", "contact_answered")[-1]
    assert told["data"] == {"subject": "business", "note": "they hold the report back"}


def test_a_page_to_open_is_shown_with_the_text_to_copy(people: People) -> None:
    room = people.channel_of("INC-1")
    form = str(drafted(people, "alice", room, "infrastructure"))
    assert "for you to copy" in form
    people.submit("alice", {"text": "Case: workers cannot reach Pub/Sub", "remind": ""})
    assert written(people, "infrastructure")["data"]["sent"] is False
    people.saw("For alice to copy and send to the infrastructure contact", channel=room)


def test_wrong_forms_and_people_without_the_right_send_nothing(people: People) -> None:
    room = people.channel_of("INC-1")
    drafted(people, "alice", room, "network")
    answer = people.submit("alice", {"text": "hello", "remind": "9 years"})
    assert "remind" in str(answer), answer
    people.refused("alice", room, "/incident notify somebody", "Notify whom?")
    people.refused("alice", room, "/incident notify network answered", "Nobody wrote to the network contact")
    people.stage.sandbox.post("/sim/users", {"name": "mallory"})
    people.stage.sandbox.post("/sim/message", {"user": "mallory", "channel": room, "text": "hm"})
    people.refused("mallory", room, "/incident notify data", "only people on the roster may do this")
    assert {e["data"]["subject"] for e in people.events("INC-1", "contact_written")} == {
        "data",
        "business",
        "infrastructure",
    }


def test_messages_answers_snoozes_and_ticked_steps_are_in_the_audit_book_whose_chain_holds(
    people: People,
) -> None:
    room = people.channel_of("INC-1")
    people.ask("alice", room, "/incident snooze 2h the source rolls back", "the source rolls back")
    people.ask("bob", "general", "/runbook run emergency-contacts", "Emergency contacts")
    people.refused("bob", "general", "/runbook done nobody is out of reach", "Which answer?")
    said = "/runbook done something else: nobody is out of reach"
    people.ask("bob", "general", said, "Ticked off, and in the audit book")
    entries = get(f"{people.stage.app_url}/audit", timeout=30)["entries"]
    told = [f"{e['incident']}: {e['text']}" for e in reversed(entries)]
    assert "INC-1: alice wrote to the data contact, data-sources@yourcompany.com" in told
    assert "INC-1: bob noted that the data contact answered" in told
    assert "INC-1: bob noted that the business contact answered: they hold the report back" in told
    assert any("INC-1: alice snoozed the incident until " in line for line in told)
    assert any(line.startswith("None: bob ticked off “") for line in told), told
    assert not any("page_type is refused" in line for line in told), "a message's text is on the timeline"
    assert verified(people.stage) == (0, "Every timeline is intact, and the audit book.")
