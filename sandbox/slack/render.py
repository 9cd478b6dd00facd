"""Turns the workspace's data into the JSON objects of Slack's answers and events."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any

from sandbox.slack import ids
from sandbox.slack.model import Channel, File, Json, Message, User, UserGroup, View


def user_object(user: User) -> Json:
    """The user object of users.info."""
    return {
        "id": user.id,
        "team_id": ids.TEAM,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_admin": False,
        "is_owner": False,
        "is_restricted": False,
        "tz": user.tz,
        "updated": 0,
        "profile": {
            "display_name": user.name,
            "real_name": user.real_name,
            "email": user.email or None,
            "team": ids.TEAM,
            **({"bot_id": ids.BOT, "api_app_id": ids.APP} if user.is_bot else {}),
        },
    }


def channel_object(channel: Channel, *, viewer: str = ids.BOT_USER) -> Json:
    """The conversation object as the app sees it."""
    base: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.is_im,
        "is_mpim": False,
        "is_org_shared": False,
        "is_shared": False,
        "context_team_id": ids.TEAM,
        "updated": channel.created * 1000,
    }
    if channel.is_im:
        return base | {"user": channel.user, "is_user_deleted": False, "priority": 0, "is_open": True}
    return base | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_private": channel.is_private,
        "is_general": channel.id == ids.GENERAL,
        "is_member": viewer in channel.members,
        "is_ext_shared": False,
        "creator": channel.creator,
        "num_members": len(channel.members),
        "previous_names": list(channel.previous_names),
        "topic": {"value": channel.topic, "creator": channel.creator, "last_set": 0},
        "purpose": {"value": channel.purpose, "creator": channel.creator, "last_set": 0},
    }


def message_object(
    message: Message, channel: Channel, files: Mapping[str, File], base_url: str, *, metadata: bool = True
) -> Json:
    """The message object of history, events and chat.postMessage. Metadata only where it was asked for."""
    answer: Json = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts}
    if message.subtype:
        answer["subtype"] = message.subtype
    if message.bot_id:
        answer |= {"bot_id": message.bot_id, "app_id": ids.APP}
    if message.username:
        answer["username"] = message.username
    answer["team"] = ids.TEAM
    for name in ("blocks", "attachments", "edited", "thread_ts"):
        if value := getattr(message, name):
            answer[name] = value
    if message.files:
        answer["files"] = [file_object(files[f], base_url) for f in message.files if f in files]
    if metadata and message.metadata:
        answer["metadata"] = message.metadata
    if message.reactions:
        answer["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)}
            for name, users in message.reactions.items()
        ]
    if message.ts in channel.pins:
        answer["pinned_to"] = [channel.id]
    answer |= _thread_fields(message, channel)
    return answer | message.extra


def _thread_fields(message: Message, channel: Channel) -> Json:
    if message.thread_ts != message.ts:
        return {}
    replies = channel.replies(message.ts)
    if not replies:
        return {}
    users = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "reply_count": len(replies),
        "reply_users": users[:5],
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
    }


def file_object(file: File, base_url: str) -> Json:
    """The file object of files.info; `url_private` needs the app's bearer token."""
    mimetype = mimetypes.guess_type(file.name)[0] or "text/plain"
    suffix = file.name.rsplit(".", 1)[-1] if "." in file.name else "txt"
    url = f"{base_url}/files-pri/{ids.TEAM}-{file.id}/{file.name}"
    shares: dict[str, Any] = {
        channel: [{"ts": ts, "channel_name": channel, "reply_count": 0} for ts in stamps]
        for channel, stamps in file.shares.items()
    }
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title or file.name,
        **({"alt_txt": file.alt} if file.alt else {}),
        "mimetype": mimetype,
        "filetype": suffix,
        "pretty_type": suffix.upper(),
        "user": file.user,
        "size": len(file.content) if file.content is not None else file.length,
        "mode": "hosted",
        "is_external": False,
        "is_public": bool(file.shares),
        "public_url_shared": False,
        "url_private": url,
        "url_private_download": url,
        "permalink": url,
        "channels": list(file.shares),
        "groups": [],
        "ims": [],
        "shares": {"public": shares} if shares else {},
    }


def view_object(view: View) -> Json:
    """The view object of views.open and of interaction payloads."""
    content = view.content
    answer: Json = {
        "id": view.id,
        "team_id": ids.TEAM,
        "type": view.kind,
        "blocks": content.get("blocks", []),
        "private_metadata": content.get("private_metadata", ""),
        "callback_id": content.get("callback_id", ""),
        "state": {"values": view.values},
        "hash": view.hash,
        "clear_on_close": bool(content.get("clear_on_close", False)),
        "notify_on_close": bool(content.get("notify_on_close", False)),
        "external_id": view.external_id,
        "app_id": ids.APP,
        "app_installed_team_id": ids.TEAM,
        "bot_id": ids.BOT,
        "root_view_id": view.root,
        "previous_view_id": view.previous,
    }
    for name in ("title", "submit", "close"):
        answer[name] = content.get(name)
    return answer


def usergroup_object(group: UserGroup, *, include_users: bool, include_count: bool) -> Json:
    """The user group object of usergroups.list."""
    answer: Json = {
        "id": group.id,
        "team_id": ids.TEAM,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "description": "",
        "is_external": False,
        "date_update": group.updated_at,
        "date_delete": group.disabled_at,
    }
    if include_users:
        answer["users"] = list(group.users)
    if include_count:
        answer["user_count"] = len(group.users)
    return answer
