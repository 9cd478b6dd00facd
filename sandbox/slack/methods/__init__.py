"""The Web API's methods by family; importing this package registers them all."""

from __future__ import annotations

from sandbox.slack.methods import (
    bookmarks,
    chat,
    conversations,
    files,
    history,
    misc,
    pins,
    reactions,
    users,
    views,
)

__all__ = [
    "bookmarks",
    "chat",
    "conversations",
    "files",
    "history",
    "misc",
    "pins",
    "reactions",
    "users",
    "views",
]
