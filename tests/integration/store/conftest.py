"""Every test of the conformance suite runs on both databases."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from bot.clock import ManualClock
from bot.store.database import Database
from bot.store.migrate import migrate
from tests.integration.store.postgres import private_server, runnable

START = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
_names = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server with a migrated template database; ``host:port``."""
    if not runnable():
        if os.environ.get("STREAMWATCH_REQUIRE_ALL") == "1":
            pytest.fail("needs postgresql")
        pytest.skip("needs postgresql")
    with private_server() as address:
        _sql(address, "CREATE DATABASE template_streamwatch")
        migrate(f"postgresql://postgres@{address}/template_streamwatch")
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty, migrated database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    address = request.getfixturevalue("postgres")
    name = f"store_{next(_names)}"
    _sql(address, f"CREATE DATABASE {name} TEMPLATE template_streamwatch STRATEGY file_copy")
    return f"postgresql://postgres@{address}/{name}"


@pytest.fixture
def clock() -> ManualClock:
    """Stands at 03:10 until it is advanced."""
    return ManualClock(START)


@pytest.fixture
def another(url: str, clock: ManualClock) -> Iterator[Callable[[], Database]]:
    """Opens the same database once more, as another process would."""
    opened: list[Database] = []

    def more() -> Database:
        opened.append(Database(url, clock, create=False, busy_timeout_ms=20_000))
        return opened[-1]

    yield more
    for database in opened:
        database.close()


@pytest.fixture
def database(another: Callable[[], Database]) -> Database:
    """The database under test."""
    return another()


def _sql(address: str, statement: str) -> None:
    with psycopg.connect(f"postgresql://postgres@{address}/postgres", autocommit=True) as connection:
        connection.execute(statement.encode())
