"""A security incident from its declaration to its review: everything that a non-member can see is searched for it.

dave is on the roster (L3) and no member; mallory is in the workspace alone.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.people import WAIT_S, People
from tests.e2e.running import Json, metadata, staged, texts

SECRET = "zebrafish"  # stands in the title, a note, a status, the reason of the resolve
NAME = re.compile(r"\bINC-1\b|\binc-0001")
PAGES = (
    "/incidents",
    "/incidents/INC-1",
    "/incidents/INC-1/review",
    "/oncall",
    "/operations",
    "/audit",
    "/healthz",
    "/metrics",
    "/openapi.json",
)
ASKED = (
    "/incident list", "/incident timeline INC-1", "/incident timers INC-1", "/incident brief INC-1",
    "/incident ack INC-1", "/incident note INC-1 hello", "/incident escalate INC-1 L3", "/incident notify INC-1 data",
    "/incident severity INC-1 info", "/incident resolve INC-1", "/review show INC-1", "/oncall", "/pipeline status",
)  # fmt: skip


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """The workspace after the whole story; everything was sent."""
    with staged(tmp_path_factory.mktemp("unseen")) as stage:
        people = People(stage)
        stage.sandbox.post("/sim/users", {"name": "mallory"})
        people.ask("alice", "general", f"/incident declare security {SECRET} token leaked", "is declared")
        room = people.channel_of("INC-1")
        people.page("carol", "L2")
        stage.until_quiet()  # whoever is a member is invited
        people.ask("alice", room, f"/incident note the {SECRET} is in a log", "Noted")
        people.ask("alice", room, f"/incident status {SECRET} is being revoked", "is posted")
        people.ask("bob", room, "/incident ack", "You acknowledged")
        people.ask("carol", "general", "/incident list", SECRET)
        # Another incident stands beside it, and a hand-over of a level that is no member's.
        people.ask("alice", "general", "/incident declare warning Orders look odd", "INC-2 is declared")
        people.ask("dave", "general", "/oncall override L3 @erin for 2h", "erin")
        yield people


def seen_by(people: People, user: str) -> list[Json]:
    """The channels as this person sees them: public ones, their own, their direct messages, their ephemerals."""
    person = people.id_of(user)
    seen = []
    for place in people.stage.state()["channels"]:
        mine = person in place["members"]
        if mine or not (place["is_im"] or place["is_private"]):
            ephemerals = [e for e in place["ephemerals"] if e["user"] == person]
            seen.append({**place, "ephemerals": ephemerals})
    return seen


def everything(people: People, user: str) -> Iterator[str]:
    """Every text and every piece of metadata that this person's client shows or holds."""
    for place in seen_by(people, user):
        yield from texts({"channels": [place]})
        for message in place["messages"]:
            yield str(metadata(message))


def no_trace(found: Any, where: str) -> None:
    text = str(found)
    assert SECRET not in text, f"{where}: {text[:2000]}"
    assert not NAME.search(text), f"{where}: {text[:2000]}"


@pytest.mark.parametrize("user", ["dave", "erin", "mallory"])
def test_nothing_in_slack_shows_it_to_others(people: People, user: str) -> None:
    people.stage.until_quiet()
    for text in everything(people, user):
        no_trace(text, user)


def test_members_see_it(people: People) -> None:
    """The search would find it: whoever is a member has it in the channel and in a page."""
    for user in ("alice", "bob", "carol"):
        assert any(SECRET in text for text in everything(people, user)), user


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_no_page_and_no_figure_shows_it(people: People, path: str, accept: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", people.stage.port, timeout=30)
    try:
        connection.request("GET", path, headers={"accept": accept})
        answer = connection.getresponse()
        no_trace(answer.read().decode(), path)
        assert answer.status == (404 if "INC-1" in path else 200)
    finally:
        connection.close()


def test_whatever_others_ask_is_answered_as_if_there_were_none(people: People) -> None:
    """The only mention of its number is the one that they typed."""
    for asked in ASKED:
        since = people.mark()
        people.stage.command("dave", "general", asked)
        person = people.id_of("dave")

        def answers(since: int = since, person: str = person) -> list[str]:
            heard = people._heard("", since)
            return [str(m["text"]) + str(m.get("blocks")) for m in heard if m.get("user") == person]

        told = people.stage.until(answers, WAIT_S, f"{asked} was not answered")
        for text in told:
            assert SECRET not in text, asked
            if "INC-1" in asked:
                assert "There is no INC-1." in text, f"{asked}: {text}"
            else:
                no_trace(text, asked)
    book = people.stage.rows("select incident, actor from audit_book where what = 'refused'")
    assert (1, "dave") in book, "the attempts are written down, where members alone read them"


def test_a_number_that_is_a_private_incident_is_only_a_number_to_others(people: People) -> None:
    """As with a number that is no incident at all: the words are text, in the channel's own incident."""
    room = people.channel_of("INC-2")
    people.ask("dave", room, "/incident note 1 row lost", "Noted on the timeline of INC-2.")
    assert people.events("INC-2", "noted")[-1]["data"]["text"] == "1 row lost"
    people.refused("dave", room, "/incident note INC-1 row lost", "There is no INC-1.")


def test_a_number_before_a_text_is_part_of_it_whoever_may_see_the_incident_of_that_number(
    people: People,
) -> None:
    room = people.channel_of("INC-2")
    people.ask("alice", room, "/incident note 1 row more", "Noted on the timeline of INC-2.")
    assert people.events("INC-2", "noted")[-1]["data"]["text"] == "1 row more"


def test_it_stays_unseen_when_it_is_over_and_reviewed(people: People) -> None:
    room = people.channel_of("INC-1")
    people.ask("carol", room, f"/incident resolve the {SECRET} is revoked", "is resolved")
    people.saw("Review of INC-1", channel=room)
    shown = people.ask("carol", room, "/review show", "The review of INC-1 is here: its channel")
    assert "/incidents/" not in str(shown), "it has no page"
    people.stage.until_quiet()
    for user in ("erin", "mallory"):
        for text in everything(people, user):
            no_trace(text, user)
    no_trace(people.stage.incidents(), "/incidents")
    no_trace(people.stage.health(), "/healthz")
