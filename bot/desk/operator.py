"""Carries out runs: readings at once, changes after their gate. Threads for Google's blocking clients.

A run is leased while it is carried out; one whose lease ran out belonged to a process that died: a
reading is simply repeated, a change only when its operation says that this is harmless. A process that ends in order
lets what is under way finish, or stop between two steps and give back what it holds.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping
from typing import Any

import structlog

from bot.core.correlation import correlation_key
from bot.desk import runs
from bot.desk.house import House
from bot.desk.kit import Kit
from bot.desk.ports import Run, Tx
from bot.probe import Probe, nowhere
from pipeline.errors import Interrupted, PipelineError
from pipeline.operations import ChangeOperation, Context, Plan, Progress, ReadOperation, own
from pipeline.report import Report

log = structlog.get_logger()
AT_ONCE = 4
RENEW_S = 15.0


class Operator:
    """Takes runs off the list and carries them out."""

    def __init__(self, kit: Kit, probe: Probe = nowhere) -> None:
        self._kit = kit
        self._store, self._house, self._wake = kit.store, kit.house, kit.wake
        self._probe = probe
        self._tasks: dict[asyncio.Task[None], str] = {}  # the id of the run that each carries out
        # Two readers of one dead-letter queue would hide its messages from each other.
        self._queues: dict[str, asyncio.Lock] = {}
        self._stop = threading.Event()

    async def turn(self) -> int:
        """Take what may run now; returns how many runs were begun."""
        begun = 0
        for state, to in (("confirmed", "running"), ("asked", "working")):
            while len(self._tasks) < AT_ONCE:
                house = self._house()
                found, free = await self._store.awrite(
                    lambda tx, h=house, s=state, t=to: claim(tx, h, s, t)  # type: ignore[misc]
                )
                if found is None:
                    break
                begun += 1
                if not free:
                    continue
                task = asyncio.create_task(self._carry_out(found))
                self._tasks[task] = found.id
                task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return begun

    async def recover(self) -> None:
        """Take up what a dead process left behind."""
        house = self._house()
        for run in await self._store.aread(lambda tx: tx.stale_runs("working")):
            await self._store.awrite(lambda tx, r=run: again(tx, r, "asked"))  # type: ignore[misc]
        for run in await self._store.aread(lambda tx: tx.stale_runs("running")):
            if self._kit.registry[run.operation].resumable:
                log.info("run_resumed", action="run_resumed", run=run.id)
                await self._store.awrite(lambda tx, r=run: again(tx, r, "confirmed"))  # type: ignore[misc]
            else:
                await self._store.awrite(lambda tx, r=run: runs.interrupted(tx, house, r))  # type: ignore[misc]

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is being carried out: for half of the time that it ends, then that it stops where it can. What
        is not over is given back, so that the next process need not wait for the end of its lease, but takes it up,
        or asks, at once."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=timeout_s / 2)
        names = [self._tasks[task] for task in left]
        self._stop.set()
        if left:
            _, left = await asyncio.wait(left, timeout=timeout_s / 2)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for name in names:
            await self._store.awrite(lambda tx, n=name: tx.release_run(n))  # type: ignore[misc]

    async def _carry_out(self, run: Run) -> None:
        renewing = asyncio.create_task(self._renew(run.id))
        house = self._house()
        try:
            if run.operation.startswith("dlq."):
                async with self._queues.setdefault(run.pipeline, asyncio.Lock()):
                    await self._do(run, house)
            else:
                await self._do(run, house)
        except Interrupted:
            log.info("run_interrupted", action="run_interrupted", run=run.id)
        except PipelineError as error:
            text = str(error)
            await self._store.awrite(lambda tx: runs.failed(tx, house, run, text))
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("run_failed", action="run_failed", run=run.id, reference=reference)
            text = f"an internal error (reference {reference}); the log has the details."
            await self._store.awrite(lambda tx: runs.failed(tx, house, run, text))
        finally:
            renewing.cancel()
            self._wake()

    async def _renew(self, run_id: str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self._store.awrite(lambda tx: tx.renew_run(run_id))

    def _context(self, run: Run, house: House, facts: Mapping[str, Any]) -> Context:
        pipeline = house.pipeline(run.pipeline)
        if pipeline is None:
            raise PipelineError(f"{run.pipeline} is not in pipelines.yaml, so nothing can be asked of it.")
        return self._kit.context(
            pipeline,
            requested_by=run.confirmed_by or run.requested_by,
            sleep=self._sleep,
            facts=facts,
            stopping=self._stop.is_set,
        )

    def _sleep(self, seconds: float) -> None:
        """In the operation's thread, and in its time; raises Interrupted when the process ends."""
        if self._stop.wait(seconds / self._kit.speed):
            raise Interrupted

    async def _do(self, run: Run, house: House) -> None:
        if self._stop.is_set():  # it waited for another look into the same queue until now
            raise Interrupted
        operation = self._kit.registry[run.operation]
        facts = await self._store.aread(lambda tx: _facts(tx, house, run.pipeline))
        ctx = self._context(run, house, facts)
        params = own(operation, run.params)
        if isinstance(operation, ReadOperation):
            report = await asyncio.to_thread(operation.read, ctx, params)
            await self._store.awrite(lambda tx: runs.read_done(tx, house, run, report))
        elif isinstance(operation, ChangeOperation) and run.state == "working":
            plan = await asyncio.to_thread(operation.plan, ctx, params)
            await self._store.awrite(lambda tx: runs.planned(tx, house, run, plan))
        elif isinstance(operation, ChangeOperation):
            await self._change(run, house, operation, ctx)

    async def _change(self, run: Run, house: House, operation: ChangeOperation, ctx: Context) -> None:
        await self._kit.before_a_run()
        if not await self._store.awrite(lambda tx: runs.started(tx, house, run)):
            return
        plan = Plan.from_json(run.plan)
        self._probe("run.started")
        loop = asyncio.get_running_loop()

        def sink(step: Progress) -> None:
            asyncio.run_coroutine_threadsafe(self._progress(run, house, step), loop)

        report = await asyncio.to_thread(operation.run, ctx, plan, sink)
        verified: Report | None = None
        if report.severity in ("ok", "info", "warning"):
            # Some look for minutes, and nobody should wonder meanwhile whether anything goes on.
            await self._progress(run, house, Progress(f"{report.verdict.rstrip('.')}; it is verified next."))
            verified = await asyncio.to_thread(operation.verify, ctx, plan)
        await self._store.awrite(lambda tx: runs.change_done(tx, house, run, report, verified))

    async def _progress(self, run: Run, house: House, step: Progress) -> None:
        await self._store.awrite(lambda tx: runs.progress(tx, house, run, step.text, step.done, step.total))
        self._wake()


def again(tx: Tx, stale: Run, state: str) -> bool:
    """Put back a run whose process died; not one that another replica put back before, which is under way again."""
    return tx.move_run(stale.id, [stale.state], state, attempt=stale.attempts)


def claim(tx: Tx, house: House, state: str, to: str) -> tuple[Run | None, bool]:
    """Take the next run; False: it was ended at once, as another change of its pipeline runs.

    Two plans may have been confirmed within the same moment, before either of them ran.
    """
    run = tx.claim_run(state, to)
    if run is None or to != "running":
        return run, True
    other = tx.running_change(run.pipeline, besides=run.id)
    if other is None:
        return run, True
    runs.failed(
        tx, house, run, f"{other.operation} is running on {run.pipeline} already. Plan again after it."
    )
    return run, False


def _facts(tx: Tx, house: House, name: str) -> dict[str, Any]:
    """What the bot knows of a pipeline besides its measurements; loads are refused while an incident is open."""
    raw = tx.get_value(f"facts:{name}")
    known = dict(raw) if isinstance(raw, Mapping) else {}
    pipeline = house.pipeline(name)
    project = pipeline.project if pipeline is not None else ""
    known["maintenance_max_s"] = house.policy.maintenance_max.total_seconds()
    known["stream_incident"] = tx.open_incident(correlation_key(project, name, "stream")) is not None
    return known
