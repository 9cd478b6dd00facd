"""What of Pub/Sub runs on time, with a hand-driven clock: leases on the wall's, retention on the world's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration

from tests.integration.sandbox_google.google import PROJECT, Google

TOPIC = f"projects/{PROJECT}/topics/monitoring-alerts"
ALERTS = f"projects/{PROJECT}/subscriptions/streamwatch-alerts"


def test_the_bots_intake_is_there_in_a_fresh_world(google: Google) -> None:
    google.publisher.publish(TOPIC, b"{}").result(5)
    assert len(google.pull(ALERTS)) == 1
    found = google.subscriber.get_subscription(
        subscription=f"projects/{PROJECT}/subscriptions/streamwatch-budgets"
    )
    assert found.topic.endswith("/topics/budget-alerts")


def test_an_expired_lease_gives_the_message_back(google: Google) -> None:
    google.publisher.publish(TOPIC, b"x").result(5)
    (first,) = google.pull(ALERTS)
    google.clock.go(59)
    assert google.pull(ALERTS) == []
    google.clock.go(2)
    (again,) = google.pull(ALERTS)
    assert again.message.message_id == first.message.message_id
    google.subscriber.acknowledge(subscription=ALERTS, ack_ids=[first.ack_id])
    google.clock.go(61)
    assert len(google.pull(ALERTS)) == 1, "the acknowledgement of a lost lease does nothing"


def test_a_lengthened_lease_holds(google: Google) -> None:
    google.publisher.publish(TOPIC, b"x").result(5)
    (first,) = google.pull(ALERTS)
    google.subscriber.modify_ack_deadline(
        subscription=ALERTS, ack_ids=[first.ack_id], ack_deadline_seconds=600
    )
    google.clock.go(590)
    assert google.pull(ALERTS) == []
    google.subscriber.acknowledge(subscription=ALERTS, ack_ids=[first.ack_id])
    google.clock.go(60)
    assert google.pull(ALERTS) == []


def test_what_outlives_its_retention_is_gone(google: Google) -> None:
    name = f"projects/{PROJECT}/subscriptions/short"
    google.subscriber.create_subscription(
        request={"name": name, "topic": TOPIC, "message_retention_duration": Duration(seconds=1200)}
    )
    google.publisher.publish(TOPIC, b"x").result(5)
    google.clock.go(1190)
    (held,) = google.pull(name)
    google.subscriber.modify_ack_deadline(subscription=name, ack_ids=[held.ack_id], ack_deadline_seconds=0)
    google.clock.go(20)
    assert google.pull(name) == []


def test_seek_goes_by_publish_time(google: Google) -> None:
    for text in (b"early", b"late"):
        google.publisher.publish(TOPIC, text).result(5)
        google.clock.go(100)
    middle = google.clock.now() - timedelta(seconds=150)
    google.subscriber.seek(request={"subscription": ALERTS, "time": middle})
    assert [one.message.data for one in google.pull(ALERTS)] == [b"late"]


@pytest.mark.parametrize("seconds", [-1, 601])
def test_ack_deadlines_keep_the_real_limits(google: Google, seconds: int) -> None:
    google.publisher.publish(TOPIC, b"x").result(5)
    (held,) = google.pull(ALERTS)
    with pytest.raises(exceptions.InvalidArgument):
        google.subscriber.modify_ack_deadline(
            subscription=ALERTS, ack_ids=[held.ack_id], ack_deadline_seconds=seconds
        )
