"""Accepting: a valid event that is no duplicate becomes a row, with what is known besides it.

Here an event is counted valid; whatever fails behind this step is a sink's failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

import apache_beam as beam

from pipeline.catalogue import EVENT_TYPES
from pipeline.events import Valid, validate
from pipeline.streaming.messages import LOAD_TEST, Message
from pipeline.streaming.rows import measured, raw_row
from pipeline.streaming.steps import DEAD, Frame, Step
from pipeline.streaming.windows import AHEAD, as_time, as_timestamp, lateness

ROWS: Final = "rows"


class _Accept(Step):
    """(identity, Message) -> its raw Row; and (key, numbers) for its window, tagged by event type."""

    stage = "enrich"

    def __init__(self, frame: Frame, window_s: Mapping[str, int], allowed_lateness_s: int) -> None:
        super().__init__(frame)
        self.window_s = dict(window_s)
        self.allowed = timedelta(seconds=allowed_lateness_s)

    def process(
        self, element: tuple[str, Message], timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterable[Any]:
        message = element[1]
        try:
            outcome = validate(message.data)
            if not isinstance(outcome, Valid):
                raise ValueError("was valid, and is no longer")
            adds = beam.window.TimestampedValue(
                measured(outcome.event), as_timestamp(outcome.event.timestamp)
            )
            published = as_time(timestamp)
            behind = lateness(outcome.event.timestamp, published, self.window_s[message.event_type])
            missed = behind is not None and (behind >= self.allowed or -behind >= AHEAD)
            late = behind is not None and behind >= timedelta()
            row = raw_row(
                outcome,
                message,
                published=published,
                late=late,
                missed=missed,
                code_version=self.frame.code_version,
            )
        except Exception as error:  # noqa: BLE001 - told as a dead letter
            return (self.refused(message, error),)
        self._count(message, late=late, missed=missed)
        if LOAD_TEST in message.attributes:
            return ()  # counted, and stopped before the sinks
        return (row,) if missed else (row, beam.pvalue.TaggedOutput(message.event_type, adds))

    def _count(self, message: Message, *, late: bool, missed: bool) -> None:
        self.tally.add(message.event_type, "valid")
        for measure, holds in (
            ("late", late),
            ("missed_window", missed),
            ("load_test", LOAD_TEST in message.attributes),
        ):
            if holds:
                self.tally.add(message.event_type, measure)


class Enrich(beam.PTransform):  # type: ignore[misc]
    """(identity, Message) in; out: ``rows`` (raw Rows), ``dead`` Letters, what it adds by event type."""

    def __init__(self, frame: Frame, window_s: Mapping[str, int], allowed_lateness_s: int) -> None:
        super().__init__()
        self.arguments = (frame, window_s, allowed_lateness_s)

    def expand(self, messages: Any) -> Any:
        return messages | "Accept" >> beam.ParDo(_Accept(*self.arguments)).with_outputs(
            DEAD, *EVENT_TYPES, main=ROWS
        )
