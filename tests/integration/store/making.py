"""Small makers of what the store keeps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bot.core.delivery import Kind, Outbound, Priority
from bot.core.folding import begin, evolve
from bot.core.incident import Event, Incident
from bot.core.policy import Policy
from bot.desk.ports import Run
from bot.store.database import Database
from bot.store.tx import StoreTx


def opened(pipeline: str = "orders", at: datetime | None = None, **data: Any) -> Event:
    """The first event of an incident."""
    assert at is not None
    facts = {
        "project": "demo-project",
        "pipeline": pipeline,
        "family": "stream",
        "title": "Job stopped",
        "kind": "health",
        "severity": "critical",
        "policy": Policy().to_dict(),
    }
    return Event(type="opened", at=at, actor="cloud-monitoring", data={**facts, **data})


def open_in(tx: StoreTx, pipeline: str = "orders", *, due: datetime | None = None, **data: Any) -> Incident:
    """Open an incident inside a transaction."""
    number = tx.next_number()
    (event,) = tx.append(number, [opened(pipeline, tx.now(), **data)])
    incident = begin(number, event)
    tx.save(incident, next_due_at=due)
    return incident


def open_incident(
    database: Database, pipeline: str = "orders", *, due: datetime | None = None, **data: Any
) -> Incident:
    """Open an incident."""
    return database.write(lambda tx: open_in(tx, pipeline, due=due, **data))


def add(database: Database, number: int, *types: str, due: datetime | None = None, **data: Any) -> Incident:
    """Append events and save the incident."""

    def do(tx: StoreTx) -> Incident:
        incident = tx.incident(number)
        assert incident is not None
        for event in tx.append(number, [Event(type=t, at=tx.now(), actor="alice", data=data) for t in types]):
            incident = evolve(incident, event)
        tx.save(incident, next_due_at=due)
        return incident

    return database.write(do)


def row(key: str, **values: Any) -> Outbound:
    """An outbox row: a post into the announcements unless told otherwise."""
    plain: dict[str, Any] = {"kind": Kind.POST, "lane": "announce", "priority": Priority.NEWS}
    return Outbound(key=key, **{**plain, **values})


def run(run_id: str, at: datetime, **values: Any) -> Run:
    """A run of a change."""
    plain: dict[str, Any] = {
        "operation": "pipeline.restart",
        "pipeline": "orders",
        "params": {"force": False},
        "state": "confirmed",
        "requested_by": "alice",
        "created_at": at,
        "risk": "change",
    }
    return Run(id=run_id, **{**plain, **values})


SECOND = timedelta(seconds=1)
