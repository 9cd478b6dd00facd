"""What other people ask of BigQuery: a report every five minutes, which is slow and dear while the sink is slow."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from sandbox.google.timeline import instant

if TYPE_CHECKING:
    from sandbox.google.world import World

EVERY_S = 300.0
BACK_S = 6 * 3600.0
REPORT = (
    "SELECT product_id, SUM(view_count) FROM `{0}.{1}.product_views_summary` "
    "WHERE window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR) GROUP BY 1"
)
SCAN = "SELECT * FROM `{0}.{1}.raw_events` ORDER BY event_time"
# (seconds, slot milliseconds, bytes) of one
LIGHT, HEAVY = (2.4, 9_000, 64 << 20), (141.0, 58_000_000, 410 << 30)


def reports(world: World, project: str, now: float) -> list[dict[str, Any]]:
    """Their jobs as rows of INFORMATION_SCHEMA.JOBS, oldest first. Inside a turn."""
    spec = next((spec for spec in world.specs if spec.project == project), None)
    if spec is None:
        return []
    rows = []
    moment = (now - BACK_S) // EVERY_S * EVERY_S + EVERY_S
    while moment <= now:
        heavy = "slow_sink" in world.sample(moment).flows[spec.name].slow
        took, slots, read = HEAVY if heavy else LIGHT
        rng = Random(f"{spec.name}:{moment}")
        factor = 0.9 + rng.random() / 5
        if moment + took * factor <= now:
            text = (SCAN if heavy else REPORT).format(project, spec.dataset)
            rows.append(_row(project, moment, took * factor, int(slots * factor), read, text))
        moment += EVERY_S
    return rows


def _row(project: str, at: float, took: float, slots: int, read: int, text: str) -> dict[str, Any]:
    begun, ended = instant(at).isoformat(), instant(at + took).isoformat()
    return {
        "creation_time": begun,
        "project_id": project,
        "user_email": f"reports@{project}.iam.gserviceaccount.com",
        "job_id": f"report_{at:.0f}",
        "job_type": "QUERY",
        "statement_type": "SELECT",
        "start_time": begun,
        "end_time": ended,
        "query": text,
        "state": "DONE",
        "total_bytes_processed": read,
        "total_bytes_billed": read,
        "total_slot_ms": slots,
        "cache_hit": False,
        "error_result": {},
    }
