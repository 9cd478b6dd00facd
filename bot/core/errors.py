"""Every failure of the bot, as one tree. Expected refusals are values; these are what went wrong.

    BotError
    ├── ConfigError            a setting or a document that start-up cannot accept
    ├── StorageError           the database would not do it now
    │   ├── StorageBusy        locked by somebody else for too long: worth another try
    │   ├── StorageFull        no room left on its disk
    │   ├── StorageUnavailable not reachable, not readable, or not migrated
    │   └── KeyTaken           another open incident holds the correlation key
    ├── ChatError              the chat refused, or did not say
    │   ├── Rejected           refused for good: sending the same again is pointless
    │   ├── RateLimited        definitely not accepted: try again after ``retry_after``
    │   └── AmbiguousSend      it may have been accepted: look it up before any resend
    ├── RunbookError           a runbook's step cannot be carried out
    ├── IntegrityError         stored evidence does not agree with itself
    └── Forbidden              this person may not do that: ``reason``, ``who_may``

They are raised where the fact is known and turned into words once, at the edge.
"""

from __future__ import annotations

from datetime import timedelta


class BotError(Exception):
    """The root: catch it at the edge only."""


class ConfigError(BotError):
    """A setting or a document that start-up cannot accept; the text names the remedy."""


class StorageError(BotError):
    """The database would not do it now. Nothing of the transaction was kept."""


class StorageBusy(StorageError):
    """Locked, deadlocked or over its time limit: the same again may succeed."""


class StorageFull(StorageError):
    """No room left on the database's disk."""


class StorageUnavailable(StorageError):
    """Not reachable, not readable, or not migrated."""


class KeyTaken(StorageError):
    """Another open incident holds this correlation key; ``key`` names it.

    Raised inside a transaction, it must leave that transaction (everything in it is rolled back);
    the caller then starts again and finds the incident that won.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"another open incident holds {key}")
        self.key = key


class ChatError(BotError):
    """The chat refused, or did not say."""


class Rejected(ChatError):
    """Refused for good; ``code`` is the chat's own word (channel_not_found, invalid_blocks, ...)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RateLimited(ChatError):
    """Definitely not accepted; may be sent again after ``retry_after``."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"rate limited for {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after


class AmbiguousSend(ChatError):
    """A timeout, a reset, a 5xx: it may have been accepted."""


class RunbookError(BotError):
    """A runbook's step cannot be carried out; the text says which and where."""


class IntegrityError(BotError):
    """Stored evidence does not agree with itself (a broken hash chain, a missing event)."""


class Forbidden(BotError):
    """This person may not do that. ``who_may`` says in words who could."""

    def __init__(self, reason: str, who_may: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.who_may = who_may
