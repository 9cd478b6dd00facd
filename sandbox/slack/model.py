"""The things of a workspace as data: people, channels, messages, files, views."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class User:
    """A person or a bot; `dnd` says whether do-not-disturb is on, `deleted` whether the person has left."""

    id: str
    name: str
    real_name: str
    email: str = ""
    is_bot: bool = False
    dnd: bool = False
    deleted: bool = False
    tz: str = "Europe/Brussels"


@dataclass(slots=True, kw_only=True)
class Message:
    """One message of a channel; `seq` is the number of its last change."""

    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    broadcast: bool = False
    metadata: Json | None = None
    edited: Json | None = None
    subtype: str | None = None
    bot_id: str | None = None
    username: str | None = None
    files: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    extra: Json = field(default_factory=dict)
    seq: int = 0


@dataclass(slots=True, kw_only=True)
class Ephemeral:
    """A message that only `user` sees; `sender` wrote it."""

    ts: str
    user: str
    sender: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    seq: int = 0


@dataclass(slots=True, kw_only=True)
class Channel:
    """A conversation: public or private channel, or a direct message with `user`."""

    id: str
    name: str
    creator: str
    created: int
    is_private: bool = False
    is_im: bool = False
    user: str | None = None
    is_archived: bool = False
    topic: str = ""
    purpose: str = ""
    members: list[str] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    ephemerals: list[Ephemeral] = field(default_factory=list)
    pins: dict[str, Json] = field(default_factory=dict)
    bookmarks: list[Json] = field(default_factory=list)
    previous_names: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Slack's channel_type in events: im, group or channel."""
        if self.is_im:
            return "im"
        return "group" if self.is_private else "channel"

    def replies(self, ts: str) -> list[Message]:
        """The replies to the message `ts`, oldest first, without the parent."""
        return [m for m in self.messages.values() if m.thread_ts == ts and m.ts != ts]


@dataclass(slots=True, kw_only=True)
class File:
    """An upload: bytes once they arrived, shared once completed; `shares` maps channel id to message ts."""

    id: str
    name: str
    length: int
    user: str
    created: int
    secret: str
    title: str = ""
    alt: str = ""
    content: bytes | None = None
    completed: bool = False
    shares: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class View:
    """A modal or a home tab of one person; `content` is what the app sent, `values` what was filled in."""

    id: str
    user: str
    content: Json
    hash: str
    root: str
    previous: str | None = None
    external_id: str = ""
    values: Json = field(default_factory=dict)
    errors: Json = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """`modal` or `home`."""
        return str(self.content.get("type", "modal"))


@dataclass(slots=True, kw_only=True)
class UserGroup:
    """A named group of people, mentioned as <!subteam^ID>. Times are in epoch seconds; `disabled_at` is 0 while it is
    not disabled."""

    id: str
    handle: str
    name: str
    users: list[str] = field(default_factory=list)
    disabled_at: int = 0
    updated_at: int = 0
