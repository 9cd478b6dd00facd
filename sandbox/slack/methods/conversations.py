"""conversations.*: channels and their members."""

from __future__ import annotations

import re

from sandbox.slack import ids
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.model import Channel, Json
from sandbox.slack.paging import page
from sandbox.slack.registry import Call, method
from sandbox.slack.render import channel_object

READ = "channels:read groups:read im:read mpim:read"
WRITE = "channels:manage channels:write groups:write im:write mpim:write"
INVITE = "channels:write.invites groups:write.invites channels:manage groups:write im:write mpim:write"
TOPIC = (
    "channels:write.topic groups:write.topic mpim:write.topic im:write.topic "
    "channels:manage groups:write im:write mpim:write"
)
NAME_ERRORS = (
    "invalid_name_required invalid_name_maxlength invalid_name_specials invalid_name_punctuation name_taken "
)
NAME_LENGTH = 80
TOPIC_LENGTH = 250
NOT_FOR_IM = "method_not_supported_for_channel_type"


def check_name(call: Call, name: str) -> str:
    """A channel name as Slack takes it. Raises invalid_name_* and name_taken."""
    if not name:
        raise SlackError("invalid_name_required")
    if len(name) > NAME_LENGTH:
        raise SlackError("invalid_name_maxlength")
    if not re.fullmatch(r"[\w-]+", name) or name != name.lower():
        raise SlackError("invalid_name_specials")
    if not re.search(r"\w", name.replace("_", "")):
        raise SlackError("invalid_name_punctuation")
    if call.workspace.name_taken(name):
        raise SlackError("name_taken")
    return name


def _no_im(channel: Channel) -> Channel:
    if channel.is_im:
        raise SlackError(NOT_FOR_IM)
    return channel


def _open(channel: Channel) -> Channel:
    if channel.is_archived:
        raise SlackError("is_archived")
    return channel


@method(
    "conversations.create",
    tier="t2",
    scopes=WRITE,
    required="name",
    errors=NAME_ERRORS,
    missing={"name": "invalid_name_required"},
)
def create(call: Call) -> Json:
    """Make a channel; the app is its first member. Names of archived channels stay taken."""
    name = check_name(call, call.args.text("name"))
    private = call.args.flag("is_private")
    call.allowed("group" if private else "channel")
    channel = call.workspace.create_channel(name, ids.BOT_USER, is_private=private)
    return {"channel": channel_object(channel)}


@method(
    "conversations.invite",
    tier="t3",
    scopes=INVITE,
    required="channel users",
    errors="channel_not_found not_in_channel is_archived user_not_found already_in_channel cant_invite_self "
    "cant_invite no_user " + NOT_FOR_IM,
    missing={"channel": "channel_not_found", "users": "no_user"},
)
def invite(call: Call) -> Json:
    """Invite up to 100 people. One that cannot be invited refuses all, unless `force` goes on past it."""
    channel = _open(call.joined(_no_im(call.channel())))
    users = list(dict.fromkeys(part.strip() for part in call.args.text("users").split(",") if part.strip()))
    if not users:
        raise SlackError("no_user")
    if len(users) > 100:
        raise invalid_arguments("no more than 100 items allowed [json-pointer:/users]")
    errors = [
        {"user": user, "ok": False, "error": e} for user in users if (e := _refusal(call, channel, user))
    ]
    good = [user for user in users if not _refusal(call, channel, user)]
    if errors and (not call.args.flag("force") or not good):
        raise SlackError(str(errors[0]["error"]), errors=errors)
    for user in good:
        call.workspace.join(channel, user, inviter=ids.BOT_USER)
    return {"channel": channel_object(channel), **({"errors": errors} if errors else {})}


def _refusal(call: Call, channel: Channel, user: str) -> str | None:
    if user == ids.BOT_USER:
        return "cant_invite_self"
    if user not in call.workspace.users:
        return "user_not_found"
    if call.workspace.users[user].deleted:
        return "cant_invite"
    return "already_in_channel" if user in channel.members else None


@method(
    "conversations.kick",
    tier="t3",
    scopes="channels:manage groups:write",
    required="channel",
    errors="channel_not_found not_in_channel user_not_found cant_kick_self cant_kick_from_general "
    + NOT_FOR_IM,
    missing={"channel": "channel_not_found"},
)
def kick(call: Call) -> Json:
    """Take someone out of a channel."""
    channel = call.joined(_no_im(call.channel()))
    if channel.id == ids.GENERAL:
        raise SlackError("cant_kick_from_general")
    user = call.user()
    if user.id == ids.BOT_USER:
        raise SlackError("cant_kick_self")
    if user.id not in channel.members:
        raise SlackError("not_in_channel")
    call.workspace.leave(channel, user.id)
    return {}


@method(
    "conversations.join",
    tier="t3",
    scopes="channels:join",
    required="channel",
    errors="channel_not_found is_archived " + NOT_FOR_IM,
    missing={"channel": "channel_not_found"},
)
def join(call: Call) -> Json:
    """Join a public channel."""
    channel = _open(_no_im(call.channel()))
    already = ids.BOT_USER in channel.members
    call.workspace.join(channel, ids.BOT_USER)
    warning = {"warning": "already_in_channel", "response_metadata": {"warnings": ["already_in_channel"]}}
    return {"channel": channel_object(channel), **(warning if already else {})}


@method(
    "conversations.archive",
    tier="t2",
    scopes=WRITE,
    required="channel",
    errors="channel_not_found not_in_channel already_archived cant_archive_general " + NOT_FOR_IM,
    missing={"channel": "channel_not_found"},
)
def archive(call: Call) -> Json:
    """Archive a channel; its name stays taken."""
    channel = _no_im(call.channel())
    if channel.id == ids.GENERAL:
        raise SlackError("cant_archive_general")
    if channel.is_archived:
        raise SlackError("already_archived")
    call.workspace.archive(call.joined(channel), ids.BOT_USER, archived=True)
    return {}


@method(
    "conversations.unarchive",
    tier="t2",
    scopes=WRITE,
    required="channel",
    errors="channel_not_found not_archived " + NOT_FOR_IM,
    missing={"channel": "channel_not_found"},
)
def unarchive(call: Call) -> Json:
    """Bring an archived channel back."""
    channel = _no_im(call.channel())
    if not channel.is_archived:
        raise SlackError("not_archived")
    call.workspace.archive(channel, ids.BOT_USER, archived=False)
    return {}


@method(
    "conversations.rename",
    tier="t2",
    scopes=WRITE,
    required="channel name",
    errors=NAME_ERRORS + "channel_not_found not_in_channel not_authorized is_archived " + NOT_FOR_IM,
    missing={"channel": "channel_not_found", "name": "invalid_name_required"},
)
def rename(call: Call) -> Json:
    """Rename a channel that the app created."""
    channel = _open(call.joined(_no_im(call.channel())))
    if channel.creator != ids.BOT_USER:
        raise SlackError("not_authorized")
    call.workspace.rename(channel, check_name(call, call.args.text("name")), ids.BOT_USER)
    return {"channel": channel_object(channel)}


_DESCRIBE_ERRORS = "channel_not_found not_in_channel is_archived too_long " + NOT_FOR_IM


@method(
    "conversations.setTopic",
    tier="t2",
    scopes=TOPIC,
    required="channel topic",
    errors=_DESCRIBE_ERRORS,
    missing={"channel": "channel_not_found"},
)
def set_topic(call: Call) -> Json:
    """Set the topic, at most 250 characters."""
    return _describe(call, "topic")


@method(
    "conversations.setPurpose",
    tier="t2",
    scopes=TOPIC,
    required="channel purpose",
    errors=_DESCRIBE_ERRORS,
    missing={"channel": "channel_not_found"},
)
def set_purpose(call: Call) -> Json:
    """Set the purpose, at most 250 characters."""
    return _describe(call, "purpose")


def _describe(call: Call, field: str) -> Json:
    channel = _open(call.joined(_no_im(call.channel())))
    value = call.args.text(field)
    if len(value) > TOPIC_LENGTH:
        raise SlackError("too_long")
    call.workspace.describe(channel, ids.BOT_USER, field, value)
    return {"channel": channel_object(channel)}


@method(
    "conversations.info",
    tier="t3",
    scopes=READ,
    required="channel",
    json=False,
    errors="channel_not_found",
    missing={"channel": "channel_not_found"},
)
def info(call: Call) -> Json:
    """One conversation."""
    return {"channel": channel_object(call.channel())}


_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
_LIST_ERRORS = "invalid_cursor invalid_limit invalid_types"


@method("conversations.list", tier="t2", scopes=READ, json=False, errors=_LIST_ERRORS)
def list_(call: Call) -> Json:
    """The conversations that the app can see."""
    return _listing(call, member=None)


@method("users.conversations", tier="t3", scopes=READ, json=False, errors=_LIST_ERRORS)
def of_user(call: Call) -> Json:
    """The conversations of which the app (or the named person) is a member."""
    return _listing(call, member=call.args.text("user") or ids.BOT_USER)


def _listing(call: Call, member: str | None) -> Json:
    kinds = {part.strip() for part in (call.args.text("types") or "public_channel").split(",")}
    if not kinds <= set(_TYPES):
        raise SlackError("invalid_types")
    for kind in sorted(kinds):
        call.allowed(_TYPES[kind])
    without_archived = call.args.flag("exclude_archived")
    found = [
        channel
        for channel in call.workspace.channels.values()
        if _type(channel) in kinds
        and not (without_archived and channel.is_archived)
        and (not channel.is_private or ids.BOT_USER in channel.members)
        and (member is None or member in channel.members)
    ]
    part, cursor = page(found, call.args, lambda channel: channel.id)
    listed = [channel_object(channel) for channel in part]
    return {"channels": listed, "response_metadata": {"next_cursor": cursor}}


def _type(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


@method(
    "conversations.members",
    tier="t4",
    scopes=READ,
    required="channel",
    json=False,
    errors="channel_not_found invalid_cursor invalid_limit",
    missing={"channel": "channel_not_found"},
)
def members(call: Call) -> Json:
    """The ids of the members."""
    part, cursor = page(call.channel().members, call.args, lambda user: user)
    return {"members": list(part), "response_metadata": {"next_cursor": cursor}}


@method(
    "conversations.open",
    tier="t3",
    scopes="channels:manage groups:write im:write mpim:write",
    errors="users_list_not_supplied user_not_found user_disabled channel_not_found too_many_users "
    + NOT_FOR_IM,
)
def open_(call: Call) -> Json:
    """Open the direct message with one person (groups of several are not offered)."""
    if call.args.text("channel"):
        channel = call.channel()
        return {"no_op": True, "already_open": True, "channel": {"id": channel.id}}
    users = [part.strip() for part in call.args.text("users").split(",") if part.strip()]
    if not users:
        raise SlackError("users_list_not_supplied")
    if len(users) > 8:
        raise SlackError("too_many_users")
    if any(user not in call.workspace.users for user in users):
        raise SlackError("user_not_found")
    if any(call.workspace.users[user].deleted for user in users):
        raise SlackError("user_disabled")
    if len(users) > 1 or users[0] == ids.BOT_USER:
        raise SlackError(NOT_FOR_IM)
    call.allowed("im")
    before = set(call.workspace.channels)
    channel = call.workspace.open_im(users[0])
    known = {"no_op": True, "already_open": True} if channel.id in before else {}
    full = call.args.flag("return_im")
    return {"channel": channel_object(channel) if full else {"id": channel.id}, **known}
