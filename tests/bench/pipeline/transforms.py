"""The pipeline's transforms on Beam's in-memory runner, beside a pipeline that does nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.runners.portability.fn_api_runner import worker_handlers

from pipeline.streaming.counting import unbalanced
from pipeline.streaming.graph import Sinks, assemble
from pipeline.streaming.messages import Row
from pipeline.streaming.settings import read
from pipeline.streaming.steps import Frame
from pipeline.streaming.writers import Opened, Writer
from tests.bench.pipeline.made import events
from tests.bench.table import Figure, plain

EVENTS, ROUNDS, BROKEN = 5_000, 3, 0.02
RUNNER = "FnApiRunner"


class _Nowhere(Writer):
    """Takes every row and forgets it."""

    stage = "nowhere"

    def open(self) -> Opened:
        return _Forgets()


class _Forgets(Opened):
    def write(self, rows: Any) -> list[tuple[Row, str]]:
        return []


def _message(data: bytes) -> PubsubMessage:
    return PubsubMessage(data, {})


def _same(one: Any) -> Any:
    return one


def _noon() -> datetime:
    return datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def figures() -> list[Figure]:
    """Processor time of an event in each, and their ratio. There is no aim: doing nothing is no rival."""
    data = events(EVENTS, broken=BROKEN)
    ours, idle = [], []
    with _as_workers_are_set():
        for _ in range(ROUNDS):
            idle.append(_seconds(_identity, data))
            ours.append(_seconds(_pipeline, data))
    each, nothing = (statistics.median(times) / EVENTS * 1e6 for times in (ours, idle))
    ratio = statistics.median(mine / its for mine, its in zip(ours, idle, strict=True))
    return [
        plain(f"all transforms, {EVENTS:,} events in memory", f"{each:,.0f} us each"),
        plain("  an identity pipeline on the same runner", f"{nothing:,.0f} us each"),
        plain("  / identity", f"{ratio:.1f}"),
    ]


@contextmanager
def _as_workers_are_set() -> Iterator[None]:
    """Without the cache of state, which the pipeline's options switch off and this runner knows as a constant."""
    before = worker_handlers.STATE_CACHE_SIZE_MB
    worker_handlers.STATE_CACHE_SIZE_MB = 0
    try:
        yield
    finally:
        worker_handlers.STATE_CACHE_SIZE_MB = before


def _seconds(run: Callable[[Sequence[bytes]], None], data: Sequence[bytes]) -> float:
    begun = time.process_time()
    run(data)
    return time.process_time() - begun


def _source(pipeline: Any, data: Sequence[bytes]) -> Any:
    return pipeline | beam.Create(list(data)) | beam.Reshuffle() | "Message" >> beam.Map(_message)


def _identity(data: Sequence[bytes]) -> None:
    pipeline = beam.Pipeline(RUNNER)
    _ = _source(pipeline, data) | "Same" >> beam.Map(_same)
    pipeline.run().wait_until_finish()


def _pipeline(data: Sequence[bytes]) -> None:
    pipeline = beam.Pipeline(RUNNER)
    sinks = Sinks(rows=_Nowhere(), letters=beam.Map(_same), local=True)
    frame = Frame(code_version="bench", clock=_noon)
    assemble({"": _source(pipeline, data)}, read({}, need_sources=False), sinks, frame)
    result = pipeline.run()
    result.wait_until_finish()
    counts: dict[str, int] = {}
    for one in result.metrics().query()["counters"]:
        counts[one.key.metric.name] = counts.get(one.key.metric.name, 0) + one.committed
    received = sum(value for name, value in counts.items() if name.endswith("_received"))
    if received != len(data) or unbalanced(counts):
        raise SystemExit(f"the books of the run do not balance: {counts}")
