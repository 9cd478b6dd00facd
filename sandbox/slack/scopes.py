"""What the installed app may do and hears of: its scopes, commands and event subscriptions.

This is the one place for them. APP_SCOPES, COMMANDS and EVENTS equal `slack-manifest.yaml` at the root of the
project; POST /sim/config changes them for a while.
"""

from __future__ import annotations

APP_SCOPES: tuple[str, ...] = (
    "bookmarks:read",
    "bookmarks:write",
    "channels:history",
    "channels:join",
    "channels:manage",
    "channels:read",
    "chat:write",
    "commands",
    "dnd:read",
    "files:write",
    "groups:history",
    "groups:read",
    "groups:write",
    "im:history",
    "im:write",
    "metadata.message:read",
    "pins:write",
    "reactions:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
)

# With these, scripts can look around by the app's token too. The app itself must do without them.
LOOKING: tuple[str, ...] = (
    "files:read",
    "im:read",
    "pins:read",
    "reactions:write",
    "team:read",
)

SCOPES: tuple[str, ...] = tuple(sorted(APP_SCOPES + LOOKING))

COMMANDS: tuple[str, ...] = (
    "/pipeline",
    "/dlq",
    "/cost",
    "/incident",
    "/runbook",
    "/oncall",
    "/review",
)

EVENTS: tuple[str, ...] = (
    "reaction_added",
    "subteam_created",
    "subteam_members_changed",
    "subteam_updated",
)

# Every event that this Slack can send to an app that subscribes to it.
KNOWN_EVENTS: tuple[str, ...] = (
    "app_mention",
    "channel_archive",
    "channel_created",
    "channel_rename",
    "channel_unarchive",
    "file_shared",
    "member_joined_channel",
    "member_left_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "pin_added",
    "pin_removed",
    "reaction_added",
    "reaction_removed",
    "subteam_created",
    "subteam_members_changed",
    "subteam_updated",
)
