"""The rows that many parts of the house make: a line in a channel, an announcement, an invitation. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Incident


def lane(incident: Incident) -> str:
    """Where the order of an incident's messages is kept."""
    return f"incident:{incident.id}"


def in_channel(
    i: Incident,
    kind: Kind,
    key: str,
    priority: Priority,
    data: Mapping[str, Any],
    *,
    apart: str = "",
    replaces: bool = False,
) -> Outbound:
    """What goes to the incident's channel once that is there; ``apart`` from its other messages in a lane of this
    name, where it neither waits for them nor holds them up."""
    return Outbound(
        key=key,
        kind=kind,
        lane=f"{lane(i)}:{apart}" if apart else lane(i),
        priority=priority,
        incident=i.id,
        needs_channel=True,
        replaces=replaces,
        data=data,
    )


def line(i: Incident, key: str, text: str, **more: Any) -> Outbound:
    """One line in the incident's channel."""
    priority = more.pop("priority", Priority.NEWS)
    return in_channel(i, Kind.POST, key, priority, {"form": "text", "text": text, **more})


def has_room(i: Incident) -> bool:
    """Whether there is, or will be, a channel: what is said for one that nobody asked for waits for ever."""
    return bool(i.channel_id or i.wants_channel)


def invite(i: Incident, name: str, people: Sequence[str | None]) -> Outbound:
    """Call people into the channel; None is nobody."""
    data = {"people": [p for p in dict.fromkeys(people) if p]}
    return in_channel(i, Kind.INVITE, f"invite:{i.name}:{name}", Priority.CHANNEL, data, apart="invite")


def announce(key: str, text: str, priority: Priority = Priority.NEWS) -> Outbound:
    """One line in the announcement channel."""
    return Outbound(
        key=f"line:{key}", kind=Kind.ANNOUNCE, lane=f"announce:{key}", priority=priority, data={"text": text}
    )
