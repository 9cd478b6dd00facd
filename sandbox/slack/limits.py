"""Slack's rate limits: token buckets per method by tier, and one per channel for posts.

The tiers are Slack's (per method, workspace and app); the size of the bursts that Slack tolerates is not
published, so it is a setting here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

PER_MINUTE = {"t1": 1, "t2": 20, "t3": 50, "t4": 100, "t5": 600}
POSTS = "chat.postMessage"
POSTS_PER_SECOND = 1.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def take(self, now: float, rate: float, capacity: float) -> float:
        """Take one token; 0 when there was one, else the seconds until there is."""
        self.tokens = min(capacity, self.tokens + max(0.0, now - self.at) * rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / rate


class Limits:
    """Decides whether a call passes. `burst` multiplies a minute's allowance; `post_burst` is per channel."""

    def __init__(self, now: Callable[[], float], *, enabled: bool = True) -> None:
        self._now = now
        self.enabled = enabled
        self.burst = 1.5
        self.post_burst = 10
        self._buckets: dict[str, _Bucket] = {}

    def reset(self) -> None:
        """Fill every bucket again."""
        self._buckets.clear()

    def retry_after(self, method: str, tier: str, channel: str | None) -> int:
        """0 when the call passes, else whole seconds for the Retry-After header."""
        if not self.enabled or tier not in PER_MINUTE:
            return 0
        per_minute = PER_MINUTE[tier]
        wait = self._take(method, per_minute / 60, per_minute * self.burst)
        if wait == 0 and method == POSTS and channel:
            wait = self._take(f"{method}:{channel}", POSTS_PER_SECOND, self.post_burst)
        return math.ceil(wait)

    def _take(self, key: str, rate: float, capacity: float) -> float:
        now = self._now()
        bucket = self._buckets.setdefault(key, _Bucket(max(1.0, capacity), now))
        return bucket.take(now, rate, max(1.0, capacity))
