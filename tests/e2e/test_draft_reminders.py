"""A draft that nobody sends: whoever has its step is reminded, whatever contact it is for, in an incident or not."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.e2e.people import People
from tests.e2e.running import ROOT, staged
from tests.e2e.test_drafts import offered, press

SPEED = 60.0
RUNBOOKS = ROOT / "runbooks"
BOOK = re.sub(r"remind: \w+", "remind: 2m", (RUNBOOKS / "emergency-contacts.md").read_text(encoding="utf-8"))
ROSTER = (
    (RUNBOOKS / "roster.yaml").read_text(encoding="utf-8")
    .replace("business: business-ops@yourcompany.com ", "business: dave ")
    .replace("data: data-sources@yourcompany.com ", 'data: "@owners" ')
)  # fmt: skip
# subject -> the answer that leads to its step, the step, and the contact: a page to open, mailboxes, a group, a person
CONTACTS = {
    "infrastructure": ("google_cloud", "Google Cloud support", "https://console.cloud.google.com/support"),
    "network": ("network", "Network team", "network-team@yourcompany.com"),
    "data": ("data_source", "Data source owners", "@owners"),
    "business": ("business", "Business stakeholders", "dave"),
    "security": ("security", "Security team", "security@yourcompany.com"),
    "compliance": ("compliance", "Compliance officer", "compliance@yourcompany.com"),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """An incident that alice has; every draft of the emergency contacts is reminded of after two minutes."""
    now = time.time()
    files = {"roster.yaml": ROSTER, "emergency-contacts.md": BOOK}
    with staged(tmp_path_factory.mktemp("reminders"), clock=f"{now},{now},{SPEED}", runbooks=files) as stage:
        people = People(stage)
        stage.sandbox.post("/sim/usergroups", {"handle": "owners", "users": ["erin"]})
        people.ask("alice", "general", "/incident declare other A drill", "is declared")
        yield people


@pytest.mark.parametrize("subject", CONTACTS)
def test_a_draft_that_nobody_sends_is_reminded_of_by_the_name_of_whoever_has_it(
    people: People, subject: str
) -> None:
    answer, title, address = CONTACTS[subject]
    room, since = people.channel_of("INC-1"), people.mark()
    places = {room: "alice", "general": "bob"}
    for place, user in places.items():
        people.ask(user, place, "/runbook run emergency-contacts", "runs in this channel")
        press(people, offered(people, place, "What is it about?", since), answer, user)
    for place, user in places.items():
        step = offered(people, place, title, since)
        assert address in step["text"], "whom the step writes to"
        told = people.saw(f"“{title}” of the runbook has waited for {user} for", channel=place, since=since)
        assert people.id_of(user) in str(told), "they are called"
        press(people, step, "", user)
    assert people.events("INC-1", "step_reminded")[-1]["data"]["title"] == title
