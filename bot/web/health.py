"""Is it alive, can it store, is it late: for probes, for people, for Prometheus (rules: "Escalation", /readyz).

``/readyz`` says only whether a notification could be stored: a Slack outage must not take the intake down.
Lateness shows in ``/healthz`` and in the metrics.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Figures = Mapping[str, float]

_NAMES = {
    "inbox_waiting": "Notifications that are stored and not processed yet",
    "inbox_dead": "Notifications that could not be used; /operations shows why",
    "outbox_waiting": "Messages that wait for Slack",
    "outbox_dead": "Messages that will not be sent; /operations shows why",
    "pages_late": "Pages that are due and not sent",
    "late_s": "How late the latest of them is, in seconds",
    "overdue_s": "How long the earliest timer has been due, in seconds",
    "pages_missing": "Pages that the auditor finds due and never made",
    "pages_twice": "Pages that the auditor finds made or delivered twice",
    "pages_unasked": "Pages that the auditor finds no rule for",
    "audit_age_s": "Seconds since the auditor last went round all open incidents",
    "loop_age_s": "Seconds since the slowest of the loops last took a turn without failing",
    "heartbeat_withheld": "1 while the heartbeat is withheld",
    "incidents_open": "Incidents that are not resolved (private ones are not counted)",
}


class Lateness:
    """How late pages were accepted, as a histogram of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._histogram = Histogram(
            "streamwatch_page_lateness_seconds",
            "Seconds between a page's due time and the moment at which its place accepted it",
            buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600),
            registry=self._registry,
        )

    def observe(self, late_s: float) -> None:
        """A page was accepted."""
        self._histogram.observe(late_s)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


def routes(
    figures: Callable[[], Awaitable[Figures]],
    can_store: Callable[[], Awaitable[bool]],
    details: Callable[[], Mapping[str, Any]] = dict,
    lateness: Lateness | None = None,
) -> list[Route]:
    """GET /healthz, /readyz, /metrics."""

    async def healthz(_: Request) -> Response:
        try:
            found = dict(await figures())
        except Exception as error:  # noqa: BLE001 - that is the answer
            return JSONResponse({"status": "down", "error": type(error).__name__}, status_code=503)
        late = found.get("pages_late", 0) > 0 and found.get("late_s", 0) > 30
        late = late or found.get("pages_missing", 0) > 0
        return JSONResponse({"status": "late" if late else "ok", **found, **details()})

    async def readyz(_: Request) -> Response:
        if await can_store():
            return JSONResponse({"status": "ready"})
        body = {"status": "not ready", "error": "the database cannot store now"}
        return JSONResponse(body, status_code=503, headers={"retry-after": "5"})

    async def metrics(_: Request) -> Response:
        registry = CollectorRegistry()
        try:
            found: dict[str, Any] = dict(await figures())
        except Exception as error:  # noqa: BLE001 - a scraper sees that there are none
            body = {"error": "no figures now", "hint": type(error).__name__}
            return JSONResponse(body, status_code=503)
        for name, value in found.items():
            Gauge(f"streamwatch_{name}", _NAMES.get(name, name), registry=registry).set(float(value))
        text = generate_latest(registry) + (lateness.text() if lateness is not None else b"")
        return Response(text, media_type="text/plain; version=0.0.4")

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
