"""A replay of dead letters beside a bare loop of pull, publish and acknowledge with the same official client."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.catalogue import load
from pipeline.google import pubsub
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.history import History
from pipeline.operations import Context, get
from pipeline.operations.base import ChangeOperation, Progress
from tests.bench.house import House
from tests.bench.pipeline.made import events
from tests.bench.table import Figure, at_least, plain

LETTERS, ROUNDS, BATCH, AIM = 10_000, 3, 500, 0.8
PROJECT, QUEUE, TOPIC, DEAD = "demo-project", "dead-letter-sub", "clicks", "dead-letter"


def figures(house: House) -> list[Figure]:
    """Wall time, because the work is done in two processes; rounds take turns."""
    ours, bare = [], []
    with Clients(GoogleSettings.from_env(house.settings)) as clients:
        for number in range(ROUNDS):
            _fill(clients, 2 * number)
            bare.append(LETTERS / _bare(clients))
            _fill(clients, 2 * number + 1)
            ours.append(LETTERS / _replay(clients, house.folder / f"ledger{number}.db"))
    ratio = statistics.median(mine / its for mine, its in zip(ours, bare, strict=True))
    return [
        plain(f"replay of {LETTERS:,} dead letters, with its ledger", f"{statistics.median(ours):,.0f} /s"),
        plain("  a bare pull, publish, acknowledge", f"{statistics.median(bare):,.0f} /s"),
        at_least("  replay / bare", ratio, AIM),
    ]


def _fill(clients: Clients, seed: int) -> None:
    letters = [_letter(data) for data in events(LETTERS * 2, seed=seed) if b'"click"' in data][:LETTERS]
    if len(letters) < LETTERS:
        raise SystemExit("too few clicks were made")
    for start in range(0, LETTERS, BATCH):
        pubsub.publish(clients, PROJECT, DEAD, letters[start : start + BATCH])


def _letter(data: bytes) -> tuple[bytes, Mapping[str, str]]:
    body = {
        "event_type": "click",
        "error": "TypeError: unsupported operand",
        "payload": data.decode(),
        "attributes": {"source": "shop"},
        "violations": [],
        "stage": "parse",
        "code_version": "1.0",
        "first_failed_at": "2026-11-20T09:50:00Z",
        "replay_count": 0,
    }
    return json.dumps(body).encode(), {"event_type": "click"}


def _bare(clients: Clients) -> float:
    """Seconds. It checks nothing and keeps no account; it only takes the original out of its envelope."""
    subscription, topic = pubsub.subscription_path(PROJECT, QUEUE), pubsub.topic_path(PROJECT, TOPIC)
    subscriber, publisher = clients.subscriber, clients.publisher
    moved, begun = 0, time.monotonic()
    while moved < LETTERS:
        pulled: Any = subscriber.pull(request={"subscription": subscription, "max_messages": BATCH})
        got = pulled.received_messages
        if not got:
            raise SystemExit(f"the bare loop found {moved} of {LETTERS}")
        messages = [{"data": json.loads(one.message.data)["payload"].encode()} for one in got]
        publisher.publish(request={"topic": topic, "messages": messages})
        ids = [one.ack_id for one in got]
        subscriber.acknowledge(request={"subscription": subscription, "ack_ids": ids})
        moved += len(got)
    return time.monotonic() - begun


def _replay(clients: Clients, ledger: Path) -> float:
    """Seconds of the run: its look at the pipeline, its snapshot, its ledger; not the plan before it."""
    history = History.open(f"sqlite:///{ledger}")
    ctx = Context(
        pipeline=load(None, PROJECT, clients.settings.region).find(),
        clients=clients,
        history=history,
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
        facts={"down": False},
        deadline_s=60.0,
    )
    operation = get("dlq.replay")
    assert isinstance(operation, ChangeOperation)
    plan = operation.plan(ctx, {"limit": LETTERS, "canary": 0, "rate": 0})
    begun = time.monotonic()
    report = operation.run(ctx, plan, _hear)
    took = time.monotonic() - begun
    history.close()
    if report.data["sent"] != LETTERS:
        raise SystemExit(f"the replay sent {report.data['sent']} of {LETTERS}: {report.verdict}")
    return took


def _hear(_: Progress) -> None:
    """Nobody looks on."""
