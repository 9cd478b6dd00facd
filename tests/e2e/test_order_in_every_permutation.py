"""Every order of small sets of notifications ends in the same state: the inbox's processor on a real database,
without processes around it, so that hundreds of orders take seconds."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from bot.app import furnish
from bot.clock import ManualClock
from bot.core.incident import Incident
from bot.desk.house import House
from bot.desk.processor import Processor
from bot.settings import read
from bot.store.database import Database
from bot.web.notification import from_webhook
from tests.e2e.alerts import alert
from tests.e2e.running import ROOT

Json = dict[str, Any]
START = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
LINE = "line"
SENTENCE = (
    "Incident cancelled because the alert policy condition was deleted or modified while incident was active."
)


def of(key: str, severity: str, kind: str, **more: Any) -> Json:
    """An alert of this severity and kind on one unclaimed pipeline."""
    labels = {"severity": severity, "kind": kind}
    return alert(key, pipeline=LINE, policy_user_labels=labels, metric=None, **more)


def both(key: str, severity: str, kind: str, **close: Any) -> list[Json]:
    """An alert's open and its close."""
    return [of(key, severity, kind), of(key, severity, kind, state="closed", **close)]


SETS = {
    "info, with a copy": [*both("a", "info", "health"), of("a", "info", "health")],
    "info and warning": [*both("a", "info", "health"), *both("b", "warning", "quality")],
    "one still open": [*both("a", "critical", "health"), of("b", "warning", "quality")],
    "a close that proves nothing": [
        *both("a", "critical", "health", value=SENTENCE),
        *both("b", "warning", "quality"),
    ],
    "security beside others": [
        *both("a", "critical", "security"), of("b", "critical", "security"), of("c", "warning", "quality")
    ],
    "families": [*both("a", "critical", "health"), *both("b", "warning", "cost"), of("c", "warning", "other")],
    "copies that grow": [
        of("a", "info", "performance"), of("a", "warning", "performance"), *both("a", "critical", "health")
    ],
    "four alerts with copies": [
        each for key in "abcd" for each in (of(key, "warning", "quality"), *both(key, "critical", "health"))
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def house() -> House:
    """The shipped documents."""
    told = {
        "SLACK_BOT_TOKEN": "xoxb-none",
        "SLACK_SIGNING_SECRET": "none",
        "RUNBOOKS_DIR": str(ROOT / "runbooks"),
    }
    settings, _ = read({**told, "GOOGLE_CLOUD_PROJECT": "demo-project"})
    return furnish(settings)


def orders(bodies: Sequence[Json]) -> Iterator[Sequence[Json]]:
    """All of them where they are few, else some by chance."""
    if len(bodies) <= 4:
        yield from permutations(bodies)
        return
    chance = random.Random(20_261_123)
    for _ in range(12):
        yield chance.sample(bodies, len(bodies))


def moved(body: Json, number: int) -> Json:
    """The notification as one of pipeline ``number``, so that all orders share one database."""
    text = json.dumps(body)
    there: Json = json.loads(text.replace(f'"job_name": "{LINE}"', f'"job_name": "{LINE}{number}"'))
    there["incident"]["incident_id"] = f"{number}.{body['incident']['incident_id']}"
    return there


async def process(database: Database, house: House, bodies: Sequence[Json]) -> None:
    """One notification after the other, each from the inbox to its decision."""
    processor = Processor(
        store=database, house=lambda: house, record_budget=lambda *_: None, wake=lambda: None
    )
    for body in bodies:
        source, key, raw, meta, dead = from_webhook(json.dumps(body).encode(), lambda: START).row
        await database.awrite(lambda tx: tx.inbox_put(source, key, raw, json.loads(meta), dead=dead))  # noqa: B023
        while await processor.turn():
            pass


def end_of(incidents: Sequence[Incident], number: int) -> list[Json]:
    """What stands of a pipeline; nothing in it may depend on the order."""
    found = [
        {
            "family": str(i.family),
            "status": str(i.status),
            "severity": str(i.severity),
            "kind": str(i.kind),
            "channel": i.wants_channel,
            "alerts": sorted(
                (a.key.removeprefix(f"{number}."), a.open, str(a.severity)) for a in i.alerts.values()
            ),
            # What was known for a while and is over may differ; what holds may not.
            "facts": sorted(f.id for f in i.holding if f.id != "persistent_minor"),
        }
        for i in incidents
        if i.pipeline == f"{LINE}{number}"
    ]
    return sorted(found, key=str)


@pytest.mark.parametrize("name", SETS)
def test_every_order_ends_in_the_same_state(tmp_path: Path, house: House, name: str) -> None:
    tried = list(orders(SETS[name]))
    database = Database(f"sqlite:///{tmp_path / 'orders.db'}", ManualClock(START), create=True)
    try:
        for number, order in enumerate(tried):
            asyncio.run(process(database, house, [moved(body, number) for body in order]))
        incidents = database.read(lambda tx: list(tx.incidents(limit=500)))
    finally:
        database.close()
    ends = {json.dumps(end_of(incidents, number)): order for number, order in enumerate(tried)}
    told = {
        end: [(b["incident"]["incident_id"], b["incident"]["state"]) for b in order]
        for end, order in ends.items()
    }
    assert len(told) == 1, told
    assert "[]" not in told
