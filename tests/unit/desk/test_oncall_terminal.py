"""`python -m bot oncall`: the documents, and the overrides where the database is there."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import Clock
from bot.core.errors import ConfigError
from bot.core.overrides import Override
from bot.core.policy import Level
from bot.oncall import oncall
from bot.store.database import Database

ROOT = Path(__file__).resolve().parents[3]


def test_the_terminal_shows_what_was_overridden_and_makes_no_database(tmp_path: Path) -> None:
    path = tmp_path / "oncall.db"
    env = {"RUNBOOKS_DIR": str(ROOT / "runbooks"), "DATABASE_URL": f"sqlite:///{path}"}
    assert "L1 primary: alice" in oncall(env, as_json=False, tz="Europe/Berlin")
    assert not path.exists()
    with Database(env["DATABASE_URL"], Clock.from_env(env), create=True) as database:
        now = database.clock.now()
        made = Override(
            kind="override", person="bob", other="alice", level=Level.L1, place="primary", begin=now,
            end=now + timedelta(hours=1), made_by="alice", made_at=now,
        )  # fmt: skip
        database.write(lambda tx: tx.put_override(made))
    assert "(override 1, by alice)" in oncall(env, as_json=False, tz="Europe/Berlin")
    told = json.loads(oncall(env, as_json=True, tz="UTC"))
    assert next((p["place"], p["person"]) for p in told["now"]) == ("L1 primary", "bob")
    with pytest.raises(ConfigError):
        oncall(env, as_json=False, tz="Mars/Base")
