"""auth.test, api.test, apps.connections.open, team.info and blocks.validate."""

from __future__ import annotations

import json
from typing import Any

from sandbox.slack import ids
from sandbox.slack.blocks import Problem, check_blocks, check_message, check_view
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Json
from sandbox.slack.registry import Call, method


@method("auth.test", tier="t5")
def auth_test(call: Call) -> Json:
    """Who the token belongs to."""
    return {
        "url": f"{call.hub.base_url}/",
        "team": "Sandbox",
        "user": ids.BOT_NAME,
        "team_id": ids.TEAM,
        "user_id": ids.BOT_USER,
        "bot_id": ids.BOT,
        "app_id": ids.APP,
        "app_name": "Streamwatch",
        "is_enterprise_install": False,
    }


@method("api.test", tier="t4", token=False)
def api_test(call: Call) -> Json:
    """Gives the arguments back, or the error that was asked for."""
    args = {name: value for name, value in call.args.values.items() if name != "token"}
    if error := call.args.text("error"):
        return {"ok": False, "error": error, "args": args}
    return {"args": args}


@method("apps.connections.open", tier="t3", app_token=True)
def connections_open(call: Call) -> Json:
    """The address of a WebSocket for Socket Mode, good for one connection."""
    address = call.hub.base_url.replace("http://", "ws://")
    return {"url": f"{address}/link/?ticket={call.hub.sockets.ticket()}&app_id={ids.APP}"}


@method("team.info", tier="t3", scopes="team:read", errors="team_not_found")
def team_info(call: Call) -> Json:
    """The one team."""
    if call.args.text("team") not in ("", ids.TEAM):
        raise SlackError("team_not_found")
    team = {
        "id": ids.TEAM,
        "name": "Sandbox",
        "url": f"{call.hub.base_url}/",
        "domain": ids.TEAM_DOMAIN,
        "email_domain": "example.com",
        "icon": {"image_default": True},
    }
    return {"team": team}


@method(
    "blocks.validate",
    tier="",
    token=False,
    errors="invalid_arguments invalid_blocks invalid_message invalid_view",
)
def blocks_validate(call: Call) -> Json:
    """Checks blocks, a message or a view, without posting anything."""
    given = [name for name in ("blocks", "message", "view") if call.args.given(name)]
    if len(given) != 1:
        raise _refused("must provide exactly one of `blocks`, `view`, or `message`")
    name = given[0]
    value = call.args.values[name]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise _refused(f"`{name}` must be valid JSON") from None
    if problems := [problem for problem in _check(name, value) if problem.kind != "schema"]:
        raise SlackError(f"invalid_{name}", errors=[problem.detail() for problem in problems])
    return {}


def _check(name: str, value: Any) -> list[Problem]:
    if name == "blocks":
        return check_blocks(value, pointer="")
    return check_message(value) if name == "message" else check_view(value, pointer="")


def _refused(text: str) -> SlackError:
    return SlackError("invalid_arguments", response_metadata={"messages": [text]})
