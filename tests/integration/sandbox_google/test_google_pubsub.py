"""One Pub/Sub suite for two servers: the sandbox's and Google's emulator have to agree."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from sandbox.clock import Clock
from sandbox.google.server import GoogleServer
from sandbox.google.world import World
from tests.integration.sandbox_google.google import PIPELINES
from tests.support.servers import start_pubsub_emulator

PROJECT = "projects/suite-project"
NAMES = count(1)


@dataclass(frozen=True)
class Queue:
    """A fresh topic with a subscription on one of the servers."""

    publisher: Any
    subscriber: Any
    topic: str
    name: str

    def publish(self, *texts: str, **attributes: str) -> list[str]:
        return [self.publisher.publish(self.topic, text.encode(), **attributes).result(40) for text in texts]

    def pull(self, limit: int = 100, name: str = "") -> list[Any]:
        # An empty pull blocks on the emulator for three seconds; the flag ends it at once on both.
        request = {"subscription": name or self.name, "max_messages": limit, "return_immediately": True}
        return list(self.subscriber.pull(request=request).received_messages)

    def pull_until(self, wanted: int, name: str = "") -> list[Any]:
        """Pull, holding the leases, until so many different messages have come."""
        found: dict[str, Any] = {}
        deadline = time.monotonic() + 40
        while len(found) < wanted and time.monotonic() < deadline:
            found |= {one.message.message_id: one for one in self.pull(name=name)}
        return list(found.values())

    def ack(self, *received: Any) -> None:
        self.subscriber.acknowledge(subscription=self.name, ack_ids=[one.ack_id for one in received])

    def nack(self, *received: Any) -> None:
        self.subscriber.modify_ack_deadline(
            subscription=self.name, ack_ids=[one.ack_id for one in received], ack_deadline_seconds=0
        )


@pytest.fixture(scope="module", params=["sandbox", "emulator"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "emulator":
        with start_pubsub_emulator() as emulator:
            yield emulator
        return
    file: Path = tmp_path_factory.mktemp("world") / "pipelines.yaml"
    file.write_text(PIPELINES, encoding="utf-8")
    server = GoogleServer(World(Clock(), file))
    yield f"127.0.0.1:{server.start()}"
    server.stop()


@pytest.fixture(scope="module")
def clients(address: str) -> Iterator[tuple[Any, Any]]:
    with grpc.insecure_channel(address) as channel:
        options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
        publisher = pubsub_v1.PublisherClient(
            publisher_options=options, transport=PublisherGrpcTransport(channel=channel)
        )
        yield publisher, pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


@pytest.fixture
def make(clients: tuple[Any, Any]) -> Callable[..., Queue]:
    def build(**settings: Any) -> Queue:
        publisher, subscriber = clients
        number = next(NAMES)
        topic, name = f"{PROJECT}/topics/topic-{number}", f"{PROJECT}/subscriptions/sub-{number}"
        publisher.create_topic(name=topic)
        subscriber.create_subscription(request={"name": name, "topic": topic, **settings})
        return Queue(publisher, subscriber, topic, name)

    return build


def texts(received: list[Any]) -> list[str]:
    return sorted(one.message.data.decode() for one in received)


def test_what_is_published_is_pulled_with_its_attributes(make: Callable[..., Queue]) -> None:
    queue = make()
    (message_id,) = queue.publish("hello", kind="click")
    (received,) = queue.pull_until(1)
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"kind": "click"}
    assert received.message.message_id == message_id
    assert received.delivery_attempt == 0
    assert abs(received.message.publish_time.timestamp() - time.time()) < 60


def test_a_leased_message_is_hidden_and_an_acknowledged_one_is_gone(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.publish("a", "b")
    first = queue.pull_until(2)
    assert queue.pull() == []
    queue.ack(*first)
    queue.nack(*first)
    assert queue.pull() == []


def test_a_nack_gives_the_message_back(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.publish("a", "b", "c")
    for _ in range(3):
        received = queue.pull_until(3)
        assert texts(received) == ["a", "b", "c"]
        queue.nack(*received)


def test_an_acknowledgement_after_a_nack_is_accepted_and_does_nothing(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.publish("a")
    received = queue.pull_until(1)
    queue.nack(*received)
    queue.ack(*received)
    assert texts(queue.pull_until(1)) == ["a"]


def test_every_subscription_gets_its_copy(make: Callable[..., Queue]) -> None:
    queue = make()
    other = f"{PROJECT}/subscriptions/other-{next(NAMES)}"
    queue.subscriber.create_subscription(name=other, topic=queue.topic)
    queue.publish("a")
    assert texts(queue.pull_until(1)) == texts(queue.pull_until(1, name=other)) == ["a"]
    assert set(queue.publisher.list_topic_subscriptions(topic=queue.topic)) == {queue.name, other}


def test_dead_letter_policy_forwards_after_five_attempts(make: Callable[..., Queue]) -> None:
    dead = make()
    policy = {"dead_letter_topic": dead.topic, "max_delivery_attempts": 5}
    queue = make(dead_letter_policy=policy)
    queue.publish("poison", kind="click")
    attempts = []
    for _ in range(5):
        (received,) = queue.pull_until(1)
        attempts.append(received.delivery_attempt)
        queue.nack(received)
    assert attempts == [1, 2, 3, 4, 5]
    queue.pull()
    (forwarded,) = dead.pull_until(1)
    assert forwarded.message.data == b"poison"
    added = {key for key in forwarded.message.attributes if key.startswith("CloudPubSubDeadLetter")}
    assert added == {
        "CloudPubSubDeadLetterSourceSubscription",
        "CloudPubSubDeadLetterSourceSubscriptionProject",
        "CloudPubSubDeadLetterSourceDeliveryCount",
        "CloudPubSubDeadLetterSourceTopicPublishTime",
    }
    assert forwarded.message.attributes["kind"] == "click"
    assert forwarded.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_seek_to_a_snapshot_brings_back_what_was_acknowledged_since(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.publish("a", "b")
    snapshot = f"{PROJECT}/snapshots/snap-{next(NAMES)}"
    queue.subscriber.create_snapshot(name=snapshot, subscription=queue.name)
    queue.ack(*queue.pull_until(2))
    assert queue.pull() == []
    queue.subscriber.seek(request={"subscription": queue.name, "snapshot": snapshot})
    assert texts(queue.pull_until(2)) == ["a", "b"]


def test_seek_forward_purges(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.publish("a", "b")
    later = {"seconds": int(time.time() + 60)}
    queue.subscriber.seek(request={"subscription": queue.name, "time": later})
    assert queue.pull() == []


def test_seek_back_restores_what_was_acknowledged_and_retained(make: Callable[..., Queue]) -> None:
    queue = make(retain_acked_messages=True)
    queue.publish("a", "b")
    queue.ack(*queue.pull_until(2))
    assert queue.pull() == []
    queue.subscriber.seek(request={"subscription": queue.name, "time": {"seconds": int(time.time() - 60)}})
    assert texts(queue.pull_until(2)) == ["a", "b"]


def test_messages_of_one_key_come_in_order(make: Callable[..., Queue]) -> None:
    queue = make(enable_message_ordering=True)
    wanted = [f"{number:03d}" for number in range(60)]
    for text in wanted:
        queue.publisher.publish(queue.topic, text.encode(), ordering_key="k").result(40)
    seen: list[str] = []
    deadline = time.monotonic() + 40
    while len(seen) < len(wanted) and time.monotonic() < deadline:
        received = queue.pull(limit=25)
        seen += [one.message.data.decode() for one in received]
        if received:
            queue.ack(*received)
    assert seen == wanted


def test_streaming_pull_delivers_and_acknowledges(make: Callable[..., Queue]) -> None:
    queue = make()
    wanted = {f"m{number}" for number in range(50)}
    seen: set[str] = set()

    def take(message: Any) -> None:
        seen.add(message.data.decode())
        message.ack_with_response().result(5) if message.delivery_attempt else message.ack()

    future = queue.subscriber.subscribe(queue.name, callback=take)
    queue.publish(*sorted(wanted))
    deadline = time.monotonic() + 40
    while seen != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    future.cancel()
    future.result(40)
    assert seen == wanted


def test_subscription_settings_are_kept_and_updated(make: Callable[..., Queue]) -> None:
    queue = make(ack_deadline_seconds=45, message_retention_duration=Duration(seconds=3600))
    found = queue.subscriber.get_subscription(subscription=queue.name)
    assert found.ack_deadline_seconds == 45
    assert found.message_retention_duration.total_seconds() == 3600
    assert found.topic == queue.topic
    changed = {"name": queue.name, "topic": queue.topic, "ack_deadline_seconds": 90}
    queue.subscriber.update_subscription(
        subscription=changed, update_mask=FieldMask(paths=["ack_deadline_seconds"])
    )
    assert queue.subscriber.get_subscription(subscription=queue.name).ack_deadline_seconds == 90


def test_topics_and_subscriptions_are_listed_and_deleted(make: Callable[..., Queue]) -> None:
    queue = make()
    topics = {topic.name for topic in queue.publisher.list_topics(project=PROJECT)}
    assert queue.topic in topics
    names = {one.name for one in queue.subscriber.list_subscriptions(project=PROJECT)}
    assert queue.name in names
    queue.publisher.delete_topic(topic=queue.topic)
    assert queue.subscriber.get_subscription(subscription=queue.name).topic == "_deleted-topic_"
    queue.subscriber.delete_subscription(subscription=queue.name)
    with pytest.raises(exceptions.NotFound):
        queue.subscriber.get_subscription(subscription=queue.name)


def test_official_errors(make: Callable[..., Queue]) -> None:
    queue = make()
    with pytest.raises(exceptions.AlreadyExists):
        queue.publisher.create_topic(name=queue.topic)
    with pytest.raises(exceptions.AlreadyExists):
        queue.subscriber.create_subscription(name=queue.name, topic=queue.topic)
    with pytest.raises(exceptions.NotFound):
        queue.publisher.get_topic(topic=f"{PROJECT}/topics/none-such")
    with pytest.raises(exceptions.NotFound):
        queue.publisher.publish(f"{PROJECT}/topics/none-such", b"x").result(40)
    with pytest.raises(exceptions.NotFound):
        queue.pull(name=f"{PROJECT}/subscriptions/none-such")
    with pytest.raises(exceptions.NotFound):
        queue.subscriber.create_subscription(
            name=f"{PROJECT}/subscriptions/homeless", topic=f"{PROJECT}/topics/none-such"
        )
    with pytest.raises(exceptions.InvalidArgument):
        queue.publisher.create_topic(name=f"{PROJECT}/topics/9")
    with pytest.raises(exceptions.InvalidArgument):
        queue.publisher.publish(queue.topic, b"").result(40)
    with pytest.raises(exceptions.InvalidArgument, match="ack id"):
        queue.subscriber.acknowledge(subscription=queue.name, ack_ids=["rubbish"])
    with pytest.raises(exceptions.InvalidArgument):
        queue.subscriber.acknowledge(subscription=queue.name, ack_ids=[])
    with pytest.raises(exceptions.InvalidArgument):
        queue.pull(limit=0)


def test_exactly_once_delivery_refuses_a_stale_acknowledgement(make: Callable[..., Queue]) -> None:
    queue = make(enable_exactly_once_delivery=True)
    queue.publish("a")
    (first,) = queue.pull_until(1)
    queue.nack(first)
    (again,) = queue.pull_until(1)
    with pytest.raises(exceptions.InvalidArgument) as refused:
        queue.ack(first)
    assert refused.value.reason == "EXACTLY_ONCE_ACKID_FAILURE"
    queue.ack(again)
    assert queue.pull() == []


def test_a_thousand_messages_arrive_once(make: Callable[..., Queue]) -> None:
    queue = make()
    futures = [queue.publisher.publish(queue.topic, json.dumps(n).encode()) for n in range(1000)]
    assert len({future.result(40) for future in futures}) == 1000
    seen: list[int] = []
    deadline = time.monotonic() + 40
    while len(seen) < 1000 and time.monotonic() < deadline:
        received = queue.pull(limit=300)
        seen += [json.loads(one.message.data) for one in received]
        if received:
            queue.ack(*received)
    assert sorted(seen) == list(range(1000))
