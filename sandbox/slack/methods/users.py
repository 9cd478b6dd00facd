"""users.*, usergroups.* and dnd.*: people, their groups and whether they may be disturbed."""

from __future__ import annotations

from sandbox.slack import ids
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Json, UserGroup
from sandbox.slack.paging import page
from sandbox.slack.registry import Call, method
from sandbox.slack.render import user_object, usergroup_object


def _visible(call: Call, user: Json) -> Json:
    """E-mail addresses need their own scope."""
    if "users:read.email" in call.hub.config.scopes:
        return user
    profile = {name: value for name, value in user["profile"].items() if name != "email"}
    return {**user, "profile": profile}


@method(
    "users.info",
    tier="t4",
    scopes="users:read",
    required="user",
    json=False,
    errors="user_not_found",
    missing={"user": "user_not_found"},
)
def info(call: Call) -> Json:
    """One user."""
    return {"user": _visible(call, user_object(call.user()))}


@method("users.list", tier="t2", scopes="users:read", json=False, errors="invalid_cursor limit_required")
def list_(call: Call) -> Json:
    """All users, the app's own among them."""
    users = list(call.workspace.users.values())
    part, cursor = page(users, call.args, lambda u: u.id, default=1000, limit_error="limit_required")
    return {
        "members": [_visible(call, user_object(user)) for user in part],
        "cache_ts": call.workspace.epoch(),
        "response_metadata": {"next_cursor": cursor},
    }


@method(
    "users.lookupByEmail",
    tier="t3",
    scopes="users:read.email",
    required="email",
    json=False,
    errors="users_not_found",
    missing={"email": "users_not_found"},
)
def lookup_by_email(call: Call) -> Json:
    """The user with an e-mail address."""
    email = call.args.text("email").lower()
    found = next(
        (u for u in call.workspace.users.values() if email and u.email.lower() == email and not u.deleted),
        None,
    )
    if found is None:
        raise SlackError("users_not_found")
    return {"user": user_object(found)}


@method("users.getPresence", tier="t3", scopes="users:read", json=False)
def get_presence(call: Call) -> Json:
    """Everybody is there; who has do-not-disturb on counts as away."""
    user = call.workspace.users.get(call.args.text("user") or ids.BOT_USER)
    away = user is None or user.dnd
    return {"presence": "away" if away else "active"}


@method("dnd.info", tier="t3", scopes="dnd:read", json=False, errors="user_not_found")
def dnd_info(call: Call) -> Json:
    """Whether do-not-disturb is on, and until when."""
    user = call.user() if call.args.text("user") else call.workspace.users[ids.BOT_USER]
    now = call.workspace.epoch()
    begin, end = (now - 3600, now + 8 * 3600) if user.dnd else (1, 1)
    return {
        "dnd_enabled": user.dnd,
        "next_dnd_start_ts": begin,
        "next_dnd_end_ts": end,
        "snooze_enabled": False,
    }


def _listed(call: Call) -> list[UserGroup]:
    """Disabled groups are only shown to those who ask for them."""
    disabled = call.args.flag("include_disabled")
    return [group for group in call.workspace.usergroups.values() if disabled or not group.disabled_at]


@method("usergroups.list", tier="t2", scopes="usergroups:read", json=False)
def usergroups(call: Call) -> Json:
    """The user groups."""
    users, count = call.args.flag("include_users"), call.args.flag("include_count")
    found = [usergroup_object(g, include_users=users, include_count=count) for g in _listed(call)]
    return {"usergroups": found}


@method(
    "usergroups.users.list",
    tier="t2",
    scopes="usergroups:read",
    required="usergroup",
    json=False,
    errors="no_such_subteam",
    missing={"usergroup": "no_such_subteam"},
)
def usergroup_users(call: Call) -> Json:
    """The members of a user group."""
    wanted = call.args.text("usergroup")
    group = next((g for g in _listed(call) if g.id == wanted), None)
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}
