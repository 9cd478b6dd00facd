"""The workspace as GET /sim/state shows it."""

from __future__ import annotations

from sandbox.slack import ids
from sandbox.slack.hub import Hub
from sandbox.slack.model import Channel, Ephemeral, Json, Message, User, View
from sandbox.slack.render import file_object, view_object


def snapshot(hub: Hub) -> Json:
    """Everything that is visible, of everybody."""
    workspace = hub.workspace
    return {
        "seq": hub.changes.seq,
        "team": {"id": ids.TEAM, "domain": ids.TEAM_DOMAIN},
        "hint": hub.config.hint,
        "commands": list(hub.config.commands),
        "channels": [_channel(hub, channel) for channel in workspace.channels.values()],
        "users": [_user(user) for user in workspace.users.values()],
        "usergroups": [
            {"id": g.id, "handle": g.handle, "name": g.name, "users": g.users}
            for g in workspace.usergroups.values()
        ],
        "views": [_view(view) for view in workspace.views.values()],
    }


def _channel(hub: Hub, channel: Channel) -> Json:
    files = [file for file in hub.workspace.files.values() if channel.id in file.shares]
    return {
        "id": channel.id,
        "name": channel.name,
        "is_im": channel.is_im,
        "user": channel.user,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "topic": channel.topic,
        "purpose": channel.purpose,
        "creator": channel.creator,
        "members": list(channel.members),
        "pins": list(channel.pins),
        "bookmarks": [dict(bookmark) for bookmark in channel.bookmarks],
        "files": [file_object(file, hub.base_url) for file in files],
        "messages": [message(hub, channel, item) for item in channel.messages.values()],
        "ephemerals": [ephemeral(item) for item in channel.ephemerals],
    }


def message(hub: Hub, channel: Channel, item: Message) -> Json:
    """A message with every key of the interface, present also where it is empty."""
    body = hub.workspace.message_object(channel, item)
    empty: Json = {"blocks": [], "attachments": [], "thread_ts": None, "metadata": None, "edited": None}
    return {**empty, "files": [], "reactions": [], "subtype": None, **body, "seq": item.seq}


def ephemeral(item: Ephemeral) -> Json:
    """An ephemeral; `user` is who sees it, `sender` who wrote it."""
    return {
        "user": item.user,
        "ts": item.ts,
        "text": item.text,
        "blocks": item.blocks,
        "thread_ts": item.thread_ts,
        "sender": item.sender,
        "seq": item.seq,
    }


def _user(user: User) -> Json:
    return {
        "id": user.id,
        "name": user.name,
        "real_name": user.real_name,
        "email": user.email,
        "is_bot": user.is_bot,
        "dnd": user.dnd,
        **({"bot_id": ids.BOT} if user.is_bot else {}),
    }


def _view(view: View) -> Json:
    return {**view_object(view), "user": view.user, "errors": view.errors}
