"""Slack's identifiers: those of the seed, fresh ones with Slack's prefixes, and message timestamps."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

TEAM = "T0SANDBOX"
TEAM_DOMAIN = "sandbox"
APP = "A0STREAMWATCH"
BOT_USER = "U0STREAMWATCH"
BOT_NAME = "streamwatch"
BOT = "B0STREAMWATCH"
SLACKBOT = "USLACKBOT"
TOKEN = "xoxb-sandbox"
APP_TOKEN = "xapp-sandbox"
SIGNING_SECRET = "sandbox-signing-secret"
VERIFICATION_TOKEN = "sandbox-verification-token"

PEOPLE: tuple[tuple[str, str, str], ...] = (
    ("U01ALICE", "alice", "Alice Adams"),
    ("U02BOB", "bob", "Bob Brown"),
    ("U03CAROL", "carol", "Carol Clark"),
    ("U04DAVE", "dave", "Dave Davis"),
    ("U05ERIN", "erin", "Erin Evans"),
)
GROUPS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("S01DATALEADS", "data-leads", "Data leads", ("U03CAROL", "U04DAVE")),
    ("S02SECURITY", "security-team", "Security team", ("U05ERIN",)),
)
GENERAL = "C01GENERAL"
INCIDENTS = "C02INCIDENTS"

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


class Ids:
    """Makes ids that are unique in this process: a prefix, a counter and a random tail."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def new(self, prefix: str) -> str:
        """A fresh id such as `C0000012XK4Q`."""
        self._count += 1
        tail = "".join(secrets.choice(_ALPHABET) for _ in range(4))
        return f"{prefix}{self._count:07d}{tail}"


class Timestamps:
    """Makes message timestamps: `seconds.microseconds` of the wall clock, strictly increasing."""

    __slots__ = ("_last", "_wall")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        self._wall = wall
        self._last = 0

    def new(self) -> str:
        """A timestamp above every one given before, also when the wall clock was set back."""
        self._last = max(int(self._wall().timestamp() * 1_000_000), self._last + 1)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"
