"""The past of the world: one sample a minute, and before the first one what a healthy world would have shown."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.google.flow import FlowSample

MINUTE = 60.0
KEPT_S = 9 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """A subscription at an instant: messages waiting, publish time of the oldest, totals since the beginning."""

    waiting: float
    oldest: float | None
    acknowledged: float
    forwarded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSample:
    """Everything that metrics are made of, at one instant. Subscriptions and topics by their full names."""

    at: float
    flows: Mapping[str, FlowSample]
    queues: Mapping[str, QueueSample]
    published: Mapping[str, float]


class History:
    """Samples in order. `healthy` makes the sample of an instant before the first one."""

    def __init__(self, healthy: Callable[[float], WorldSample]) -> None:
        self._healthy = healthy
        self._times: list[float] = []
        self._samples: list[WorldSample] = []

    def add(self, sample: WorldSample) -> None:
        """Append; what is older than nine days goes."""
        self._times.append(sample.at)
        self._samples.append(sample)
        if len(self._times) % 1024 == 0:
            cut = bisect_left(self._times, sample.at - KEPT_S)
            del self._times[:cut], self._samples[:cut]

    def at(self, moment: float) -> WorldSample:
        """The last sample at or before `moment` (epoch seconds)."""
        index = bisect_right(self._times, moment)
        return self._samples[index - 1] if index else self._healthy(moment)

    def cut(self, moment: float) -> WorldSample:
        """Forget what came after `moment`; returns the sample that stands there now."""
        index = bisect_right(self._times, moment)
        del self._times[index:], self._samples[index:]
        return self.at(moment)
