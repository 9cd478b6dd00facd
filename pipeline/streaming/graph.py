"""The whole pipeline on one page.

messages of three subscriptions
  -> validate -> deduplicate -> accept (enrich)
       -> raw_events
       -> windows of 60 s / 300 s / 300 s -> product views, sales, inventory -> BigQuery and Bigtable
  what fails, wherever -> the dead-letter topic
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from pipeline.catalogue import EVENT_TYPES
from pipeline.streaming.aggregate import Summarise
from pipeline.streaming.coding import register
from pipeline.streaming.deduplicate import Deduplicate
from pipeline.streaming.enrich import ROWS, Enrich
from pipeline.streaming.parse import ParseAndValidate
from pipeline.streaming.settings import Settings
from pipeline.streaming.sinks import WriteRows
from pipeline.streaming.steps import DEAD, VALID, Frame
from pipeline.streaming.windows import CLOUD_SLACK_S, LOCAL_SLACK_S
from pipeline.streaming.writers import Writer
from pipeline.tables import RAW, SUMMARY_OF


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Where everything goes.  ``stats`` takes the summaries too; ``letters`` is a transform of Letters.

    ``local``: the runner repeats nothing and its watermark is the time of day.
    """

    rows: Writer
    letters: Any
    stats: Writer | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The collections of a built pipeline, for those who look closer (tests)."""

    accepted: Any
    rows: Any
    summaries: Mapping[str, Any]
    letters: Any


def assemble(
    sources: Mapping[str, Any], settings: Settings, sinks: Sinks, frame: Frame | None = None
) -> Parts:
    """Builds everything behind ``sources``: PubsubMessages by the event type of their subscription ("": any)."""
    register()
    frame = frame or Frame(code_version=settings.code_version)
    parsed = {
        source: messages | f"Parse {source or 'events'}" >> ParseAndValidate(frame, source)
        for source, messages in sources.items()
    }
    valid = tuple(one[VALID] for one in parsed.values()) | "Valid" >> beam.Flatten()
    once = valid | "Deduplicate" >> Deduplicate(frame, settings.dedup_s)
    window_s = {event_type: settings.window_s(event_type) for event_type in EVENT_TYPES}
    accepted = once[VALID] | "Enrich" >> Enrich(frame, window_s, settings.allowed_lateness_s)
    slack_s = LOCAL_SLACK_S if sinks.local else CLOUD_SLACK_S
    summaries = {
        event_type: accepted[event_type]
        | f"Summarise {event_type}"
        >> Summarise(
            event_type, window_s[event_type], settings.allowed_lateness_s, settings.late_pane_s, slack_s
        )
        for event_type in EVENT_TYPES
    }
    dead = [one[DEAD] for one in parsed.values()] + [once[DEAD], accepted[DEAD]]
    dead += _write(accepted[ROWS], summaries, sinks, frame)
    letters = tuple(_global(one, place) for place, one in enumerate(dead)) | "Dead letters" >> beam.Flatten()
    _ = letters | "To the dead letters" >> sinks.letters
    return Parts(once[VALID], accepted[ROWS], summaries, letters)


def _write(raw: Any, summaries: Mapping[str, Any], sinks: Sinks, frame: Frame) -> list[Any]:
    def write(rows: Any, writer: Writer, table: str) -> Any:
        step = WriteRows(frame, writer, table, outage_is_dead=sinks.local)
        return rows | f"{writer.stage} {table}" >> step

    dead = [write(raw, sinks.rows, RAW)]
    for event_type, rows in summaries.items():
        dead.append(write(rows, sinks.rows, SUMMARY_OF[event_type]))
        if sinks.stats is not None:
            dead.append(write(rows, sinks.stats, SUMMARY_OF[event_type]))
    return dead


def _global(letters: Any, place: int) -> Any:
    return letters | f"Letters {place}" >> beam.WindowInto(GlobalWindows())
