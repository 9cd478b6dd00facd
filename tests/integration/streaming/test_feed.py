"""The local run's own reader, against the sandbox's Pub/Sub."""

from __future__ import annotations

from collections.abc import Generator

from pipeline.streaming.counting import Board
from pipeline.streaming.feed import Feed
from pipeline.streaming.steps import utc_now
from tests.integration.pipeline.conftest import Stand, stand
from tests.integration.pipeline.test_dead_letters import clicks, queue

__all__ = ["stand"]


def test_a_run_goes_on_when_pubsub_cannot_be_told_what_is_written(stand: Stand) -> None:
    stand.dead_letters(*clicks(3))
    board = Board()
    feed = Feed(stand.ctx.clients, "demo-project", {"click": "dead-letter-sub"}, board, utc_now)
    events = feed.read_multiple(None)
    assert isinstance(events, Generator)
    try:
        next(one for one in events if one.HasField("element_event"))
        board.add({"click_received": 3, "click_valid": 3, "click_settled": 3})
        stand.happen({"errors": [{"method": "Acknowledge", "code": "PERMISSION_DENIED", "count": 1}]})
        for _ in range(5):  # each asks once: the first is refused, a later one is not
            next(events)
    finally:
        events.close()
        feed.stop()
    assert not queue(stand)
