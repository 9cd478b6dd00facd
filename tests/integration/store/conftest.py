"""Every test of the conformance suite runs on both databases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.demo_postgres import Postgres
from bot.store.database import Database
from bot.store.migrate import migrate
from tests.support.servers import new_database, postgres_server

START = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
TEMPLATE = "template_streamwatch"
_names = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server with a migrated database to copy."""
    with postgres_server(("fsync=off", "shared_buffers=32MB")) as server:
        migrate(new_database(server, TEMPLATE))
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty, migrated database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return new_database(server, f"store_{next(_names)}", like=TEMPLATE)


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
