"""Alerts that a maintenance or a running operation keeps back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "holds",
        sa.Column("hold", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("notifications", sa.Integer, nullable=False),
        sa.Column("waits", sa.Boolean, nullable=False),
    )
    op.create_index("holds_alert", "holds", ["source", "key"])
    postgres, sqlite = sa.text("waits"), sa.text("waits = 1")
    op.create_index("holds_waiting", "holds", ["hold"], postgresql_where=postgres, sqlite_where=sqlite)


def downgrade() -> None:
    """Drop it; alerts that wait are forgotten."""
    op.drop_table("holds")
