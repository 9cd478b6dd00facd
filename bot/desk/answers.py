"""Answers to people as outbox rows: where they go, and that each is there once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bot.core import rows
from bot.core.asks import Asker
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Incident


def private(asker: Asker, key: str, text: str, **more: Any) -> Outbound:
    """An answer that only the asker sees: by response_url, else an ephemeral message."""
    data = {"form": "text", "text": text, **more}
    if asker.response_url:
        return Outbound(
            key=f"answer:{key}",
            kind=Kind.RESPOND,
            lane=_lane(asker.response_url),
            priority=Priority.ANSWER,
            data={"response_url": asker.response_url, "in_channel": False, "replace": False, **data},
        )
    return Outbound(
        key=f"answer:{key}",
        kind=Kind.EPHEMERAL,
        lane=f"user:{asker.user}",
        priority=Priority.ANSWER,
        data={"channel": asker.channel, "user": asker.user, **data},
    )


def to(reply: Mapping[str, Any], key: str, incident: Incident | None, **data: Any) -> Outbound:
    """A row for where a run's answer goes: the incident's channel, the response_url, or a channel.

    A runbook outside an incident (``walk``) is for everybody in its channel, for longer than a response_url lives.

    ``replaces=True`` makes it one message that is edited; through a response_url it replaces the
    message that was clicked.
    """
    replaces = bool(data.pop("replaces", False))
    in_channel = bool(data.pop("in_channel", False))
    # The bot's own reading waits behind what a person asked for.
    priority = Priority.NEWS if reply.get("own") else Priority.ANSWER
    if incident is not None and (not reply.get("response_url") or reply.get("in_incident")):
        apart = key if replaces else ""
        return rows.in_channel(incident, Kind.POST, key, priority, data, apart=apart, replaces=replaces)
    if reply.get("response_url") and not reply.get("walk"):
        url = str(reply["response_url"])
        return Outbound(
            key=f"{key}:{reply.get('nth', 0)}:{data.get('state', '')}",
            kind=Kind.RESPOND,
            lane=_lane(url),
            priority=Priority.ANSWER,
            data={
                "response_url": url,
                "in_channel": in_channel,
                "replace": bool(reply.get("clicked")) and replaces,
                **data,
            },
        )
    return Outbound(
        key=key,
        kind=Kind.POST,
        lane=f"channel:{reply.get('channel', '')}",
        priority=Priority.ANSWER,
        replaces=replaces,
        data={"channel": reply.get("channel", ""), "user": reply.get("user", ""), **data},
    )


def _lane(response_url: str) -> str:
    """Where the order of what is answered to one request is kept; the address itself is a secret."""
    return f"url:{hashlib.sha256(response_url.encode()).hexdigest()[:16]}"
