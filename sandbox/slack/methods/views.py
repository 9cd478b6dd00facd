"""views.*: opening and changing modals and home tabs."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.model import Json, View
from sandbox.slack.registry import Call, method
from sandbox.slack.render import view_object
from sandbox.slack.views import STACK, open_view, parse_view, stack, update_view

_TRIGGER_ERRORS = "invalid_trigger_id expired_trigger_id exchanged_trigger_id "
_VIEW_ERRORS = "view_too_large duplicate_external_id "


def _view(call: Call, kind: str) -> Json:
    value: Any = call.args.json("view", "invalid_arguments")
    if isinstance(value, dict) and value.get("type") != kind:
        raise invalid_arguments(f"must be of type {kind} [json-pointer:/view/type]")
    return parse_view(call.workspace, value)


@method("views.open", tier="t4", required="view", errors=_TRIGGER_ERRORS + _VIEW_ERRORS)
def open_(call: Call) -> Json:
    """Open a modal with a trigger id, within three seconds and once."""
    if not call.args.text("trigger_id"):
        raise SlackError("invalid_trigger_id")
    content = _view(call, "modal")
    trigger = call.hub.tickets.redeem(call.args.text("trigger_id"))
    return {"view": view_object(open_view(call.workspace, trigger.user, content))}


@method(
    "views.push",
    tier="t4",
    required="view",
    errors=_TRIGGER_ERRORS + _VIEW_ERRORS + "push_limit_reached not_found",
)
def push(call: Call) -> Json:
    """Put a modal on top of the one in which the person acted; three at most."""
    if not call.args.text("trigger_id"):
        raise SlackError("invalid_trigger_id")
    content = _view(call, "modal")
    trigger = call.hub.tickets.redeem(call.args.text("trigger_id"))
    opened = stack(call.workspace, trigger.user)
    if trigger.view is None or not opened:
        raise SlackError("not_found")
    if len(opened) >= STACK:
        raise SlackError("push_limit_reached")
    return {"view": view_object(open_view(call.workspace, trigger.user, content, under=opened[-1]))}


@method("views.update", tier="t4", required="view", errors=_VIEW_ERRORS + "not_found hash_conflict")
def update(call: Call) -> Json:
    """Change an open view, found by view_id or external_id; `hash` guards against a race."""
    view = _find(call)
    _check_hash(call, view)
    external, view.external_id = view.external_id, ""  # a view may keep its own external_id
    try:
        content = _view(call, view.kind)
    except SlackError:
        view.external_id = external
        raise
    return {"view": view_object(update_view(call.workspace, view, content))}


def _find(call: Call) -> View:
    view_id, external = call.args.text("view_id"), call.args.text("external_id")
    views = call.workspace.views
    found = views.get(view_id) or next(
        (v for v in views.values() if external and v.external_id == external), None
    )
    if found is None:
        raise SlackError("not_found")
    return found


def _check_hash(call: Call, view: View) -> None:
    if call.args.text("hash") not in ("", view.hash):
        raise SlackError("hash_conflict")


@method(
    "views.publish",
    tier="t4",
    required="user_id view",
    errors=_VIEW_ERRORS + "hash_conflict missing_profile_id",
)
def publish(call: Call) -> Json:
    """Publish a person's home tab."""
    user = call.user("user_id", "missing_profile_id")
    content = _view(call, "home")
    for view in call.workspace.views.values():
        if view.user == user.id and view.kind == "home":
            _check_hash(call, view)
            return {"view": view_object(update_view(call.workspace, view, content))}
    return {"view": view_object(open_view(call.workspace, user.id, content))}
