"""What every step shares: it counts by bundle, and an exception in it becomes a dead letter.

There is no circuit breaker: a breaker that skips events loses them.  Whatever is raised for one
event is written down with the stage and the exception, and the next event is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import apache_beam as beam

from pipeline.events import Violation
from pipeline.streaming.counting import Tally
from pipeline.streaming.messages import Message, Row, described, letter

VALID: Final = "valid"
DEAD: Final = "dead"


def utc_now() -> datetime:
    """The worker's clock; steps are given it, tests give another."""
    return datetime.now(UTC)  # noqa: TID251 - a worker far away has no other to be given


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What steps are given: the version that stands in dead letters, the clock, the board's name."""

    code_version: str = "unversioned"
    clock: Callable[[], datetime] = utc_now
    board: str = ""


class Step(beam.DoFn):  # type: ignore[misc]
    """A DoFn over messages; ``stage`` names it in dead letters."""

    stage = ""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame
        self.tally = Tally(frame.board)

    def start_bundle(self) -> None:
        self.tally.begin()

    def finish_bundle(self) -> Iterator[Any] | None:
        self.tally.end()
        return None

    def refused(self, message: Message, error: BaseException, stage: str = "") -> beam.pvalue.TaggedOutput:
        """The dead letter of an exception before the sinks, counted."""
        self.tally.add(message.event_type, "dead_lettered")
        return self.dead(message, described(error), stage=stage or self.stage)

    def dead(
        self,
        message: Message,
        error: str,
        *,
        stage: str,
        violations: Sequence[Violation] = (),
        row: Row | None = None,
    ) -> beam.pvalue.TaggedOutput:
        made = letter(
            message,
            stage=stage,
            error=error,
            now=self.frame.clock(),
            code_version=self.frame.code_version,
            violations=violations,
            row=row,
        )
        return beam.pvalue.TaggedOutput(DEAD, made)
