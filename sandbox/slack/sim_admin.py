"""/sim/*, arranging: faults, limits, people, the world, pushes and alerts, starting over."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

from sandbox.slack import find, push
from sandbox.slack.environment import environment
from sandbox.slack.errors import Refused
from sandbox.slack.hub import Hub
from sandbox.slack.model import Json, User
from sandbox.slack.registry import METHODS
from sandbox.slack.scopes import KNOWN_EVENTS
from sandbox.slack.sim import body_of, endpoint, hub_of
from sandbox.slack.socket_mode import REASONS


class WorldPort(Protocol):
    """What the control interface needs of the world behind Google's services."""

    def describe(self) -> dict[str, Any]:
        """The world as JSON."""

    def apply(self, body: object) -> dict[str, Any]:
        """Merge a change; raises ValueError with a reason."""

    def reset(self) -> None:
        """A fresh, healthy world."""


def _world(request: Request) -> WorldPort:
    world: WorldPort = request.app.state.world
    return world


async def faults_get(request: Request) -> Json:
    """GET /sim/faults: the faults that stand."""
    return {"faults": [fault.describe() for fault in hub_of(request).faults.items]}


async def faults_post(request: Request) -> Json:
    """POST /sim/faults {method, kind, error?, count, retry_after?, after_accept?}."""
    hub = hub_of(request)
    return hub.faults.add(await body_of(request), frozenset(METHODS)).describe()


async def faults_delete(request: Request) -> Json:
    """DELETE /sim/faults: no faults any more."""
    faults = hub_of(request).faults
    count = len(faults.items)
    faults.items.clear()
    return {"removed": count}


async def reset(request: Request) -> Json:
    """POST /sim/reset: faults, world, workspace; not the app."""
    hub = hub_of(request)
    await asyncio.to_thread(_world(request).reset)
    hub.reset()
    request.app.state.phone.items.clear()
    return {"ok": True, "seq": hub.changes.seq}


async def world_get(request: Request) -> Any:
    """GET /sim/world."""
    return await asyncio.to_thread(_world(request).describe)


async def world_post(request: Request) -> Any:
    """POST /sim/world: merged into the world that stands."""
    body = await body_of(request)
    try:
        described = await asyncio.to_thread(_world(request).apply, body)
    except ValueError as error:
        raise Refused(str(error)) from None
    hub_of(request).changes.bump()
    return described


async def post_push(request: Request) -> Json:
    """POST /sim/push {data, attributes}: one signed Pub/Sub push to the app."""
    return await push.push(hub_of(request), request.app.state.signer, await body_of(request))


async def post_alert(request: Request) -> Json:
    """POST /sim/alert {incident fields}: one Cloud Monitoring notification to the app."""
    return await push.alert(hub_of(request), await body_of(request))


async def certificates(request: Request) -> Json:
    """GET /oauth2/v1/certs: the certificates of push tokens, in Google's form."""
    signer: push.Signer = request.app.state.signer
    return dict(signer.certificates(hub_of(request).clock.wall()))


async def users(request: Request) -> Json:
    """POST /sim/users {name, email?, real_name?, dnd?, deleted?}: adds a person, or changes one of that name."""
    hub, body = hub_of(request), await body_of(request)
    name = find.text(body, "name").lstrip("@").lower()
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise Refused("a name has letters, digits, ., - and _")
    found = hub.workspace.find_user(name)
    if found is not None and found.is_bot:
        raise Refused("the app is not a person")
    if found is None:
        found = User(id=hub.workspace.ids.new("U"), name=name, real_name=name.title())
        found.email = f"{name}@example.com"
        hub.workspace.add_user(found)
    for key in ("email", "real_name", "tz"):
        if key in body:
            setattr(found, key, find.text(body, key))
    found.dnd = bool(body.get("dnd", found.dnd))
    found.deleted = bool(body.get("deleted", found.deleted))
    hub.changes.bump()
    return {"id": found.id, "name": found.name, "email": found.email, "dnd": found.dnd}


async def usergroups(request: Request) -> Json:
    """POST /sim/usergroups {handle, name?, users?, disabled?}: makes one, or changes that of the handle."""
    hub, body = hub_of(request), await body_of(request)
    handle = find.text(body, "handle").lstrip("@").lower()
    members: list[str] = []
    for ref in _list(body, "users"):
        user = hub.workspace.find_user(str(ref))
        if user is None:
            raise Refused(f"no person {ref!r}", 404)
        members.append(user.id)
    group = hub.workspace.change_group(
        handle,
        users=members if "users" in body else None,
        name=str(body.get("name") or ""),
        disabled=bool(body["disabled"]) if "disabled" in body else None,
    )
    return {"id": group.id, "handle": handle, "users": group.users, "disabled": bool(group.disabled_at)}


async def config(request: Request) -> Json:
    """POST /sim/config: limits, burst, post_burst, scopes, commands, events, retry_delays, hint, *_seconds."""
    hub, body = hub_of(request), await body_of(request)
    unknown = sorted(set(body) - {*_LISTS, *_NUMBERS, "limits", "retry_delays", "hint"})
    if unknown:
        raise Refused(f"unknown setting: {', '.join(unknown)}")
    # Everything is looked at before anything is changed: a refusal leaves all as it was.
    words = {name: _words(body, name) for name in _LISTS if name in body}
    if strange := sorted(set(words.get("events", ())) - set(KNOWN_EVENTS)):
        raise Refused(f"unknown event: {', '.join(strange)}", events=list(KNOWN_EVENTS))
    delays = tuple(_number(value, "retry_delays") for value in _list(body, "retry_delays"))
    numbers = {name: _number(body[name], name) for name in _NUMBERS if name in body}
    if not isinstance(body.get("limits", False), bool):
        raise Refused("limits must be true or false")
    for name, value in words.items():
        setattr(hub.config, name, value)
    if "retry_delays" in body:
        hub.config.retry_delays = delays
    for name, number in numbers.items():
        owner, attribute = _NUMBERS[name]
        setattr(getattr(hub, owner), attribute, number)
    hub.limits.enabled = body.get("limits", hub.limits.enabled)
    if "hint" in body:
        hub.config.hint = str(body["hint"])
    hub.changes.bump()
    return _settings(hub)


_LISTS = ("scopes", "commands", "events")
_NUMBERS = {
    "burst": ("limits", "burst"),
    "post_burst": ("limits", "post_burst"),
    "ack_seconds": ("delivery", "ack_seconds"),
    "trigger_seconds": ("tickets", "trigger_seconds"),
    "response_seconds": ("tickets", "response_seconds"),
}


def _settings(hub: Hub) -> Json:
    answer: Json = {name: list(getattr(hub.config, name)) for name in (*_LISTS, "retry_delays")}
    answer |= {name: getattr(getattr(hub, owner), key) for name, (owner, key) in _NUMBERS.items()}
    return answer | {"limits": hub.limits.enabled, "hint": hub.config.hint}


def _list(body: Json, name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise Refused(f"{name} must be a list")
    return value


def _words(body: Json, name: str) -> tuple[str, ...]:
    value = _list(body, name)
    if not all(isinstance(item, str) for item in value):
        raise Refused(f"{name} must be a list of strings")
    return tuple(value)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise Refused(f"{name} must be a number of 0 or more")
    return float(value)


async def get_config(request: Request) -> Json:
    """GET /sim/config."""
    return _settings(hub_of(request))


async def env(request: Request) -> Json:
    """GET /sim/env: the settings with which a bot reaches this sandbox."""
    hub = hub_of(request)
    socket_mode = hub.socket_mode or request.query_params.get("socket_mode") == "1"
    return dict(
        environment(hub.base_url, request.app.state.google_port, hub.app_url, socket_mode=socket_mode)
    )


async def disconnect(request: Request) -> Json:
    """POST /sim/disconnect {reason?}: asks every socket of Socket Mode to go, so that the app opens another."""
    reason = (await body_of(request)).get("reason", "refresh_requested")
    if reason not in REASONS:
        raise Refused(f"reason must be one of {', '.join(REASONS)}")
    return {"disconnected": await hub_of(request).sockets.disconnect(reason)}


routes = [
    Route("/sim/faults", endpoint(faults_get), methods=["GET"]),
    Route("/sim/faults", endpoint(faults_post), methods=["POST"]),
    Route("/sim/faults", endpoint(faults_delete), methods=["DELETE"]),
    Route("/sim/reset", endpoint(reset), methods=["POST"]),
    Route("/sim/world", endpoint(world_get), methods=["GET"]),
    Route("/sim/world", endpoint(world_post), methods=["POST"]),
    Route("/sim/push", endpoint(post_push), methods=["POST"]),
    Route("/sim/alert", endpoint(post_alert), methods=["POST"]),
    Route("/sim/users", endpoint(users), methods=["POST"]),
    Route("/sim/usergroups", endpoint(usergroups), methods=["POST"]),
    Route("/sim/config", endpoint(get_config), methods=["GET"]),
    Route("/sim/config", endpoint(config), methods=["POST"]),
    Route("/sim/disconnect", endpoint(disconnect), methods=["POST"]),
    Route("/sim/env", endpoint(env), methods=["GET"]),
    Route("/oauth2/v1/certs", endpoint(certificates), methods=["GET"]),
]
