"""Rounds of the operations calendar."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; instants are whole microseconds since 1970."""
    op.create_table(
        "rounds",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("rounds_due", "rounds", ["due_at"])
    op.create_index("rounds_state", "rounds", ["state"])


def downgrade() -> None:
    """Drop it; what was ticked off is forgotten."""
    op.drop_table("rounds")
