"""Every failure of the bot, as one tree. Expected refusals are values; these are what went wrong.

    BotError
    ├── ConfigError            a setting or a document that start-up cannot accept
    └── StorageError           the database would not do it now
        ├── StorageBusy        locked by somebody else for too long: worth another try
        ├── StorageFull        no room left on its disk
        ├── StorageUnavailable not reachable, not readable, or not migrated
        └── KeyTaken           another open incident holds the correlation key

They are raised where the fact is known and turned into words once, at the edge.
"""

from __future__ import annotations


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
