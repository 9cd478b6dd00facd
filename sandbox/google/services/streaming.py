"""Pub/Sub's StreamingPull: one thread hears the client's acknowledgements, the stream gives it messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import grpc
from google.pubsub_v1 import types

from sandbox.google.errors import Refused, invalid
from sandbox.google.services.base import received
from sandbox.google.world import World

POLL_S = 0.25
BATCH = 100
DEFAULT_OUTSTANDING = 1000


def streaming_pull(world: World, requests: Iterator[Any], is_alive: Callable[[], bool]) -> Iterator[Any]:
    """Answer with messages until the client hangs up. The first request names subscription and limits."""
    first = next(requests, None)
    if first is None or not first.subscription:
        raise invalid("The first request must name a subscription.")
    name = first.subscription
    with world.turn():
        world.pubsub.subscription(name)
    gone = Event()
    listener = Thread(target=_listen, args=(world, name, first, requests, gone), daemon=True)
    listener.start()
    limit = min(BATCH, first.max_outstanding_messages or DEFAULT_OUTSTANDING)
    while is_alive() and not gone.is_set():
        with world.turn() as now:
            found = world.pubsub.pull(name, limit, now, world.wall())
        if found:
            yield types.StreamingPullResponse(received_messages=[received(delivery) for delivery in found])
        else:
            world.wait(POLL_S)


def _listen(world: World, name: str, first: Any, requests: Iterator[Any], gone: Event) -> None:
    # The iterator ends with an error of its own when the client hangs up; that is the normal end.
    with suppress(grpc.RpcError, Refused):
        _hear(world, name, first)
        for request in requests:
            _hear(world, name, request)
    gone.set()


def _hear(world: World, name: str, request: Any) -> None:
    if not request.ack_ids and not request.modify_deadline_ack_ids:
        return
    with world.turn(change=True):
        subscription = world.pubsub.subscription(name)
        subscription.ack(list(request.ack_ids))
        deadlines = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True)
        for ack_id, seconds in deadlines:
            subscription.extend([ack_id], seconds, world.wall())
