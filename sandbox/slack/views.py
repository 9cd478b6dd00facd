"""Modals and home tabs: opening, stacking, updating, and what a person fills in."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from sandbox.slack.blocks import VIEW_BYTES, check_view, fill_ids
from sandbox.slack.errors import Refused, SlackError
from sandbox.slack.model import Json, View
from sandbox.slack.state import Workspace

STACK = 3


def parse_view(workspace: Workspace, value: Any) -> Json:
    """A view as the app sent it, checked, with the ids that were left out. Raises SlackError."""
    if len(json.dumps(value).encode()) > VIEW_BYTES:
        raise SlackError("view_too_large")
    if problems := check_view(value):
        messages = [f"[ERROR] {problem.line()}" for problem in problems]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    content: Json = dict(value)
    content["blocks"] = fill_ids(content["blocks"], lambda: workspace.ids.new("b"))
    external = content.get("external_id")
    if external and any(view.external_id == external for view in workspace.views.values()):
        raise SlackError("duplicate_external_id")
    return content


def stack(workspace: Workspace, user: str) -> list[View]:
    """The open modals of a person, the one on top last."""
    return [view for view in workspace.views.values() if view.user == user and view.kind == "modal"]


def open_view(workspace: Workspace, user: str, content: Json, *, under: View | None = None) -> View:
    """Put a view on top of `under`, or alone (a new first modal replaces the stack that was open)."""
    if under is None and content["type"] == "modal":
        close_all(workspace, user)
    view_id = workspace.ids.new("V")
    view = View(
        id=view_id,
        user=user,
        content=content,
        hash=_hash(workspace),
        root=under.root if under is not None else view_id,
        previous=under.id if under is not None else None,
        external_id=content.get("external_id", ""),
        values=initial_values(content),
    )
    workspace.views[view_id] = view
    workspace.changes.bump()
    return view


def update_view(workspace: Workspace, view: View, content: Json) -> View:
    """Change a view in place; what was filled in stays where block_id and action_id are the same."""
    kept = view.values
    view.content, view.hash, view.errors = content, _hash(workspace), {}
    view.external_id = content.get("external_id", "")
    view.values = initial_values(content)
    for block_id, fields in view.values.items():
        for action_id in fields:
            if action_id in kept.get(block_id, {}):
                fields[action_id] = kept[block_id][action_id]
    workspace.changes.bump()
    return view


def close_view(workspace: Workspace, view: View) -> None:
    """Take a view away; the one below shows again."""
    workspace.views.pop(view.id, None)
    workspace.changes.bump()


def close_all(workspace: Workspace, user: str) -> None:
    """Take all modals of a person away."""
    for view in stack(workspace, user):
        del workspace.views[view.id]
    workspace.changes.bump()


def _hash(workspace: Workspace) -> str:
    return f"{workspace.epoch()}.{secrets.token_hex(4)}"


def inputs(content: Json) -> list[tuple[Json, Json]]:
    """The input blocks of a view with their elements."""
    blocks = content.get("blocks", [])
    return [(block, block["element"]) for block in blocks if block.get("type") == "input"]


def elements(content: Json) -> list[tuple[Json, Json]]:
    """All elements of a view whose values are part of its state."""
    found = inputs(content)
    for block in content.get("blocks", []):
        if block.get("type") == "actions":
            found += [(block, item) for item in block["elements"] if item.get("type") != "button"]
        elif isinstance(block.get("accessory"), dict) and block["accessory"].get("type") not in (
            "button",
            "image",
        ):
            found.append((block, block["accessory"]))
    return found


def initial_values(content: Json) -> Json:
    """`state.values` of a view that nobody has touched yet."""
    values: Json = {}
    for block, element in elements(content):
        values.setdefault(block["block_id"], {})[element["action_id"]] = field_value(
            element, _initial(element)
        )
    return values


def _initial(element: Json) -> Any:
    for name, value in element.items():
        if name.startswith("initial_"):
            return value
    return None


# Where an element keeps what was chosen, by its type; plain inputs use `value`.
_KEYS = {
    "static_select": "selected_option",
    "external_select": "selected_option",
    "radio_buttons": "selected_option",
    "overflow": "selected_option",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "checkboxes": "selected_options",
    "users_select": "selected_user",
    "multi_users_select": "selected_users",
    "conversations_select": "selected_conversation",
    "multi_conversations_select": "selected_conversations",
    "channels_select": "selected_channel",
    "multi_channels_select": "selected_channels",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "rich_text_input": "rich_text_value",
    "file_input": "files",
}


def field_value(element: Json, given: Any) -> Json:
    """The state entry of an element for what a person gave: text, an option's value, or Slack's own shape.

    Raises Refused when an option is not among those offered.
    """
    kind = str(element.get("type"))
    key = _KEYS.get(kind, "value")
    if isinstance(given, dict) and key in given:
        given = given[key]
    if key in ("selected_option", "selected_options"):
        given = _options(element, given, many=key == "selected_options")
    elif key.startswith("selected_") and key.endswith("s"):
        given = given if isinstance(given, list) else [given] if given else []
    return {"type": kind, key: given}


def _options(element: Json, given: Any, *, many: bool) -> Any:
    if given is None or given == []:
        return [] if many else None
    offered = list(element.get("options") or [])
    for group in element.get("option_groups") or []:
        offered += group.get("options", [])
    wanted = given if isinstance(given, list) else [given]
    chosen: list[Json] = []
    for item in wanted:
        value = item.get("value") if isinstance(item, dict) else item
        match = next((o for o in offered if value in (o.get("value"), o["text"]["text"])), None)
        if match is None and "external" not in str(element.get("type")):
            raise Refused(f"no option {value!r} in {element.get('action_id')!r}")
        chosen.append(match or {"text": {"type": "plain_text", "text": str(value)}, "value": str(value)})
    return chosen if many else chosen[0]


def fill(view: View, values: Json) -> None:
    """Write what a person filled in into a view. Raises Refused for a field that is not there."""
    known = {(block["block_id"], element["action_id"]): element for block, element in elements(view.content)}
    for block_id, fields in values.items():
        if not isinstance(fields, dict):
            raise Refused(f"values.{block_id} must be an object of action ids")
        for action_id, given in fields.items():
            element = known.get((block_id, action_id))
            if element is None:
                names = sorted(f"{block}.{action}" for block, action in known)
                raise Refused(f"no field {block_id}.{action_id} in this view", fields=names)
            view.values[block_id][action_id] = field_value(element, given)


def complaints(view: View) -> Json:
    """What Slack's own client refuses before it sends: `{block_id: text}`; empty when all is well."""
    found: Json = {}
    for block, element in inputs(view.content):
        entry = view.values[block["block_id"]][element["action_id"]]
        value = next((v for name, v in entry.items() if name != "type"), None)
        if text := _complaint(element, value, optional=bool(block.get("optional"))):
            found[block["block_id"]] = text
    return found


def _complaint(element: Json, value: Any, *, optional: bool) -> str | None:
    if value in (None, "", []):
        return None if optional else "Please complete this required field."
    text = str(value)
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    kind = element.get("type")
    if kind == "plain_text_input" and len(text) < least:
        return f"This field must be at least {least} characters."
    if kind == "plain_text_input" and len(text) > most:
        return f"This field must be at most {most} characters."
    if kind == "email_text_input" and not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        return "Please enter a valid email address."
    if kind == "number_input":
        return _number_complaint(element, text)
    return None


def _number_complaint(element: Json, text: str) -> str | None:
    pattern = r"-?\d+(\.\d+)?" if element.get("is_decimal_allowed") else r"-?\d+"
    if not re.fullmatch(pattern, text):
        return "Please enter a valid number."
    number = float(text)
    if element.get("min_value") is not None and number < float(element["min_value"]):
        return f"Please enter a number of {element['min_value']} or more."
    if element.get("max_value") is not None and number > float(element["max_value"]):
        return f"Please enter a number of {element['max_value']} or less."
    return None
