"""The watch (rules: "Facts"): every pipeline is looked at by itself, alert or no alert.

Its health each minute, what it costs less often: costs arrive hours late, and each look asks the billing export.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from bot.core.holding import Hold
from bot.core.policy import Thresholds
from bot.desk import learn_cost
from bot.desk.again import written
from bot.desk.house import House
from bot.desk.kit import Kit
from bot.desk.learn import learn
from bot.desk.ports import Tx
from pipeline.catalogue import Pipeline
from pipeline.errors import PipelineError
from pipeline.operations import ReadOperation, own
from pipeline.report import Report

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One kind of look: the operation that measures, how often, and what follows from its report."""

    operation: str
    every: Callable[[Thresholds], timedelta]
    learn: Callable[[Tx, House, Pipeline, Report], None]
    least_s: float = 1.0  # real seconds: a clock that runs fast does not make the cloud answer faster
    at_start: bool = True  # else first after one probe of the health: a bot that starts has more urgent work


LOOKS = (
    Look(operation="pipeline.health", every=lambda limits: limits.probe, learn=learn),
    Look(
        operation="cost.forecast",
        every=lambda limits: limits.cost_every,
        learn=learn_cost.learn,
        least_s=10.0,
        at_start=False,
    ),
)


class Watch:
    """Looks at every pipeline when it is due."""

    def __init__(
        self,
        kit: Kit,
        *,
        monotonic: Callable[[], float],
        maintenances: Callable[[], tuple[Hold, ...]] = tuple,
    ) -> None:
        self._kit = kit
        self._store, self._house, self._wake = kit.store, kit.house, kit.wake
        self._monotonic = monotonic
        self._maintenances = maintenances
        self._due: dict[tuple[str, str], float] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def soon(self, name: str) -> None:
        """Look at the health of this pipeline in the next turn, without waiting for its time."""
        if self._house().pipeline(name) is not None:
            self._due[(name, LOOKS[0].operation)] = 0.0

    async def turn(self) -> None:
        """Start the looks that are due."""
        now = self._monotonic()
        for pipeline in self._house().pipelines:
            for look in LOOKS:
                self._turn(pipeline, look, now)

    def _turn(self, pipeline: Pipeline, look: Look, now: float) -> None:
        this = (pipeline.name, look.operation)
        due = self._due.setdefault(this, 0.0 if look.at_start else now + self._first(look))
        if due > now or this in self._running:
            return
        self._due[this] = now + self._pause(look)
        task = asyncio.create_task(self._look(pipeline, look))
        self._running[this] = task
        task.add_done_callback(lambda _: self._running.pop(this, None))

    def _first(self, look: Look) -> float:
        """Real seconds until the first one, where that is not at once."""
        return max(look.least_s, self._pause(LOOKS[0]))

    def _pause(self, look: Look) -> float:
        """Real seconds until the next one."""
        return max(
            look.least_s, look.every(self._house().policy.thresholds).total_seconds() / self._kit.speed
        )

    async def _look(self, pipeline: Pipeline, look: Look) -> None:
        operation = self._kit.registry[look.operation]
        assert isinstance(operation, ReadOperation)
        ctx = self._kit.context(pipeline, requested_by="watch", sleep=lambda _: None)
        try:
            report = await asyncio.to_thread(operation.read, ctx, own(operation, {}))
        except PipelineError as error:
            report = Report(
                operation=look.operation,
                pipeline=pipeline.name,
                verdict=f"Nothing could be measured: {error}",
                severity="unknown",
                as_of=self._kit.now(),
            )
        except Exception:
            log.exception("probe_failed", action="probe_failed", pipeline=pipeline.name)
            return
        try:
            if look.operation == LOOKS[0].operation:
                await asyncio.to_thread(self._kit.history.record_probe, report)
            standing = await asyncio.to_thread(self._maintenances)
            house = replace(self._house(), maintenances=standing)
            await written(self._store, lambda tx: look.learn(tx, house, pipeline, report))
        except Exception:
            log.exception("probe_not_stored", action="probe_not_stored", pipeline=pipeline.name)
        self._wake()
