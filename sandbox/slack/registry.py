"""The Web API's methods: each a function registered with what Slack's specification says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.slack import ids
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.model import Channel, Json, Message, User
from sandbox.slack.state import Workspace

if TYPE_CHECKING:
    from sandbox.slack.hub import Hub


_FAMILIES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


class Args:
    """A call's arguments: query string, form and JSON merged; values of forms are strings."""

    __slots__ = ("values",)

    def __init__(self, values: Json) -> None:
        self.values = values

    def given(self, name: str) -> bool:
        """Whether the argument is there at all (null counts as absent, an empty string as present)."""
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A string; numbers and booleans of a JSON body are written out."""
        value = self.values.get(name)
        if value is None:
            return default
        return value if isinstance(value, str) else json.dumps(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean: true, "true", "1" and 1 are true."""
        value = self.values.get(name)
        return default if value is None or value == "" else str(value).lower() in ("true", "1")

    def number(self, name: str, default: int) -> int:
        """A whole number. Raises invalid_arguments."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except (TypeError, ValueError):
            raise invalid_arguments(f"must provide an integer [json-pointer:/{name}]") from None

    def json(self, name: str, error: str) -> Any:
        """A nested value: as it is in a JSON body, or JSON text in a form. Raises the named error."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method by the installed app."""

    hub: Hub
    args: Args
    scopes: tuple[str, ...] = ()

    @property
    def workspace(self) -> Workspace:
        """The state that the method reads and changes."""
        return self.hub.workspace

    def channel(self, name: str = "channel", *, names: bool = False) -> Channel:
        """The conversation named by an argument, as far as the app can see it. Raises channel_not_found."""
        ref = self.args.text(name)
        found = self.workspace.channels.get(ref)
        if found is None and names and ref:
            found = self.workspace.find_channel(ref) if ref[0] == "#" or ref.islower() else None
        if found is None or (found.is_private and ids.BOT_USER not in found.members):
            raise SlackError("channel_not_found")
        self.allowed(found.kind)
        return found

    def allowed(self, kind: str) -> None:
        """Where the method has scopes for each kind of conversation (channel, group, im), the app needs one of that
        kind. Raises missing_scope."""
        needed = [scope for scope in self.scopes if scope.partition(":")[0] == _FAMILIES[kind]]
        installed = self.hub.config.scopes
        if needed and not set(needed) & set(installed):
            raise SlackError("missing_scope", needed=",".join(needed), provided=",".join(installed))

    def joined(self, channel: Channel) -> Channel:
        """The same channel. Raises not_in_channel unless the app is a member."""
        if ids.BOT_USER not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def user(self, name: str = "user", error: str = "user_not_found") -> User:
        """The person named by an argument. Raises the named error."""
        found = self.workspace.users.get(self.args.text(name))
        if found is None:
            raise SlackError(error)
        return found

    def message(self, channel: Channel, name: str) -> Message:
        """The message whose timestamp is in an argument. Raises message_not_found."""
        found = channel.messages.get(self.args.text(name))
        if found is None:
            raise SlackError("message_not_found")
        return found


Handler = Callable[[Call], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What the specification says: required arguments, scopes (any one), tier, JSON bodies, errors.

    `app_token`: the method wants the app-level token of Socket Mode instead of the bot's.
    """

    name: str
    handler: Handler
    tier: str
    scopes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    errors: frozenset[str] = frozenset()
    json: bool = True
    token: bool = True
    app_token: bool = False
    # What Slack answers when a required argument is absent, where that is not invalid_arguments.
    missing: tuple[tuple[str, str], ...] = ()

    def check_required(self, args: Args) -> None:
        """Raises the refusal of the first required argument that is absent."""
        absent = [name for name in self.required if not args.given(name)]
        for name in absent:
            if (error := dict(self.missing).get(name)) is not None:
                raise SlackError(error)
        if absent:
            raise invalid_arguments(*(f"missing required field: {name}" for name in absent))


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    tier: str,
    scopes: str = "",
    required: str = "",
    errors: str = "",
    json: bool = True,
    token: bool = True,
    app_token: bool = False,
    missing: dict[str, str] | None = None,
) -> Callable[[Handler], Handler]:
    """Register a handler; words in strings are separated by blanks."""

    def register(handler: Handler) -> Handler:
        wanted = dict(missing or {})
        METHODS[name] = Method(
            name=name,
            handler=handler,
            tier=tier,
            scopes=tuple(scopes.split()),
            required=tuple(required.split()),
            errors=frozenset(errors.split()) | frozenset(wanted.values()),
            json=json,
            token=token,
            app_token=app_token,
            missing=tuple(wanted.items()),
        )
        return handler

    return register
