"""The workspace: the one object through which everything in the sandbox's Slack changes.

Every change raises the sequence number and is announced as Slack's event to `on_event`. Used from one asyncio
loop only; nothing here waits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from sandbox.clock import Clock
from sandbox.slack import ids, render
from sandbox.slack.changes import Changes
from sandbox.slack.model import Channel, Ephemeral, File, Json, Message, User, UserGroup, View

TEXT_LIMIT = 40_000
EventSink = Callable[[str, Json, Channel | None], None]


class Workspace:
    """People, channels, messages, files and views of one Slack team with one installed app."""

    def __init__(self, clock: Clock, changes: Changes) -> None:
        self.clock = clock
        self.changes = changes
        self.ids = ids.Ids()
        self.stamps = ids.Timestamps(clock.wall)
        self.base_url = ""
        self.on_event: EventSink = _nobody
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.usergroups: dict[str, UserGroup] = {}
        self.feed: list[tuple[int, Channel, Message | Ephemeral]] = []
        self.seed()

    def seed(self) -> None:
        """Forget everything and start with the seed: five people, two groups, two channels, the installed app."""
        for collection in (self.users, self.channels, self.files, self.views, self.usergroups):
            collection.clear()
        self.feed.clear()
        for user_id, name, real_name in ids.PEOPLE:
            self.add_user(User(id=user_id, name=name, real_name=real_name, email=f"{name}@example.com"))
        self.users[ids.BOT_USER] = User(
            id=ids.BOT_USER, name=ids.BOT_NAME, real_name="Streamwatch", is_bot=True
        )
        for group_id, handle, name, users in ids.GROUPS:
            self.usergroups[group_id] = UserGroup(id=group_id, handle=handle, name=name, users=list(users))
        people = [user_id for user_id, _, _ in ids.PEOPLE]
        for channel_id, name in ((ids.GENERAL, "general"), (ids.INCIDENTS, "incidents")):
            self.channels[channel_id] = Channel(
                id=channel_id,
                name=name,
                creator=people[0],
                created=self.epoch(),
                members=[*people, ids.BOT_USER],
            )
        self.changes.bump()

    def epoch(self) -> int:
        """The wall clock as whole epoch seconds."""
        return int(self.clock.wall().timestamp())

    # People

    def add_user(self, user: User) -> User:
        """Add a person; they join #general."""
        self.users[user.id] = user
        if ids.GENERAL in self.channels:
            self.channels[ids.GENERAL].members.append(user.id)
        self.changes.bump()
        return user

    def find_user(self, ref: str) -> User | None:
        """A user by id, name or @name."""
        if ref in self.users:
            return self.users[ref]
        name = ref.lstrip("@").lower()
        return next((user for user in self.users.values() if user.name == name), None)

    # User groups

    def change_group(
        self, handle: str, *, users: list[str] | None, name: str = "", disabled: bool | None = None
    ) -> UserGroup:
        """Make a group, or change that of the handle, with the events that Slack makes of it; None changes nothing."""
        group = next((g for g in self.usergroups.values() if g.handle == handle), None)
        fresh = group is None
        if group is None:
            group = UserGroup(id=self.ids.new("S"), handle=handle, name=handle)
            self.usergroups[group.id] = group
        before, updated_at, group.updated_at = list(group.users), group.updated_at, self.epoch()
        group.users = group.users if users is None else users
        group.name = name or group.name
        if disabled is not None:
            group.disabled_at = self.epoch() if disabled else 0
        self.changes.bump()
        if not fresh and set(before) != set(group.users):
            self._members_changed(group, before, updated_at)
        snapshot = render.usergroup_object(group, include_users=True, include_count=True)
        self.event("subteam_created" if fresh else "subteam_updated", {"subteam": snapshot}, None)
        return group

    def _members_changed(self, group: UserGroup, before: list[str], updated_at: int) -> None:
        added = [user for user in group.users if user not in before]
        removed = [user for user in before if user not in group.users]
        event: Json = {
            "subteam_id": group.id,
            "team_id": ids.TEAM,
            "date_previous_update": updated_at,
            "date_update": group.updated_at,
            "added_users": added,
            "added_users_count": len(added),
            "removed_users": removed,
            "removed_users_count": len(removed),
        }
        self.event("subteam_members_changed", event, None)

    # Channels

    def find_channel(self, ref: str, viewer: str | None = None) -> Channel | None:
        """A channel by id, name or #name; a person's name or id means their direct message with the app.

        With `viewer`, the app's own name or id means the viewer's direct message with it.
        """
        if ref in self.channels:
            return self.channels[ref]
        name = ref.lstrip("#").lower()
        for channel in self.channels.values():
            if not channel.is_im and channel.name == name:
                return channel
        user = self.find_user(ref)
        if user is None:
            return None
        other = viewer if user.id == ids.BOT_USER else user.id
        return next((c for c in self.channels.values() if c.is_im and c.user == other), None)

    def name_taken(self, name: str) -> bool:
        """Archived channels keep their name."""
        return any(channel.name == name for channel in self.channels.values() if not channel.is_im)

    def create_channel(self, name: str, creator: str, *, is_private: bool = False) -> Channel:
        """Make a channel with its creator as the only member."""
        channel = Channel(
            id=self.ids.new("C"),
            name=name,
            creator=creator,
            created=self.epoch(),
            is_private=is_private,
        )
        self.channels[channel.id] = channel
        self.changes.bump()
        if not is_private:
            self.event("channel_created", {"channel": render.channel_object(channel)}, None)
        self.join(channel, creator, announce=False)
        return channel

    def open_im(self, user_id: str) -> Channel:
        """The direct message between the app and a person, made at first use."""
        for channel in self.channels.values():
            if channel.is_im and channel.user == user_id:
                return channel
        channel = Channel(
            id=self.ids.new("D"),
            name=user_id,
            creator=ids.BOT_USER,
            created=self.epoch(),
            is_im=True,
            is_private=True,
            user=user_id,
            members=[user_id, ids.BOT_USER],
        )
        self.channels[channel.id] = channel
        self.changes.bump()
        return channel

    def join(
        self, channel: Channel, user_id: str, *, inviter: str | None = None, announce: bool = True
    ) -> None:
        """Make someone a member, with the message and the event that Slack makes of it."""
        if user_id in channel.members:
            return
        channel.members.append(user_id)
        self.changes.bump()
        if announce:
            extra = {"inviter": inviter} if inviter else {}
            self.system(channel, user_id, "channel_join", f"<@{user_id}> has joined the channel", extra)
        event = {"user": user_id, "channel": channel.id, "channel_type": channel.id[0], "team": ids.TEAM}
        self.event("member_joined_channel", event | ({"inviter": inviter} if inviter else {}), channel)

    def leave(self, channel: Channel, user_id: str) -> None:
        """Take someone out of a channel."""
        channel.members.remove(user_id)
        self.changes.bump()
        event = {"user": user_id, "channel": channel.id, "channel_type": channel.id[0], "team": ids.TEAM}
        self.event("member_left_channel", event, channel)

    def rename(self, channel: Channel, name: str, user_id: str) -> None:
        """Give a channel another name."""
        old, channel.name = channel.name, name
        channel.previous_names.insert(0, old)
        text = f'has renamed the channel from "{old}" to "{name}"'
        self.system(channel, user_id, "channel_name", text, {"old_name": old, "name": name})
        summary = {"id": channel.id, "name": name, "created": channel.created}
        self.event("channel_rename", {"channel": summary}, channel)

    def archive(self, channel: Channel, user_id: str, *, archived: bool) -> None:
        """Archive or unarchive a channel."""
        word = "archive" if archived else "unarchive"
        if archived:
            self.system(channel, user_id, "channel_archive", "archived the channel", {})
        channel.is_archived = archived
        if not archived:
            self.system(channel, user_id, "channel_unarchive", "un-archived the channel", {})
        self.event(f"channel_{word}", {"channel": channel.id, "user": user_id}, channel)

    def describe(self, channel: Channel, user_id: str, field: str, value: str) -> None:
        """Set `topic` or `purpose`."""
        setattr(channel, field, value)
        text = f"set the channel {field}: {value}" if value else f"cleared the channel {field}"
        self.system(channel, user_id, f"channel_{field}", text, {field: value})

    def system(self, channel: Channel, user_id: str, subtype: str, text: str, extra: Json) -> None:
        """Post one of Slack's own lines (somebody joined, the topic changed)."""
        self.post(
            channel, Message(ts=self.stamps.new(), user=user_id, text=text, subtype=subtype, extra=extra)
        )

    # Messages

    def post(self, channel: Channel, message: Message) -> Message:
        """Add a message; replies mark their parent as a thread."""
        message.text = message.text[:TEXT_LIMIT]
        channel.messages[message.ts] = message
        self.touch(channel, message)
        if message.thread_ts and (parent := channel.messages.get(message.thread_ts)) is not None:
            parent.thread_ts = parent.ts
        body = self.message_object(channel, message)
        extra = {"channel": channel.id, "channel_type": channel.kind, "event_ts": message.ts}
        self.event("message", body | extra, channel)
        if f"<@{ids.BOT_USER}>" in message.text and message.user != ids.BOT_USER and not channel.is_im:
            mention = {k: v for k, v in body.items() if k not in ("type", "subtype")}
            self.event("app_mention", mention | {"channel": channel.id, "event_ts": message.ts}, channel)
        return message

    def edit(self, channel: Channel, message: Message, user_id: str, changes: dict[str, Any]) -> None:
        """Change fields of a message in place and mark it as edited."""
        before = self.message_object(channel, message)
        for name, value in changes.items():
            setattr(message, name, value)
        message.edited = {"user": user_id, "ts": self.stamps.new()}
        self.touch(channel, message)
        body: Json = {
            "subtype": "message_changed",
            "message": self.message_object(channel, message),
            "previous_message": before,
            "hidden": True,
        }
        self._hidden(channel, body)

    def delete(self, channel: Channel, message: Message) -> None:
        """Take a message away, with its pin."""
        before = self.message_object(channel, message)
        del channel.messages[message.ts]
        channel.pins.pop(message.ts, None)
        self.changes.bump()
        body: Json = {
            "subtype": "message_deleted",
            "deleted_ts": message.ts,
            "previous_message": before,
            "hidden": True,
        }
        self._hidden(channel, body)

    def _hidden(self, channel: Channel, body: Json) -> None:
        ts = self.stamps.new()
        extra = {"channel": channel.id, "channel_type": channel.kind, "ts": ts, "event_ts": ts}
        self.event("message", body | extra, channel)

    def whisper(self, channel: Channel, ephemeral: Ephemeral) -> Ephemeral:
        """Show a message to one person only."""
        ephemeral.text = ephemeral.text[:TEXT_LIMIT]
        channel.ephemerals.append(ephemeral)
        self.touch(channel, ephemeral)
        return ephemeral

    def touch(self, channel: Channel, message: Message | Ephemeral) -> None:
        """Number a message anew, so that whoever waits looks at it again."""
        message.seq = self.changes.bump()
        self.feed.append((message.seq, channel, message))

    def message_object(self, channel: Channel, message: Message, *, metadata: bool = True) -> Json:
        """The message as Slack's JSON object."""
        return render.message_object(message, channel, self.files, self.base_url, metadata=metadata)

    def since(self, seq: int) -> list[tuple[int, Channel, Message | Ephemeral]]:
        """Messages and ephemerals that were posted or changed after `seq`, oldest change first."""
        return self.feed[bisect_right(self.feed, seq, key=lambda entry: entry[0]) :]

    def react(self, channel: Channel, message: Message, user_id: str, name: str, *, add: bool) -> None:
        """Add or take away a reaction."""
        users = message.reactions.setdefault(name, [])
        if add:
            users.append(user_id)
        else:
            users.remove(user_id)
            if not users:
                del message.reactions[name]
        self.changes.bump()
        event: Json = {
            "user": user_id,
            "reaction": name,
            "item": {"type": "message", "channel": channel.id, "ts": message.ts},
            "item_user": message.user,
            "event_ts": self.stamps.new(),
        }
        self.event("reaction_added" if add else "reaction_removed", event, channel)

    # Events

    def event(self, kind: str, body: Json, channel: Channel | None) -> None:
        """Announce Slack's event `kind` about a channel (None: about the team)."""
        event_ts = body.get("event_ts") or self.stamps.new()
        self.on_event(kind, {"type": kind, **body, "event_ts": event_ts}, channel)


def _nobody(kind: str, body: Json, channel: Channel | None) -> None:
    """The sink before an app is wired: events go nowhere."""
