"""Finds what the control interface's words mean: people, channels, messages, buttons, views."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.slack import ids
from sandbox.slack.errors import Refused
from sandbox.slack.model import Channel, Ephemeral, Json, Message, User, View
from sandbox.slack.state import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An element that a person acts on, and where it is."""

    element: Json
    block: Json
    channel: Channel | None = None
    message: Message | Ephemeral | None = None
    view: View | None = None


def text(body: Json, name: str) -> str:
    """A needed string of a request. Raises Refused."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{name} must be a string that is not empty")
    return value


def person(workspace: Workspace, body: Json) -> User:
    """The person who acts. Raises Refused."""
    name = text(body, "user")
    user = workspace.find_user(name)
    if user is None:
        people = [u.name for u in workspace.users.values() if not u.is_bot]
        raise Refused(f"no person {name!r}", 404, users=people)
    if user.is_bot:
        raise Refused(f"{name!r} is the app; it acts through the Web API")
    return user


def place(workspace: Workspace, body: Json, user: User) -> Channel:
    """The channel in which a person acts, as far as they can see it. Raises Refused."""
    name = text(body, "channel")
    channel = workspace.find_channel(name, viewer=user.id)
    if (
        channel is None
        and (found := workspace.find_user(name)) is not None
        and found.id in (ids.BOT_USER, user.id)
    ):
        channel = workspace.open_im(user.id)
    if channel is None:
        raise Refused(f"no channel {name!r}", 404)
    if channel.is_private and user.id not in channel.members:
        raise Refused(f"{user.name} cannot see {name!r}", 403)
    return channel


def message(workspace: Workspace, body: Json, channel: Channel, user: User) -> Message | Ephemeral:
    """The message or ephemeral with the timestamp of a request. Raises Refused."""
    ts = text(body, "ts")
    if ts in channel.messages:
        return channel.messages[ts]
    for item in channel.ephemerals:
        if item.ts == ts and item.user == user.id:
            return item
    raise Refused(f"no message {ts} that {user.name} can see in this channel", 404)


def view(workspace: Workspace, body: Json, user: User) -> View:
    """The view named, or the modal on top. Raises Refused."""
    if (wanted := body.get("view_id")) is not None:
        found = workspace.views.get(str(wanted))
        if found is None or found.user != user.id:
            raise Refused(f"{user.name} has no view {wanted!r} open", 404)
        return found
    opened = [item for item in workspace.views.values() if item.user == user.id and item.kind == "modal"]
    if not opened:
        raise Refused(f"{user.name} has no view open", 404)
    return opened[-1]


def actionable(blocks: Iterable[Json]) -> list[tuple[Json, Json]]:
    """The elements one can act on, each with its block."""
    found: list[tuple[Json, Json]] = []
    for block in blocks:
        if block.get("type") in ("actions", "context_actions"):
            found += [(block, element) for element in block.get("elements", [])]
        for name in ("accessory", "element"):
            element = block.get(name)
            if isinstance(element, dict) and element.get("type") != "image":
                found.append((block, element))
    return found


def choose(blocks: list[Json], body: Json) -> tuple[Json, Json]:
    """The one element that a click means, by action_id, label, block_id or (for buttons) value.

    Raises Refused: 404 with what there is when nothing fits, 409 with the list when several do.
    """
    everything = actionable(blocks)
    # A block without an id of its own gets a new one with each edit, and people press what they saw before it.
    bodies = (body, {**body, "block_id": None})
    found = next((f for b in bodies if (f := [pair for pair in everything if _fits(pair, b)])), [])
    if len(found) == 1:
        return found[0]
    listed = [_described(pair) for pair in (found or everything)]
    if found:
        raise Refused("several elements fit; say which", 409, candidates=listed)
    raise Refused("no such button or menu here", 404, candidates=listed)


def _fits(pair: tuple[Json, Json], body: Json) -> bool:
    block, element = pair
    for name, value in (("action_id", element.get("action_id")), ("block_id", block.get("block_id"))):
        if body.get(name) is not None and body[name] != value:
            return False
    wanted = body.get("label")
    if wanted is not None and str(wanted).strip().lower() != label(element).strip().lower():
        return False
    is_button = element.get("type") == "button"
    return not (is_button and body.get("value") is not None and body["value"] != element.get("value"))


def label(element: Json) -> str:
    """What is written on an element."""
    for name in ("text", "placeholder"):
        value = element.get(name)
        if isinstance(value, dict):
            return str(value.get("text", ""))
    return ""


def _described(pair: tuple[Json, Json]) -> Json:
    block, element = pair
    return {
        "type": element.get("type"),
        "action_id": element.get("action_id"),
        "block_id": block.get("block_id"),
        "label": label(element),
        "value": element.get("value"),
    }


def texts(value: Any) -> Iterable[str]:
    """Every text inside blocks or attachments."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                if name in ("text", "title", "alt_text", "fallback", "pretext", "caption"):
                    yield item
            else:
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
