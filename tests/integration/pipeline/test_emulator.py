"""The promises about dead letters again, against Google's own Pub/Sub emulator where it is found."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.google import pubsub
from pipeline.google.clients import Clients, GoogleSettings
from tests.support.servers import start_pubsub_emulator

from .conftest import Stand
from .test_dead_letters import UP, arrived, child, clicks, queue, tapped

PROJECT = "demo-project"


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with start_pubsub_emulator() as address:
        yield address


@pytest.fixture
def real(stand: Stand, emulator: str) -> Iterator[Stand]:
    """The stand with Pub/Sub taken over by the emulator, its queue fresh."""
    clients = Clients(GoogleSettings(project=PROJECT, endpoint=stand.address, pubsub_emulator=emulator))
    for topic in ("clicks", "dead-letter"):
        path = pubsub.topic_path(PROJECT, topic)
        clients.publisher.create_topic(request={"name": path})
    clients.subscriber.create_subscription(
        request={
            "name": pubsub.subscription_path(PROJECT, "dead-letter-sub"),
            "topic": pubsub.topic_path(PROJECT, "dead-letter"),
            "ack_deadline_seconds": 10,
        }
    )
    try:
        yield replace(stand, ctx=replace(stand.ctx, clients=clients, facts=UP), address=emulator)
    finally:
        project = f"projects/{PROJECT}"
        for subscription in list(clients.subscriber.list_subscriptions(request={"project": project})):
            clients.subscriber.delete_subscription(request={"subscription": subscription.name})
        for topic in ("clicks", "dead-letter"):
            clients.publisher.delete_topic(request={"topic": pubsub.topic_path(PROJECT, topic)})
        clients.close()


def test_peek_leaves_every_message_and_costs_no_attempt(real: Stand) -> None:
    pubsub.publish(real.ctx.clients, PROJECT, "dead-letter", clicks(5))
    for _ in range(3):
        assert real.read("dlq.peek", limit=50).data["seen"] == 5
    assert len(queue(real)) == 5


def test_replay_killed_between_publish_and_ack_loses_nothing_on_googles_emulator(real: Stand) -> None:
    tapped(real)
    letters = clicks(60)
    pubsub.publish(real.ctx.clients, PROJECT, "dead-letter", letters)
    plan = real.plan("dlq.replay", limit=100)
    assert plan.data["going"] == 60
    killed = child(real, plan, kill_at=1)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # the messages come back when the leases of the dead process have run out
    deadline = time.monotonic() + 120
    sent_again = 0
    while sent_again < 60 and time.monotonic() < deadline:
        again = child(real, plan, kill_at=0)
        assert again.returncode == 0, again.stderr
        sent_again += json.loads(again.stdout)["data"]["sent"]
    sent = {message.attributes["replay_of"] for message in arrived(real)}
    assert len(sent) == 60
    assert not queue(real)


def test_address_of_the_emulator_is_taken_from_the_environment(emulator: str, tmp_path: Path) -> None:
    settings = GoogleSettings.from_env({"PUBSUB_EMULATOR_HOST": emulator, "GOOGLE_CLOUD_PROJECT": PROJECT})
    with Clients(settings) as clients:
        clients.publisher.create_topic(request={"name": pubsub.topic_path(PROJECT, "mine")})
        listed = [
            topic.name for topic in clients.publisher.list_topics(request={"project": f"projects/{PROJECT}"})
        ]
        assert pubsub.topic_path(PROJECT, "mine") in listed
        clients.publisher.delete_topic(request={"topic": pubsub.topic_path(PROJECT, "mine")})
