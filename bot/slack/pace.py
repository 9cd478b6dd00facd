"""Slack's limits kept from our side, so that a 429 is rare: token buckets per method and per channel.

Slack publishes calls per minute by tier and one post per second per channel, and says that short bursts
pass; the bursts here are smaller than what is seen to pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

POST_METHODS = frozenset({"chat.postMessage", "chat.postEphemeral"})
# An incident opens with about eight messages at once: headline, pages, runbook, findings.
POST_RATE, POST_BURST = 1.0, 8.0
_TIER_2 = (20 / 60, 18.0)
_TIER_3 = (50 / 60, 40.0)
_TIER_4 = (100 / 60, 80.0)
_SPECIAL = (600 / 60, 300.0)
_TIERS = {
    "conversations.create": _TIER_2,
    "conversations.list": _TIER_2,
    "conversations.setTopic": _TIER_2,
    "pins.add": _TIER_2,
    "bookmarks.add": _TIER_2,
    "bookmarks.list": _TIER_2,
    "users.list": _TIER_2,
    "usergroups.list": _TIER_2,
    "usergroups.users.list": _TIER_2,
    "chat.postEphemeral": _TIER_4,
    "files.getUploadURLExternal": _TIER_4,
    "files.completeUploadExternal": _TIER_4,
    "views.open": _TIER_4,
    "chat.postMessage": _SPECIAL,
    "chat.getPermalink": _SPECIAL,
    "auth.test": _SPECIAL,
}


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    held_until: float = 0.0


class Pace:
    """Counts what was sent and says how long the next call should wait. ``monotonic`` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = self._now = monotonic
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, method: str, channel: str = "") -> float:
        """Seconds until a call may go; 0 when it may go now."""
        return max(self._wait(key, rate, burst) for key, rate, burst in self._keys(method, channel))

    def take(self, method: str, channel: str = "") -> None:
        """Count a call that goes now; it may overdraw, and later ones then wait longer."""
        for key, rate, burst in self._keys(method, channel):
            self._filled(key, rate, burst).tokens -= 1

    def hold(self, method: str, channel: str, seconds: float) -> None:
        """Slack said Retry-After: of a post this is about its channel, else about the method."""
        key, rate, burst = self._keys(method, channel)[-1]
        bucket = self._filled(key, rate, burst)
        bucket.held_until = max(bucket.held_until, self._now() + seconds)

    def _keys(self, method: str, channel: str) -> list[tuple[str, float, float]]:
        keys = [(method, *_TIERS.get(method, _TIER_3))]
        if method in POST_METHODS and channel:
            keys.append((f"post:{channel}", POST_RATE, POST_BURST))
        return keys

    def _wait(self, key: str, rate: float, burst: float) -> float:
        bucket = self._filled(key, rate, burst)
        held = bucket.held_until - self._now()
        return max(0.0, held, (1 - bucket.tokens) / rate)

    def _filled(self, key: str, rate: float, burst: float) -> _Bucket:
        now = self._now()
        if len(self._buckets) > 5000:
            self._forget(now)
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + max(0.0, now - bucket.at) * rate)
        bucket.at = now
        return bucket

    def _forget(self, now: float) -> None:
        """Drop the buckets of channels that are quiet for long: they are full again."""
        for key in [k for k, b in self._buckets.items() if now - b.at > 600 and b.held_until < now]:
            del self._buckets[key]
