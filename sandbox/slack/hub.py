"""Everything the sandbox's Slack consists of, put together once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, fields

from sandbox.clock import Clock
from sandbox.slack.changes import Changes
from sandbox.slack.delivery import Delivery
from sandbox.slack.events import Events
from sandbox.slack.faults import Faults
from sandbox.slack.journal import Journal
from sandbox.slack.limits import Limits
from sandbox.slack.scopes import COMMANDS, EVENTS, SCOPES
from sandbox.slack.socket_mode import Sockets
from sandbox.slack.state import Workspace
from sandbox.slack.tickets import Tickets

HINT = "Choose a scenario under World, or type /pipeline health in any channel."


@dataclass(slots=True)
class Config:
    """What POST /sim/config can change."""

    scopes: tuple[str, ...] = SCOPES
    commands: tuple[str, ...] = COMMANDS
    events: tuple[str, ...] = EVENTS
    retry_delays: tuple[float, ...] = (0.0, 1.0, 5.0)
    hint: str = HINT

    def restore(self) -> None:
        """Back to the values of the start."""
        fresh = Config()
        for item in fields(self):
            setattr(self, item.name, getattr(fresh, item.name))


@dataclass(slots=True)
class Stopping:
    """Set when the server goes down, so that long polls and streams end at once."""

    event: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """The workspace and all that stands around it.

    `app_url` is where the app listens, without a path; addresses of its replicas are parted by commas, and the
    first of them is what a push is signed for.
    """

    def __init__(self, clock: Clock, *, app_url: str, limits: bool = True) -> None:
        self.clock = clock
        self.app_urls = tuple(url.strip().rstrip("/") for url in app_url.split(","))
        self.app_url = self.app_urls[0]
        self.config = Config()
        self.changes = Changes()
        self.workspace = Workspace(clock, self.changes)
        self.limits = Limits(self.wall_seconds, enabled=limits)
        self.faults = Faults()
        self.tickets = Tickets(self.wall_seconds)
        self.calls = Journal()
        self.deliveries = Journal()
        self.delivery = Delivery(self.app_urls, self.deliveries, clock)
        self.sockets = Sockets()
        self.delivery.socket = self.sockets
        self.socket_mode = False
        self.events = Events(self.delivery, self.workspace, self.config)
        self.stopping = Stopping()
        self.workspace.on_event = self.events.announce

    @property
    def base_url(self) -> str:
        """The sandbox's own address; known when its port is."""
        return self.workspace.base_url

    def wall_seconds(self) -> float:
        """The wall clock in epoch seconds."""
        return self.clock.wall().timestamp()

    def reset(self) -> None:
        """Faults, limits and workspace as after a start; the app is not touched."""
        self.events.cancel()
        self.faults.items.clear()
        self.limits.reset()
        self.tickets.clear()
        self.calls.clear()
        self.deliveries.clear()
        self.config.restore()
        self.workspace.seed()
