"""The rows that many parts of the house make: a line in a channel, an announcement, an invitation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Incident


def lane(incident: Incident) -> str:
    """Where the order of an incident's messages is kept."""
    return f"incident:{incident.id}"


def line(i: Incident, key: str, text: str, **more: Any) -> Outbound:
    """One line in the incident's channel."""
    priority = more.pop("priority", Priority.NEWS)
    return Outbound(
        key=key,
        kind=Kind.POST,
        lane=lane(i),
        priority=priority,
        incident=i.id,
        needs_channel=True,
        data={"form": "text", "text": text, **more},
    )


def has_room(i: Incident) -> bool:
    """Whether there is, or will be, a channel: what is said for one that nobody asked for waits for ever."""
    return bool(i.channel_id or i.wants_channel)


def invite(i: Incident, name: str, people: Sequence[str | None]) -> Outbound:
    return Outbound(
        key=f"invite:{i.name}:{name}",
        kind=Kind.INVITE,
        lane=f"{lane(i)}:invite",
        priority=Priority.CHANNEL,
        incident=i.id,
        needs_channel=True,
        data={"people": [p for p in dict.fromkeys(people) if p]},
    )


def announce(key: str, text: str, priority: Priority = Priority.NEWS) -> Outbound:
    """One line in the announcement channel."""
    return Outbound(
        key=f"line:{key}", kind=Kind.ANNOUNCE, lane=f"announce:{key}", priority=priority, data={"text": text}
    )
