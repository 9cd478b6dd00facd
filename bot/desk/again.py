"""A transaction that may lose the race for a correlation key to another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bot.core.errors import KeyTaken
from bot.desk.ports import Store, Tx

T = TypeVar("T")


async def written(store: Store, work: Callable[[Tx], T]) -> T:
    """Carry it out; once more where another incident of its key was opened in the same moment: now it finds that."""
    try:
        return await store.awrite(work)
    except KeyTaken:
        return await store.awrite(work)
