"""A replay of dead letters on many machines: ``python -m pipeline.streaming.replay --runner=DataflowRunner ...``.

A batch pipeline of shards; each runs the very loop of ``dlq replay``: pull, decide, send, wait for the answer, only
then acknowledge.  It does not read through Beam's own source, which acknowledges whatever it has read: what is to
stay in the queue could then only be put back behind it, and be read again without end.  So what stays is not
touched, the job ends by itself when the queue gives nothing new, and a shard that dies (Beam repeats it) leaves at
most its last chunk both sent and queued, as a killed replay does: sent at least once, and a copy carries the same
``replay_of``.  That holds on every runner, the local one too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.utils.timestamp import Timestamp

from pipeline.errors import ConfigError
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.operations.base import Context, Plan, Risk
from pipeline.operations.dlq_run import replay
from pipeline.streaming.replay_settings import OPTIONAL, REQUIRED, ReplaySettings, read

_MOST: Final = 1_000_000_000  # a shard goes on until the queue gives nothing more


class ReplayShard(beam.DoFn):  # type: ignore[misc]
    """One shard's number in, what it did as JSON out.

    Counts ``replay_sent``, and ``replay_stayed`` as each shard met them.
    """

    def __init__(self, given: Mapping[str, str | None], google: GoogleSettings) -> None:
        super().__init__()
        self.given = dict(given)
        self.google = asdict(google)
        self.sent = beam.metrics.Metrics.counter("replay", "replay_sent")
        self.stayed = beam.metrics.Metrics.counter("replay", "replay_stayed")

    def process(self, shard: int) -> Iterator[str]:
        settings = read(self.given)
        with Clients(GoogleSettings(**self.google)) as clients:
            context = Context(
                pipeline=settings.pipeline, clients=clients, history=None, now=_now, sleep=time.sleep
            )
            outcome = replay(context, part_of(settings, _now()), lambda step: None)
        self.sent.inc(outcome.sent)
        self.stayed.inc(outcome.stayed.total() + outcome.refused.total())
        yield json.dumps(
            {
                "shard": shard,
                "sent": outcome.sent,
                "stayed": dict(outcome.stayed),
                "refused": dict(outcome.refusals),
                "stopped": outcome.stopped,
            }
        )


def part_of(settings: ReplaySettings, now: datetime) -> Plan:
    """One shard's share of the replay: its part of the rate, and no canary or snapshot of its own."""
    rate = max(1, settings.rate // settings.shards) if settings.rate else 0
    return Plan(
        id=settings.replay_id,
        operation="dlq.replay",
        pipeline=settings.pipeline.name,
        params={"limit": _MOST, "rule": settings.rule, "canary": 0, "rate": rate, "force": False},
        summary="",
        effects=(),
        warnings=(),
        refusal=None,
        risk=Risk.CHANGE,
        made_at=now,
        data={"going": _MOST, "part": True},
    )


def build(pipeline: Any, given: Mapping[str, str | None], google: GoogleSettings) -> Any:
    """Adds the shards to a ``beam.Pipeline``; gives what each did, one JSON text each."""
    settings = read(given)
    return (
        pipeline
        | "Shards" >> beam.Create(range(settings.shards))
        | "Spread" >> beam.Reshuffle()
        | "Replay" >> beam.ParDo(ReplayShard(given, google))
    )


def split(argv: list[str]) -> tuple[dict[str, str | None], list[str]]:
    """Our own options, and those that are Beam's.

    Read apart from Beam's, whose options are one set for the whole process: the pipeline's names are there too.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in (*REQUIRED, *OPTIONAL):
        parser.add_argument(f"--{name}", default=None)
    known, rest = parser.parse_known_args(argv)
    return vars(known), rest


def main(argv: list[str] | None = None) -> int:
    """Builds and submits the pipeline; 2 when an option is wrong."""
    given, rest = split(sys.argv[1:] if argv is None else argv)
    try:
        read(given)
    except ConfigError as error:
        for mistake in error.mistakes:
            print(f"Error: {mistake}", file=sys.stderr)
        return 2
    options = PipelineOptions(rest)
    options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(options=options)
    build(pipeline, given, GoogleSettings.from_env())
    pipeline.run()
    return 0


def _now() -> datetime:
    found: datetime = Timestamp.now().to_utc_datetime(has_tz=True)
    return found.astimezone(UTC)


if __name__ == "__main__":
    sys.exit(main())
