"""One pipeline's stream: what arrives, what its jobs get through, what piles up, what becomes a dead letter.

The stream itself is a fluid: per event type only the publish time up to which everything has been read is
kept (the frontier), so backlog and its age follow from the traffic. Dead letters and replayed events are real
messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from sandbox.google.events import (
    ROOT_CAUSES,
    TEXT_FIELDS,
    dead_letter_for,
    envelope,
    root_cause,
    violations_of,
)
from sandbox.google.jobs import Job
from sandbox.google.logs import LogBook
from sandbox.google.pipelines import LaneSpec, PipelineSpec
from sandbox.google.pubsub import PubSub
from sandbox.google.subscription import Message
from sandbox.google.timeline import rfc3339
from sandbox.google.traffic import Traffic

BASE_LAG_S = 1.5
CATCH_UP = 11.0
BAD_SHARE = 0.3
SLOW_SINK_SPEED = 0.55
HOT_KEY_SPEED = 0.7
MAX_REAL_DEAD_LETTERS = 20_000
RATES = {"click": 2.4, "transaction": 0.6, "stock": 0.3}
RESULTS = ("valid", "dead_lettered", "duplicates")
NORMAL_WORKERS = 2
LOG_EVERY_S = 20.0
REMINDER_EVERY_S = 300.0

Counters = dict[str, dict[tuple[str, str], float]]


@dataclass(slots=True)
class Lane:
    """One event type. `extra` events, the oldest from `extra_oldest`, were put there besides the traffic."""

    spec: LaneSpec
    traffic: Traffic
    frontier: float
    extra: float = 0.0
    extra_oldest: float = 0.0
    extra_rate: float = 0.0
    debt: float = 0.0

    def backlog(self, at: float) -> float:
        """Events published and not yet read at `at`, real messages not counted."""
        return self.traffic.between(self.frontier, at) + self.extra

    def oldest(self) -> float:
        """Publish time of the oldest of them."""
        return min(self.frontier, self.extra_oldest) if self.extra >= 1 else self.frontier


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSample:
    """The state at one instant, enough to go on from it."""

    at: float
    lanes: tuple[tuple[float, float, float, float, float], ...]
    counters: Counters
    workers: Mapping[str, int]
    data_fault: str
    slow: frozenset[str]

    def oldest(self) -> float:
        """Publish time of the oldest event not yet read, over all event types."""
        return min((min(f, o) if e >= 1 else f for f, e, o, _, _ in self.lanes), default=self.at)


@dataclass(slots=True)
class Flow:
    """A pipeline in motion. `jobs` are all jobs that ever read from its subscriptions."""

    spec: PipelineSpec
    pubsub: PubSub
    logs: LogBook
    lanes: list[Lane]
    jobs: list[Job] = field(default_factory=list)
    counters: Counters = field(default_factory=dict)
    data_fault: str = ""
    slow: frozenset[str] = frozenset()
    emitted: int = 0
    unmaterialised: int = 0
    restart_works: bool = True
    cause: str = "exception"
    _replayed: set[str] = field(default_factory=set)
    _next_log: float = 0.0
    _next_reminder: float = 0.0

    def step(self, start: float, end: float) -> None:
        """Move the stream from `start` to `end` (epoch seconds; no job changes its state in between)."""
        consumers = [job for job in self.jobs if job.consumes_at(start)]
        for lane in self.lanes:
            if consumers:
                self._read(lane, start, end, consumers)
                self._read_messages(lane, end, consumers[0])
        self._remind(end)

    def sample(self, at: float) -> FlowSample:
        """Freeze the state."""
        return FlowSample(
            at=at,
            lanes=tuple((x.frontier, x.extra, x.extra_oldest, x.extra_rate, x.debt) for x in self.lanes),
            counters={job: dict(values) for job, values in self.counters.items()},
            workers={job.id: job.workers for job in self.jobs},
            data_fault=self.data_fault,
            slow=self.slow,
        )

    def restore(self, sample: FlowSample) -> None:
        """Go back to a sample."""
        for lane, state in zip(self.lanes, sample.lanes, strict=True):
            lane.frontier, lane.extra, lane.extra_oldest, lane.extra_rate, lane.debt = state
        self.counters = {job: dict(values) for job, values in sample.counters.items()}
        self.data_fault, self.slow = sample.data_fault, sample.slow
        # What is lived again is written to the logs again.
        self._next_reminder = self._next_log = sample.at

    def healthy_sample(self, at: float) -> FlowSample:
        """The state at `at` of a pipeline that never had a fault: the past before the world began."""
        counters: Counters = {}
        for job in self.jobs:
            started = job.started()
            if started is not None and started < at and job.active_at(at):
                counters[job.id] = {
                    (lane.spec.event_type, "valid"): lane.traffic.between(started, at - BASE_LAG_S)
                    for lane in self.lanes
                }
        return FlowSample(
            at=at,
            lanes=tuple((at - BASE_LAG_S, 0.0, 0.0, 0.0, 0.0) for _ in self.lanes),
            counters=counters,
            workers={job.id: NORMAL_WORKERS for job in self.jobs},
            data_fault="",
            slow=frozenset(),
        )

    def put_backlog(self, lane: Lane, count: float, oldest: float, at: float) -> None:
        """Let `count` events wait at `at`, the oldest published at `oldest`."""
        lane.extra = max(0.0, count - lane.traffic.between(lane.frontier, at))
        lane.extra_oldest = oldest
        lane.extra_rate = lane.extra / min(900.0, max(60.0, (at - oldest) / CATCH_UP))

    def fail_letters(self, job: Job, at: float, count: int) -> None:
        """The dead letters of a job's last three minutes, when it fails at `at`."""
        for index in range(count):
            lane = self.lanes[index % len(self.lanes)]
            self._emit("job_failed", lane, at - 180.0 + index * 180.0 / count, job)

    def dead_letter(self, body: Mapping[str, object], at: float) -> None:
        """Publish one envelope to the dead-letter topic."""
        name = f"projects/{self.spec.project}/topics/{self.spec.dead_letter_topic}"
        if name not in self.pubsub.topics:
            return
        kind = str(body.get("event_type", "unknown"))
        self.pubsub.publish(
            name, json.dumps(body).encode(), {"event_type": kind, "stage": str(body.get("stage", ""))}, at
        )

    def _read(self, lane: Lane, start: float, end: float, consumers: list[Job]) -> None:
        speed = self._speed(lane)
        span = end - start
        before = lane.frontier
        lane.frontier = max(before, min(end - BASE_LAG_S, before + span * speed))
        moved = lane.traffic.between(before, lane.frontier)
        if lane.extra:
            drained = min(lane.extra, lane.extra_rate * span * min(1.0, speed))
            lane.extra -= drained
            lane.extra_oldest = min(end, lane.extra_oldest + span * CATCH_UP)
            moved += drained
        bad = moved * BAD_SHARE if self.data_fault else 0.0
        for job in consumers:
            self._count(job, lane.spec.event_type, "valid", (moved - bad) / len(consumers))
        lane.debt += bad
        for _ in range(int(lane.debt)):
            lane.debt -= 1
            self._emit(self.data_fault, lane, end, consumers[0])

    def _speed(self, lane: Lane) -> float:
        if "slow_sink" in self.slow:
            return SLOW_SINK_SPEED
        if "hot_key" in self.slow and lane is self.lanes[0]:
            return HOT_KEY_SPEED
        return CATCH_UP

    def _emit(self, fault: str, lane: Lane, at: float, job: Job) -> None:
        self.emitted += 1
        self._count(job, lane.spec.event_type, "dead_lettered", 1)
        if fault in ROOT_CAUSES:
            self._count(job, lane.spec.event_type, fault, 1)
        if self.emitted > MAX_REAL_DEAD_LETTERS:
            self.unmaterialised += 1
            return
        rng = Random(f"{self.spec.name}:{fault}:{self.emitted}")
        event_at = min(at, lane.frontier) - rng.random()
        body = dead_letter_for(fault, lane.spec.event_type, event_at, rng)
        self.dead_letter(body | {"first_failed_at": rfc3339(at)}, at)
        if at >= self._next_log or fault == "job_failed":
            self._next_log = at + LOG_EVERY_S
            text = f"Dead-lettered a {lane.spec.event_type} event at stage {body['stage']}: {body['error']}"
            self.logs.of_job(job, at, "ERROR", text, step="ParseAndValidate")

    def _read_messages(self, lane: Lane, at: float, job: Job) -> None:
        name = f"projects/{self.spec.project}/subscriptions/{lane.spec.subscription}"
        subscription = self.pubsub.subscriptions.get(name)
        if subscription is None or not len(subscription):
            return
        for message in subscription.idle_messages():
            if message.published <= lane.frontier + 1e-6:
                subscription.remove(message.id)
                self._process(lane, message, at, job)

    def _process(self, lane: Lane, message: Message, at: float, job: Job) -> None:
        kind, violations = violations_of(message.data)
        counted = kind if kind in TEXT_FIELDS else lane.spec.event_type
        key = message.attributes.get("replay_of", "")
        if key and key in self._replayed:
            self._count(job, counted, "duplicates", 1)
        elif violations:
            self._count(job, counted, "dead_lettered", 1)
            self._count(job, counted, root_cause(message.data, violations), 1)
            stage = "parse" if violations[0].rule == "json" else "validate"
            body = envelope(
                message.data,
                message.attributes,
                at=at,
                stage=stage,
                event_type=kind,
                violations=violations,
            )
            self.dead_letter(body, at)
        else:
            self._replayed.update({key} if key else ())
            self._count(job, counted, "valid", 1)

    def _count(self, job: Job, kind: str, result: str, amount: float) -> None:
        values = self.counters.setdefault(job.id, {})
        values[kind, result] = values.get((kind, result), 0.0) + amount

    def _remind(self, at: float) -> None:
        """The service's own complaints, every five minutes while their cause lasts."""
        if at < self._next_reminder:
            return
        self._next_reminder = at + REMINDER_EVERY_S
        for job in self.jobs:
            if job.state_at(at) != "RUNNING":
                continue
            if job.stuck_since is not None and job.stuck_since < at:
                waited = int((at - job.stuck_since) // 60)
                text = (
                    f"Operation ongoing in step WriteToBigQuery for at least {waited:02d}m00s "
                    "without outputting or completing in state process"
                )
                self.logs.of_job(job, at, "ERROR", text, step="WriteToBigQuery")
            if "slow_sink" in self.slow:
                text = "Deadline exceeded while appending rows to product_views_summary; retrying in 8 s"
                self.logs.of_job(job, at, "WARNING", text, step="WriteToBigQuery")
            if "hot_key" in self.slow:
                text = (
                    "A hot key was detected in step ViewsByProduct with an age of 4m12s. The key is P00017."
                )
                self.logs.of_job(job, at, "WARNING", text, log="job-message")


def whole_counters(values: Mapping[tuple[str, str], float]) -> dict[str, int]:
    """Beam counters of one job, `{type}_{received,valid,invalid,dead_lettered,duplicates}`; they add up.

    `settled` are the valid ones whose row is stored: here all. Of the invalid ones there is one more for each root
    cause that occurred.
    """
    out: dict[str, int] = {}
    for kind in sorted({kind for kind, _ in values}):
        parts = {result: int(values.get((kind, result), 0.0)) for result in RESULTS}
        out[f"{kind}_received"] = sum(parts.values())
        out[f"{kind}_valid"] = out[f"{kind}_settled"] = parts["valid"]
        out[f"{kind}_invalid"] = out[f"{kind}_dead_lettered"] = parts["dead_lettered"]
        out[f"{kind}_duplicates"] = parts["duplicates"]
        causes = ((cause, int(values.get((kind, cause), 0.0))) for cause in ROOT_CAUSES)
        out |= {f"{kind}_{cause}": count for cause, count in causes if count}
    return out


def build_flow(spec: PipelineSpec, pubsub: PubSub, logs: LogBook, at: float) -> Flow:
    """A healthy flow at `at`; a pipeline of unknown event types gets a trickle of each."""
    lanes = [
        Lane(lane, Traffic(RATES.get(lane.event_type, 0.3), phase=float(index)), at - BASE_LAG_S)
        for index, lane in enumerate(spec.lanes)
    ]
    return Flow(spec, pubsub, logs, lanes)
