"""Databases to attack: a SQLite file, and a database of a PostgreSQL that was started for the attack."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo_postgres import Postgres
from tests.support.servers import new_database, postgres_server

# What a killed process wrote is the system's already; only a power cut takes it, and nobody here pulls a plug.
WITHOUT_POWER_CUTS = ("fsync=off", "full_page_writes=off")
_names = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all; a test that restarts it leaves it running."""
    with postgres_server(WITHOUT_POWER_CUTS) as server:
        yield server


def fresh(server: Postgres, like: str = "template1") -> str:
    """The URL of an empty database, or of a copy of another."""
    return new_database(server, f"attacked_{next(_names)}", like)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'streamwatch.db'}"
    return fresh(request.getfixturevalue("postgres"))
