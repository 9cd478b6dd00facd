"""Dataflow jobs: a state history with times, also of the transitions that are still to come."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from sandbox.google.errors import Refused, invalid

TERMINAL = frozenset({"DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"})
STARTING = frozenset({"QUEUED", "PENDING", "STOPPED"})
STATES = frozenset(
    TERMINAL | STARTING | {"RUNNING", "DRAINING", "CANCELLING", "RESOURCE_CLEANING_UP", "UNKNOWN"}
)
NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")

DRAIN_S = 15.0
CANCEL_S = 8.0
MOST_WORKERS = 1000


@dataclass(slots=True, kw_only=True)
class Job:
    """One job. `transitions` are (epoch seconds, state) in order; those ahead of now happen by themselves."""

    id: str
    name: str
    pipeline: str
    project: str
    region: str
    created: float
    transitions: list[tuple[float, str]]
    template: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    machine_type: str = "n1-standard-2"
    workers: int = 2
    min_workers: int = 1
    max_workers: int = 6
    streaming: bool = True
    stuck_since: float | None = None
    replaces: str = ""
    replaced_by: str = ""
    requested: str = ""

    def state_at(self, at: float) -> str | None:
        """The state at epoch seconds `at` without its JOB_STATE_ prefix; None before the job existed."""
        index = bisect_right(self.transitions, at, key=lambda step: step[0])
        return self.transitions[index - 1][1] if index else None

    def since(self, at: float) -> float:
        """When the state at `at` began."""
        index = bisect_right(self.transitions, at, key=lambda step: step[0])
        return self.transitions[max(0, index - 1)][0]

    def active_at(self, at: float) -> bool:
        """True from creation until a terminal state."""
        state = self.state_at(at)
        return state is not None and state not in TERMINAL

    def consumes_at(self, at: float) -> bool:
        """True while the job pulls from its subscriptions and gets on with it."""
        return (
            self.streaming
            and self.state_at(at) == "RUNNING"
            and not (self.stuck_since is not None and self.stuck_since <= at)
        )

    def started(self) -> float | None:
        """When the job first was RUNNING, if it ever was or is planned to be."""
        return next((at for at, state in self.transitions if state == "RUNNING"), None)

    def become(self, at: float, *steps: tuple[float, str]) -> None:
        """Drop what was planned after `at` and take these (delay in seconds, state) instead."""
        self.transitions = [step for step in self.transitions if step[0] <= at]
        self.transitions += [(at + delay, state) for delay, state in steps]

    def next_transition(self, after: float) -> float | None:
        """The next change of state after `after`, if one is planned."""
        index = bisect_right(self.transitions, after, key=lambda step: step[0])
        return self.transitions[index][0] if index < len(self.transitions) else None


def request_stop(job: Job, requested: str, at: float) -> None:
    """Drain or cancel as UpdateJob does.

    A drain finishes in-flight work first, so a stuck job's drain hangs until it is cancelled. Raises Refused.
    """
    state = job.state_at(at)
    if state is None or state in TERMINAL:
        raise Refused("FAILED_PRECONDITION", f"Job {job.id} is in terminal state JOB_STATE_{state}.")
    if requested == "DRAINED":
        if not job.streaming:
            raise Refused("FAILED_PRECONDITION", "Only streaming jobs can be drained.")
        if state == "DRAINING":
            return
        if state != "RUNNING":
            raise Refused("FAILED_PRECONDITION", f"A job in state JOB_STATE_{state} cannot be drained.")
        stuck = job.stuck_since is not None
        job.become(at, (0.0, "DRAINING"), *(() if stuck else ((DRAIN_S, "DRAINED"),)))
    elif requested == "CANCELLED":
        if state == "CANCELLING":
            return
        job.become(at, (0.0, "CANCELLING"), (CANCEL_S, "CANCELLED"))
    else:
        raise invalid(f"requested_state JOB_STATE_{requested} is not supported; use DRAINED or CANCELLED.")
    job.requested = requested


def set_workers(job: Job, least: int | None, most: int | None, at: float) -> None:
    """Change the range of a running job as UpdateJob does; autoscaling keeps to it at once. Raises Refused."""
    if job.state_at(at) != "RUNNING" or not job.streaming:
        raise Refused(
            "FAILED_PRECONDITION",
            f"Job {job.id} is not a running streaming job; its workers cannot be changed.",
        )
    low, high = least or job.min_workers, most or job.max_workers
    if not 1 <= low <= high <= MOST_WORKERS:
        raise invalid(f"The worker range {low} to {high} is not within 1 to {MOST_WORKERS}.")
    job.min_workers, job.max_workers = low, high
    job.workers = min(max(job.workers, low), high)


def check_name(name: str) -> None:
    """Raise Refused for a name that Dataflow would not take."""
    if not NAME.fullmatch(name):
        raise invalid(
            f"The job name {name!r} is invalid; it must match the pattern [a-z]([-a-z0-9]{{0,1022}}[a-z0-9])?"
        )
