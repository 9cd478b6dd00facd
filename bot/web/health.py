"""Is it alive, can it store, is it late: for probes, for people, for Prometheus (rules: "Escalation", /readyz).

``/readyz`` says only whether a notification could be stored: a Slack outage must not take the intake down.
Lateness shows in ``/healthz`` and in the metrics.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Figures = Mapping[str, float]

_NAMES = {
    "inbox_waiting": "Notifications that are stored and not processed yet",
    "inbox_dead": "Notifications that could not be processed; see /healthz",
    "outbox_waiting": "Messages that wait for Slack",
    "outbox_dead": "Messages that Slack refused for good",
    "pages_late": "Pages that are due and not sent",
    "late_s": "How late the latest of them is, in seconds",
    "incidents_open": "Incidents that are not resolved (private ones are not counted)",
}


def routes(
    figures: Callable[[], Awaitable[Figures]], can_store: Callable[[], Awaitable[bool]]
) -> list[Route]:
    """GET /healthz, /readyz, /metrics."""

    async def healthz(_: Request) -> Response:
        try:
            found = dict(await figures())
        except Exception as error:  # noqa: BLE001 - that is the answer
            return JSONResponse({"status": "down", "error": type(error).__name__}, status_code=503)
        late = found.get("pages_late", 0) > 0 and found.get("late_s", 0) > 30
        return JSONResponse({"status": "late" if late else "ok", **found})

    async def readyz(_: Request) -> Response:
        if await can_store():
            return JSONResponse({"status": "ready"})
        body = {"status": "not ready", "error": "the database cannot store now"}
        return JSONResponse(body, status_code=503, headers={"retry-after": "5"})

    async def metrics(_: Request) -> Response:
        registry = CollectorRegistry()
        found: dict[str, Any] = dict(await figures())
        for name, value in found.items():
            Gauge(f"streamwatch_{name}", _NAMES.get(name, name), registry=registry).set(float(value))
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
