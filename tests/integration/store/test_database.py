"""Opening, migrating, locking, filling up: the database as a whole."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bot.clock import Clock, ManualClock
from bot.core.errors import ConfigError, StorageBusy, StorageFull, StorageUnavailable
from bot.demo_postgres import Postgres
from bot.store.database import Database
from bot.store.engines import open_engines
from bot.store.migrate import migrate
from bot.store.schema import REVISION, metadata
from bot.store.tx import StoreTx
from tests.integration.store.conftest import TEMPLATE
from tests.integration.store.making import open_incident
from tests.support.servers import address_of


def test_migrations_make_the_tables_that_the_code_expects(database: Database, url: str) -> None:
    """Nothing is missing and nothing is left over, on either database."""
    assert database.revision() == REVISION
    engines = open_engines(url)
    with engines.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
    engines.dispose()


def test_migrating_again_changes_nothing(database: Database, url: str) -> None:
    """What is stored stays."""
    made = open_incident(database)
    migrate(url)
    assert database.read(lambda tx: tx.incident(made.id)) == made


def test_many_starts_at_once_migrate_once(tmp_path: Path) -> None:
    """Four processes' worth of threads open one new file."""
    address, failures = f"sqlite:///{tmp_path / 'new.db'}", []
    start = threading.Barrier(4)

    def opener() -> None:
        start.wait()
        try:
            Database(address, Clock(), create=False).close()
        except StorageUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=opener) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_postgresql_that_is_not_migrated_is_refused_with_the_remedy(postgres: Postgres) -> None:
    """Serving never migrates a shared database by itself."""
    address = postgres.url
    with pytest.raises(StorageUnavailable, match="python -m bot migrate"):
        Database(address, Clock(), create=False)
    with Database(address, Clock(), create=True) as opened:
        assert opened.revision() == REVISION


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"],
)
def test_bad_address_is_a_config_error(address: str) -> None:
    """In words, before anything is opened."""
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        Database(address, Clock(), create=True)


def test_password_is_in_no_error() -> None:
    """A server that cannot be reached."""
    with pytest.raises(StorageUnavailable) as caught:
        Database("postgresql://u:sesame@127.0.0.1:1/x", Clock(), create=False)
    assert "sesame" not in str(caught.value)


def test_unusable_file_is_unavailable(tmp_path: Path) -> None:
    """A folder in place of the file; a file that is no database."""
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StorageUnavailable, match="DATABASE_URL"):
        Database(f"sqlite:///{tmp_path / 'folder.db'}", Clock(), create=True)
    (tmp_path / "text.db").write_text("this is no database, however long it may be" * 50)
    with pytest.raises(StorageUnavailable):
        Database(f"sqlite:///{tmp_path / 'text.db'}", Clock(), create=True)


def test_failed_function_leaves_nothing(database: Database) -> None:
    """Its own error comes out as it is."""
    with pytest.raises(LookupError):
        database.write(lambda tx: (tx.put_value("a", 1), {}["missing"]))
    assert database.read(lambda tx: tx.get_value("a")) is None


def test_reader_cannot_write(database: Database) -> None:
    """``read`` is what it says."""
    with pytest.raises((sa.exc.DBAPIError, StorageUnavailable)):
        database.read(lambda tx: tx.put_value("a", 1))


def test_reader_sees_one_moment(another: Callable[[], Database]) -> None:
    """A commit in between does not show, and does not wait."""
    one, two = another(), another()
    one.write(lambda tx: tx.put_value("a", 1))

    def twice(tx: StoreTx) -> tuple[object, object]:
        first = tx.get_value("a")
        two.write(lambda other: other.put_value("a", 2))
        return first, tx.get_value("a")

    assert one.read(twice) == (1, 1)
    assert one.read(lambda tx: tx.get_value("a")) == 2


def test_locked_file_is_busy_and_heals(tmp_path: Path) -> None:
    """Another process holds the write lock for longer than we wait; readers do not care."""
    path = tmp_path / "store.db"
    with (
        Database(f"sqlite:///{path}", Clock(), create=True, busy_timeout_ms=50) as database,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            database.write(lambda tx: tx.put_value("a", 1))
        with pytest.raises(StorageBusy):
            database.put_many([("s", "k", b"", "{}", "")])
        assert database.read(lambda tx: tx.get_value("a")) is None
        other.execute("ROLLBACK")
        database.write(lambda tx: tx.put_value("a", 1))
        assert database.read(lambda tx: tx.get_value("a")) == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_locked_rows_are_busy_on_postgresql(database: Database, url: str) -> None:
    """lock_timeout ends each wait, and the retries end too."""

    def impatient(tx: StoreTx) -> None:
        tx._execute(sa.text("SET LOCAL lock_timeout = 20"))
        tx.put_value("a", 1)

    engines = open_engines(url)
    with engines.writer.connect() as other:
        other.execute(sa.text("LOCK TABLE kv IN EXCLUSIVE MODE"))
        with pytest.raises(StorageBusy):
            database.write(impatient)
        other.rollback()
    engines.dispose()
    database.write(impatient)
    assert database.read(lambda tx: tx.get_value("a")) == 1


def test_full_disk_keeps_no_half(tmp_path: Path) -> None:
    """SQLITE_FULL: everything of the transaction is gone, and it works again when there is room."""
    with Database(f"sqlite:///{tmp_path / 'store.db'}", Clock(), create=True) as database:

        def fill(tx: StoreTx) -> None:
            tx.driver_connection.execute("PRAGMA max_page_count = 1")
            tx.put_value("small", 1)
            tx.put_value("big", "x" * 3_000_000)

        with pytest.raises(StorageFull):
            database.write(fill)
        assert database.read(lambda tx: tx.get_value("small")) is None
        database.write(lambda tx: tx.driver_connection.execute("PRAGMA max_page_count = 1073741823"))
        database.write(lambda tx: tx.put_value("big", "x" * 3_000_000))
        assert database.read(lambda tx: len(tx.get_value("big"))) == 3_000_000


async def test_event_loop_stays_free_while_the_store_works(database: Database) -> None:
    """A hundred transactions from the loop; their results come back in order."""
    for n in range(20):
        await database.awrite(lambda tx, n=n: tx.put_value(f"k{n}", n))
    values = await asyncio.gather(*(database.aread(lambda tx, n=n: tx.get_value(f"k{n}")) for n in range(20)))
    assert values == list(range(20))


def test_bulk_tells_new_from_known(database: Database, clock: ManualClock) -> None:
    """Within one commit, across commits, with text that is hard to store."""
    rows = [("s", key, b"\0\xff", "{}", "") for key in ("b", "a", "b", "c\0\ud800")]
    assert database.put_many(rows) == [True, True, False, True]
    assert database.put_many([*rows[:1], ("s", "new", b"", "{}", "why it is dead")]) == [False, True]
    found = database.write(lambda tx: tx.inbox_batch(10))
    assert {row.delivery_key: row.copies for row in found} == {"b": 3, "a": 1, "c\ufffd\ufffd": 1}
    assert {(row.body, row.received_at) for row in found} == {(b"\0\xff", clock.now())}
    assert database.read(lambda tx: [reason for _, reason in tx.inbox_dead_rows(9)]) == ["why it is dead"]


def test_racing_bulks_store_each_delivery_once(another: Callable[[], Database]) -> None:
    """Two replicas get the same deliveries in another order."""
    replicas, new = [another(), another()], []

    def intake(n: int) -> None:
        keys = [f"k{k}" for k in range(100)]
        for at in range(0, 100, 20):
            part = keys[at : at + 20]
            rows = [("s", key, b"", "{}", "") for key in (part if n else reversed(part))]
            new.extend(replicas[n].put_many(rows))

    threads = [threading.Thread(target=intake, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 100
    assert {row.copies for row in replicas[0].write(lambda tx: tx.inbox_batch(200))} == {2}


def test_replicas_share_the_databases_clock(postgres: Postgres) -> None:
    """Real time is the server's; the incident's time is reckoned from it."""
    address = address_of(postgres, TEMPLATE)
    wall = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    with Database(address, Clock(wall, wall + 3600, 10.0), create=False) as database:
        now, real = database.read(lambda tx: (tx.now(), tx.wall()))
        elapsed = real - datetime(2026, 1, 1, tzinfo=UTC)
        assert now == datetime(2026, 1, 1, 1, tzinfo=UTC) + elapsed * 10
        assert abs(real - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_cut_connections_are_made_again(database: Database, url: str) -> None:
    """The server ends every connection of ours: at most one transaction notices, and keeps nothing."""
    database.write(lambda tx: tx.put_value("a", 1))
    engines = open_engines(url)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with engines.writer.begin() as connection:
        assert connection.execute(sa.text(cut)).scalars().all()
    assert database.put_many([("s", "k", b"", "{}", "")]) == [True]

    def cut_within(tx: StoreTx) -> None:
        tx.put_value("a", 2)
        with engines.writer.begin() as connection:
            connection.execute(sa.text(cut))
        tx.put_value("a", 3)

    with pytest.raises(StorageUnavailable):
        database.write(cut_within)
    assert database.read(lambda tx: tx.get_value("a")) == 1
    engines.dispose()
