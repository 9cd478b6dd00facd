"""Writing rows in batches; what a sink refuses becomes a dead letter with its stage and its row.

A sink that cannot be reached is no reason to give up events: on Dataflow the exception makes the
runner repeat the bundle, the watermark waits, and nothing is lost.  The local runner repeats
nothing, so there the rows become dead letters (``outage_is_dead``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.errors import PipelineError
from pipeline.streaming.messages import Message, Row, described
from pipeline.streaming.steps import DEAD, Frame, Step
from pipeline.streaming.writers import Opened, Writer
from pipeline.tables import RAW

_BATCH: Final = 500


class _Write(Step):
    """Rows of one table in; nothing out but dead letters."""

    def __init__(self, frame: Frame, writer: Writer, table: str, outage_is_dead: bool) -> None:
        super().__init__(frame)
        self.stage = f"{writer.stage}:{table}"
        self.settles = table == RAW
        self.writer = writer
        self.outage_is_dead = outage_is_dead
        self.opened: Opened | None = None
        self.waiting: list[tuple[Row, Any]] = []

    def start_bundle(self) -> None:
        super().start_bundle()
        self.waiting = []

    def process(self, row: Row, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        self.waiting.append((row, timestamp))
        if len(self.waiting) >= _BATCH:
            for tagged, _ in self._flush():
                yield tagged

    def finish_bundle(self) -> Iterator[Any]:
        for tagged, timestamp in self._flush():
            value = WindowedValue(tagged.value, timestamp, (GlobalWindow(),))
            yield beam.pvalue.TaggedOutput(DEAD, value)
        self.tally.end()

    def teardown(self) -> None:
        if self.opened is not None:
            self.opened.close()
            self.opened = None

    def _flush(self) -> list[tuple[beam.pvalue.TaggedOutput, Any]]:
        batch, self.waiting = self.waiting, []
        if not batch:
            return []
        rows = [row for row, _ in batch]
        try:
            if self.opened is None:
                self.opened = self.writer.open()
            refused = self.opened.write(rows)
        except (PipelineError, OSError) as error:
            if not self.outage_is_dead:
                raise
            refused = [(row, described(error)) for row in rows]
        except Exception as error:
            if self.opened is None and not self.outage_is_dead:
                raise
            refused = self._one_by_one(rows, error)
        if self.settles:
            for row in rows:
                self.tally.add(row.event_type, "settled")
        times = {id(row): timestamp for row, timestamp in batch}
        return [(self._dead(row, reason), times[id(row)]) for row, reason in refused]

    def _one_by_one(self, rows: list[Row], error: Exception) -> list[tuple[Row, str]]:
        """An exception of a whole batch is laid to the rows that raise it alone; ids make repeats harmless."""
        if len(rows) == 1 or self.opened is None:
            return [(row, described(error)) for row in rows]
        refused: list[tuple[Row, str]] = []
        for row in rows:
            try:
                refused += self.opened.write([row])
            except Exception as own:  # noqa: BLE001 - told as a dead letter
                refused.append((row, described(own)))
        return refused

    def _dead(self, row: Row, reason: str) -> beam.pvalue.TaggedOutput:
        self.tally.add(row.event_type, "sink_failed")
        origin = row.origin or Message(_as_json(row), {}, row.event_type)
        return self.dead(origin, reason, stage=self.stage, row=row)


class WriteRows(beam.PTransform):  # type: ignore[misc]
    """Rows of one table, of any windows, in; Letters of what was refused out."""

    def __init__(self, frame: Frame, writer: Writer, table: str, *, outage_is_dead: bool) -> None:
        super().__init__()
        self.step = _Write(frame, writer, table, outage_is_dead)

    def expand(self, rows: Any) -> Any:
        written = (
            rows | beam.WindowInto(GlobalWindows()) | beam.ParDo(self.step).with_outputs(DEAD, main="none")
        )
        return written[DEAD]


def _as_json(row: Row) -> bytes:
    return json.dumps(row.values, ensure_ascii=True).encode()
