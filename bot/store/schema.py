"""The tables. Instants are stored as whole microseconds since 1970 UTC, so that both databases
compare and keep them alike; JSON is stored as text that ``bot.store.codec`` writes and reads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

REVISION = "0005"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(value: datetime) -> int:
    """Whole microseconds since 1970 of an aware datetime; raises ValueError for a naive one."""
    if value.tzinfo is None:
        raise ValueError("instants must be aware datetimes")
    return (value - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The aware UTC datetime of whole microseconds since 1970."""
    return EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as microseconds."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """To the database."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """From the database."""
        return None if value is None else from_micros(value)


# SQLite numbers rows by itself only for INTEGER PRIMARY KEY.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("delivery_key", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("meta", sa.Text, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("copies", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'new'")),
    sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.UniqueConstraint("source", "delivery_key", name="inbox_delivery"),
    sa.CheckConstraint("state IN ('new', 'done', 'dead')", name="inbox_state"),
    sqlite_autoincrement=True,
)
sa.Index(
    "inbox_new",
    inbox.c.id,
    sqlite_where=sa.text("state = 'new'"),
    postgresql_where=sa.text("state = 'new'"),
)
_DEAD = sa.text("state = 'dead'")
sa.Index("inbox_dead", inbox.c.id, sqlite_where=_DEAD, postgresql_where=_DEAD)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("corr_key", sa.Text, nullable=False),
    # Unique while the incident is open; NULL for resolved ones and for those that never merge.
    sa.Column("open_key", sa.Text, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("private", sa.Boolean, nullable=False),
    sa.Column("channel_id", sa.Text, unique=True),
    sa.Column("next_due_at", Instant),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
sa.Index("incidents_due", incidents.c.next_due_at)
sa.Index("incidents_key", incidents.c.corr_key, incidents.c.id)

events = sa.Table(
    "events",
    metadata,
    sa.Column(
        "incident",
        sa.Integer,
        # Deferred, because the first event of an incident is stored before its row.
        sa.ForeignKey("incidents.id", deferrable=True, initially="DEFERRED", name="events_incident"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column(
        "incident",
        sa.Integer,
        sa.ForeignKey("incidents.id", deferrable=True, initially="DEFERRED", name="alerts_incident"),
    ),
    sa.Column("announced", sa.Boolean, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("incident", sa.Integer),
    sa.Column("needs_channel", sa.Boolean, nullable=False),
    sa.Column("replaces", sa.Boolean, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("not_before", Instant, nullable=False),
    sa.Column("lease_until", Instant),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("lookups", sa.Integer, nullable=False),
    sa.Column("ambiguous", sa.Boolean, nullable=False),
    # Wanted no more, but somebody holds the row: settled when the lease ends.
    sa.Column("unwanted", sa.Boolean, nullable=False),
    sa.Column("first_try_at", Instant),
    sa.Column("settled_at", Instant),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.CheckConstraint(
        "state IN ('pending', 'sending', 'sent', 'dead', 'cancelled')",
        name="outbox_state",
    ),
    sqlite_autoincrement=True,
)
_UNFINISHED = sa.text("state IN ('pending', 'sending')")
sa.Index(
    "outbox_lane",
    outbox.c.lane,
    outbox.c.priority,
    outbox.c.id,
    sqlite_where=_UNFINISHED,
    postgresql_where=_UNFINISHED,
)
sa.Index("outbox_dead", outbox.c.id, sqlite_where=_DEAD, postgresql_where=_DEAD)

# Alerts that a maintenance or a running operation keeps back; `waits` until it is over.
holds = sa.Table(
    "holds",
    metadata,
    sa.Column("hold", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("notifications", sa.Integer, nullable=False),
    sa.Column("waits", sa.Boolean, nullable=False),
)
sa.Index("holds_alert", holds.c.source, holds.c.key)
sa.Index(
    "holds_waiting",
    holds.c.hold,
    sqlite_where=sa.text("waits = 1"),
    postgresql_where=sa.text("waits"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("pipeline", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("risk", sa.Text, nullable=False),
    sa.Column("incident", sa.Integer),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("lease_until", Instant),
    sa.Column("data", sa.Text, nullable=False),
)
sa.Index("runs_state", runs.c.state, runs.c.created_at)
sa.Index("runs_pipeline", runs.c.pipeline, runs.c.operation, runs.c.created_at)
sa.Index("runs_incident", runs.c.incident)

once = sa.Table(
    "once",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", Instant, nullable=False),
)

kv = sa.Table(
    "kv",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)

overrides = sa.Table(
    "overrides",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
sa.Index("overrides_end", overrides.c.ends_at)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
sa.Index("receipts_made", receipts.c.made_at)

audit_book = sa.Table(
    "audit_book",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    # Of the incident, where there is one; a refusal may name a number that there never was.
    sa.Column("incident", sa.Integer),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
sa.Index("audit_book_subject", audit_book.c.subject)

rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
sa.Index("rounds_due", rounds.c.due_at)
sa.Index("rounds_state", rounds.c.state)
