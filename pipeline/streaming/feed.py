"""Messages of Pub/Sub for a local run: pulled here, written by the pipeline, only then acknowledged.

Beam's own reader for its local runner acknowledges what it pulls, ten messages at a time, and its one
worker waits for every empty subscription.  This one feeds the same runner over Beam's service for
streams from outside (``TestStreamServiceController``): of a killed run what was not written is delivered
again (a dead letter on its way to its topic excepted).  On Dataflow Beam's own reader is used.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, Final

from apache_beam import coders
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.test_stream_service import TestStreamServiceController

from pipeline.errors import PipelineError
from pipeline.google import pubsub
from pipeline.google.clients import Clients
from pipeline.streaming.counting import Board, in_flight

_BATCH: Final = 200
_MOST_OUT: Final = 1000  # messages that are delivered and not accounted for before pulling goes on
_LEASE_S: Final = 600
_WAIT_S: Final = 0.2
_STOP_S: Final = 3.0
_CODER: Final = coders.FastPrimitivesCoder()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Payload = Any


class Feed:
    """Pulls the subscriptions (by event type) for one run; :meth:`source` is what the pipeline reads."""

    def __init__(
        self,
        clients: Clients,
        project: str,
        subscriptions: Mapping[str, str],
        board: Board,
        now: Callable[[], datetime],
    ) -> None:
        self._clients = clients
        self._project = project
        self._subscriptions = dict(subscriptions)
        self._board = board
        self._now = now
        self._ended = Event()
        self._done = Event()
        self._held: dict[str, list[pubsub.Message]] = {name: [] for name in subscriptions}
        self._delivered = 0
        self._watermark = 0
        self._service = TestStreamServiceController(self)
        self._service.start()

    def source(self) -> Any:
        """A transform that gives PubsubMessages by event type, at their publish times."""
        return TestStream(
            coder=_CODER, output_tags=list(self._subscriptions), endpoint=self._service.endpoint
        )

    def read_multiple(self, _: object) -> Iterator[_Payload]:
        """What Beam's service asks for: events without end; a watermark often, for its worker waits here."""
        try:
            yield from self._events()
        finally:
            self._done.set()

    def _events(self) -> Iterator[_Payload]:
        while not self._ended.is_set():
            fresh = {name: self._pull(name) for name in self._subscriptions}
            for name, messages in fresh.items():
                if messages:
                    yield _elements(name, messages)
            yield from self._advance()
            self._acknowledge()
            if not any(fresh.values()):
                self._ended.wait(_WAIT_S / 10)

    def stop(self) -> None:
        """Ends the feed; what is not accounted for goes back to its subscription at once."""
        self._ended.set()
        self._done.wait(_STOP_S)  # a pull is under way, or Beam never asked
        self._acknowledge()
        for name, messages in self._held.items():
            if messages:
                with _away(self._subscriptions[name], "given back to"):
                    pubsub.release(self._clients, self._project, self._subscriptions[name], messages)
        self._service.stop()

    def _pull(self, name: str) -> list[pubsub.Message]:
        if sum(map(len, self._held.values())) >= _MOST_OUT:
            return []
        subscription = self._subscriptions[name]
        with _away(subscription, "pulled from"):
            found = pubsub.pull(self._clients, self._project, subscription, _BATCH, wait_s=_WAIT_S)
            if found:
                pubsub.lease(self._clients, self._project, subscription, found, _LEASE_S)
            self._held[name] += found
            self._delivered += len(found)
            return found
        return []

    def _acknowledge(self) -> None:
        counts = self._board.read()
        received = sum(value for key, value in counts.items() if key.endswith("_received"))
        if received < self._delivered or in_flight(counts):
            return
        for name, messages in self._held.items():
            if messages:
                with _away(self._subscriptions[name], "acknowledged in"):
                    pubsub.acknowledge(self._clients, self._project, self._subscriptions[name], messages)
                    messages.clear()

    def _advance(self) -> Iterator[_Payload]:
        """The watermark: now.  What waits unpulled is older; windows are kept for it (LOCAL_SLACK_S)."""
        at = _micros(self._now())
        if at <= self._watermark:
            return
        self._watermark = at
        for name in self._subscriptions:
            advance = beam_runner_api_pb2.TestStreamPayload.Event.AdvanceWatermark(new_watermark=at, tag=name)
            yield beam_runner_api_pb2.TestStreamPayload.Event(watermark_event=advance)


@contextmanager
def _away(subscription: str, doing: str) -> Iterator[None]:
    """The service may be away for a while: its messages wait there, or are held, and the next look may reach it."""
    try:
        yield
    except PipelineError as error:
        print(f"Nothing could be {doing} {subscription}: {error}", file=sys.stderr, flush=True)
        time.sleep(_WAIT_S)


def _elements(name: str, messages: list[pubsub.Message]) -> _Payload:
    payload = beam_runner_api_pb2.TestStreamPayload
    elements = [
        payload.TimestampedElement(
            encoded_element=_CODER.encode(PubsubMessage(one.data, dict(one.attributes), one.id)),
            timestamp=_micros(one.published),
        )
        for one in messages
    ]
    return payload.Event(element_event=payload.Event.AddElements(elements=elements, tag=name))


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
