"""kill -9 of a replay at random moments, again and again: no dead letter is lost, none is sent twice without need."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Timer

import pytest

from pipeline.operations.base import Plan
from tests.integration.pipeline.conftest import Stand, stand
from tests.integration.pipeline.test_dead_letters import UP, clicks, tapped

__all__ = ["stand"]  # the fixture

LONG = os.environ.get("STREAMWATCH_LONG") == "1"
LETTERS, KILLS = (10_000, 30) if LONG else (500, 3)
AT_ONCE = 100  # messages that go in one publish
CALLS = 5  # of publish, acknowledge and hold, before the blow; one chunk takes two or three
LEASES_S = 700.0  # longer than any lease
HUNG_S = 60.0
TOPIC = "projects/demo-project/topics/clicks"
QUEUE, TAP = (f"projects/demo-project/subscriptions/{name}" for name in ("dead-letter-sub", "tap"))

REPLAY = """
import json, sys
from datetime import datetime
from pathlib import Path
from pipeline.catalogue import load
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.history import History
from pipeline.operations import Context, Plan, get

address, file, ledger, at = sys.argv[1:5]
plan = Plan.from_json(json.load(sys.stdin))
ctx = Context(pipeline=load(Path(file)).find(), clients=Clients(GoogleSettings(endpoint=address)),
              history=History.open(ledger) if ledger else None, now=lambda: datetime.fromisoformat(at),
              sleep=lambda seconds: None, facts={"down": False})
print(json.dumps(get("dlq.replay").run(ctx, plan, lambda step: None).data))
"""


@dataclass(slots=True)
class Axe:
    """Kills a replay after a number of changing calls, some milliseconds after the service took the last.

    With no delay the service has done it and the replay does not know: the moment that costs most.
    """

    calls: int
    delay_s: float
    victim: subprocess.Popen[str] | None = None
    fell: Event = field(default_factory=Event)

    def heard(self, *, publish: bool) -> None:
        """Called by the sandbox after each change, before it is answered; without a delay only a publish counts."""
        if self.victim is None or self.fell.is_set() or not (publish or self.delay_s):
            return
        self.calls -= 1
        if self.calls > 0:
            return
        self.fell.set()
        if self.delay_s:
            Timer(self.delay_s, self.victim.kill).start()
        else:
            self.victim.kill()


@dataclass(slots=True)
class Rounds:
    """A replay that is killed and run again; ``doubts`` counts how often a kill left a letter sent and queued."""

    stand: Stand
    plan: Plan
    ledger: str
    axe: Axe | None = None
    doubts: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    sent: int = 0

    def __post_init__(self) -> None:
        self.stand.world.on_change(self._changed)

    def _changed(self) -> None:
        count = self.stand.world.pubsub.topics[TOPIC].published
        grown, self.sent = count > self.sent, count
        if self.axe is not None:
            self.axe.heard(publish=grown)

    def run(self, axe: Axe | None) -> int | None:
        """One process; how many it says were sent, None when it was killed."""
        before = self.published()
        at = self.stand.clock.now().isoformat()
        words = [sys.executable, "-c", REPLAY, self.stand.address, str(self.stand.catalogue_file)]
        child = subprocess.Popen(
            [*words, self.ledger, at], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if axe is not None:
            axe.victim = child
        self.axe = axe
        try:
            said, _ = child.communicate(json.dumps(self.plan.to_json()), HUNG_S)
        finally:
            child.kill()
            self.axe = None
        Event().wait(0.1)  # what the dead process had asked for is still done by the service
        now = self.published() - before
        assert max(now.values(), default=0) <= 1, "one run sent a letter twice"
        self.doubts.update(letter for letter in now if letter in self.queued())
        self.stand.clock.go(LEASES_S)
        if child.returncode == 0:
            return int(json.loads(said)["sent"])
        assert child.returncode == -9
        self.kills += 1
        return None

    def queued(self) -> set[str]:
        """Ids of the letters that are not acknowledged."""
        with self.stand.world.turn():
            return {message.id for message in self.stand.world.pubsub.subscription(QUEUE).unacked()}

    def published(self) -> Counter[str]:
        """How often each letter was sent back, by its id."""
        with self.stand.world.turn():
            sent = list(self.stand.world.pubsub.subscription(TAP).unacked())
        return Counter(message.attributes["replay_of"] for message in sent)

    def places(self) -> dict[bytes, set[tuple[str, str]]]:
        """For each original what its copies carry: ``replay_of`` and ``replay_id``."""
        found: dict[bytes, set[tuple[str, str]]] = {}
        with self.stand.world.turn():
            for message in self.stand.world.pubsub.subscription(TAP).unacked():
                marks = (message.attributes["replay_of"], message.attributes["replay_id"])
                found.setdefault(message.data, set()).add(marks)
        return found


def axes(seed: int) -> Iterator[Axe]:
    """Random moments; every other one falls before the service's answer is with the replay."""
    chance = random.Random(seed)
    for number in range(KILLS):
        delay_s = chance.uniform(0.0005, 0.02) if number % 2 else 0.0
        yield Axe(chance.randint(1, CALLS if delay_s else 2), delay_s)


@pytest.mark.parametrize("with_ledger", [True, False], ids=["ledger", "no ledger"])
def test_a_replay_killed_again_and_again_loses_nothing_and_repeats_only_what_it_must(
    stand: Stand,
    tmp_path: Path,
    with_ledger: bool,
) -> None:
    tapped(stand)
    letters = clicks(LETTERS)
    stand.dead_letters(*letters)
    ready = replace(stand, ctx=replace(stand.ctx, facts=UP, deadline_s=60.0))
    plan = ready.plan("dlq.replay", limit=LETTERS, canary=0, rate=AT_ONCE)
    assert plan.data["going"] == LETTERS
    rounds = Rounds(ready, plan, f"sqlite:///{tmp_path / 'ledger.db'}" if with_ledger else "")
    everything = rounds.queued()

    for axe in axes(seed=20261120 + with_ledger):
        rounds.run(axe)
    assert rounds.run(None) is not None, "left alone it comes to its end"
    assert rounds.run(None) == 0, "and then there is nothing to do"

    published = rounds.published()
    assert rounds.kills >= KILLS - 1
    assert rounds.queued() == set()
    assert set(published) == everything, "lost"
    repeated = {letter: times - 1 for letter, times in published.items() if times > 1}
    assert all(times <= rounds.doubts[letter] for letter, times in repeated.items()), "sent without need"
    assert sum(repeated.values()) <= rounds.kills * AT_ONCE
    assert rounds.doubts, "no kill fell between publish and acknowledgement"
    if not with_ledger:
        assert repeated, "without a ledger some must go twice"
    originals = {json.loads(data)["payload"].encode() for data, _ in letters}
    marks = rounds.places()
    assert set(marks) == originals
    assert all(len(found) == 1 for found in marks.values()), "copies of one original carry one replay_of"
