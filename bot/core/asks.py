"""What is asked of the desk, as plain values: a command, a click, a form, a reaction, news of a user group.

The Slack room makes them of Slack's payloads; the terminal and the tests make them directly. The
desk answers by rows in the outbox, so an answer is as durable as the change it reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: the Slack user id (and handle, where Slack gives it), and where an answer reaches them."""

    user: str
    user_name: str = ""
    channel: str = ""
    channel_name: str = ""
    response_url: str = ""
    request_id: str = ""  # trigger_id or event_id: the same one twice is done once


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A slash command: ``/incident`` with the text after it, as typed."""

    asker: Asker
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A button: its action_id and value."""

    asker: Asker
    action: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A submitted modal. ``values`` is {block_id: text}; ``context`` its private_metadata."""

    asker: Asker
    name: str
    values: Mapping[str, str]
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A message that somebody marked with :pushpin:."""

    asker: Asker
    ts: str
    author: str
    text: str
    permalink: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChanged:
    """Slack tells that a user group is another now: its members, its handle, whether there is one. What it is now has
    to be asked. ``id`` names the event; ``handle`` is "" where Slack tells the group's id alone."""

    id: str
    group: str
    handle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenForm:
    """The desk's wish that a modal be opened for this request (its trigger lives 3 s).

    ``name`` is one of those that the Slack room can draw. ``values`` prefill it; ``context`` comes back.
    """

    name: str
    title: str
    context: str
    values: Mapping[str, str] = field(default_factory=dict)


class FormErrors(Exception):
    """A form that cannot be taken: {block_id: what is wrong}."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = dict(errors)


class Desk(Protocol):
    """The use cases as the Slack room sees them. None of these raises for what a person did wrong."""

    async def command(self, asked: Command) -> OpenForm | None: ...
    async def click(self, asked: Click) -> OpenForm | None: ...
    async def submit(self, asked: Form) -> None:
        """Raises FormErrors."""
        ...

    async def pin(self, asked: Pin) -> None: ...
    async def group_changed(self, event: GroupChanged) -> None: ...
    async def incident_of(self, channel: str) -> int | None: ...
