"""Pub/Sub: Publisher and Subscriber, over the world's topics and subscriptions."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from sandbox.google import pubsub
from sandbox.google.errors import Refused, invalid
from sandbox.google.pubsub import Topic
from sandbox.google.services.base import Method, Service, from_timestamp, page, pb, received, timestamp
from sandbox.google.services.streaming import streaming_pull
from sandbox.google.subscription import (
    MONTH_S,
    WEEK_S,
    Delivery,
    Settings,
    Snapshot,
    Subscription,
    check_ack_ids,
)
from sandbox.google.world import World

EMPTY_PULL_WAIT_S = 0.25


def services(world: World) -> list[Service]:
    """Publisher and Subscriber on that world."""
    return [
        Service(
            "google.pubsub.v1.Publisher",
            {
                "CreateTopic": Method(types.Topic, types.Topic, lambda r: _create_topic(world, r)),
                "UpdateTopic": Method(
                    types.UpdateTopicRequest, types.Topic, lambda r: _update_topic(world, r)
                ),
                "GetTopic": Method(types.GetTopicRequest, types.Topic, lambda r: _get_topic(world, r)),
                "ListTopics": Method(
                    types.ListTopicsRequest, types.ListTopicsResponse, lambda r: _topics(world, r)
                ),
                "ListTopicSubscriptions": Method(
                    types.ListTopicSubscriptionsRequest,
                    types.ListTopicSubscriptionsResponse,
                    lambda r: _topic_subscriptions(world, r),
                ),
                "DeleteTopic": Method(types.DeleteTopicRequest, Empty, lambda r: _delete_topic(world, r)),
                "Publish": Method(types.PublishRequest, types.PublishResponse, lambda r: _publish(world, r)),
            },
        ),
        Service("google.pubsub.v1.Subscriber", _subscriber(world)),
    ]


def _subscriber(world: World) -> dict[str, Method]:
    return {
        "CreateSubscription": Method(types.Subscription, types.Subscription, lambda r: _create(world, r)),
        "GetSubscription": Method(types.GetSubscriptionRequest, types.Subscription, lambda r: _get(world, r)),
        "UpdateSubscription": Method(
            types.UpdateSubscriptionRequest, types.Subscription, lambda r: _update(world, r)
        ),
        "ListSubscriptions": Method(
            types.ListSubscriptionsRequest, types.ListSubscriptionsResponse, lambda r: _list(world, r)
        ),
        "DeleteSubscription": Method(types.DeleteSubscriptionRequest, Empty, lambda r: _delete(world, r)),
        "Pull": Method(types.PullRequest, types.PullResponse, lambda r: _pull(world, r)),
        "Acknowledge": Method(types.AcknowledgeRequest, Empty, lambda r: _acknowledge(world, r)),
        "ModifyAckDeadline": Method(types.ModifyAckDeadlineRequest, Empty, lambda r: _modify(world, r)),
        "StreamingPull": Method(
            types.StreamingPullRequest,
            types.StreamingPullResponse,
            stream=lambda requests, alive: streaming_pull(world, requests, alive),
        ),
        "Seek": Method(types.SeekRequest, types.SeekResponse, lambda r: _seek(world, r)),
        "CreateSnapshot": Method(
            types.CreateSnapshotRequest, types.Snapshot, lambda r: _create_snapshot(world, r)
        ),
        "GetSnapshot": Method(types.GetSnapshotRequest, types.Snapshot, lambda r: _get_snapshot(world, r)),
        "ListSnapshots": Method(
            types.ListSnapshotsRequest, types.ListSnapshotsResponse, lambda r: _snapshots(world, r)
        ),
        "DeleteSnapshot": Method(types.DeleteSnapshotRequest, Empty, lambda r: _delete_snapshot(world, r)),
    }


def _create_topic(world: World, request: Any) -> Any:
    with world.turn(change=True):
        topic = Topic(request.name, dict(request.labels), _retention(request, None))
        return _topic_proto(world.pubsub.create_topic(topic))


def _update_topic(world: World, request: Any) -> Any:
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid("The update_mask must name at least one field.")
    with world.turn(change=True):
        topic = world.pubsub.topic(request.topic.name)
        for path in paths:
            if path == "labels":
                topic.labels = dict(request.topic.labels)
            elif path == "message_retention_duration":
                topic.retention_s = _retention(request.topic, None)
            else:
                raise invalid(f"Invalid update_mask provided in the UpdateTopicRequest: {path!r}.")
        return _topic_proto(topic)


def _get_topic(world: World, request: Any) -> Any:
    with world.turn():
        return _topic_proto(world.pubsub.topic(request.topic))


def _topics(world: World, request: Any) -> Any:
    with world.turn():
        found = [
            t for name, t in sorted(world.pubsub.topics.items()) if name.startswith(f"{request.project}/")
        ]
        shown, token = page(found, request.page_size, request.page_token, default=100, maximum=1000)
        return types.ListTopicsResponse(
            topics=[_topic_proto(topic) for topic in shown], next_page_token=token
        )


def _topic_subscriptions(world: World, request: Any) -> Any:
    with world.turn():
        world.pubsub.topic(request.topic)
        found = sorted(
            name for name, s in world.pubsub.subscriptions.items() if s.settings.topic == request.topic
        )
    shown, token = page(found, request.page_size, request.page_token, default=100, maximum=1000)
    return types.ListTopicSubscriptionsResponse(subscriptions=list(shown), next_page_token=token)


def _delete_topic(world: World, request: Any) -> Any:
    with world.turn(change=True):
        world.pubsub.delete_topic(request.topic)
    return Empty()


def _publish(world: World, request: Any) -> Any:
    raw = pb(request)
    if not raw.messages:
        raise invalid("The publish request has no messages.")
    with world.turn(change=True) as now:
        for message in raw.messages:
            pubsub.check_message(message.data, message.attributes)
        ids = [
            world.pubsub.publish(raw.topic, m.data, dict(m.attributes), now, m.ordering_key)
            for m in raw.messages
        ]
    return types.PublishResponse(message_ids=ids)


def _create(world: World, request: Any) -> Any:
    policy = request.dead_letter_policy
    settings = Settings(
        topic=request.topic,
        ack_deadline_s=request.ack_deadline_seconds or 10,
        retain_acked=request.retain_acked_messages,
        retention_s=_retention(request, WEEK_S) or WEEK_S,
        dead_letter_topic=policy.dead_letter_topic,
        max_attempts=_attempts(policy),
        ordered=request.enable_message_ordering,
        exactly_once=request.enable_exactly_once_delivery,
        labels=dict(request.labels),
        filter=request.filter,
        expires_s=_expiration(request),
    )
    with world.turn(change=True) as now:
        return _proto(world.pubsub.create_subscription(request.name, settings, now))


def _get(world: World, request: Any) -> Any:
    with world.turn():
        return _proto(world.pubsub.subscription(request.subscription))


def _update(world: World, request: Any) -> Any:
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid("The update_mask must name at least one field.")
    new = request.subscription
    with world.turn(change=True):
        subscription = world.pubsub.subscription(new.name)
        changes: dict[str, Any] = {
            "ack_deadline_seconds": {"ack_deadline_s": new.ack_deadline_seconds},
            "retain_acked_messages": {"retain_acked": new.retain_acked_messages},
            "message_retention_duration": {"retention_s": _retention(new, WEEK_S)},
            "labels": {"labels": dict(new.labels)},
            "expiration_policy": {"expires_s": _expiration(new)},
            "dead_letter_policy": {
                "dead_letter_topic": new.dead_letter_policy.dead_letter_topic,
                "max_attempts": _attempts(new.dead_letter_policy),
            },
        }
        for path in paths:
            if path not in changes:
                raise invalid(f"Invalid update_mask provided in the UpdateSubscriptionRequest: {path!r}.")
        wanted = {name: value for path in paths for name, value in changes[path].items()}
        subscription.change(wanted)
        return _proto(subscription)


def _list(world: World, request: Any) -> Any:
    with world.turn():
        every = sorted(world.pubsub.subscriptions.items())
        found = [s for name, s in every if name.startswith(f"{request.project}/")]
        shown, token = page(found, request.page_size, request.page_token, default=100, maximum=1000)
        return types.ListSubscriptionsResponse(
            subscriptions=[_proto(s) for s in shown], next_page_token=token
        )


def _delete(world: World, request: Any) -> Any:
    with world.turn(change=True):
        world.pubsub.delete_subscription(request.subscription)
    return Empty()


def _pull(world: World, request: Any) -> Any:
    found = _pull_once(world, request)
    if not found and not pb(request).return_immediately:
        world.wait(EMPTY_PULL_WAIT_S)
        found = _pull_once(world, request)
    return types.PullResponse(received_messages=[received(delivery) for delivery in found])


def _pull_once(world: World, request: Any) -> list[Delivery]:
    with world.turn() as now:
        return world.pubsub.pull(request.subscription, min(request.max_messages, 1000), now, world.wall())


def _acknowledge(world: World, request: Any) -> Any:
    if not request.ack_ids:
        raise invalid("The request must have at least one ack_id.")
    check_ack_ids(request.ack_ids)
    with world.turn(change=True):
        subscription = world.pubsub.subscription(request.subscription)
        stale = subscription.ack(list(request.ack_ids))
    if stale and subscription.settings.exactly_once:
        raise Refused(
            "INVALID_ARGUMENT",
            "Some acknowledgement ids in the request were invalid.",
            reason="EXACTLY_ONCE_ACKID_FAILURE",
            metadata=dict.fromkeys(stale, "PERMANENT_FAILURE_INVALID_ACK_ID"),
        )
    return Empty()


def _modify(world: World, request: Any) -> Any:
    if not request.ack_ids:
        raise invalid("The request must have at least one ack_id.")
    if not 0 <= request.ack_deadline_seconds <= 600:
        raise invalid("ack_deadline_seconds must be between 0 and 600.")
    check_ack_ids(request.ack_ids)
    with world.turn(change=True) as now:
        subscription = world.pubsub.subscription(request.subscription)
        subscription.extend(list(request.ack_ids), request.ack_deadline_seconds, world.wall())
        world.pubsub.settle(subscription, now, world.wall())
    return Empty()


def _seek(world: World, request: Any) -> Any:
    raw = pb(request)
    at = from_timestamp(raw.time) if raw.HasField("time") else None
    with world.turn(change=True):
        world.pubsub.seek(raw.subscription, at=at, snapshot=raw.snapshot)
        if at is not None:
            world.synthetic.pop(raw.subscription.rsplit("/", 1)[-1], None)
    return types.SeekResponse()


def _create_snapshot(world: World, request: Any) -> Any:
    with world.turn(change=True) as now:
        return _snapshot_proto(world.pubsub.create_snapshot(request.name, request.subscription, now))


def _get_snapshot(world: World, request: Any) -> Any:
    with world.turn():
        return _snapshot_proto(world.pubsub.snapshot(request.snapshot))


def _snapshots(world: World, request: Any) -> Any:
    with world.turn():
        every = sorted(world.pubsub.snapshots.items())
        found = [s for name, s in every if name.startswith(f"{request.project}/")]
        shown, token = page(found, request.page_size, request.page_token, default=100, maximum=1000)
        return types.ListSnapshotsResponse(
            snapshots=[_snapshot_proto(snapshot) for snapshot in shown], next_page_token=token
        )


def _delete_snapshot(world: World, request: Any) -> Any:
    with world.turn(change=True):
        world.pubsub.snapshot(request.snapshot)
        del world.pubsub.snapshots[request.snapshot]
    return Empty()


def _attempts(policy: Any) -> int:
    # An unset number means five.
    return int(policy.max_delivery_attempts or 5) if policy.dead_letter_topic else 0


def _expiration(message: Any) -> float | None:
    """A policy without a time is for ever; no policy is Google's own."""
    raw = pb(message)
    if not raw.HasField("expiration_policy"):
        return MONTH_S
    ttl = raw.expiration_policy.ttl
    return ttl.seconds + ttl.nanos / 1e9 or None


def _retention(message: Any, default: float | None) -> float | None:
    raw = pb(message)
    if not raw.HasField("message_retention_duration"):
        return default
    duration = raw.message_retention_duration
    return float(duration.seconds) + float(duration.nanos) / 1e9


def _topic_proto(topic: Topic) -> Any:
    more = {} if topic.retention_s is None else {"message_retention_duration": _duration(topic.retention_s)}
    return types.Topic(name=topic.name, labels=topic.labels, state="ACTIVE", **more)


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def _proto(subscription: Subscription) -> Any:
    settings = subscription.settings
    more: dict[str, Any] = {}
    if settings.dead_letter_topic:
        more["dead_letter_policy"] = types.DeadLetterPolicy(
            dead_letter_topic=settings.dead_letter_topic, max_delivery_attempts=settings.max_attempts
        )
    if settings.expires_s is None:
        more["expiration_policy"] = types.ExpirationPolicy()
    else:
        more["expiration_policy"] = types.ExpirationPolicy(ttl=_duration(settings.expires_s))
    return types.Subscription(
        name=subscription.name,
        topic=settings.topic,
        ack_deadline_seconds=settings.ack_deadline_s,
        retain_acked_messages=settings.retain_acked,
        message_retention_duration=_duration(settings.retention_s),
        enable_message_ordering=settings.ordered,
        enable_exactly_once_delivery=settings.exactly_once,
        labels=settings.labels,
        state="ACTIVE",
        **more,
    )


def _snapshot_proto(snapshot: Snapshot) -> Any:
    return types.Snapshot(name=snapshot.name, topic=snapshot.topic, expire_time=timestamp(snapshot.expires))
