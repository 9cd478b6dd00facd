"""The finder of real servers: absent is a skip by name, or a failure where everything is required."""

from __future__ import annotations

import pytest

from tests.support.servers import find_pubsub_emulator, free_port, private_postgres, require


def test_an_absent_server_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMWATCH_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs Moon base"):
        require("Moon base", None)


def test_an_absent_server_fails_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMWATCH_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="needs Moon base"):
        require("Moon base", None)
    assert require("here", 3) == 3


def test_a_named_jar_that_is_not_there_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMWATCH_PUBSUB_EMULATOR_JAR", "/nowhere/emulator.jar")
    assert find_pubsub_emulator() is None


def test_a_private_postgres_answers() -> None:
    import psycopg

    with private_postgres() as url, psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert free_port() > 0
