"""The audit book: what the gates let through and refused, as one hash chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, append-only like the timelines."""
    op.create_table(
        "audit_book",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("incident", sa.Integer),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_index("audit_book_subject", "audit_book", ["subject"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER audit_book_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_book "
            "FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()"
        )
        return
    for change in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER audit_book_no_{change} BEFORE {change.upper()} ON audit_book "
            "BEGIN SELECT RAISE(ABORT, 'the audit book is append-only'); END"
        )


def downgrade() -> None:
    """Drop it with what it tells; the numbers begin anew."""
    op.drop_table("audit_book")
    op.execute("DELETE FROM counters WHERE name = 'audit_book'")
