"""What happened, numbered: the calls of the Web API and the deliveries to the app."""

from __future__ import annotations

from collections import deque

from sandbox.slack.model import Json

KEPT = 20_000


class Journal:
    """The last entries, each with a number that never starts again."""

    __slots__ = ("_items", "last")

    def __init__(self) -> None:
        self.last = 0
        self._items: deque[Json] = deque(maxlen=KEPT)

    def add(self, entry: Json) -> Json:
        """Keep an entry; returns it with its number."""
        self.last += 1
        numbered = {"seq": self.last, **entry}
        self._items.append(numbered)
        return numbered

    def since(self, seq: int) -> Json:
        """`{next, items}`: the entries after `seq`; pass `next` to go on."""
        return {"next": self.last, "items": [item for item in self._items if item["seq"] > seq]}

    def clear(self) -> None:
        """Forget the entries; numbers go on."""
        self._items.clear()
