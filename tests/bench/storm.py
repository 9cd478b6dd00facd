"""Slash commands while nothing happens, and while 2,000 alerts of 20 pipelines arrive."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.bench.house import House, get, until
from tests.bench.table import Figure, below, plain

ALERTS, PIPELINES, CONNECTIONS = 2000, 20, 50
QUIET_COMMANDS, PAUSE_S, SETTLED_S = 40, 0.1, 60.0
TYPED = ("/oncall", "/pipeline status", "/incident list", "/dlq stats", "/runbook list", "/pipeline health")
ACKNOWLEDGED_MS = 1000.0


@dataclass(slots=True, kw_only=True)
class Storm:
    """What was seen: seconds from the first post, and the milliseconds of each acknowledgement."""

    answered_s: float = 0.0
    opened_s: float = 0.0
    processed_s: float = 0.0
    told_s: float = 0.0
    refused: int = 0
    incidents: int = 0
    acknowledged: list[float] = field(default_factory=list)


def quiet(house: House) -> list[float]:
    """Milliseconds of each acknowledgement while nothing happens."""
    times: list[float] = []
    for n in range(QUIET_COMMANDS):
        time.sleep(PAUSE_S)
        times.append(house.command(TYPED[n % len(TYPED)]))
    return times


def storm(house: House) -> Storm:
    """Post everything at once while somebody types, until every incident has a channel with its headline."""
    seen, over = Storm(), threading.Event()
    before = int(house.healthz()["incidents_open"])

    def type_on() -> None:
        while not over.wait(PAUSE_S):
            seen.acknowledged.append(house.command(TYPED[len(seen.acknowledged) % len(TYPED)]))

    typist = threading.Thread(target=type_on)
    typist.start()
    try:
        began = time.monotonic()
        statuses = asyncio.run(post_all(house, ALERTS, PIPELINES))
        seen.answered_s = time.monotonic() - began
        seen.refused = sum(status // 100 != 2 for status in statuses)

        def opened() -> bool:
            return int(house.healthz()["incidents_open"]) - before >= PIPELINES

        seen.opened_s = _when(opened, began, "the incidents did not open")
        seen.processed_s = _when(lambda: house.healthz()["inbox_waiting"] == 0, began, "the inbox stays full")
        seen.told_s = _when(lambda: _headlines(house) >= PIPELINES, began, "the channels stay empty")
    finally:
        over.set()
        typist.join()
    seen.incidents = int(house.healthz()["incidents_open"]) - before
    return seen


def _when(good: Callable[[], bool], began: float, trouble: str) -> float:
    """Seconds since the beginning once it is so; asked five times a second, because asking is work, too."""

    def asked() -> bool:
        found = good()
        if not found:
            time.sleep(0.2)
        return found

    until(asked, SETTLED_S, trouble)
    return time.monotonic() - began


def _headlines(house: House) -> int:
    channels = get(f"{house.url}/sim/state")["channels"]
    return sum(bool(c["messages"]) for c in channels if (c.get("name") or "").startswith("inc-"))


async def post_all(house: House, alerts: int, pipelines: int) -> list[int]:
    """Post this many alerts at once, of these pipelines in turn; the statuses."""
    numbers = iter(range(alerts))
    target = f"/webhooks/cloud-monitoring?auth_token={house.settings['MONITORING_WEBHOOK_TOKEN']}"
    statuses: list[int] = []

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        for number in numbers:
            body = json.dumps(alert(number, pipelines)).encode()
            head = f"POST {target} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, found, rest = answer.partition(b"content-length: ")
            await reader.readexactly(int(rest.split(b"\r\n")[0]) if found else 0)
            statuses.append(int(answer.split()[1]))
        writer.close()

    await asyncio.gather(*(sender() for _ in range(CONNECTIONS)))
    return statuses


def alert(number: int, pipelines: int = PIPELINES) -> dict[str, Any]:
    """A failed job, of one of the pipelines in turn; each alert is new."""
    job = f"stream-{number % pipelines:02}"
    incident = {
        "incident_id": f"0.storm{number:06}",
        "state": "open",
        "policy_name": f"Pipeline {job} stopped",
        "condition_name": "Dataflow job failed",
        "summary": f"Failed for demo-project {job} is above the threshold of 0.000 with a value of 1.000.",
        "observed_value": "1.000",
        "threshold_value": "0",
        "policy_user_labels": {"severity": "critical", "kind": "health"},
        "metric": {"type": "dataflow.googleapis.com/job/is_failed", "displayName": "Failed", "labels": {}},
        "resource": {
            "type": "dataflow_job",
            "labels": {"job_name": job, "project_id": "demo-project", "region": "europe-west1"},
        },
        "scoping_project_id": "demo-project",
        "url": f"https://console.cloud.google.com/monitoring/alerting/alerts/0.storm{number:06}",
    }
    return {"version": "1.2", "incident": incident}


def share(times: list[float], part: float) -> float:
    """The time that this part of all stayed within."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def figures(calm: list[float], seen: Storm) -> list[Figure]:
    """Acknowledgements beside each other, and how long the storm took."""
    before, during = (share(calm, 0.99), share(seen.acknowledged, 0.99))
    count = len(seen.acknowledged)
    return [
        plain("slash command acknowledged, quiet, p50 / p99", f"{share(calm, 0.5):.0f} / {before:.0f} ms"),
        plain(f"  in the storm ({count} typed), p50", f"{share(seen.acknowledged, 0.5):.0f} ms"),
        below("  in the storm, p99", during, ACKNOWLEDGED_MS, "ms", 0),
        plain("  p99 in the storm / quiet", f"{during / max(before, 1.0):.1f}"),
        plain(f"{ALERTS} alerts: all answered after", f"{seen.answered_s:.1f} s"),
        Figure(what="  refused", value=f"{seen.refused}", aim="0", met=seen.refused == 0),
        plain(f"  all {PIPELINES} incidents open after", f"{seen.opened_s:.1f} s"),
        plain("  all alerts in their incidents after", f"{seen.processed_s:.1f} s"),
        plain(f"  all {PIPELINES} channels with a headline after", f"{seen.told_s:.1f} s"),
        Figure(
            what="  incidents", value=f"{seen.incidents}", aim=f"{PIPELINES}", met=seen.incidents == PIPELINES
        ),
    ]
