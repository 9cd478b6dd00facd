"""Minutes and hours of an incident, on a clock that runs three hundred times as fast."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.people import People
from tests.e2e.running import ROOT, staged

SPEED = 300.0
# The numbers of the document, but for these: whoever is asked has 9 s of a busy machine's time to answer.
SHIPPED = (ROOT / "runbooks" / "escalation.yaml").read_text(encoding="utf-8")
POLICY = SHIPPED.replace("ack: {idle: 45m, grace: 10m}", "ack: {idle: 10m, grace: 45m}")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A healthy pipeline; nobody answers unless the test makes them."""
    now = time.time()
    assert POLICY != SHIPPED
    files = {"escalation.yaml": POLICY}
    with staged(tmp_path_factory.mktemp("timers"), clock=f"{now},{now},{SPEED}", runbooks=files) as stage:
        yield People(stage)


def test_nobody_answers_then_somebody_does_and_falls_asleep(people: People) -> None:
    people.ask("alice", "general", "/incident declare critical health Orders stopped", "INC-1 is declared")
    room = people.channel_of("INC-1")
    page = people.page("bob", "L1")
    assert "not acknowledged for 5 min: backup" in page["text"]
    people.saw("EMERGENCY: not acknowledged for 10 min", channel=room)
    people.ask("bob", room, "/incident ack", "bob acknowledged INC-1.")
    people.saw("bob, are you still on INC-1?", channel=room)
    people.saw("Un-acknowledged", channel=room)
    unacked = people.events("INC-1", "unacknowledged")[-1]
    asked = people.events("INC-1", "asked")[-1]
    assert asked["at"] < unacked["at"]

    def paged_again() -> bool:
        pages = people.stage.incident("INC-1")["pages"]
        return any(p["level"] == "L1" and p["due_at"] >= unacked["at"] for p in pages)

    people.stage.until(paged_again, 40, "L1 is not paged again")


def test_still_here_keeps_an_acknowledgement(people: People) -> None:
    room = people.channel_of("INC-1")
    since = people.mark()
    people.ask("bob", room, "/incident ack", "bob acknowledged INC-1.")
    asked = people.saw("bob, are you still on INC-1?", channel=room, since=since)
    people.click("bob", asked, "incident_ack")
    people.stage.until(lambda: people.events("INC-1", "still_here"), 40, "the answer was not taken")
    people.ask("bob", room, "/incident resolve a wrong sensor", "INC-1 is resolved by bob: a wrong sensor.")
