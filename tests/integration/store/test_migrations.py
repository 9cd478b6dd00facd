"""Revisions: up and down on data, by two processes at once, and a release that runs on the schema of the next.

The rule of a revision: it only adds, tables or columns, and a new column has a default or may be NULL. So the code of
the release before can still write each of its rows while replicas are renewed one after the other.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from bot.clock import ManualClock
from bot.core.alert_model import Alert
from bot.core.receipts import Receipt
from bot.store import migrate as migrations
from bot.store.database import Database
from bot.store.engines import open_engines
from bot.store.migrate import migrate, under_lock
from bot.store.schema import REVISION
from tests.e2e.alerts import alert
from tests.integration.store.conftest import START
from tests.integration.store.making import open_incident, run
from tests.integration.store.making import row as outbound
from tests.integration.store.test_book import line
from tests.integration.store.test_oncall import override
from tests.integration.store.test_rounds import made
from tests.support.servers import new_database

ROOT = Path(__file__).resolve().parents[3]
names = itertools.count(1)


def revisions() -> list[str]:
    """All of them, the first first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    return [r.revision for r in ScriptDirectory.from_config(config).walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return new_database(request.getfixturevalue("postgres"), f"empty_{next(names)}")


def move(url: str, revision: str) -> None:
    """To a revision, whichever way."""
    ahead = revision > (current(url) or "")
    under_lock(url, lambda config: (command.upgrade if ahead else command.downgrade)(config, revision))


def current(url: str) -> str | None:
    """Where the database is."""
    engines = open_engines(url)
    try:
        with engines.reader.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar())
    finally:
        engines.dispose()


def generate(url: str) -> None:
    """Something in every table that the oldest code knows."""
    with Database(url, ManualClock(START), create=False) as database:
        first, second = open_incident(database), open_incident(database, "other")
        database.put_many([("cloud-monitoring", "k1", json.dumps(alert("0.1")).encode(), "{}", "")])

        def fill(tx: Any) -> None:
            tx.enqueue([outbound("one", incident=first.id), outbound("two", incident=second.id)])
            tx.put_run(run("r1", START))
            tx.put_value("name", {"a": [1, None, "ü"]})
            assert tx.once("scope", "key")

        database.write(fill)


def generate_newer(url: str) -> None:
    """Something in every table that came later."""
    clock = ManualClock(START)
    number = next(names)
    with Database(url, clock, create=False) as database:

        def fill(tx: Any) -> None:
            tx.put_override(override(clock, number))
            tx.put_receipt(
                Receipt(id=f"r{number}", person="alice", level="L1", method="page_dm", made_at=clock.now())
            )
            tx.put_alert(Alert(source="s", key=f"k{number}", state="open", title="t"), incident=None)
            tx.hold_alert("maintenance:1", "s", f"k{number}")
            tx.write_down(line(clock, "planned"))
            assert tx.begin_round(made(clock, f"daily:{number}"))

        database.write(fill)
    filled = contents(url, {table: list(known) for table, known in columns(url).items()})
    empty = {table for table, rows in filled.items() if not rows}
    assert not empty, f"nothing was generated in {empty}"


def contents(url: str, tables: Mapping[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """What the named columns hold."""
    engines = open_engines(url)
    try:
        with engines.reader.connect() as connection:
            return {
                table: sorted(
                    (
                        tuple(r)
                        for r in connection.execute(sa.text(f"SELECT {', '.join(columns)} FROM {table}"))
                    ),
                    key=repr,
                )
                for table, columns in tables.items()
            }
    finally:
        engines.dispose()


def columns(url: str) -> dict[str, dict[str, str]]:
    """Each table's columns and their types."""
    engines = open_engines(url)
    try:
        with engines.reader.connect() as connection:
            seen = sa.inspect(connection)
            return {
                table: {c["name"]: str(c["type"]) for c in seen.get_columns(table)}
                for table in seen.get_table_names()
                if table != "alembic_version"
            }
    finally:
        engines.dispose()


def test_revisions_are_numbered_one_after_the_other() -> None:
    """Which of two is newer can be told by comparing them as text."""
    assert revisions() == [f"{number:04d}" for number in range(1, len(revisions()) + 1)]
    assert revisions()[-1] == REVISION


def test_every_revision_only_adds(empty: str) -> None:
    before: dict[str, dict[str, str]] = {}
    for revision in revisions():
        move(empty, revision)
        now = columns(empty)
        for table, known in before.items():
            assert known.items() <= now.get(table, {}).items(), f"{revision} takes something of {table} away"
        before = now


def test_down_and_up_again_keeps_what_the_older_schema_holds(empty: str) -> None:
    migrate(empty)
    generate(empty)
    generate_newer(empty)
    for revision in revisions()[-2::-1]:
        kept = {t: list(c) for t, c in columns(empty).items()}
        move(empty, revision)
        older = {t: [c for c in kept[t] if c in known] for t, known in columns(empty).items()}
        before = contents(empty, older)
        assert before["events"], "nothing was generated"
        migrate(empty)
        assert contents(empty, older) == before
        move(empty, revision)
    migrate(empty)
    with Database(empty, ManualClock(START), create=False) as database:
        assert database.read(lambda tx: tx.verify()) is None
        assert {i.id for i in database.read(lambda tx: tx.incidents())} == {1, 2}


def test_the_code_of_each_older_revision_can_still_write_its_rows(empty: str) -> None:
    for revision in revisions()[:-1]:
        move(empty, revision)
        older = columns(empty)
        migrate(empty)
        if revision == revisions()[0]:
            generate(empty)
        generate_newer(empty)
        engines = open_engines(empty)
        with engines.writer.begin() as connection:
            if not engines.postgres:
                connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table, known in older.items():
                _write_again(connection, table, list(known))
        engines.dispose()
        move(empty, revision)
    assert current(empty) == revisions()[-2] or len(revisions()) == 1


def _write_again(connection: sa.Connection, table: str, known: list[str]) -> None:
    """Take a row, as older code sees it, out of its table and put it back: only the columns it knows are named."""
    if table in ("events", "alerts", "audit_book"):
        return  # append-only, and bound to their incident
    one = (
        connection.execute(sa.text(f"SELECT {', '.join(known)} FROM {table} LIMIT 1"))
        .mappings()
        .one_or_none()
    )
    if one is None:
        return
    row = dict(one)
    if table == "incidents":
        row |= {"id": 900 + next(names), "open_key": None, "channel_id": None}
    else:
        key = sa.inspect(connection).get_pk_constraint(table)["constrained_columns"]
        where = " AND ".join(f"{c} = :{c}" for c in key)
        connection.execute(sa.text(f"DELETE FROM {table} WHERE {where}"), {c: row[c] for c in key})
    words = ", ".join(f":{c}" for c in known)
    done = connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({words})"), row)
    assert done.rowcount == 1


def test_a_release_starts_on_the_schema_of_the_next(empty: str) -> None:
    migrate(empty)
    engines = open_engines(empty)
    with engines.writer.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9000'"))
    engines.dispose()
    generate(empty)
    with Database(empty, ManualClock(START), create=False) as database:
        assert database.revision() == "9000"


def _migrating(url: str, **env: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "bot", "migrate"]
    return subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, "DATABASE_URL": url, **env}, stdout=subprocess.DEVNULL
    )


def test_two_processes_migrate_at_once_and_one_that_is_killed_in_the_middle_leaves_nothing(
    empty: str,
) -> None:
    killed = _migrating(empty, STREAMWATCH_KILL_AT="migrate.before_commit")
    assert killed.wait(120) == -signal.SIGKILL
    assert columns(empty) == {}
    both = [_migrating(empty) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert current(empty) == REVISION
    generate(empty)
