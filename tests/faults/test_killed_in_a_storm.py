"""kill -9 of the bot at random moments of a storm: nothing accepted is lost, nothing is done twice."""

from __future__ import annotations

import os
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.alerts import alert
from tests.e2e.running import LONG, Answer, Stage, metadata, opened_keys, page_places, staged

MANY = LONG or os.environ.get("STREAMWATCH_CHAOS") == "long"
KILLS = 12 if MANY else 2
SEEDS = range(6 if MANY else 1)
LAST = "last"
STORMED = ["orders", *(f"line-{n}" for n in range(1, 8))]
PIPELINES = [*STORMED, LAST]


@dataclass(slots=True)
class Storm:
    """Posts alerts, old and new, until told to stop; what failed is posted again, as its source would."""

    stage: Stage
    chance: random.Random
    done: threading.Event = field(default_factory=threading.Event)
    accepted: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)

    def run(self) -> None:
        """In a thread of its own."""
        for numbers in self._batches():
            answers = self.stage.post_many([self._alert(number) for number in numbers], at_once=10)
            for number, answer in zip(numbers, answers, strict=True):
                self.note(number, answer)
            if not any(answer.accepted for answer in answers):
                time.sleep(0.02)  # nobody listens just now

    def _batches(self) -> Iterator[list[str]]:
        made = 0
        while not self.done.is_set():
            new = [f"0.{self.chance.choice(STORMED)}.{made + n}" for n in range(15)]
            made += len(new)
            yield new + self.chance.sample(sorted(self.accepted), min(10, len(self.accepted)))

    def _alert(self, key: str) -> dict[str, Any]:
        return alert(key, pipeline=key.split(".")[1])

    def note(self, key: str, answer: Answer) -> None:
        if answer.accepted:
            self.accepted.add(key)
        else:
            self.refused[answer.status] += 1


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments_of_a_storm_loses_nothing_and_repeats_nothing(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with staged(tmp_path) as stage:
        storm = Storm(stage, random.Random(seed + 1000))
        posting = threading.Thread(target=storm.run)
        posting.start()
        try:
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.02, 1.2))  # the moment itself is what is tested
                stage.kill_bot()
                stage.start_bot()
        finally:
            storm.done.set()
            posting.join(60)
        assert storm.accepted, "nothing was accepted at all"
        kill_in_doubt(stage, storm)
        # What was leased when the bot was killed is taken up when its lease ends, 20 s later.
        stage.until_told(len(PIPELINES), 90)
        assert set(storm.refused) <= {0, 503}
        assert_nothing_is_lost(stage, storm.accepted)
        stage.until(
            lambda: not stage.rows("SELECT 1 FROM outbox WHERE state = 'sending'"), 40, "still leased"
        )
        assert_nothing_is_twice(stage)


def kill_in_doubt(stage: Stage, storm: Storm) -> None:
    """The last kill: Slack has made a channel and taken a page, and the bot has no answer to either yet."""
    for method in ("conversations.create", "chat.postMessage"):
        fault = {"method": method, "kind": "timeout", "after_accept": True, "count": 3}
        stage.sandbox.post("/sim/faults", fault)
    storm.note(key := f"0.{LAST}.1", stage.post(alert(key, pipeline=LAST)))
    room = f"inc-{len(PIPELINES):04d}-"

    def both_taken() -> bool:
        paged = any(f"page:INC-{len(PIPELINES)}:" in key for _, key in page_places(stage.state()))
        return bool(stage.channels(room)) and paged

    stage.until(both_taken, 40, "Slack did not get the last channel and page")
    stage.kill_bot()
    request = urllib.request.Request(f"{stage.sandbox.url}/sim/faults", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()
    stage.start_bot()


def assert_nothing_is_lost(stage: Stage, accepted: set[str]) -> None:
    """Every alert that was answered with 2xx is in its incident, and every page was sent."""
    incidents = [stage.incident(row["id"]) for row in stage.incidents()]
    assert Counter(i["pipeline"] for i in incidents) == dict.fromkeys(PIPELINES, 1)
    known = set().union(*(opened_keys(incident) for incident in incidents))
    assert accepted - known == set()
    pages = [page for incident in incidents for page in incident["pages"]]
    assert [page["id"] for page in pages if not page["sent_at"]] == []
    assert len({page["id"] for page in pages}) == len(pages)


def assert_nothing_is_twice(stage: Stage) -> None:
    """One channel an incident; no page and no other message of one outbox row twice in one place."""
    state = stage.state()
    rooms = Counter(str(c["name"])[:8] for c in state["channels"] if str(c["name"]).startswith("inc-"))
    assert rooms == {f"inc-{n:04d}": 1 for n in range(1, len(PIPELINES) + 1)}
    pages = Counter(page_places(state))
    assert [place for place, times in pages.items() if times > 1] == []
    messages = Counter(
        (channel["id"], payload["outbox_id"])
        for channel in state["channels"]
        for message in channel["messages"]
        if (payload := metadata(message)[1]).get("outbox_id")
    )
    assert [place for place, times in messages.items() if times > 1] == []
