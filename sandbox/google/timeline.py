"""Time in the world: the clock it is given, and the two spellings of an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WorldClock(Protocol):
    """What the world needs to know: `now()` domain time, `wall()` real time; both aware UTC."""

    def now(self) -> datetime:
        """Domain time: jobs, metrics, logs."""
        ...

    def wall(self) -> datetime:
        """Real time: Pub/Sub leases, since the clients that hold them live there."""
        ...


def seconds(moment: datetime) -> float:
    """Epoch seconds of an aware datetime."""
    return (moment - EPOCH).total_seconds()


def instant(epoch_seconds: float) -> datetime:
    """Aware UTC datetime of epoch seconds, to the microsecond."""
    return EPOCH + timedelta(microseconds=round(epoch_seconds * 1_000_000))


def rfc3339(epoch_seconds: float) -> str:
    """RFC 3339 text in UTC with milliseconds."""
    return instant(epoch_seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str) -> float:
    """Epoch seconds of RFC 3339 text. Raises ValueError for anything else, also for times without a zone."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return seconds(moment)
