"""A runbook as people meet it: in an incident's channel and at the desk, by buttons, forms and words."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.people import People
from tests.e2e.running import headlines, staged

SPEED = 60.0  # a minute of the incident's time passes in a second
FRONT = "owner: team@example.com\nlast_reviewed: 2026-11-01\nnext_review: 2027-01-01\n---\n"
BOOKS = {
    "pipeline-health.md": f"""---
kind: health
{FRONT}
# Small health

## Look

```step
run: pipeline.health
next: {{stopped: restart-it, else: tell-them}}
```

## Restart it

Read the plan first.

```step
run: pipeline.restart
```

## Tell them

```step
contact: data
draft: |
  {{pipeline}} was down, {{incident}}.
next: {{they_knew: sign, else: end}}
```

## Sign
""",
    "desk-check.md": f"""---
kind: guide
{FRONT}
# Desk check

## Look

```step
run: dlq.stats
```

## Sign
""",
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A workspace with two small runbooks; the story of this module goes on in it."""
    now = time.time()
    folder = tmp_path_factory.mktemp("runbooks")
    with staged(folder, clock=f"{now},{now},{SPEED}", runbooks=BOOKS) as stage:
        yield People(stage)


def until_headline_says(people: People, room: str, words: str) -> str:
    """The pinned headline's text, once it contains the words."""

    def said() -> str:
        texts = [str(m["text"]) for c in people.stage.channels() if c["name"] == room for m in headlines(c)]
        return next((text for text in texts if words in text), "")

    return people.stage.until(said, 40, f"the headline never said {words!r}")


def test_the_bot_reads_and_offers_what_the_findings_ask_for(people: People) -> None:
    people.world(scenario="job_failed")
    room = people.channel_of("INC-1", 60)
    offered = people.saw("Step 2 of 4, for you: Restart it", channel=room)
    assert "Read the plan first." in offered["text"]
    until_headline_says(people, room, "Runbook Small health: step 2 of 4, waiting for alice since")
    since = people.mark()
    people.click("alice", offered, "step_run")
    people.click("alice", people.plan("pipeline.restart", "waiting for confirmation", since), "plan_confirm")
    told = people.saw("Step 3 of 4, for you: Tell them", channel=room, since=since, seconds=60)
    assert "Write to: data-sources@yourcompany.com (contact data)" in told["text"]
    assert "orders was down, INC-1." in told["text"]
    closed = people.saw("Step 2 of 4, done: Restart it", channel=room)
    assert closed["ts"] == offered["ts"], "the message that offered the step says what became of it"
    assert not any(block["type"] == "actions" for block in closed["blocks"]), "and offers nothing any more"


def test_a_step_is_ticked_off_with_a_note_by_form_and_by_word(people: People) -> None:
    room = people.channel_of("INC-1")
    told = people.saw("Step 3 of 4, for you: Tell them", channel=room)
    since = people.mark()
    people.click("alice", told, "step_note")
    people.stage.until(lambda: people.stage.state()["views"], 40, "no form opened for the note")
    people.submit("alice", {"answer": "they_knew", "note": "called them"})
    people.saw("Step 4 of 4, for you: Sign", channel=room, since=since)
    people.refused("alice", room, "/runbook done tell-them", "It is not the turn of “Tell them”")
    people.ask("alice", room, "/runbook status", "waiting for alice")
    people.ask("alice", room, "/runbook done sign signed in the book", "Ticked off")
    people.saw("Runbook pipeline-health ends: it is through.", channel=room, since=since)
    done = people.events("INC-1", "step")[-2:]
    assert [(e["actor"], e["data"]["state"], e["data"]["note"]) for e in done] == [
        ("alice", "done by alice (they knew)", "called them"),
        ("alice", "done by alice", "signed in the book"),
    ]


def test_a_runbook_at_the_desk_answers_in_its_channel_and_survives_the_bot(people: People) -> None:
    since = people.mark()
    people.ask("bob", "general", "/runbook run desk-check", "Desk check runs in this channel.")
    people.saw("Dead letters of orders", channel="general", since=since)
    people.saw("Step 2 of 2, for you: Sign", channel="general", since=since)
    people.refused("alice", "general", "/runbook run desk-check", "is being carried out in this channel")
    people.stage.kill_bot()
    people.stage.start_bot()
    people.ask("alice", "general", "/runbook status", "step 2 of 2, waiting for bob")
    (offered,) = [m for m in people.messages("general") if "for you: Sign" in m["text"]]
    people.click("bob", offered, "step_done")
    people.saw("Runbook desk-check ends: it is through.", channel="general", since=since)
    people.refused("alice", "general", "/runbook done", "No runbook is being carried out in this channel.")
