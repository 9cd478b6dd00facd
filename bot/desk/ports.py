"""What the use cases ask of the store. ``bot.store`` implements it; nothing here does I/O.

Every method runs inside the one transaction that its ``Tx`` stands for. Instants are aware UTC.
``now`` is the incident's clock (the database's on PostgreSQL, the host's on SQLite, the demo's
when it runs fast); ``wall`` is real time, for leases and retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from bot.core.alerts import Alert
from bot.core.book import Entry
from bot.core.delivery import Kind, Leased, Outbound, Settlement
from bot.core.incident import Event, Incident
from bot.core.overrides import Override
from bot.core.receipts import Receipt
from bot.core.rounds import Round

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A raw notification as it was committed before the 2xx. ``copies`` counts identical ones."""

    id: int
    source: str
    delivery_key: str
    body: bytes
    meta: Mapping[str, Any]
    received_at: datetime
    copies: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """An alert with the incident that it belongs to, if any."""

    alert: Alert
    incident: int | None
    announced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAlert:
    """An alert that a hold keeps (``waits``) or kept back, and in how many notifications it came meanwhile."""

    alert: Alert
    incident: int | None
    notifications: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of an operation: asked for, planned, confirmed, running, done, failed, unknown, cancelled.

    ``reply`` says where the answer goes: {"channel", "user", "response_url", "ts", "incident"}.
    ``plan`` and ``report`` are the JSON of the pipeline's Plan and Report.
    """

    id: str
    operation: str
    pipeline: str
    params: Mapping[str, Any]
    state: str
    requested_by: str
    created_at: datetime
    incident: int | None = None
    step: str = ""
    risk: str = "read"
    reply: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    confirmed_by: str = ""
    approved_by: str = ""
    updated_at: datetime | None = None
    error: str = ""
    attempts: int = 0


class Tx(Protocol):
    """One transaction."""

    def now(self) -> datetime: ...
    def wall(self) -> datetime: ...
    def clock_set_back(self) -> None:
        """The clock shows a time that was already: let no row of the outbox and no lease wait for its old one."""
        ...

    def apart(self, do: Callable[[], object]) -> Exception | None:
        """Do this so that it alone is taken back when it fails; why it failed, or None."""
        ...

    # incidents and their events
    def incident(self, number: int, *, lock: bool = True) -> Incident | None: ...
    def open_incident(self, key: str) -> Incident | None:
        """The one that is not resolved with this correlation key, locked."""
        ...

    def last_incident(self, key: str) -> Incident | None:
        """The newest with this key, in whatever status, locked."""
        ...

    def incident_of_channel(self, channel: str) -> int | None: ...
    def incidents(self, *, active: bool | None = None, limit: int = 50) -> Sequence[Incident]: ...
    def next_number(self) -> int: ...
    def append(self, number: int, events: Sequence[Event]) -> Sequence[Event]:
        """Store events with their sequence numbers and hashes; returns them with ``seq`` set."""
        ...

    def save(self, incident: Incident, *, next_due_at: datetime | None) -> None:
        """Insert or update the row; raises KeyTaken when another open incident holds the key."""
        ...

    def events(self, number: int) -> Sequence[Event]: ...
    def due_incidents(self, limit: int) -> Sequence[int]:
        """Numbers whose next_due_at has passed, oldest due first, locked rows skipped."""
        ...

    def put_off(self, number: int, until: datetime) -> None:
        """Let no timer of this incident, which this transaction has locked, come before then."""
        ...

    def next_due(self) -> datetime | None: ...

    # alerts
    def alert(self, source: str, key: str) -> StoredAlert | None:
        """The alert of a source's key, locked; of two that look for a new one, the second waits for the first."""
        ...

    def put_alert(self, alert: Alert, *, incident: int | None, announced: bool = False) -> None: ...

    # alerts held back by a maintenance or a running operation
    def hold_alert(self, hold: str, source: str, key: str) -> None:
        """One more notification of an alert that this hold keeps back."""
        ...

    def held(self, hold: str) -> Sequence[HeldAlert]: ...
    def hold_of(self, source: str, key: str) -> tuple[str, bool] | None:
        """(the newest hold that kept an alert back, whether it waits there still); None for none."""
        ...

    def waiting_holds(self) -> Sequence[str]:
        """Holds with alerts that wait for their end."""
        ...

    def release(self, hold: str) -> None: ...

    # the inbox
    def inbox_batch(self, limit: int) -> Sequence[InboxRow]: ...
    def inbox_done(self, ids: Sequence[int]) -> None: ...
    def inbox_dead(self, row_id: int, reason: str) -> None: ...
    def inbox_dead_rows(self, limit: int) -> Sequence[tuple[InboxRow, str]]:
        """The newest rows that could not be processed, each with its reason."""
        ...

    def inbox_prune(self, before: datetime) -> int:
        """Forget processed rows older than this; returns how many."""
        ...

    def inbox_put(self, source: str, delivery_key: str, body: bytes, meta: Mapping[str, Any]) -> bool: ...

    # the outbox
    def enqueue(self, rows: Sequence[Outbound]) -> None: ...
    def cancel(self, keys: Sequence[str]) -> int:
        """Cancel rows that are still pending; returns how many."""
        ...

    def claim(
        self, limit: int, lanes_busy: Sequence[str] = (), kinds: Sequence[Kind] = ()
    ) -> Sequence[Leased]:
        """Lease rows that are due, of these kinds only (empty: of every kind)."""
        ...

    def attempted(self, key: str) -> bool:
        """Whether anybody ever began to send this row; False for an unknown key."""
        ...

    def still_mine(self, row: Leased) -> bool: ...
    def finish(self, row: Leased, settlement: Settlement) -> bool:
        """Fenced by the token; False when the lease was lost. A renewed replacing row goes pending again."""
        ...

    def counted_lookup(self, row: Leased) -> int: ...
    def outbox_dead_rows(self, limit: int) -> Sequence[tuple[str, int | None, datetime, str]]:
        """The newest that will never be sent, none of a private incident: (kind, incident, when, why)."""
        ...

    def next_send(self) -> datetime | None: ...

    # runs of operations
    def put_run(self, run: Run) -> None: ...
    def run(self, run_id: str) -> Run | None: ...
    def claim_run(self, state: str, to: str) -> Run | None:
        """Take the oldest run in ``state`` whose lease is free, moving it to ``to`` under a lease."""
        ...

    def move_run(
        self, run_id: str, frm: Sequence[str], to: str, *, attempt: int | None = None, **changes: Any
    ) -> bool:
        """Compare-and-set of the state; False when it was in none of ``frm``, or in another attempt."""
        ...

    def renew_run(self, run_id: str) -> bool:
        """Lengthen the lease of a claimed run (60 s); False when nobody holds it any more."""
        ...

    def release_run(self, run_id: str) -> None:
        """End the lease of a claimed run now: its process stops in the middle."""
        ...

    def stale_runs(self, state: str) -> Sequence[Run]:
        """Runs in ``state`` whose lease ran out: their process died."""
        ...

    def runs_in(self, state: str) -> Sequence[Run]: ...
    def running_change(self, pipeline: str, besides: str = "") -> Run | None: ...
    def recent_runs(self, pipeline: str, operation: str, since: datetime) -> Sequence[Run]: ...
    def runs_of_incident(self, number: int) -> Sequence[Run]: ...

    # on call
    def put_override(self, override: Override) -> Override:
        """Store a new one (id 0) under the next id, a known one in place of what was known."""
        ...

    def override(self, number: int) -> Override | None: ...
    def overrides(self, since: datetime) -> Sequence[Override]:
        """Those that end after this instant, oldest first; those to come too."""
        ...

    def put_receipt(self, receipt: Receipt) -> None: ...
    def receipt(self, receipt_id: str) -> Receipt | None: ...
    def receipts(self, since: datetime) -> Sequence[Receipt]:
        """Those made since this instant, newest first."""
        ...

    # the audit book
    def write_down(self, entry: Entry) -> Entry:
        """Store a line at the end of the book; returns it with its ``seq``."""
        ...

    def book(self, limit: int = 200) -> Sequence[Entry]:
        """The newest lines first, without those of private incidents."""
        ...

    def book_of(self, subject: str) -> Sequence[Entry]:
        """All lines about one run, in order."""
        ...

    # the operations calendar
    def begin_round(self, new: Round) -> bool:
        """Store a round whose period was not begun yet; False when it was."""
        ...

    def put_round(self, changed: Round) -> None: ...
    def round(self, round_id: str) -> Round | None: ...
    def open_rounds(self) -> Sequence[Round]:
        """Those that are measured or wait for people, oldest first."""
        ...

    def rounds(self, kind: str = "", limit: int = 30) -> Sequence[Round]:
        """The newest of a kind, or of all, newest first."""
        ...

    # small things
    def once(self, scope: str, key: str) -> bool:
        """True the first time only (Slack event ids, trigger ids, calendar periods)."""
        ...

    def count(self, name: str, by: int) -> None:
        """Add to a counter; two at once add both."""
        ...

    def counts(self, first: str, last: str) -> Mapping[str, int]:
        """The counters whose names lie between these two, both included."""
        ...

    def forget_counts(self, first: str, before: str) -> int:
        """Drop the counters from the first name to before the other; returns how many."""
        ...

    def get_value(self, name: str) -> Any: ...
    def put_value(self, name: str, value: Any) -> None: ...


class Store(Protocol):
    """Transactions, off the event loop."""

    async def awrite(self, work: Callable[[Tx], T]) -> T: ...
    async def aread(self, work: Callable[[Tx], T]) -> T: ...
