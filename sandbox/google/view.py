"""The world as a person reads it: `GET /sim/world`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.google.flow import Flow, whole_counters
from sandbox.google.history import WorldSample
from sandbox.google.jobs import Job
from sandbox.google.timeline import rfc3339

if TYPE_CHECKING:
    from sandbox.google.world import World

WINDOW_S = 300.0


def describe(world: World, now: float) -> dict[str, Any]:
    """Everything that a scenario can change, in words and figures; JSON-able. Inside a turn."""
    sample = world.sample(now)
    pipelines = [_pipeline(world, flow, sample, now) for flow in world.flows.values()]
    budgets = tuple(name for spec in world.specs for name in spec.budgets)
    return {
        "now": rfc3339(now),
        "scenario": world.scenario,
        "since": rfc3339(world.scenario_at),
        "summary": "; ".join(f"{p['name']}: {p['summary']}" for p in pipelines),
        "pipelines": pipelines,
        "jobs": [_job(job, now) for job in world.jobs()],
        "backlog": {name.rsplit("/", 1)[-1]: _queue(sample, name, now) for name in sample.queues},
        "dead_letters": {p["name"]: p["dead_letters"] for p in pipelines},
        "spend": world.billing.describe(now, budgets),
        "errors": world.faults.describe(),
        "service_events": world.service_events.shown(
            world.specs[0].project, "global", "state=ACTIVE", now, full=False
        ),
        "logs": [
            {
                "at": rfc3339(e.at),
                "severity": e.severity,
                "text": e.text or (e.fields or {}).get("message", ""),
            }
            for e in sorted((e for e in world.logs if e.at <= now), key=lambda e: e.at)[-20:]
        ],
    }


def error_share(flow: Flow, before: WorldSample, after: WorldSample) -> float | None:
    """Dead-lettered over received between two samples; None when nothing was received."""
    received = failed = 0
    for job, values in after.flows[flow.spec.name].counters.items():
        then = whole_counters(before.flows[flow.spec.name].counters.get(job, {}))
        for name, value in whole_counters(values).items():
            grown = value - then.get(name, 0)
            received += grown if name.endswith("_received") else 0
            failed += grown if name.endswith("_invalid") else 0
    return failed / received if received else None


def _pipeline(world: World, flow: Flow, sample: WorldSample, now: float) -> dict[str, Any]:
    state = sample.flows[flow.spec.name]
    running = [job for job in flow.jobs if job.state_at(now) == "RUNNING"]
    share = error_share(flow, world.sample(now - WINDOW_S), sample)
    lag = max(0.0, now - state.oldest())
    dead = f"projects/{flow.spec.project}/subscriptions/{flow.spec.dead_letter_subscription}"
    states = ", ".join(f"{job.name} {job.state_at(now)}" for job in flow.jobs if job.active_at(now))
    letters = _queue(sample, dead, now)
    return {
        "name": flow.spec.name,
        "project": flow.spec.project,
        "region": flow.spec.region,
        "summary": f"{states or 'no job is running'}, lag {lag:.0f} s, {letters['count']} dead letters",
        "running": len(running),
        "lag_s": round(lag, 1),
        "error_rate_5m": None if share is None else round(share, 4),
        "dead_letters": letters,
        "faults": sorted({*flow.slow, *([flow.data_fault] if flow.data_fault else [])}),
        "restart": "ok" if flow.restart_works else "fails",
        "counters": {job.id: whole_counters(state.counters.get(job.id, {})) for job in running},
    }


def _job(job: Job, now: float) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "pipeline": job.pipeline,
        "state": job.state_at(now),
        "since": rfc3339(job.since(now)),
        "created": rfc3339(job.created),
        "workers": job.workers,
        "stuck": job.stuck_since is not None and job.stuck_since <= now and job.active_at(now),
        "replaces": job.replaces,
        "replaced_by": job.replaced_by,
    }


def _queue(sample: WorldSample, name: str, now: float) -> dict[str, Any]:
    queue = sample.queues.get(name)
    if queue is None:
        return {"count": 0, "oldest_s": 0.0}
    # What a healthy pipeline has in flight for a moment is no backlog.
    count = int(queue.waiting)
    return {
        "count": count,
        "oldest_s": round(max(0.0, now - queue.oldest), 1) if queue.oldest and count else 0.0,
    }
