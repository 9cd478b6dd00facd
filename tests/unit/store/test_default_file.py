"""A fresh checkout has no folder for the default database; the first start makes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core.errors import ConfigError
from bot.store.database import Database

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    """var/streamwatch.db works where there is no var."""
    with Database(f"sqlite:///{tmp_path / 'var' / 'a' / 's.db'}", ManualClock(NOW), create=False) as database:
        assert database.read(lambda tx: tx.now()) == NOW
    assert (tmp_path / "var" / "a" / "s.db").exists()


def test_a_folder_that_cannot_be_made_is_told_with_the_setting(tmp_path: Path) -> None:
    """The error names DATABASE_URL and what is wrong with it."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="DATABASE_URL: the folder"):
        Database(f"sqlite:///{tmp_path / 'file' / 's.db'}", ManualClock(NOW), create=False)
