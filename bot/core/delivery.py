"""What leaves the building: outbox rows, the outcomes of a send, and what follows from each.

Rules: "One way out" and "One owner of doubt" of the design. A row says *what* is to be said, never
how it looks: the Slack room renders it when it is sent, so a headline that waited shows the newest
state. Instants here are wall-clock UTC (leases, retries and pacing are about the network, not
about the incident's clock).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any


class Priority(IntEnum):
    """Lower leaves first; order is kept within one (lane, priority)."""

    PAGE = 0
    CHANNEL = 1
    ANSWER = 2
    NEWS = 3
    FURNITURE = 4


class Kind(StrEnum):
    """What a row does. ``data`` holds what its renderer needs, in JSON values."""

    PAGE_DM = "page_dm"
    PAGE_MENTION = "page_mention"
    PAGE_MAIL = "page_mail"
    PAGE_HOOK = "page_hook"
    HOOK_RESOLVE = "hook_resolve"
    CREATE_CHANNEL = "create_channel"
    INVITE = "invite"
    TOPIC = "topic"
    BOOKMARK = "bookmark"
    HEADLINE = "headline"
    PIN = "pin"
    ANNOUNCE = "announce"
    POST = "post"
    UPDATE = "update"
    EPHEMERAL = "ephemeral"
    RESPOND = "respond"
    FILE = "file"


POSTED = (Kind.PAGE_MAIL, Kind.PAGE_HOOK, Kind.HOOK_RESOLVE)
"""What does not leave through Slack; it has a deliverer of its own, so that neither waits for the other."""
SLACK = tuple(kind for kind in Kind if kind not in POSTED)


OPERATIONS = "operations"
"""As a row's `room`: it goes to the channel of the operations calendar."""


class State(StrEnum):
    """pending -> sending -> sent | dead; pending -> cancelled."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """One thing to send.

    key: unique for ever; the second insertion of a key does nothing, except that a ``replaces`` row
        that is still pending takes the newer data.
    lane: where order is kept: "incident:7", "person:alice", "announce", "url:<hash>".
    incident: its number, or None.
    needs_channel: wait until the incident's channel exists.
    replaces: True for states of one thing (headline, topic, announcement): the newer replaces the older
        that still waits, and a row that was already sent is set to pending again.
    """

    key: str
    kind: Kind
    lane: str
    priority: Priority
    incident: int | None = None
    needs_channel: bool = False
    replaces: bool = False
    delay: timedelta = timedelta(0)
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """An outbox row as its deliverer holds it. ``version`` rises when a replacing row is renewed.

    ``first_try_at`` is on the database's clock, in epoch seconds; ``age_s`` so many seconds before this lease, below
    0 when that clock was set back in between. ``asked`` is when the lease was asked for, on the deliverer's monotonic
    clock: what is looked up elsewhere is looked up by the clock there.
    """

    id: int
    token: int
    outbound: Outbound
    attempts: int
    ambiguous: bool
    first_try_at: float
    version: int
    age_s: float = 0.0
    asked: float = 0.0
    lookups: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Accepted. ``result`` is what Slack gave back that later steps need (ts, channel, name, file)."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Definitely not accepted: may be tried again blindly after ``retry_in``."""

    reason: str
    retry_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Refused for good (channel_not_found, invalid_blocks, ...)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """It may have been accepted (timeout, reset, 5xx): settled by a look-up before any resend."""

    reason: str
    retry_in: timedelta = timedelta(seconds=2)


Outcome = Sent | NotSent | Refused | Ambiguous


class LookupFailed(Exception):
    """Nobody can say whether a message is there: Slack did not answer, or there is too much to read."""


LEASE = timedelta(seconds=20)
HTTP_TIMEOUT = timedelta(seconds=5)
MAIL_TIMEOUT = timedelta(seconds=10)
DRAWING = timedelta(seconds=8)
"""For the picture of a row that has a `chart`; it is made when the row is sent, before anything leaves. What takes
longer goes on until the row is tried again."""
DRAWINGS = 5
"""Tries, after which its words go out alone."""
MARGIN = timedelta(seconds=2)


def longest(row: Outbound) -> timedelta:
    """How long one attempt of this row may take; it must fit into a lease."""
    if "chart" in row.data:
        return DRAWING + HTTP_TIMEOUT
    return MAIL_TIMEOUT if row.kind is Kind.PAGE_MAIL else HTTP_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The row's next state. ``again_in`` None: it is finished."""

    state: State
    ambiguous: bool
    reason: str = ""
    again_in: timedelta | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


def settle(row: Leased, outcome: Outcome) -> Settlement:
    """What becomes of a row after a send (rules: "One owner of doubt").

    Doubt is sticky: a row that may have been accepted stays ambiguous until a look-up or a certain
    answer settles it, so a later definite refusal (a 429 on the resend) does not clear it.
    """
    match outcome:
        case Sent():
            return Settlement(state=State.SENT, ambiguous=False, result=outcome.result)
        case Refused():
            return Settlement(state=State.DEAD, ambiguous=row.ambiguous, reason=outcome.reason)
        case NotSent():
            return Settlement(
                state=State.PENDING, ambiguous=row.ambiguous, reason=outcome.reason, again_in=outcome.retry_in
            )
        case Ambiguous():
            return Settlement(
                state=State.PENDING, ambiguous=True, reason=outcome.reason, again_in=outcome.retry_in
            )


def back_off(attempts: int) -> timedelta:
    """The wait before attempt ``attempts + 1``: 1 s, 2 s, 4 s ... at most 60 s."""
    return timedelta(seconds=min(60, 2 ** min(attempts, 6)))
