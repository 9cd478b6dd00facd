"""What a person does, sent to the app: commands, clicks on blocks, submitting and closing views."""

from __future__ import annotations

import json
from typing import Any

from sandbox.slack import ids, views
from sandbox.slack.compose import compose
from sandbox.slack.delivery import Outcome
from sandbox.slack.errors import Refused, SlackError
from sandbox.slack.find import Target
from sandbox.slack.hub import Hub
from sandbox.slack.model import Channel, Ephemeral, Json, Message, User, View
from sandbox.slack.render import view_object
from sandbox.slack.responses import say, whisper

NO_CONNECTION = "We had some trouble connecting. Try again?"


async def command(hub: Hub, user: User, channel: Channel, typed: str) -> Json:
    """Send a slash command; its immediate answer is returned, and `shown` says whether it is in the state too."""
    name, _, text = typed.strip().partition(" ")
    if name not in hub.config.commands:
        problem = f'"{name}" is not a valid command'
        whisper(hub.workspace, channel, user.id, problem, sender=ids.SLACKBOT)
        raise Refused(problem, 404, commands=list(hub.config.commands))
    fields = {
        "token": ids.VERIFICATION_TOKEN,
        "team_id": ids.TEAM,
        "team_domain": ids.TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": shown_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": compose(hub.workspace, text.strip(), labelled=True),
        "api_app_id": ids.APP,
        "is_enterprise_install": "false",
        "response_url": hub.tickets.response_url(hub.base_url, channel, user.id),
        "trigger_id": hub.tickets.trigger(user.id),
    }
    outcome = await hub.delivery.form("command", name, fields)
    if outcome.error is not None:
        problem = f'{name} failed with the error "{outcome.error}"'
        whisper(hub.workspace, channel, user.id, problem, sender=ids.SLACKBOT)
        return described(outcome) | {"shown": True}
    return described(outcome) | {"shown": _show(hub, channel, user, outcome)}


def _show(hub: Hub, channel: Channel, user: User, outcome: Outcome) -> bool:
    """The acknowledgement's text or payload appears in the channel; False when there was none."""
    body = outcome.json()
    if body is None:
        body = {"text": outcome.body} if outcome.body.strip() else {}
    if not (body.get("text") or body.get("blocks") or body.get("attachments")):
        return False
    try:
        say(hub.workspace, channel, user.id, body, None)
    except SlackError as error:
        problem = f"The app's answer could not be shown: {error.name}"
        whisper(hub.workspace, channel, user.id, problem, sender=ids.SLACKBOT)
    return True


def described(outcome: Outcome) -> Json:
    """An outcome as the control interface tells it; `body` is the text that the app answered with."""
    answer: Json = {"status": outcome.status, "ms": outcome.ms, "body": outcome.body}
    return answer | ({"error": outcome.error} if outcome.error else {})


def shown_name(channel: Channel) -> str:
    """The channel's name as payloads carry it."""
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def _common(user: User) -> Json:
    return {
        "team": {"id": ids.TEAM, "domain": ids.TEAM_DOMAIN},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": ids.TEAM},
        "api_app_id": ids.APP,
        "token": ids.VERIFICATION_TOKEN,
        "enterprise": None,
        "is_enterprise_install": False,
    }


async def _interact(hub: Hub, payload: Json) -> Outcome:
    return await hub.delivery.form("interaction", str(payload["type"]), {"payload": json.dumps(payload)})


async def click(hub: Hub, user: User, target: Target, choice: Json) -> Json:
    """Act on an element of a message or a view; `choice` is what was chosen in a menu."""
    action = _action(hub, target, choice)
    payload: Json = {"type": "block_actions", **_common(user), "actions": [action]}
    if target.view is not None:
        _remember(target.view, target, action)
        payload["trigger_id"] = hub.tickets.trigger(user.id, target.view.id)
        payload["container"] = {"type": "view", "view_id": target.view.id}
        payload["view"] = view_object(target.view)
    else:
        payload |= _from_message(hub, user, target)
    return described(await _interact(hub, payload))


def _from_message(hub: Hub, user: User, target: Target) -> Json:
    channel, message = target.channel, target.message
    if channel is None or message is None:
        raise Refused("nothing to click")
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": isinstance(message, Ephemeral),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload: Json = {
        "trigger_id": hub.tickets.trigger(user.id),
        "container": container,
        "channel": {"id": channel.id, "name": shown_name(channel)},
        "state": {"values": {}},
        "response_url": hub.tickets.response_url(hub.base_url, channel, user.id, message),
    }
    if isinstance(message, Message):
        payload["message"] = hub.workspace.message_object(channel, message)
    return payload


def _action(hub: Hub, target: Target, choice: Json) -> Json:
    element = target.element
    kind = str(element["type"])
    action: Json = {
        "type": kind,
        "action_id": element.get("action_id", ""),
        "block_id": target.block["block_id"],
        "action_ts": hub.workspace.stamps.new(),
    }
    if kind == "button":
        kept = ("text", "value", "url", "style")
        return action | {name: element[name] for name in kept if name in element}
    given: Any = next(
        (v for name, v in choice.items() if name.startswith("selected_") or name == "value"), None
    )
    return action | views.field_value(element, given)


def _remember(view: View, target: Target, action: Json) -> None:
    """What is chosen in a view is part of its state from then on."""
    if target.element["type"] == "button":
        return
    kept = {
        name: value for name, value in action.items() if name not in ("action_id", "block_id", "action_ts")
    }
    view.values.setdefault(action["block_id"], {})[action["action_id"]] = kept


async def submit(hub: Hub, user: User, view: View, values: Json) -> Json:
    """Fill in a modal and submit it; what the app answers happens to the view."""
    views.fill(view, values)
    if found := views.complaints(view):
        view.errors = found
        hub.changes.bump()
        raise Refused("the form is not complete", 422, errors=found)
    payload: Json = {
        "type": "view_submission",
        **_common(user),
        "trigger_id": hub.tickets.trigger(user.id, view.id),
        "view": view_object(view),
        "response_urls": [],
    }
    outcome = await _interact(hub, payload)
    try:
        extra = _answer(hub, view, outcome)
    except SlackError as error:
        outcome_text = f"{NO_CONNECTION} ({error.name})"
        extra = {"error": outcome_text, "detail": error.body()}
    return described(outcome) | extra


def _answer(hub: Hub, view: View, outcome: Outcome) -> Json:
    """Carry out the response_action of an answer. Raises SlackError for a view that Slack refuses."""
    workspace = hub.workspace
    body = outcome.json()
    if outcome.error is not None or (
        outcome.body.strip() and (body is None or not body.get("response_action"))
    ):
        if body == {}:
            return _close(hub, view)
        return {"error": NO_CONNECTION}
    if body is None:
        return _close(hub, view)
    act = body["response_action"]
    if act == "errors":
        view.errors = dict(body.get("errors") or {})
        workspace.changes.bump()
        return {"errors": view.errors}
    if act == "clear":
        views.close_all(workspace, view.user)
        return {"closed": True}
    if act == "update":
        own, view.external_id = view.external_id, ""
        try:
            content = views.parse_view(workspace, body.get("view"))
        except SlackError:
            view.external_id = own
            raise
        views.update_view(workspace, view, content)
        return {"view_id": view.id}
    if act == "push":
        if len(views.stack(workspace, view.user)) >= views.STACK:
            return {"error": NO_CONNECTION}
        pushed = views.open_view(
            workspace, view.user, views.parse_view(workspace, body.get("view")), under=view
        )
        return {"view_id": pushed.id}
    return {"error": NO_CONNECTION}


def _close(hub: Hub, view: View) -> Json:
    views.close_view(hub.workspace, view)
    return {"closed": True}


async def close(hub: Hub, user: User, view: View, *, everything: bool) -> Json:
    """Close a modal; the app hears of it when the view asked for that."""
    if everything or view.content.get("clear_on_close"):
        views.close_all(hub.workspace, user.id)
    else:
        views.close_view(hub.workspace, view)
    if not view.content.get("notify_on_close"):
        return {"status": None, "ms": 0, "body": "", "closed": True}
    payload: Json = {
        "type": "view_closed",
        **_common(user),
        "view": view_object(view),
        "is_cleared": everything,
    }
    return described(await _interact(hub, payload)) | {"closed": True}
