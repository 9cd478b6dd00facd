"""What is told to one person, or to everybody, outside of an incident: as outbox rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.core.delivery import Kind, Outbound, Priority
from bot.core.roster import Person


def tell(person: Person | None, key: str, text: str, **more: Any) -> list[Outbound]:
    """A direct message; ``lines`` and ``buttons`` may follow the text. [] for somebody without Slack."""
    if person is None or not person.slack:
        return []
    data = {"form": "list" if more.get("lines") else "text", "text": text, "to": person.slack, **more}
    row = Outbound(key=key, kind=Kind.POST, lane=f"tell:{person.name}", priority=Priority.ANSWER, data=data)
    return [row]


def announce(key: str, text: str, lines: Sequence[str] = ()) -> Outbound:
    """A message in the announcement channel."""
    data = {"text": "\n".join([text, *lines])}
    return Outbound(key=key, kind=Kind.ANNOUNCE, lane="announce", priority=Priority.NEWS, data=data)
