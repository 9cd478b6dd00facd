"""Windows, lateness and panes: decided here, once.

The watermark is that of publishing, as Pub/Sub gives it; windows are of the event's own time.

- Fixed windows: 60 s of clicks, 300 s of transactions and of stock.
- A window's first pane is made when the watermark passes its end.
- Allowed lateness is one hour (``ALLOWED_LATENESS``, which the preview of a replay uses too). Events
  that come within it change the window: a late pane follows each of them, or (``late_pane_s``, on Dataflow: the
  local runner cannot wait for it when the stream is at its end) one for all of so many seconds.
- Panes accumulate: each holds the window's whole total so far, with its number, and the highest
  number counts. So a pane that is written twice does no harm, which an addition would.
- An event is *late* when it was published after the end of its window, and *missed its window* when that
  is more than the allowed lateness ago. Both are decided by publish time, not by where the watermark happens to stand:
  the same events give the same counts on every runner and after every restart, and nothing is left for
  the runner to drop in silence. Those that missed are valid, counted, and in the raw table, marked;
  the summaries of their day need a backfill, which a replay's preview names.
- An event dated more than a day (``AHEAD``) after its publication misses its window as well: the
  watermark would reach it, and its state be freed, perhaps in years.
- Without publish times (a batch run) nothing is late.
- A job that is launched anew, and not as an update, has the windows of the one before no more: of a window that was
  open, or that a late event reaches, it writes what it saw itself, under the same numbers.  The raw table has all
  of it, and the plan of a restart says so.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.trigger import (
    AccumulationMode,
    AfterCount,
    AfterProcessingTime,
    AfterWatermark,
)
from apache_beam.transforms.window import FixedWindows
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp

# Google derives the watermark from the oldest message that is not acknowledged; Beam's local runner
# takes the time of day, whatever still waits.
CLOUD_SLACK_S: Final = 10 * 60
LOCAL_SLACK_S: Final = 7 * 86_400
AHEAD: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def fixed(window_s: int, allowed_lateness_s: int, late_pane_s: int, slack_s: int) -> Any:
    """The windowing of one event type's summaries.

    ``slack_s``: how far a runner's watermark may run ahead of what it has not read yet; the runner
    keeps windows so much longer, for it must never drop what publish time says is in time.
    """
    late = AfterProcessingTime(late_pane_s) if late_pane_s else AfterCount(1)
    return beam.WindowInto(
        FixedWindows(window_s),
        trigger=AfterWatermark(late=late),
        accumulation_mode=AccumulationMode.ACCUMULATING,
        allowed_lateness=allowed_lateness_s + slack_s,
    )


def lateness(event_time: datetime, published: datetime | None, window_s: int) -> timedelta | None:
    """How long after the end of its window an event was published (negative: before); None when unknown.

    OverflowError for a window that ends after the year 9999.
    """
    seconds = (event_time - _EPOCH) // timedelta(seconds=1)
    end = _EPOCH + timedelta(seconds=seconds - seconds % window_s + window_s)
    return None if published is None else published - end


def as_time(timestamp: Any) -> datetime | None:
    """Beam's timestamp as an aware datetime; None for the ends of time, which mean no publish time."""
    if timestamp <= MIN_TIMESTAMP or timestamp >= MAX_TIMESTAMP:
        return None
    return _EPOCH + timedelta(microseconds=int(timestamp.micros))


def as_timestamp(at: datetime) -> Any:
    """An aware datetime, to the microsecond, as Beam's timestamp."""
    return Timestamp(micros=(at - _EPOCH) // timedelta(microseconds=1))
