"""The replay itself: pull, send, wait for the answer, write the ledger, only then acknowledge.

A few go first and are watched; the rest follows at a capped rate; it stops by itself when what it
sent fails again.  Killed anywhere it loses nothing, and run again it goes on; told to stop it gives back
what it holds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipeline.deadletters import Decision, Fate, decide
from pipeline.errors import PipelineError
from pipeline.gather import measure
from pipeline.operations.base import Context, Plan, Progress, ProgressSink
from pipeline.operations.dlq import guarded, held
from pipeline.operations.dlq_ahead import Ahead
from pipeline.operations.dlq_send import Item, Sender, chunks
from pipeline.report import clock, number, percent, plural
from pipeline.rules import facts
from pipeline.waiting import looks

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message

_BATCH: Final = 500
# Longer than a publish may take (20 s), short enough that a killed run can soon be run again.
_LEASE_S: Final = 30
_KEEP_LEASE_S: Final = 300  # what stays is held for longer: there may be much of it
_KEEP_RENEW_S: Final = 100.0
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
    """What a run did, and what of its plan was done before."""

    sent: int = 0
    earlier: Counter[str] = field(
        default_factory=Counter
    )  # published by earlier runs of the same plan, to where
    resumed: Counter[str] = field(
        default_factory=Counter
    )  # of those sent, published before, and only acknowledged now
    topics: Counter[str] = field(default_factory=Counter)
    stayed: Counter[Fate] = field(default_factory=Counter)
    sinks: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, str] = field(default_factory=dict)  # the last reason of each topic or sink
    canary: int = 0
    came_back: int = 0
    stopped: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def of_plan(self) -> int:
        """How many dead letters of the plan are published by now, each counted once."""
        return self.earlier.total() + self.sent - self.resumed.total()


def replay(ctx: Context, plan: Plan, progress: ProgressSink) -> Outcome:
    """Runs the plan; whatever is not sent goes back to the queue, also when it fails midway."""
    run = _Run(ctx, plan, progress)
    try:
        run.go()
    finally:
        run.give_back()
    return run.outcome


def sent_before(ctx: Context, plan: Plan) -> Counter[str]:
    """What earlier runs of this plan published, to where, by the ledger; PipelineError when it cannot be read."""
    return Counter(ctx.history.sent_by(plan.id) if ctx.history is not None else {})


class _Run:
    """One run: what it holds under leases, and what it did."""

    def __init__(self, ctx: Context, plan: Plan, progress: ProgressSink) -> None:
        self.outcome = Outcome()
        self._ctx, self._plan, self._progress = ctx, plan, progress
        queue = guarded(ctx)
        self._project, self._name = ctx.pipeline.project, queue.name
        # What the queue itself holds back for long enough needs no call of ours.
        self._lease_at_once = queue.ack_deadline_s < _LEASE_S
        self._sender = Sender(ctx, plan)
        self._want, self._limit = int(plan.data["going"]), int(plan.params["limit"])
        self._rate = int(plan.params.get("rate") or 0)
        self._canary = min(int(plan.params.get("canary") or 0), self._want)
        self._waiting: list[Item] = []  # to be sent
        self._sending: dict[str, Message] = {}  # being sent, not acknowledged yet
        self._keep: dict[str, Message] = {}  # to be given back
        self._kept: dict[str, Message] = {}  # of these, what came since the last renewal
        self._open: dict[str, Message] = {}  # pulled, not sorted yet
        self._empty, self._renewed = 0, time.monotonic()
        self._all_renewed = self._renewed
        self._measured_at = self._pulled_at = ctx.now()
        self._ahead = Ahead(self._pull)
        self._gone: set[str] = set()  # ids that this run has sent
        self._resumes = self._was_begun()
        if self.outcome.earlier.total() > self._canary:
            self._canary = 0  # it held: the rest had begun to follow

    def go(self) -> None:
        if not self._plan.data.get("part"):
            self._snapshot()
        while self.outcome.sent < self._want and not self.outcome.stopped:
            self._ctx.may_stop_here()
            if not self._waiting and not self._fill():
                return
            chunk, self._waiting = self._waiting[: self._room()], self._waiting[self._room() :]
            begun = time.monotonic()
            self._look_ahead(len(chunk))
            self._sending = {item.message.id: item.message for item in chunk}
            self._send(chunk)
            self._pause(len(chunk), time.monotonic() - begun)
            if self._canary and self.outcome.sent >= self._canary:
                self._watch_canary()
            self._stop_when_failing()
            self._renew()

    def give_back(self) -> None:
        from pipeline.google import pubsub

        ahead = {message.id: message for message in self._ahead.close()}
        waiting = {item.message.id: item.message for item in self._waiting}
        held_now = (self._keep | self._sending | waiting | self._open | ahead).values()
        pubsub.release(self._ctx.clients, self._project, self._name, held_now)

    def _room(self) -> int:
        """How many may go in one go: the canary first, then a second's worth of the rate."""
        left = self._want - self.outcome.sent
        if self._canary:
            return max(1, min(left, self._canary - self.outcome.sent))
        return min(left, _BATCH, self._rate or _BATCH)

    def _fill(self) -> bool:
        """Pulls more; False when there is no more, or the limit is reached."""
        while self._empty < _EMPTY:
            room = self._limit - self.outcome.sent - len(self._keep) - len(self._waiting)
            if room <= 0:
                return bool(self._waiting)
            batch = self._ahead.take(min(_BATCH, room))
            self._empty = 0 if self._sort(batch) else self._empty + 1
            if self._waiting:
                return True
        return False

    def _pull(self, most: int) -> list[Message]:
        from pipeline.google import pubsub

        return pubsub.pull(self._ctx.clients, self._project, self._name, most)

    def _look_ahead(self, sending: int) -> None:
        """Pulls what comes after this chunk; a capped run has the time to pull when it needs it."""
        if self._rate or self._canary or self._waiting:
            return
        gone = self.outcome.sent + sending
        most = min(self._limit - gone - len(self._keep), self._want - gone, _BATCH)
        self._ahead.begin(most)

    def _sort(self, batch: Sequence[Message]) -> int:
        """Holds what was pulled and decides about it; how many of it were new."""
        from pipeline.google import pubsub

        self._open = {message.id: message for message in batch}
        if self._lease_at_once:
            pubsub.lease(self._ctx.clients, self._project, self._name, batch, _LEASE_S)
        known = self._keep.keys() | {item.message.id for item in self._waiting}
        # A redelivery brings a newer ack id; only the newest can be given back.
        self._keep.update((id_, message) for id_, message in self._open.items() if id_ in self._keep)
        fresh = [self._item(message) for id_, message in self._open.items() if id_ not in known]
        for item in fresh:
            if item.target:
                self._waiting.append(item)
            else:
                self._keep[item.message.id] = self._kept[item.message.id] = item.message
                self.outcome.stayed[item.decision.fate] += 1
                self.outcome.came_back += item.decision.fate == "came back"
        self._open = {}
        return len(fresh)

    def _item(self, message: Message) -> Item:
        letter = held(message).letter
        if letter.attributes.get("replay_id") == self._plan.id:
            return Item(message, letter, Decision("came back"))
        return Item(message, letter, decide(letter, self._ctx.pipeline, self._plan.params["rule"]))

    def _send(self, items: Sequence[Item]) -> None:
        """Sends, writes the ledger, acknowledges; what a topic or sink would not take is kept."""
        from pipeline.google import pubsub

        done = self._published_before(items)
        for target, chunk in chunks(items):
            fresh = self._of_plan([item for item in chunk if item.message.id not in done])
            refused = self._sender.send(fresh)
            sent = [item for item in fresh if item.message.id not in refused]
            self._keep_refused(target, fresh, refused)
            self._gone.update(item.message.id for item in sent)
            self._write_ledger(target, sent)
            again = [item for item in chunk if item.message.id in done]
            self.outcome.resumed[target] += len(again)
            gone = [*sent, *again]
            # Between this line and the next a kill leaves the chunk both sent and queued.
            self._tell(f"{number(len(gone))} stored in {target}, acknowledging")
            pubsub.acknowledge(self._ctx.clients, self._project, self._name, [item.message for item in gone])
            for item in chunk:
                self._sending.pop(item.message.id)
            self.outcome.sent += len(gone)
            into = self.outcome.sinks if chunk[0].decision.sink else self.outcome.topics
            into[target] += len(gone)
            self._tell(f"{number(self.outcome.of_plan)} of {number(self._want)} sent back")

    def _of_plan(self, fresh: Sequence[Item]) -> Sequence[Item]:
        """As many as the plan has left; what is beyond it was sent by an earlier run in the place of these."""
        if not self._resumes:
            return fresh
        room = max(0, self._want - self.outcome.of_plan)
        for item in fresh[room:]:
            self._keep[item.message.id] = self._kept[item.message.id] = item.message
        return fresh[:room]

    def _keep_refused(self, target: str, items: Sequence[Item], refused: Mapping[str, str]) -> None:
        for item in items:
            if item.message.id in refused:
                self._keep[item.message.id] = self._kept[item.message.id] = item.message
                self.outcome.refused[target] += 1
                self.outcome.refusals[target] = refused[item.message.id]

    def _published_before(self, items: Sequence[Item]) -> frozenset[str]:
        """Those that were sent and not acknowledged: by a run that was killed, or in time by this one."""
        ids = [item.message.id for item in items]
        sent = self._gone.intersection(ids)
        if self._resumes and self._ctx.history is not None:
            try:
                sent |= self._ctx.history.replayed(self._plan.id, ids)
            except PipelineError:
                return frozenset(sent)  # publishing once more does no harm: the copy can be told
        return frozenset(sent)

    def _was_begun(self) -> bool:
        """Whether the ledger knows this plan already; a fresh one need not be asked for every message."""
        try:
            self.outcome.earlier = sent_before(self._ctx, self._plan)
        except PipelineError:
            return True
        return bool(self.outcome.earlier)

    def _write_ledger(self, target: str, sent: Sequence[Item]) -> None:
        """A ledger that cannot be written is told; the messages are out and must be acknowledged."""
        if self._ctx.history is None:
            return
        try:
            self._ctx.history.record_replayed(
                replay=self._plan.id,
                pipeline=self._plan.pipeline,
                by=self._ctx.requested_by,
                at=self._ctx.now(),
                sent=[(item.message.id, target) for item in sent],
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
        self.outcome.canary, self._canary = self.outcome.of_plan, 0
        if self.outcome.sent >= self._want and not self._plan.data.get("follows"):
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
        back, sent = self.outcome.came_back, self.outcome.of_plan
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
        if rate > self._ctx.pipeline.limits.error_warning and rate > float(
            self._plan.data.get("error_rate") or 0.0
        ):
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
            now = self._renewed = time.monotonic()
            every = now - self._all_renewed > _KEEP_RENEW_S
            held_long = (self._keep if every else self._kept).values()
            pubsub.lease(self._ctx.clients, self._project, self._name, held_long, _KEEP_LEASE_S)
            self._all_renewed = now if every else self._all_renewed
            self._kept = {}

    def _note(self, text: str) -> None:
        if text not in self.outcome.notes:
            self.outcome.notes.append(text)

    def _tell(self, text: str) -> None:
        self._progress(Progress(text, self.outcome.of_plan, self._want))
