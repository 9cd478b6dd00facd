"""Writing to contacts by clicking: a step of the runbook offers a draft, a person edits and sends it.

It goes to the contact of that step, stands on the timeline, and whoever has the step is reminded while it waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from bot.demo_player import clock_now
from tests.e2e.people import WAIT_S, People
from tests.e2e.running import Json, staged

SPEED = 60.0  # a minute of the incident's time passes in a second
ADDRESSES = {
    "infrastructure": "https://console.cloud.google.com/support",
    "network": "network-team@yourcompany.com",
    "data": "data-sources@yourcompany.com",
    "business": "business-ops@yourcompany.com",
    "security": "security@yourcompany.com",
    "compliance": "compliance@yourcompany.com",
}
# kind -> the runbook to carry out ("": the one that begins by itself), and its steps: (title, answer, contact)
Way = Sequence[tuple[str, str, str]]
WAYS: dict[str, tuple[str, Way]] = {
    "cost": (
        "",
        (
            ("Name the cause", "traffic", ""),
            ("Tell the business stakeholders", "", "business"),
        ),
    ),
    "performance": (
        "",
        (
            ("Compare the stages", "a_sink", ""),
            ("Relieve the sink", "it_is_theirs", ""),
            ("Open a case", "", "infrastructure"),
        ),
    ),
    "health": (
        "emergency-contacts",
        (("What is it about?", "network", ""), ("Network team", "", "network")),
    ),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    now = time.time()
    with staged(tmp_path_factory.mktemp("drafts"), clock=f"{now},{now},{SPEED}") as stage:
        yield People(stage)


def offered(people: People, room: str, title: str, since: int = 0) -> Json:
    """The message that offers this step to a person."""
    return people.saw(f"for you: {title}", channel=room, since=since)


def press(people: People, step: Json, answer: str, user: str = "alice") -> None:
    """The button of this answer, or the one that ticks the step off."""
    for block in step["blocks"]:
        for element in block.get("elements", ()):
            if element.get("action_id") != "step_done":
                continue
            said = f'"answer":"{answer}"'
            if (said in element["value"]) if answer else ('"answer"' not in element["value"]):
                people.click(user, step, "step_done", value=element["value"])
                return
    raise AssertionError(f"no button for {answer or 'done'}: {step}")


def send(people: People, room: str, step: Json, subject: str) -> None:
    """Open the draft, add to it, send it; it is shown for its contact, with buttons for the answer."""
    assert ADDRESSES[subject] in step["text"], "whom the step writes to"
    people.click("alice", step, "contact_draft")

    def form() -> Json | None:
        views = [v for v in people.stage.state()["views"] if v["user"] == people.id_of("alice")]
        return views[-1] if views else None

    view = people.stage.until(form, WAIT_S, "no form opened")
    assert view is not None
    assert ADDRESSES[subject] in str(view)
    draft = str(view["values"]["text"]) if "text" in view.get("values", {}) else str(view)
    assert "INC-" in draft or "orders" in draft
    since = people.mark()
    people.submit("alice", {"text": f"What alice wrote to {subject} by hand.", "remind": "1h"})
    told = people.saw(f"What alice wrote to {subject} by hand.", channel=room, since=since)
    assert f"the {subject} contact ({ADDRESSES[subject]})" in told["text"]
    assert "contact_answered" in str(told["blocks"])


@pytest.mark.parametrize("kind", ["cost", "performance", "health"])
def test_the_step_s_draft_goes_to_its_contact_and_onto_the_timeline(people: People, kind: str) -> None:
    said = people.ask("alice", "general", f"/incident declare {kind} A drill of {kind}", "is declared")
    name = str(said["text"]).split()[0]
    room = people.channel_of(name)
    book, way = WAYS[kind]
    since = 0
    if book:
        people.saw("Runbook ", channel=room)
        since = people.mark()
        people.ask("alice", room, f"/runbook run {book}", "runs in this channel")
    for title, answer, subject in way:
        step = offered(people, room, title, since)
        if subject:
            send(people, room, step, subject)
        press(people, step, answer)
    (written,) = people.events(name, "contact_written")
    assert (written["actor"], written["data"]["subject"]) == ("alice", way[-1][2])
    assert written["data"]["value"] == ADDRESSES[way[-1][2]]
    people.ask("alice", room, "/incident resolve it was a drill --yes", "is resolved")


def test_data_source_owners_and_business_are_written_to_from_the_steps_of_data_quality(
    people: People,
) -> None:
    people.world(scenario="new_required_field", at=_ago(people, 8))
    people.ask("alice", "general", "/incident declare quality Clicks are refused", "is declared")
    room = people.stage.until(
        lambda: next((str(c["name"]) for c in people.stage.channels() if "clicks" in c["name"]), ""),
        WAIT_S,
        "no channel",
    )
    for title, answer, subject in (
        ("Handle a missing field", "", ""),
        ("Turn on detailed logging", "not_needed", ""),
        ("Notify the data source owners", "", "data"),
        ("Tell the business stakeholders", "the_source_mends_it", "business"),
    ):
        step = offered(people, room, title)
        if subject:
            send(people, room, step, subject)
        press(people, step, answer)
    offered(people, room, "Reprocess valid events")


def test_a_draft_that_nobody_sends_is_reminded_of_in_the_private_channel(people: People) -> None:
    people.ask("alice", "general", "/incident declare security A key leaked", "is declared")
    room = people.stage.until(
        lambda: next((str(c["name"]) for c in people.stage.channels() if "key-leaked" in c["name"]), ""),
        WAIT_S,
        "no channel",
    )
    step = offered(people, room, "Call the security team")
    people.saw("“Call the security team” of the runbook has waited for", channel=room)
    send(people, room, step, "security")
    press(people, step, "")
    press(people, offered(people, room, "Keep the evidence"), "")
    press(people, offered(people, room, "Take away what is in the wrong hands"), "personal_data_is_affected")
    step = offered(people, room, "Tell the compliance officer")
    send(people, room, step, "compliance")
    press(people, step, "")
    public = "\n".join(str(m) for m in people.messages("incidents"))
    assert "key leaked" not in public
    assert "by hand" not in public


def _ago(people: People, minutes: float) -> str:
    return (clock_now(people.stage.clock) - timedelta(minutes=minutes)).isoformat()
