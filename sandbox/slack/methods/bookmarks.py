"""bookmarks.*: the links above a channel."""

from __future__ import annotations

from urllib.parse import urlsplit

from sandbox.slack import ids
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.model import Channel, Json
from sandbox.slack.registry import Call, method

MOST = 100
TITLE_LENGTH = 256
LINK_LENGTH = 2048


@method(
    "bookmarks.add",
    tier="t2",
    scopes="bookmarks:write",
    required="title type",
    errors="channel_not_found invalid_bookmark_type invalid_link too_many_bookmarks permission_denied",
)
def add(call: Call) -> Json:
    """Add a link."""
    channel = _channel(call)
    if call.args.text("type") != "link":
        raise SlackError("invalid_bookmark_type")
    if len(channel.bookmarks) >= MOST:
        raise SlackError("too_many_bookmarks")
    now = call.workspace.epoch()
    bookmark: Json = {
        "id": call.workspace.ids.new("Bk"),
        "channel_id": channel.id,
        "title": _title(call),
        "link": _link(call),
        "emoji": call.args.text("emoji"),
        "icon_url": "",
        "type": "link",
        "entity_id": None,
        "date_created": now,
        "date_updated": 0,
        "rank": chr(ord("a") + len(channel.bookmarks) % 26),
        "last_updated_by_user_id": ids.BOT_USER,
        "last_updated_by_team_id": ids.TEAM,
        "shortcut_id": None,
        "app_id": ids.APP,
    }
    channel.bookmarks.append(bookmark)
    call.workspace.changes.bump()
    return {"bookmark": bookmark}


@method(
    "bookmarks.edit",
    tier="t2",
    scopes="bookmarks:write",
    errors="channel_not_found not_found invalid_link permission_denied",
)
def edit(call: Call) -> Json:
    """Change title or link of a bookmark."""
    bookmark = _bookmark(call, _channel(call))
    if call.args.given("title"):
        bookmark["title"] = _title(call)
    if call.args.given("link"):
        bookmark["link"] = _link(call)
    if call.args.given("emoji"):
        bookmark["emoji"] = call.args.text("emoji")
    bookmark["date_updated"] = call.workspace.epoch()
    call.workspace.changes.bump()
    return {"bookmark": bookmark}


@method("bookmarks.list", tier="t3", scopes="bookmarks:read", errors="channel_not_found")
def list_(call: Call) -> Json:
    """The bookmarks of a channel."""
    return {"bookmarks": list(call.channel("channel_id").bookmarks)}


@method(
    "bookmarks.remove",
    tier="t2",
    scopes="bookmarks:write",
    errors="channel_not_found not_found permission_denied",
)
def remove(call: Call) -> Json:
    """Take a bookmark away."""
    channel = _channel(call)
    channel.bookmarks.remove(_bookmark(call, channel))
    call.workspace.changes.bump()
    return {}


def _channel(call: Call) -> Channel:
    channel = call.channel("channel_id")
    if ids.BOT_USER not in channel.members:
        raise SlackError("permission_denied")
    return channel


def _bookmark(call: Call, channel: Channel) -> Json:
    wanted = call.args.text("bookmark_id")
    found = next((item for item in channel.bookmarks if item["id"] == wanted), None)
    if found is None:
        raise SlackError("not_found")
    return found


def _title(call: Call) -> str:
    title = call.args.text("title")
    if not 1 <= len(title) <= TITLE_LENGTH:
        raise invalid_arguments(f"must be between 1 and {TITLE_LENGTH} characters [json-pointer:/title]")
    return title


def _link(call: Call) -> str:
    link = call.args.text("link")
    try:
        parts = urlsplit(link)
    except ValueError:
        raise SlackError("invalid_link") from None
    if parts.scheme not in ("http", "https") or not parts.netloc or len(link) > LINK_LENGTH:
        raise SlackError("invalid_link")
    return link
