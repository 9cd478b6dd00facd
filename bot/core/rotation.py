"""Who holds a place when it changes hands: rotations and follow-the-sun layers, at local wall time.

Hand-overs are written in local time and stay there through both changes of the clock: a hand-over that the
clock jumps over happens at the moment of the jump, and one that comes twice happens the first time. That
mapping never runs backwards, so each instant belongs to exactly one shift: no gap and no overlap.

Instants that come in and go out are aware UTC datetimes; `tz` is an IANA name that exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
_SECOND = timedelta(seconds=1)
_HORIZON = timedelta(days=400)


# Remembered, because the begin of a shift is asked for by everybody who asks within it.
@lru_cache(maxsize=8192)
def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall time (naive, whole seconds) in a zone; never decreasing in `local`.

    A time that comes twice is its first; a time that is jumped over is the moment of the jump.
    """
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    # In the jump, fold=0 counts with the offset before it and so lands after it, fold=1 the other way round.
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    offset = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


@dataclass(frozen=True, slots=True)
class Always:
    """A place that one person holds at all times."""

    person: str

    def on_duty(self, at: datetime) -> str:
        """The name of the person who holds the place at this instant."""
        return self.person

    def next_hand_over(self, at: datetime) -> datetime | None:
        """None: nobody else ever takes over."""
        return None

    def names(self) -> tuple[str, ...]:
        """Everybody who may hold the place."""
        return (self.person,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A place that goes round: the first of `people` begins at `start`, `hand_over` o'clock in `tz`.

    `every` is a length on the wall clock (one day, one week, 12 hours), above zero. The order is kept before
    `start` too, so that the place is never empty.
    """

    people: tuple[str, ...]
    every: timedelta
    start: date
    hand_over: time = time(9)
    tz: str = "UTC"

    def on_duty(self, at: datetime) -> str:
        """The name of the person who holds the place at this instant."""
        return self.people[self._shift(at) % len(self.people)]

    def next_hand_over(self, at: datetime) -> datetime | None:
        """The first instant after `at` at which somebody else takes over; None when nobody ever does."""
        if len(set(self.people)) < 2:
            return None
        shift, now = self._shift(at), self.on_duty(at)
        # Through the instant and not by counting: a shift that the clock jumps over is held by nobody.
        while True:
            shift += 1
            begin = self._begin(shift)
            if self.on_duty(begin) != now:
                return begin

    def names(self) -> tuple[str, ...]:
        """Everybody who may hold the place, each once."""
        return tuple(dict.fromkeys(self.people))

    def _begin(self, shift: int) -> datetime:
        return instant_of(
            datetime.combine(self.start, self.hand_over) + shift * self.every, ZoneInfo(self.tz)
        )

    def _shift(self, at: datetime) -> int:
        """The last shift that has begun at this instant; shift 0 begins at `start`."""
        local = at.astimezone(ZoneInfo(self.tz)).replace(tzinfo=None)
        shift = (local - datetime.combine(self.start, self.hand_over)) // self.every
        # The wall clock is a guess only: around its changes it is off by the length of the change.
        while self._begin(shift) > at:
            shift -= 1
        while self._begin(shift + 1) <= at:
            shift += 1
        return shift


# Remembered, because everybody who asks within a day asks for the same few days.
@lru_cache(maxsize=4096)
def _hours(day: date, begin: time, end: time, tz: str) -> tuple[datetime, datetime]:
    zone, end_day = ZoneInfo(tz), day if end > begin else day + DAY
    return instant_of(datetime.combine(day, begin), zone), instant_of(datetime.combine(end_day, end), zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Who holds a place from `begin` to `end` o'clock in `tz`, each day.

    An `end` that is not after `begin` is the next day's; the same time twice is the whole day.
    """

    holder: Always | Rotation
    begin: time
    end: time
    tz: str = "UTC"

    def spans(self, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
        """The hours as [from, to) that begin on the local days from `first` to `last`, in order."""
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            begin, end = _hours(date.fromordinal(ordinal), self.begin, self.end, self.tz)
            if begin < end:
                yield begin, end

    def near(self, at: datetime) -> tuple[tuple[datetime, datetime], ...]:
        """The hours of the local days around this instant: those that may hold it, the last and the next."""
        return _around(self, at.astimezone(ZoneInfo(self.tz)).date())


@lru_cache(maxsize=4096)
def _around(layer: Layer, today: date) -> tuple[tuple[datetime, datetime], ...]:
    return tuple(layer.spans(today - 2 * DAY, today + 2 * DAY))


@dataclass(frozen=True, slots=True)
class FollowTheSun:
    """A place that goes from layer to layer within the day. Where hours overlap, the layer written first holds.

    Where no layer has hours (`gaps` finds that when a file is read), the one that ended last stays on duty.
    """

    layers: tuple[Layer, ...]

    def on_duty(self, at: datetime) -> str:
        """The name of the person who holds the place at this instant."""
        return self._layer(at).holder.on_duty(at)

    def next_hand_over(self, at: datetime) -> datetime | None:
        """The first instant after `at` at which somebody else takes over; None when nobody does in 400 days."""
        if len(self.names()) < 2:
            return None
        now, change = self.on_duty(at), self._next_change(at)
        while change <= at + _HORIZON:
            if self.on_duty(change) != now:
                return change
            change = self._next_change(change)
        return None

    def names(self) -> tuple[str, ...]:
        """Everybody who may hold the place, each once."""
        return tuple(dict.fromkeys(name for layer in self.layers for name in layer.holder.names()))

    def _layer(self, at: datetime) -> Layer:
        ended: list[tuple[datetime, int]] = []
        for position, layer in enumerate(self.layers):
            for begin, end in layer.near(at):
                if begin <= at < end:
                    return layer
                if end <= at:
                    ended.append((end, -position))
        return self.layers[-max(ended)[1]]

    def _next_change(self, at: datetime) -> datetime:
        """The next instant at which hours begin or end, or a rotation within a layer hands over."""
        edges = {edge for layer in self.layers for span in layer.near(at) for edge in span}
        inner = {layer.holder.next_hand_over(at) for layer in self.layers}
        return min(edge for edge in edges | inner if edge is not None and edge > at)


Holder = Always | Rotation | FollowTheSun
"""Whatever can say who is on duty at an instant, and when that changes next."""


def gaps(layers: Sequence[Layer], first: date, last: date) -> tuple[tuple[datetime, datetime], ...]:
    """When none of the layers has hours, as [from, to) in UTC, in order; from noon UTC of `first` to that of
    `last`. Noon, because it lies after the beginning and before the end of the day in every zone.
    """
    spans = sorted(span for layer in layers for span in layer.spans(first - 2 * DAY, last + DAY))
    covered, found = datetime.combine(first, time(12), UTC), []
    stop = datetime.combine(last, time(12), UTC)
    for begin, end in spans:
        if min(begin, stop) > covered:
            found.append((covered, min(begin, stop)))
        covered = max(covered, end)
    if covered < stop:
        found.append((covered, stop))
    return tuple(found)
