"""The replay itself: pull, publish, wait for the answer, write the ledger, only then acknowledge.

A few go first and are watched; the rest follows at a capped rate; it stops by itself when what it
sent fails again.  Killed anywhere it loses nothing, and run again it goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipeline.deadletters import Decision, Fate, decide
from pipeline.envelope import DeadLetter
from pipeline.errors import PipelineError, Refused
from pipeline.gather import measure
from pipeline.operations.base import Context, Plan, Progress, ProgressSink
from pipeline.operations.dlq import guarded, held
from pipeline.report import clock, number, percent, plural
from pipeline.rules import DEFAULT, facts
from pipeline.waiting import looks

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message

_BATCH: Final = 500
_BATCH_BYTES: Final = 5_000_000  # Pub/Sub takes 10 MB in one request; attributes come on top
# Longer than a publish may take (20 s), short enough that a killed run can soon be run again.
_LEASE_S: Final = 30
_RENEW_S: Final = 8.0  # leases run on wall time, whatever clock the rules run on
_EMPTY: Final = 2
_WATCH_S: Final = 20.0  # an event is through the pipeline, or a dead letter again, within seconds
_PULL_AGAIN: Final = timedelta(seconds=10)
_MEASURE_AGAIN: Final = timedelta(seconds=60)
_RETURNS: Final = 200
_RETURNS_S: Final = 1.0
_TOLERATED: Final = 0.05  # of what was sent, after the canary; of the canary none may come back


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    sent: int = 0
    resumed: int = 0  # of these, published by an earlier run of the same plan
    topics: Counter[str] = field(default_factory=Counter)
    stayed: Counter[Fate] = field(default_factory=Counter)
    refused: int = 0
    refusal: str = ""
    canary: int = 0
    came_back: int = 0
    stopped: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Item:
    message: Message
    letter: DeadLetter
    decision: Decision


def replay(ctx: Context, plan: Plan, progress: ProgressSink) -> Outcome:
    """Runs the plan; whatever is not sent goes back to the queue, also when it fails midway."""
    run = _Run(ctx, plan, progress)
    try:
        run.go()
    finally:
        run.give_back()
    return run.outcome


class _Run:
    """One run: what it holds under leases, and what it did."""

    def __init__(self, ctx: Context, plan: Plan, progress: ProgressSink) -> None:
        self.outcome = Outcome()
        self._ctx, self._plan, self._progress = ctx, plan, progress
        self._project, self._name = ctx.pipeline.project, guarded(ctx).name
        self._want, self._limit = int(plan.data["going"]), int(plan.params["limit"])
        self._rate = int(plan.params.get("rate") or 0)
        self._canary = min(int(plan.params.get("canary") or 0), self._want)
        self._waiting: list[_Item] = []  # to be sent
        self._keep: dict[str, Message] = {}  # to be given back
        self._open: dict[str, Message] = {}  # pulled, not sorted yet
        self._empty, self._renewed = 0, time.monotonic()
        self._measured_at = self._pulled_at = ctx.now()

    def go(self) -> None:
        self._snapshot()
        while self.outcome.sent < self._want and not self.outcome.stopped:
            if not self._waiting and not self._fill():
                return
            chunk, self._waiting = self._waiting[: self._room()], self._waiting[self._room() :]
            begun = time.monotonic()
            self._send(chunk)
            self._pause(len(chunk), time.monotonic() - begun)
            if self._canary and self.outcome.sent >= self._canary:
                self._watch_canary()
            self._stop_when_failing()
            self._renew()

    def give_back(self) -> None:
        from pipeline.google import pubsub

        waiting = {item.message.id: item.message for item in self._waiting}
        held_now = (self._keep | waiting | self._open).values()
        pubsub.release(self._ctx.clients, self._project, self._name, held_now)

    def _room(self) -> int:
        """How many may go in one go: the canary first, then a second's worth of the rate."""
        left = self._want - self.outcome.sent
        if self._canary:
            return max(1, min(left, self._canary - self.outcome.sent))
        return min(left, _BATCH, self._rate or _BATCH)

    def _fill(self) -> bool:
        """Pulls more; False when there is no more, or the limit is reached."""
        from pipeline.google import pubsub

        while self._empty < _EMPTY:
            room = self._limit - self.outcome.sent - len(self._keep) - len(self._waiting)
            if room <= 0:
                return bool(self._waiting)
            batch = pubsub.pull(self._ctx.clients, self._project, self._name, min(_BATCH, room))
            self._empty = 0 if self._sort(batch) else self._empty + 1
            if self._waiting:
                return True
        return False

    def _sort(self, batch: Sequence[Message]) -> int:
        """Holds what was pulled and decides about it; how many of it were new."""
        from pipeline.google import pubsub

        self._open = {message.id: message for message in batch}
        pubsub.lease(self._ctx.clients, self._project, self._name, batch, _LEASE_S)
        known = self._keep.keys() | {item.message.id for item in self._waiting}
        # A redelivery brings a newer ack id; only the newest can be given back.
        self._keep.update((id_, message) for id_, message in self._open.items() if id_ in self._keep)
        fresh = [self._item(message) for id_, message in self._open.items() if id_ not in known]
        for item in fresh:
            if item.decision.fate == "replay":
                self._waiting.append(item)
            else:
                self._keep[item.message.id] = item.message
                self.outcome.stayed[item.decision.fate] += 1
                self.outcome.came_back += item.decision.fate == "came back"
        self._open = {}
        return len(fresh)

    def _item(self, message: Message) -> _Item:
        letter = held(message).letter
        if letter.attributes.get("replay_id") == self._plan.id:
            return _Item(message, letter, Decision("came back"))
        return _Item(message, letter, decide(letter, self._ctx.pipeline, self._plan.params["rule"]))

    def _send(self, items: Sequence[_Item]) -> None:
        """Publishes, writes the ledger, acknowledges; what Pub/Sub would not take is kept."""
        from pipeline.google import pubsub

        done = self._published_before(items)
        for topic, chunk in _chunks(items):
            fresh = [item for item in chunk if item.message.id not in done]
            sent = self._publish(topic, fresh) if fresh else []
            self._write_ledger(topic, sent)
            self.outcome.resumed += len(chunk) - len(fresh)
            gone = [*sent, *(item for item in chunk if item.message.id in done)]
            # Between this line and the next a kill leaves the chunk both published and queued.
            self._tell(f"{number(len(gone))} stored in {topic}, acknowledging")
            pubsub.acknowledge(self._ctx.clients, self._project, self._name, [item.message for item in gone])
            self.outcome.sent += len(gone)
            self.outcome.topics[topic] += len(gone)
            self._tell(f"{number(self.outcome.sent)} of {number(self._want)} sent back")

    def _publish(self, topic: str, items: Sequence[_Item]) -> Sequence[_Item]:
        from pipeline.google import pubsub

        try:
            originals = [_original(self._plan, item) for item in items]
            pubsub.publish(self._ctx.clients, self._project, topic, originals)
        except Refused:
            return self._one_by_one(topic, items)
        return items

    def _one_by_one(self, topic: str, items: Sequence[_Item]) -> list[_Item]:
        """One message that is not allowed must not hold up the others."""
        from pipeline.google import pubsub

        sent = []
        for item in items:
            try:
                pubsub.publish(self._ctx.clients, self._project, topic, [_original(self._plan, item)])
            except Refused as error:
                self.outcome.refused += 1
                self.outcome.refusal = error.reason
                self._keep[item.message.id] = item.message
            else:
                sent.append(item)
        return sent

    def _published_before(self, items: Sequence[_Item]) -> frozenset[str]:
        """Those that an earlier run of this plan published and was killed before it acknowledged them."""
        if self._ctx.history is None:
            return frozenset()
        try:
            return self._ctx.history.replayed(self._plan.id, [item.message.id for item in items])
        except PipelineError:
            return frozenset()  # publishing once more does no harm: the copy can be told

    def _write_ledger(self, topic: str, sent: Sequence[_Item]) -> None:
        """A ledger that cannot be written is told; the messages are out and must be acknowledged."""
        if self._ctx.history is None:
            return
        try:
            self._ctx.history.record_replayed(
                replay=self._plan.id,
                pipeline=self._plan.pipeline,
                by=self._ctx.requested_by,
                at=self._ctx.now(),
                sent=[(item.message.id, topic) for item in sent],
            )
        except PipelineError as error:
            self._note(f"The ledger of replays is not complete: {error}")

    def _snapshot(self) -> None:
        """A cheap way back, where the subscription allows it; without one the replay goes on."""
        from pipeline.google import pubsub

        name = f"streamwatch-{self._plan.id}"
        try:
            until = pubsub.snapshot(self._ctx.clients, self._project, self._name, name)
        except PipelineError as error:
            self._note(f"No snapshot was made: {error}")
            return
        self._note(
            f"Snapshot {name} holds the queue as it was until {clock(until)}; "
            f"`gcloud pubsub subscriptions seek {self._name} --snapshot {name}` brings it back."
        )

    def _watch_canary(self) -> None:
        """Looks for a while whether the first ones come back; any that does stops the rest."""
        self.outcome.canary, self._canary = self.outcome.sent, 0
        if self.outcome.sent >= self._want:
            return  # nothing follows; whether they hold is for the verification to see
        self._tell(f"Watching the first {self.outcome.canary}")
        for _ in looks(self._ctx.now, self._ctx.sleep, _WATCH_S, least=3, most=5):
            self._look_for_returns()
            self._hold_waiting()
            if self.outcome.came_back:
                break

    def _look_for_returns(self) -> None:
        from pipeline.google import pubsub

        self._pulled_at = self._ctx.now()
        batch = pubsub.pull(self._ctx.clients, self._project, self._name, _RETURNS, wait_s=_RETURNS_S)
        self._sort(batch)

    def _stop_when_failing(self) -> None:
        now = self._ctx.now()
        if now - self._pulled_at >= _PULL_AGAIN and self.outcome.sent < self._want:
            self._look_for_returns()
        back, sent = self.outcome.came_back, self.outcome.sent
        if back and (sent <= self.outcome.canary or back > _TOLERATED * sent):
            self.outcome.stopped = f"{plural(back, 'message')} of {number(sent)} came back"
        elif now - self._measured_at >= _MEASURE_AGAIN and sent < self._want:
            self._measured_at = now
            self.outcome.stopped = self._trouble()

    def _trouble(self) -> str:
        """Why the pipeline should get no more for now, or nothing; forced replays are not stopped by it."""
        if self._plan.params.get("force"):
            return ""
        m = measure(
            self._ctx.clients, self._ctx.pipeline, self._ctx.now(), self._ctx.deadline_s, with_logs=False
        )
        known = {fact.id: fact for fact in facts(m)}
        rate = known["error_rate"].value or 0.0
        if known["down"].on:
            return f"the pipeline went down: {known['down'].text}"
        if rate > DEFAULT.error_warning and rate > float(self._plan.data.get("error_rate") or 0.0):
            return f"{percent(rate)} of the events are invalid, more than before"
        return ""

    def _pause(self, count: int, took_s: float) -> None:
        if self._rate and self.outcome.sent < self._want:
            rest = count / self._rate - took_s
            if rest > 0:
                self._ctx.sleep(rest)
                self._hold_waiting()

    def _hold_waiting(self) -> None:
        """After every pause: an acknowledgement that comes after its lease may be worth nothing."""
        from pipeline.google import pubsub

        messages = [item.message for item in self._waiting]
        pubsub.lease(self._ctx.clients, self._project, self._name, messages, _LEASE_S)

    def _renew(self) -> None:
        from pipeline.google import pubsub

        if time.monotonic() - self._renewed > _RENEW_S:
            self._hold_waiting()
            pubsub.lease(self._ctx.clients, self._project, self._name, self._keep.values(), _LEASE_S)
            self._renewed = time.monotonic()

    def _note(self, text: str) -> None:
        if text not in self.outcome.notes:
            self.outcome.notes.append(text)

    def _tell(self, text: str) -> None:
        self._progress(Progress(text, self.outcome.sent, self._want))


def _original(plan: Plan, item: _Item) -> tuple[bytes, dict[str, str]]:
    """The original bytes and attributes, stamped so that a copy can be told."""
    return item.letter.payload, {
        **item.letter.attributes,
        "replay_of": item.message.id,
        "replay_id": plan.id,
        "replay_count": str(item.letter.replay_count + 1),
    }


def _chunks(items: Sequence[_Item]) -> list[tuple[str, list[_Item]]]:
    """By topic, and small enough for one request."""
    chunks: list[tuple[str, list[_Item]]] = []
    by_topic: dict[str, list[_Item]] = {}
    for item in items:
        by_topic.setdefault(item.decision.topic, []).append(item)
    for topic, members in by_topic.items():
        chunk: list[_Item] = []
        size = 0
        for item in members:
            length = len(item.letter.payload) + 1000
            if chunk and size + length > _BATCH_BYTES:
                chunks.append((topic, chunk))
                chunk, size = [], 0
            chunk.append(item)
            size += length
        chunks.append((topic, chunk))
    return chunks
