"""Google's Pub/Sub emulator with the pipeline's topics, and the pipeline on Beam's streaming runner."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.google import pubsub
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.streaming.direct import DirectRun, Heartbeat
from pipeline.streaming.settings import Settings, read
from pipeline.streaming.steps import utc_now
from tests.support.servers import start_pubsub_emulator

PROJECT = "demo-project"
TOPICS = ("clicks", "transactions", "stock", "dead-letter", "heartbeat")
SUBSCRIPTIONS = {
    "clicks-sub": "clicks",
    "transactions-sub": "transactions",
    "stock-sub": "stock",
    "dead-letter-sub": "dead-letter",
    "heartbeat-sub": "heartbeat",
}
DEADLINE_S = 90.0


@dataclass(frozen=True)
class Ends:
    """The pipeline's ends on the emulator."""

    clients: Clients
    address: str
    folder: Path

    def settings(self, **changed: Any) -> Settings:
        given: dict[str, object] = {
            "click_subscription": f"projects/{PROJECT}/subscriptions/clicks-sub",
            "transaction_subscription": f"projects/{PROJECT}/subscriptions/transactions-sub",
            "stock_subscription": f"projects/{PROJECT}/subscriptions/stock-sub",
            "dead_letter_topic": f"projects/{PROJECT}/topics/dead-letter",
            "output_dir": str(self.folder),
        }
        return read(given | changed)

    def publish(self, topic: str, messages: Sequence[tuple[bytes, Mapping[str, str]]]) -> None:
        for start in range(0, len(messages), 200):
            pubsub.publish(self.clients, PROJECT, topic, messages[start : start + 200])

    def letters(self, most: int) -> list[pubsub.Message]:
        return pubsub.take(self.clients, PROJECT, "dead-letter-sub", most)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in self.folder.glob(f"{table}/*.jsonl")
            for line in path.read_text(encoding="utf-8").splitlines()
        ]


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    with start_pubsub_emulator() as address:
        yield address


@pytest.fixture
def ends(emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    """Fresh topics and subscriptions; Beam's own client finds the emulator by the environment."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)
    clients = Clients(GoogleSettings(project=PROJECT, endpoint=emulator, pubsub_emulator=emulator))
    for topic in TOPICS:
        clients.publisher.create_topic(request={"name": pubsub.topic_path(PROJECT, topic)})
    for name, topic in SUBSCRIPTIONS.items():
        clients.subscriber.create_subscription(
            request={
                "name": pubsub.subscription_path(PROJECT, name),
                "topic": pubsub.topic_path(PROJECT, topic),
                "ack_deadline_seconds": 60,
            }
        )
    try:
        yield Ends(clients, emulator, tmp_path / "out")
    finally:
        for name, topic in SUBSCRIPTIONS.items():
            clients.subscriber.delete_subscription(
                request={"subscription": pubsub.subscription_path(PROJECT, name)}
            )
            clients.publisher.delete_topic(request={"topic": pubsub.topic_path(PROJECT, topic)})
        clients.close()


@pytest.fixture
def start(ends: Ends) -> Iterator[Callable[[Settings], DirectRun]]:
    """Starts local runs and ends every one of them."""
    started: list[DirectRun] = []

    def begin(settings: Settings) -> DirectRun:
        run = DirectRun(settings, ends.clients, job_name="ecommerce-streaming", project=PROJECT, now=utc_now)
        started.append(run)
        return run

    yield begin
    for run in started:
        run.stop()


def wait_for(run: DirectRun, done: Callable[[Heartbeat], bool], deadline_s: float = DEADLINE_S) -> Heartbeat:
    """The first heartbeat of which ``done`` holds; fails with the counters when the run dies or time is over."""
    end = time.monotonic() + deadline_s
    while True:
        beat = run.heartbeat()
        if done(beat):
            return beat
        if not run.alive or time.monotonic() > end:
            pytest.fail(f"{run.failure() or 'not in time'}: {dict(beat.counters)}")
        time.sleep(0.1)
