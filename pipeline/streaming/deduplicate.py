"""Duplicates: one event is let through once, however often it is delivered, published or replayed.

Two memories, one after the other.  A replayed message is known by ``replay_of``, the id of the dead
letter it came from, so that a replay that was killed between publish and acknowledgement counts
once.  Then every event is known by the schema's own key: transaction_id; user, product and time of
a click; product, warehouse and time of a stock movement.  Keys are digests.  A replay of what failed
behind these memories asks the first one only: the second knows its event from the try that failed.

A memory lasts ``dedup_s`` (a day unless set) of the watermark, counted from when the message was published,
and a timer clears it; so state grows with a day's events and no further.  What comes again later is
taken as new by this step; the row's insert id is then still the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer

from pipeline.envelope import REMEMBERED_STAGES, REPLAY_STAGE
from pipeline.streaming.messages import Message, digest
from pipeline.streaming.steps import DEAD, VALID, Frame, Step

_SEEN: Final = ReadModifyWriteStateSpec("seen", beam.coders.BooleanCoder())
_FORGET: Final = TimerSpec("forget", TimeDomain.WATERMARK)


_SEEN_PARAM: Final = beam.DoFn.StateParam(_SEEN)
_FORGET_PARAM: Final = beam.DoFn.TimerParam(_FORGET)

_Identified = tuple[str, Message]


class _FirstOnly(Step):
    """(key, (identity, Message)): the first value of each key passes."""

    stage = "deduplicate"

    def __init__(self, frame: Frame, memory_s: int) -> None:
        super().__init__(frame)
        self.memory_s = memory_s

    def process(
        self,
        element: tuple[str, _Identified],
        published: Any = beam.DoFn.TimestampParam,
        seen: Any = _SEEN_PARAM,
        forget: Any = _FORGET_PARAM,
    ) -> Iterable[Any]:
        _, value = element
        kind = value[1].event_type
        try:
            again = seen.read()
            if not again:
                seen.write(True)
                forget.set(published + self.memory_s)
        except Exception as error:  # noqa: BLE001 - told as a dead letter
            return (self.refused(value[1], error),)
        if again:
            self.tally.add(kind, "duplicates")
            return ()
        return (value,)

    @on_timer(_FORGET)  # type: ignore[untyped-decorator]
    def forget(self, seen: Any = _SEEN_PARAM) -> None:
        seen.clear()


class Deduplicate(beam.PTransform):  # type: ignore[misc]
    """(identity, Message) in; out: ``valid``, the same without duplicates, and ``dead`` Letters."""

    def __init__(self, frame: Frame, memory_s: int) -> None:
        super().__init__()
        self.frame = frame
        self.memory_s = memory_s

    def expand(self, messages: Any) -> dict[str, Any]:
        fresh, replayed = messages | "Replayed" >> beam.Partition(_is_replayed, 2)
        once = self._first(replayed, "Replay", _replay_key)
        unknown, remembered = once[VALID] | "Remembered" >> beam.Partition(_is_remembered, 2)
        event = self._first((fresh, unknown) | beam.Flatten(), "Event", _event_key)
        return {
            VALID: (event[VALID], remembered) | "Valid" >> beam.Flatten(),
            DEAD: (once[DEAD], event[DEAD]) | "Dead" >> beam.Flatten(),
        }

    def _first(self, messages: Any, name: str, key: Callable[[_Identified], str]) -> Any:
        step = beam.ParDo(_FirstOnly(self.frame, self.memory_s)).with_output_types(_Identified)
        return (
            messages
            | f"{name}Key"
            >> beam.Map(lambda value: (key(value), value)).with_output_types(tuple[str, _Identified])
            | f"FirstOf{name}" >> step.with_outputs(DEAD, main=VALID)
        )


def _is_replayed(value: _Identified, _: int) -> int:
    return int(bool(value[1].attributes.get("replay_of")))


def _is_remembered(value: _Identified, _: int) -> int:
    return int(value[1].attributes.get(REPLAY_STAGE) in REMEMBERED_STAGES)


def _replay_key(value: _Identified) -> str:
    return digest("replay", value[1].attributes["replay_of"])


def _event_key(value: _Identified) -> str:
    return value[0]
