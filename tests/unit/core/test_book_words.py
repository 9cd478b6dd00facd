"""What the audit book says of what people signed for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.alert_model import Kind, Severity
from bot.core.book import of_event, ticked, words
from bot.core.folding import fold
from bot.core.incident import Event
from bot.core.lifecycle import opened
from bot.core.policy import Policy

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
FIRST = opened(
    project="p", pipeline="orders", family="stream", title="It stopped", kind=Kind.HEALTH,
    severity=Severity.CRITICAL, policy=Policy(), now=NIGHT, actor="watch", reason="a probe",
)  # fmt: skip
INCIDENT = fold(7, [replace(FIRST, seq=1)])
assert INCIDENT is not None


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (
            "snoozed",
            {"until": "2026-11-23T05:10:00+00:00", "reason": "the vendor looks"},
            "alice snoozed the incident until 2026-11-23 05:10 UTC: the vendor looks",
        ),
        (
            "contact_written",
            {"subject": "data", "kind": "mailbox", "value": "data@example.com", "sent": True, "text": "the secret"},
            "alice wrote to the data contact, data@example.com",
        ),
        (
            "contact_written",
            {"subject": "network", "value": "the console", "sent": False},
            "alice wrote to the network contact, the console (shown to be copied, not sent)",
        ),
        (
            "contact_answered",
            {"subject": "data", "note": "they roll back"},
            "alice noted that the data contact answered: they roll back",
        ),
    ],
)  # fmt: skip
def test_an_act_on_a_timeline_is_in_the_book_without_the_text_of_a_message(
    kind: str, data: dict[str, Any], said: str
) -> None:
    assert INCIDENT is not None
    entry = of_event(INCIDENT, Event(type=kind, at=NIGHT, actor="alice", data=data))
    assert entry is not None
    assert (entry.incident, entry.at, words(entry)) == (7, NIGHT, said)
    assert "secret" not in str(entry.record())


def test_what_is_no_act_of_a_person_is_on_the_timeline_alone() -> None:
    assert INCIDENT is not None
    assert of_event(INCIDENT, Event(type="probed", at=NIGHT, actor="streamwatch", data={})) is None


def test_a_tick_says_of_what_with_which_answer_and_note() -> None:
    entry = ticked(
        NIGHT, "bob", subject="daily:2026-11-23", of="Daily operations, 2026-11-23", item="Sign the day",
        answer="all_is_well", note="quiet",
    )  # fmt: skip
    assert (
        words(entry) == "bob ticked off “Sign the day” of Daily operations, 2026-11-23 (all is well): quiet"
    )
    bare = ticked(NIGHT, "bob", subject="", of="Pipeline health", item="Look", incident=7)
    assert words(bare) == "bob ticked off “Look” of Pipeline health"
