"""Bring a database to the newest schema, once, whoever else tries at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from bot.core.errors import StorageError
from bot.probe import Probe, nowhere
from bot.store.engines import open_engines
from bot.store.failures import driver_errors, translate

_ADVISORY = 5741_0001


def migrate(url: str, probe: Probe = nowhere) -> None:
    """Apply every revision that is missing, in one transaction. Raises ConfigError and StorageError's kinds."""

    def up(config: Config) -> None:
        command.upgrade(config, "head")
        probe("migrate.before_commit")

    under_lock(url, up)


def under_lock(url: str, do: Callable[[Config], None]) -> None:
    """Run an Alembic command in one transaction, while whoever else tries waits: PostgreSQL by an advisory lock,
    SQLite because the transaction is the writer's. Raises as ``migrate``; then nothing was changed."""
    engines = open_engines(url)
    try:
        with engines.writer.begin() as connection:
            if engines.postgres:
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            do(config)
    except driver_errors() as error:
        known: StorageError | None = translate(error)
        if known is None:
            raise
        raise known from error
    finally:
        engines.dispose()
