"""The first schema: inbox, incidents with their events and alerts, outbox, runs, and small things.

Written out, not derived from the live tables: a revision says what was true when it was made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNFINISHED = sa.text("state IN ('pending', 'sending')")
_NEW = sa.text("state = 'new'")
_DEAD = sa.text("state = 'dead'")

_SQLITE_APPEND_ONLY = """
CREATE TRIGGER events_no_{lower} BEFORE {upper} ON events
BEGIN SELECT RAISE(ABORT, 'the timeline is append-only'); END
"""

_POSTGRES_APPEND_ONLY = """
CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the timeline is append-only'; END $$
"""

_POSTGRES_TRIGGER = """
CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()
"""


def upgrade() -> None:
    """Create everything."""
    _inbox()
    _incidents()
    _alerts()
    _outbox()
    _runs()
    _small_things()
    _append_only()


def downgrade() -> None:
    """Drop everything, the evidence included."""
    for table in ("counters", "kv", "once", "runs", "outbox", "alerts", "events", "incidents", "inbox"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION events_append_only()")


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("delivery_key", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'new'")),
        sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.UniqueConstraint("source", "delivery_key", name="inbox_delivery"),
        sa.CheckConstraint("state IN ('new', 'done', 'dead')", name="inbox_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_new", "inbox", ["id"], sqlite_where=_NEW, postgresql_where=_NEW)
    op.create_index("inbox_dead", "inbox", ["id"], sqlite_where=_DEAD, postgresql_where=_DEAD)


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("corr_key", sa.Text, nullable=False),
        sa.Column("open_key", sa.Text, unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("channel_id", sa.Text, unique=True),
        sa.Column("next_due_at", sa.BigInteger),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("incidents_due", "incidents", ["next_due_at"])
    op.create_index("incidents_key", "incidents", ["corr_key", "id"])
    op.create_table(
        "events",
        sa.Column(
            "incident",
            sa.Integer,
            sa.ForeignKey("incidents.id", deferrable=True, initially="DEFERRED", name="events_incident"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column(
            "incident",
            sa.Integer,
            sa.ForeignKey("incidents.id", deferrable=True, initially="DEFERRED", name="alerts_incident"),
        ),
        sa.Column("announced", sa.Boolean, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
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
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lookups", sa.Integer, nullable=False),
        sa.Column("ambiguous", sa.Boolean, nullable=False),
        sa.Column("unwanted", sa.Boolean, nullable=False),
        sa.Column("first_try_at", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'dead', 'cancelled')", name="outbox_state"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "outbox_lane",
        "outbox",
        ["lane", "priority", "id"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("outbox_dead", "outbox", ["id"], sqlite_where=_DEAD, postgresql_where=_DEAD)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("risk", sa.Text, nullable=False),
        sa.Column("incident", sa.Integer),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("runs_state", "runs", ["state", "created_at"])
    op.create_index("runs_pipeline", "runs", ["pipeline", "operation", "created_at"])
    op.create_index("runs_incident", "runs", ["incident"])


def _small_things() -> None:
    op.create_table(
        "once",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "kv",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )


def _append_only() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_POSTGRES_APPEND_ONLY)
        op.execute(_POSTGRES_TRIGGER)
    else:
        for action in ("UPDATE", "DELETE"):
            op.execute(_SQLITE_APPEND_ONLY.format(lower=action.lower(), upper=action))
