"""The pipeline on its real ends: Pub/Sub subscriptions in, BigQuery, Bigtable and the dead-letter topic out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub, WriteToPubSub

from pipeline.catalogue import EVENT_TYPES
from pipeline.streaming.graph import Parts, Sinks, assemble
from pipeline.streaming.messages import Letter
from pipeline.streaming.settings import Settings
from pipeline.streaming.steps import Frame
from pipeline.streaming.writers import BigQuery, Bigtable, Files, Writer


class PublishLetters(beam.PTransform):  # type: ignore[misc]
    """Letters to the dead-letter topic; a publish that fails makes the runner repeat the bundle."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic

    def expand(self, letters: Any) -> Any:
        return (
            letters
            | "AsMessage" >> beam.Map(_as_message).with_output_types(PubsubMessage)
            | "Publish" >> WriteToPubSub(self.topic, with_attributes=True)
        )


def build(
    pipeline: Any,
    settings: Settings,
    *,
    sources: Mapping[str, Any] | None = None,
    local: bool = False,
    board: str = "",
) -> Parts:
    """Adds everything to a ``beam.Pipeline``.

    Reads subscriptions, never topics: a topic would get a fresh subscription, and what was published
    before it would be lost.  ``sources`` instead: PubsubMessages by event type.  ``local``: the runner
    repeats nothing, so an unreachable sink makes dead letters; ``board`` is where the counters are
    written besides.
    """
    sinks = Sinks(
        rows=_rows(settings),
        letters=PublishLetters(settings.dead_letter_topic),
        stats=Bigtable(settings.bigtable, settings.sink_patience_s) if settings.bigtable else None,
        local=local,
    )
    frame = Frame(code_version=settings.code_version, board=board)
    return assemble(sources or _subscriptions(pipeline, settings), settings, sinks, frame)


def _subscriptions(pipeline: Any, settings: Settings) -> dict[str, Any]:
    return {
        event_type: pipeline
        | f"Read {event_type}"
        >> ReadFromPubSub(subscription=settings.subscription(event_type), with_attributes=True)
        for event_type in EVENT_TYPES
    }


def _rows(settings: Settings) -> Writer:
    if settings.dataset:
        return BigQuery(settings.dataset, settings.sink_patience_s)
    return Files(settings.output_dir, settings.output_format)


def _as_message(letter: Letter) -> PubsubMessage:
    return PubsubMessage(letter.data, dict(letter.attributes))
