"""Summaries: product views, sales and inventory by window.  Sums of whole numbers, in any order the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import PaneInfoTiming

from pipeline.streaming.rows import summary_row
from pipeline.streaming.windows import as_time, fixed

Key = tuple[str, str]
Sums = tuple[int, int, int, int]


class SumAll(beam.CombineFn):  # type: ignore[misc]
    """Adds four whole numbers, place by place."""

    def create_accumulator(self, *_: Any, **__: Any) -> Sums:
        return (0, 0, 0, 0)

    def add_input(self, accumulator: Sums, element: Sums, *_: Any, **__: Any) -> Sums:
        a, b = accumulator, element
        return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])

    def merge_accumulators(self, accumulators: Iterable[Sums], *_: Any, **__: Any) -> Sums:
        total = self.create_accumulator()
        for one in accumulators:
            total = self.add_input(total, one)
        return total

    def extract_output(self, accumulator: Sums, *_: Any, **__: Any) -> Sums:
        return accumulator


class _ToRow(beam.DoFn):  # type: ignore[misc]
    """(key, sums) of a pane -> the summary's Row."""

    def __init__(self, event_type: str) -> None:
        super().__init__()
        self.event_type = event_type

    def process(
        self,
        element: tuple[Key, Sums],
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterator[Any]:
        assert isinstance(window, IntervalWindow)
        start, end = as_time(window.start), as_time(window.end)
        assert start is not None
        assert end is not None
        yield summary_row(
            self.event_type,
            element[0],
            element[1],
            start=start,
            end=end,
            pane=max(0, pane.index),
            late=pane.timing == PaneInfoTiming.LATE,
        )


class Summarise(beam.PTransform):  # type: ignore[misc]
    """(key, numbers) of one event type at the events' own time in; Rows out, one for each key, window and pane."""

    def __init__(
        self, event_type: str, window_s: int, allowed_lateness_s: int, late_pane_s: int, slack_s: int
    ) -> None:
        super().__init__()
        self.event_type = event_type
        self.windowing = (window_s, allowed_lateness_s, late_pane_s, slack_s)

    def expand(self, events: Any) -> Any:
        return (
            events
            | "Typed" >> beam.Map(_same).with_output_types(tuple[Key, Sums])
            | "Window" >> fixed(*self.windowing)
            | "Sum" >> beam.CombinePerKey(SumAll())
            | "ToRow" >> beam.ParDo(_ToRow(self.event_type))
        )


def _same(value: tuple[Key, Sums]) -> tuple[Key, Sums]:
    """Gives the values of a tagged output their type, and with it a deterministic coder for the key."""
    return value
