"""Incidents and rows as the desk would write them."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Any

from bot.core.alerts import Kind as Trouble
from bot.core.alerts import Severity
from bot.core.delivery import Kind, Leased, Outbound, Priority
from bot.core.incident import AlertState, FactState, Incident, Status
from bot.core.policy import Policy

AT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)


def incident(**changes: Any) -> Incident:
    """INC-7, critical and open since 03:10."""
    text = changes.pop("text", "Dataflow job stopped")
    alert = AlertState(
        source="cloud-monitoring",
        key="a1",
        title=text,
        summary=text,
        severity=Severity.CRITICAL,
        kind=Trouble.HEALTH,
        open=True,
        opened_at=AT,
        url="https://console.cloud.google.com/monitoring/alerts/a1",
    )
    values: dict[str, Any] = {
        "id": 7,
        "project": "demo-project",
        "pipeline": "orders",
        "family": "stream",
        "title": text,
        "kind": Trouble.HEALTH,
        "severity": Severity.CRITICAL,
        "status": Status.OPEN,
        "policy": Policy(),
        "opened_at": AT,
        "ladder_from": AT,
        "cycle_from": AT,
        "alerts": {"cloud-monitoring:a1": alert},
        "facts": {"down": FactState(id="down", begin=AT, known_at=AT, text=text)},
    }
    return Incident(**{**values, **changes})


def page(key: str = "page:7:1:L1:alice", **changes: Any) -> Outbound:
    """The page of INC-7 to alice."""
    data = {
        "page": "7:1:L1:alice",
        "incident": "INC-7",
        "epoch": 1,
        "step": "e1:c1:L1",
        "level": "L1",
        "person": "alice",
        "slack": "U01ALICE",
        "due_at": AT.isoformat(),
        "reasons": ["critical incident: L1 at once"],
        "title": "Dataflow job stopped",
        "severity": "critical",
        "pipeline": "orders",
        "summary": "No job is running.",
        "repeat": False,
        "late_s": 0,
        "lines": [],
        "also": [],
        **changes,
    }
    return Outbound(
        key=key,
        kind=Kind.PAGE_DM,
        lane=f"person:{data['person']}",
        priority=Priority.PAGE,
        incident=7,
        replaces=True,
        data=data,
    )


def row(kind: Kind, key: str = "row:1", lane: str = "incident:7", **data: Any) -> Outbound:
    """Any other row."""
    return Outbound(key=key, kind=kind, lane=lane, priority=Priority.CHANNEL, incident=7, data=data)


def leased(out: Outbound, **changes: Any) -> Leased:
    """The row in its deliverer's hands, first tried a moment ago."""
    now = datetime.now(UTC).timestamp()
    values: dict[str, Any] = {
        "id": 1,
        "token": 1,
        "outbound": out,
        "attempts": 1,
        "ambiguous": False,
        "first_try_at": now - 1,
        "age_s": 1.0,
        "asked": monotonic(),
        "version": 1,
    }
    return Leased(**{**values, **changes})


def report(text: str = "The pipeline is stopped.") -> dict[str, Any]:
    """A report as JSON with every part that a renderer shows; ``text`` stands in all of them."""
    return {
        "operation": "pipeline.health",
        "pipeline": text,
        "verdict": text,
        "severity": "critical",
        "title": text,
        "findings": [
            {
                "id": "stopped",
                "severity": "critical",
                "text": text,
                "evidence": [{"what": text, "value": text, "unit": text, "at": "2026-11-23T03:09:00Z"}],
            }
        ],
        "tables": [{"title": text, "columns": [text, "n"], "rows": [[text, "1"], ["b", "2"]]}],
        "next": [{"label": text, "operation": "pipeline.restart", "params": {}}],
        "as_of": "2026-11-23T03:10:00Z",
    }


def plan(text: str = "Replay 214 messages") -> dict[str, Any]:
    """A plan as JSON; ``text`` stands in all of its words."""
    return {
        "id": "plan-1",
        "operation": "dlq.replay",
        "pipeline": text,
        "params": {},
        "summary": text,
        "effects": [text],
        "warnings": [text],
        "refusal": text,
        "risk": "change",
        "made_at": "2026-11-23T03:10:00Z",
        "data": {},
        "digest": "d" * 64,
    }
