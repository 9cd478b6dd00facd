"""The world: one state with time in it, behind one lock. Services look at it and act on it; scenarios drive it.

It moves when it is looked at: `turn()` first lets everything happen that was due since the last look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Condition, RLock
from typing import Any

from sandbox.google import bigquery_seed, pipelines, stage
from sandbox.google.bigquery import BigQuery
from sandbox.google.bigquery_jobs import Jobs
from sandbox.google.bigquery_load import reports
from sandbox.google.bigtable import Bigtable
from sandbox.google.billing import Billing, billing_day
from sandbox.google.dashboards import Dashboards
from sandbox.google.errors import not_found
from sandbox.google.faults import Faults
from sandbox.google.flow import Flow, build_flow
from sandbox.google.history import MINUTE, History, QueueSample, WorldSample
from sandbox.google.iam import Iam
from sandbox.google.jobs import Job
from sandbox.google.logs import LogBook
from sandbox.google.policies import Policies
from sandbox.google.pubsub import PubSub, Topic
from sandbox.google.scenarios import Change, parse
from sandbox.google.service_health import ServiceEvents
from sandbox.google.subscription import Settings
from sandbox.google.timeline import WorldClock, seconds
from sandbox.google.usage import Usage
from sandbox.google.view import describe

STEP_S = 10.0
LONG_STEP_S = 60.0
LONG_S = 2 * 86_400.0
BUDGET_EVERY_S = 6 * 3600.0
ALERT_TOPIC, ALERT_SUBSCRIPTION = "monitoring-alerts", "streamwatch-alerts"
BUDGET_TOPIC, BUDGET_SUBSCRIPTION = "budget-alerts", "streamwatch-budgets"


class World:
    """Pipelines, jobs, queues, logs and spend on the domain time of `clock`.

    `pipelines_file` defaults to pipelines.yaml under RUNBOOKS_DIR or ./runbooks. Raises ValueError if unreadable.
    """

    def __init__(self, clock: WorldClock, pipelines_file: Path | None = None) -> None:
        self._clock = clock
        self._specs = pipelines.load(pipelines_file or pipelines.default_file())
        self._lock = RLock()
        self._arrived = Condition(self._lock)
        self._listeners: list[Callable[[], None]] = []
        self._build()

    @property
    def specs(self) -> tuple[pipelines.PipelineSpec, ...]:
        """The pipelines of the file, in its order."""
        return self._specs

    @contextmanager
    def turn(self, *, change: bool = False) -> Iterator[float]:
        """Hold the world still at now (epoch seconds of domain time, given). `change`: tell the listeners after."""
        with self._lock:
            self._advance(max(self._at, seconds(self._clock.now())))
            yield self._at
            if change:
                self._arrived.notify_all()
        if change:
            for listener in list(self._listeners):
                listener()

    def wall(self) -> float:
        """Real time in epoch seconds: what leases run on."""
        return seconds(self._clock.wall())

    def wait(self, timeout_s: float) -> None:
        """Wait (real time) until something changes or the time is over. Not inside a turn."""
        with self._lock:
            self._arrived.wait(timeout_s)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back, on the changing thread and outside the lock, after every change from outside."""
        self._listeners.append(callback)

    def describe(self) -> dict[str, Any]:
        """The world in words and figures, as JSON-able values."""
        with self.turn() as now:
            return describe(self, now)

    def apply(self, body: object) -> dict[str, Any]:
        """Merge a change into the world that stands; returns the description. Raises ValueError, nothing changed."""
        with self.turn(change=True) as now:
            known = {name.rsplit("/", 1)[-1] for name in self.pubsub.subscriptions}
            change = parse(body, now=now, pipelines=list(self.flows), subscriptions=known)
            self._check_dead_letters(change)
            if change.at is not None and change.at > now:
                self._planned.append(change)
                self._planned.sort(key=lambda planned: planned.at or now)
            else:
                if change.at is not None and change.at < now:
                    self._rewind(change.at)
                self._perform(change, change.at or now, now)
                self._advance(now)
                self._put_now(change, now)
            return describe(self, now)

    def reset(self) -> None:
        """A fresh, healthy world."""
        with self.turn(change=True):
            self._build()

    # What services and the description read; inside a turn only.

    def sample(self, moment: float) -> WorldSample:
        """The world at `moment`; now exactly, the past by the minute."""
        return self._sample_now() if moment >= self._at else self._history.at(moment)

    def jobs(self) -> list[Job]:
        """Every job of every pipeline."""
        return [job for flow in self.flows.values() for job in flow.jobs]

    def job(self, job_id: str, region: str, project: str) -> Job:
        """Raises Refused NOT_FOUND, also for the right job in the wrong region."""
        for job in self.jobs():
            if job.id == job_id and job.region == region and job.project == project:
                return job
        raise not_found(f"projects/{project}/locations/{region}/jobs/{job_id}")

    def flow_for(self, job_name: str, region: str, project: str) -> Flow:
        """The pipeline that a job of that name belongs to; a time-stamped name counts. Raises Refused."""
        here = [f for f in self.flows.values() if (f.spec.region, f.spec.project) == (region, project)]
        for flow in here:
            if job_name == flow.spec.job_name:
                return flow
        for flow in here:
            if job_name.startswith(f"{flow.spec.job_name}-"):
                return flow
        if here:
            return here[0]
        raise not_found(f"projects/{project}/locations/{region}")

    # The machinery.

    def _build(self) -> None:
        self._at = self._started = seconds(self._clock.now())
        self.pubsub, self.logs, self.billing, self.faults = PubSub(), LogBook(), Billing(), Faults()
        self.scenario, self.scenario_at, self.start_s = "healthy", self._at, stage.START_S
        self.synthetic: dict[str, tuple[float, float]] = {}
        self.flows = {spec.name: build_flow(spec, self.pubsub, self.logs, self._at) for spec in self._specs}
        self._planned: list[Change] = []
        self._history = History(self._healthy_sample)
        for flow in self.flows.values():
            self._build_queues(flow)
            job = stage.standing_job(flow, self._at)
            flow.counters = flow.healthy_sample(self._at).counters
            for moment, _ in job.transitions:
                stage.tell_transition(flow, job, moment)
        project = self._specs[0].project
        self._queue(project, ALERT_TOPIC, ALERT_SUBSCRIPTION)
        self._queue(project, BUDGET_TOPIC, BUDGET_SUBSCRIPTION)
        self._next_budget = self._at
        self._send_budgets()
        self.policies, self.dashboards, self.usage = Policies(), Dashboards(), Usage()
        self.service_events = ServiceEvents()
        self.bigquery = BigQuery()
        self.bigquery_jobs = Jobs(self.bigquery)
        self.bigquery_jobs.others = lambda project: reports(self, project, self._at)
        self.bigtable = Bigtable(self._specs)
        self.iam = Iam()
        bigquery_seed.seed(self.bigquery, self._specs, self._at)

    def _build_queues(self, flow: Flow) -> None:
        spec = flow.spec
        for lane in spec.lanes:
            self._queue(spec.project, lane.topic, lane.subscription)
        self._queue(spec.project, spec.dead_letter_topic, spec.dead_letter_subscription)

    def _queue(self, project: str, topic: str, subscription: str) -> None:
        full = f"projects/{project}/topics/{topic}"
        name = f"projects/{project}/subscriptions/{subscription}"
        if full not in self.pubsub.topics:
            self.pubsub.create_topic(Topic(full))
        if name not in self.pubsub.subscriptions:
            self.pubsub.create_subscription(
                name, Settings(topic=full, ack_deadline_s=60, expires_s=None), self._at
            )

    def _advance(self, until: float) -> None:
        step = LONG_STEP_S if until - self._at > LONG_S else STEP_S
        while self._at < until:
            start = self._at
            end = min([until, (start // step + 1) * step, *self._boundaries(start)])
            for flow in self.flows.values():
                flow.step(start, end)
            self._at = end
            self._happen(start, end)
            if end % MINUTE == 0:
                self._history.add(self._sample_now())
        wall = self.wall()
        for subscription in list(self.pubsub.subscriptions.values()):
            self.pubsub.settle(subscription, self._at, wall)

    def _boundaries(self, after: float) -> Iterator[float]:
        for job in self.jobs():
            moment = job.next_transition(after)
            if moment is not None:
                yield moment
        for change in self._planned[:1]:
            yield max(after + 1e-3, change.at or after)
        yield max(after + 1e-3, self._next_budget)

    def _happen(self, start: float, end: float) -> None:
        for flow in self.flows.values():
            for job in list(flow.jobs):
                if job.next_transition(start) == end:
                    stage.tell_transition(flow, job, end)
        while self._planned and (self._planned[0].at or 0.0) <= end:
            change = self._planned.pop(0)
            self._perform(change, end, end)
            self._put_now(change, end)
        if end >= self._next_budget:
            self._send_budgets()

    def _perform(self, change: Change, at: float, now: float) -> None:
        """The part of a change that begins at `at`, which may lie before now."""
        flow = self.flows[change.pipeline or self._specs[0].name]
        if change.scenario == "healthy":
            self.billing.spike_to = billing_day(at) - timedelta(days=1)
            self.synthetic.clear()
            self.faults.clear()
            self.usage.clear()
            self.service_events.end_all(at)
        if change.cause:
            flow.cause = change.cause
            flow.restart_works = change.cause == "exception"
        if change.restart:
            flow.restart_works = change.restart == "ok"
        if change.start_s is not None:
            self.start_s = change.start_s
        if change.scenario:
            self.scenario, self.scenario_at = change.scenario, at
            stage.play(flow, change.scenario, at, self.start_s)
        if change.scenario == "cost_spike":
            self.billing.spike_from, self.billing.spike_to = billing_day(at) - timedelta(days=2), None
            self._next_budget = now
        for entry in change.jobs:
            stage.put_job(flow, entry, at)
        for injection in change.errors:
            self.faults.add(injection)
        for event in change.service_events:
            self.service_events.add(event, at)

    def _put_now(self, change: Change, now: float) -> None:
        """The part of a change that says what stands now: queues and spend."""
        topic = self._dead_letter_topic(change)
        for data, attributes in change.dead_letters:
            if topic in self.pubsub.topics:
                self.pubsub.publish(topic, data, attributes, now)
        for short, (count, oldest_s) in change.backlog.items():
            self._put_backlog(short, count, now - oldest_s, now)
        for day, service, amount in change.spend:
            self.billing.given[day, service] = amount
        if change.spend or change.scenario == "cost_spike":
            self._send_budgets()

    def _dead_letter_topic(self, change: Change) -> str:
        spec = self.flows[change.pipeline or self._specs[0].name].spec
        return f"projects/{spec.project}/topics/{spec.dead_letter_topic}"

    def _check_dead_letters(self, change: Change) -> None:
        topic = self._dead_letter_topic(change)
        if change.dead_letters and topic not in self.pubsub.topics:
            raise ValueError(f"dead_letters: the topic {topic} was deleted")

    def _put_backlog(self, short: str, count: float, oldest: float, now: float) -> None:
        for flow in self.flows.values():
            for lane in flow.lanes:
                if lane.spec.subscription == short:
                    flow.put_backlog(lane, count, oldest, now)
                    return
        real = sum(len(s) for name, s in self.pubsub.subscriptions.items() if name.endswith(f"/{short}"))
        self.synthetic[short] = (max(0.0, count - real), oldest)

    def _rewind(self, at: float) -> None:
        """Go back to `at` to live the time since then again; messages and launches of that time stay."""
        base = self._history.cut(at)
        self._at = base.at
        for name, sample in base.flows.items():
            self.flows[name].restore(sample)
        self._advance(at)

    def _send_budgets(self) -> None:
        self._next_budget = self._at + BUDGET_EVERY_S
        topic = f"projects/{self._specs[0].project}/topics/{BUDGET_TOPIC}"
        if topic not in self.pubsub.topics:
            return
        for spec in self._specs:
            for budget in spec.budgets:
                data, attributes = self.billing.notification(budget, self._at)
                self.pubsub.publish(topic, json.dumps(data).encode(), attributes, self._at)

    def _healthy_sample(self, moment: float) -> WorldSample:
        flows = {name: flow.healthy_sample(moment) for name, flow in self.flows.items()}
        sample = self._sample(moment, flows)
        idle = {name: replace(queue, waiting=0.0, oldest=None) for name, queue in sample.queues.items()}
        return replace(sample, queues=idle)

    def _sample_now(self) -> WorldSample:
        return self._sample(self._at, {name: flow.sample(self._at) for name, flow in self.flows.items()})

    def _sample(self, moment: float, flows: dict[str, Any]) -> WorldSample:
        queues = {name: self._queue_sample(name) for name in self.pubsub.subscriptions}
        published = {name: float(topic.published) for name, topic in self.pubsub.topics.items()}
        for flow in self.flows.values():
            state = flows[flow.spec.name]
            for lane, (frontier, extra, extra_oldest, _, _) in zip(flow.lanes, state.lanes, strict=True):
                topic = f"projects/{flow.spec.project}/topics/{lane.spec.topic}"
                published[topic] = published.get(topic, 0.0) + lane.traffic.between(0.0, moment)
                name = f"projects/{flow.spec.project}/subscriptions/{lane.spec.subscription}"
                if name in queues:
                    queue = queues[name]
                    ages = [frontier, *([extra_oldest] if extra >= 1 else [])]
                    queues[name] = replace(
                        queue,
                        waiting=queue.waiting + lane.traffic.between(frontier, moment) + extra,
                        oldest=min([*ages, *([queue.oldest] if queue.oldest is not None else [])]),
                        acknowledged=queue.acknowledged + lane.traffic.between(0.0, frontier),
                    )
        return WorldSample(at=moment, flows=flows, queues=queues, published=published)

    def _queue_sample(self, name: str) -> QueueSample:
        subscription = self.pubsub.subscriptions[name]
        short = name.rsplit("/", 1)[-1]
        count, oldest = self.synthetic.get(short, (0.0, None))
        hidden = sum(
            f.unmaterialised for f in self.flows.values() if f.spec.dead_letter_subscription == short
        )
        real = subscription.oldest()
        ages = [age for age in (oldest if count else None, real) if age is not None]
        return QueueSample(
            waiting=count + hidden + len(subscription),
            oldest=min(ages) if ages else None,
            acknowledged=float(subscription.acknowledged),
            forwarded=subscription.forwarded,
        )
