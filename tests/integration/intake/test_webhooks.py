"""What comes in is authenticated, checked, durable, and then answered."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.clock import ManualClock
from bot.core.errors import StorageBusy
from bot.store.database import Database
from bot.web.intake import Intake, IntakeSettings, PulledMessage
from bot.web.limits import BODY_LIMIT
from tests.integration.intake.asgi import basic, request
from tests.integration.intake.conftest import (
    AUDIENCE,
    MONITORING,
    PUBSUB,
    SETTINGS,
    Desk,
    Google,
    Signer,
    envelope,
    notification,
)

BUDGET = json.dumps(
    {
        "budgetDisplayName": "orders-monthly",
        "costAmount": 240.5,
        "costIntervalStart": "2026-11-01T07:00:00Z",
        "budgetAmount": 200.0,
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "currencyCode": "USD",
        "alertThresholdExceeded": 1.0,
    }
).encode()


def rows(database: Database) -> list[Any]:
    return list(database.read(lambda tx: tx.inbox_batch(100)))


def dead(database: Database) -> list[str]:
    return [reason for _, reason in database.read(lambda tx: tx.inbox_dead_rows(100))]


# --- Cloud Monitoring ---------------------------------------------------------------------------------------


async def test_alert_is_durable_before_it_is_answered(desk: Desk, database: Database) -> None:
    """Raw, as it came, with the time of its receipt."""
    body = notification()
    answer = await desk.alert(body)
    assert (answer.status, answer.said) == (200, {"status": "accepted"})
    (row,) = rows(database)
    assert (row.source, row.body, row.meta) == ("cloud-monitoring", body, {"via": "webhook"})
    assert row.delivery_key.startswith("0.abc:open:")
    assert row.received_at == database.clock.now()
    assert desk.commits == 1


async def test_copies_are_one_row_and_each_gets_its_2xx(desk: Desk, database: Database) -> None:
    """500 copies of an alert with its close between them, 50 at a time."""
    opened, closed = notification(), notification(state="closed")
    limit = asyncio.Semaphore(50)

    async def post(n: int) -> str:
        async with limit:
            answer = await desk.alert(closed if n % 5 == 3 else opened)
            assert answer.status == 200
            return str(answer.said["status"])

    said = await asyncio.gather(*(post(n) for n in range(500)))
    assert sorted(set(said)) == ["accepted", "duplicate"]
    assert said.count("accepted") == 2
    assert sorted(row.copies for row in rows(database)) == [100, 400]


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        (basic("monitoring", "new-password"), "", 200),
        (basic("monitoring", "old-password"), "", 200),
        (
            {"authorization": basic("monitoring", "new-password")["authorization"].replace("B", "b", 1)},
            "",
            200,
        ),
        ({}, "auth_token=a-token", 200),
        ({}, "x=1&auth_token=a%2Dtoken", 200),
        (basic("monitoring", "wrong"), "auth_token=a-token", 200),
        (basic("monitoring", "wrong"), "", 401),
        (basic("Monitoring", "new-password"), "", 401),
        (basic("", ""), "", 401),
        ({}, "", 401),
        ({}, "auth_token=", 401),
        ({}, "auth_token=a-token&auth_token=b", 401),
        ({}, "AUTH_TOKEN=a-token", 401),
        ({}, "&".join(f"a{n}=1" for n in range(50)), 401),
        ({"authorization": "Basic !!!"}, "", 401),
        ({"authorization": "Bearer a-token"}, "", 401),
        ({"authorization": "\xff"}, "%ff=%00", 401),
    ],
)
async def test_who_may_send_alerts(
    desk: Desk, database: Database, headers: dict[str, str], query: str, status: int
) -> None:
    """Both passwords of a rotation, or the token; else the challenge that Cloud Monitoring waits for."""
    answer = await desk.alert(notification(), headers=headers, query=query)
    assert answer.status == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith('Basic realm="streamwatch"')
        assert rows(database) == []


async def test_source_without_credentials_is_always_refused(database: Database, clock: ManualClock) -> None:
    """Empty settings open no door, to nobody."""

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not for others")

    intake = Intake(database, IntakeSettings(), lambda: None, elsewhere, clock=clock)
    for headers in (basic("", ""), basic("monitoring", ""), {"authorization": "Bearer x"}):
        assert (await request(intake, MONITORING, notification(), headers)).status == 401
        assert (await request(intake, PUBSUB, envelope(notification()), headers)).status == 401
    await intake.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[]",
        b"null",
        b"12",
        b'{"version": "1.2"}',
        b'{"version": "1.2", "incident": []}',
        b'{"version": "1.2", "incident": {}}',
        b'{"version": "1.2", "incident": {"incident_id": "1"}}',
        b'{"version": "1.2", "incident": {"incident_id": "", "state": "open"}}',
        b'{"version": "1.2", "incident": {"incident_id": true, "state": "open"}}',
        b'{"version": "1.2", "incident": {"incident_id": "1", "state": "maybe"}}',
        b'{"version": "9", "incident": {"incident_id": "1", "state": "open"}}',
        b'{"version": "1.2", "incident": {"incident_id": "1", "state": "open", "x": NaN}}',
        b'{"version": "1.2", "incident": {"incident_id": "1", "state": "open", "x": '
        + b"[" * 64
        + b"]" * 64
        + b"}}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"version": "1.2", "incident": {"incident_id": "a\\u0000b", "state": "open"}}',
    ],
)
async def test_unusable_alert_gets_400_with_a_reason(desk: Desk, database: Database, body: bytes) -> None:
    """The sender learns why; nothing is stored."""
    answer = await desk.alert(body)
    assert answer.status == 400
    assert answer.said["error"]
    assert answer.said["hint"]
    assert rows(database) == []
    assert dead(database) == []


@pytest.mark.parametrize(
    "body",
    [
        notification(state="OPEN"),
        notification(policy_name="\u202e<!channel> `` 東京 " * 20),
        b"\xef\xbb\xbf" + notification(),
        json.dumps({"incident": {"incident_id": 12, "state": "open"}}).encode(),
        notification().replace(b"Dataflow job failed", b"half a pair: \\ud83d"),
        notification(extra=[[[[1]]]] * 40),
        notification(number="id with spaces é"),
    ],
)
async def test_unusual_but_usable_alert_is_accepted(desk: Desk, database: Database, body: bytes) -> None:
    """Other versions' shapes, any script, half a surrogate pair."""
    answer = await desk.alert(body)
    assert (answer.status, answer.said) == (200, {"status": "accepted"})
    assert [row.body for row in rows(database)] == [body]


async def test_test_button_is_stored_each_time_it_is_pressed(
    desk: Desk, database: Database, clock: ManualClock
) -> None:
    """Its bodies are all alike; a copy within the minute is a copy."""
    body = json.dumps({"version": "test", "incident": {"incident_id": "12345", "state": "OPEN"}}).encode()
    assert (await desk.alert(body)).said == {"status": "test"}
    assert (await desk.alert(body)).said == {"status": "duplicate"}
    clock.advance(timedelta(minutes=1))
    assert (await desk.alert(body)).said == {"status": "test"}
    assert len(rows(database)) == 2


@pytest.mark.parametrize("chunks", [1, 7])
async def test_body_limit_is_one_mebibyte(desk: Desk, chunks: int) -> None:
    """Up to it is read; beyond it 413, declared or not."""
    room = BODY_LIMIT - len(notification(pad=""))
    assert (await desk.alert(notification(pad="x" * room), chunks=chunks)).status == 200
    assert (await desk.alert(notification(pad="x" * (room + 1)), chunks=chunks)).status == 413


@pytest.mark.parametrize("path", [MONITORING, PUBSUB])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_other_methods_get_405(desk: Desk, path: str, method: str) -> None:
    """With what is allowed."""
    answer = await request(desk.intake, path, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_other_paths_go_on(desk: Desk) -> None:
    """The intake answers for its two paths only."""
    for path in ("/", "/webhooks", "/webhooks/cloud-monitoring/", "/slack/events"):
        assert (await request(desk.intake, path)).body == path.encode()


# --- Pub/Sub --------------------------------------------------------------------------------------------------


async def test_pushed_notifications_are_told_apart_by_content(desk: Desk, database: Database) -> None:
    """Monitoring's and the budget's; data and attributes are kept as they were published."""
    for data, attributes in ((notification(), {}), (BUDGET, {"budgetId": "b1", "schemaVersion": "1.0"})):
        answer = await desk.push(envelope(data, f"m{len(data)}", **attributes))
        assert (answer.status, answer.said) == (200, {"status": "accepted"})
    alert, budget = rows(database)
    assert (alert.source, alert.body, alert.meta) == (
        "cloud-monitoring",
        notification(),
        {"attributes": {}, "via": "push"},
    )
    assert (budget.source, budget.body) == ("budget", BUDGET)
    assert budget.meta["attributes"] == {"budgetId": "b1", "schemaVersion": "1.0"}


async def test_redelivered_push_is_a_duplicate_and_so_is_its_pull(desk: Desk, database: Database) -> None:
    """A message id counts once within its subscription, whichever way it comes."""
    assert (await desk.push(envelope(notification()))).said == {"status": "accepted"}
    assert (await desk.push(envelope(notification()))).said == {"status": "duplicate"}
    name = "projects/demo-project/subscriptions/s"
    pulled = [
        PulledMessage(subscription=name, message_id=number, data=notification(), attributes={})
        for number in ("m1", "m2")
    ]
    assert await desk.intake.store_pulled(pulled) == [False, True]
    assert [row.copies for row in rows(database)] == [3, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"message": 1}',
        b'{"message": {"data": 5}}',
        envelope("not base64!"),
        envelope(b""),
        envelope(b"plain text"),
        envelope(b"[1]"),
        envelope(notification(state="maybe")),
        envelope(BUDGET.replace(b"240.5", b'"much"')),
        envelope(BUDGET, budgetId="b", schemaVersion="9.9"),
        envelope(b'{"incident": NaN}', message_id=None),
    ],
)
async def test_unusable_push_is_stored_as_dead_and_answered_204(
    desk: Desk, database: Database, body: bytes
) -> None:
    """A 4xx would be redelivered until retention; people see the row and its reason."""
    answer = await desk.push(body)
    assert (answer.status, answer.body) == (204, b"")
    assert rows(database) == []
    (reason,) = dead(database)
    assert reason


@pytest.mark.parametrize(
    ("claims", "headers", "status"),
    [
        ({}, {}, 200),
        ({"iss": "accounts.google.com"}, {}, 200),
        ({"iss": "https://evil.example.com"}, {}, 401),
        ({"iss": None}, {}, 401),
        ({"aud": "https://other.example.com"}, {}, 401),
        ({"aud": None}, {}, 401),
        ({"aud": [AUDIENCE, "x"]}, {}, 200),
        ({"email": "other@demo-project.iam.gserviceaccount.com"}, {}, 401),
        ({"email": None}, {}, 401),
        ({"email_verified": False}, {}, 401),
        ({"email_verified": "true"}, {}, 401),
        ({"exp": datetime(2020, 1, 1, tzinfo=UTC)}, {}, 401),
        ({"exp": None}, {}, 401),
        ({}, {"kid": "unknown"}, 401),
        ({}, {"kid": 7}, 401),
    ],
)
async def test_who_may_push(
    desk: Desk, database: Database, claims: dict[str, Any], headers: dict[str, Any], status: int
) -> None:
    """Google's signature, our audience, our account, in time."""
    plain = {**claims}
    if headers.get("kid") == 7:
        token = desk.signer.token().split(".")
        token[0] = jwt.utils.base64url_encode(b'{"alg":"RS256","kid":7}').decode()
        text = ".".join(token)
    else:
        text = desk.signer.token(headers=headers, **plain)
    answer = await desk.push(envelope(notification()), headers={"authorization": f"Bearer {text}"})
    assert answer.status == status
    assert len(rows(database)) == (1 if status == 200 else 0)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "none", "..", "\xff.\xff.\xff"])
async def test_rubbish_token_is_refused(desk: Desk, token: str) -> None:
    """Never an error of ours."""
    answer = await desk.push(envelope(b"{}"), headers={"authorization": f"Bearer {token}"})
    assert answer.status == 401


async def test_token_of_another_algorithm_is_refused(desk: Desk, google: Google) -> None:
    """The published certificate is no shared secret."""
    forged = jwt.encode({"aud": AUDIENCE}, "k" * 64, algorithm="HS256", headers={"kid": desk.signer.kid})
    answer = await desk.push(envelope(b"{}"), headers={"authorization": f"Bearer {forged}"})
    assert (answer.status, google.fetched) == (401, 0)


async def test_keys_are_fetched_when_one_is_unknown_but_once_a_minute(
    desk: Desk, google: Google, clock: ManualClock
) -> None:
    """A rotated key is found; made-up key names do not make us ask Google each time."""
    for _ in range(3):
        assert (await desk.push(envelope(notification()))).status == 200
    assert google.fetched == 1
    other = Signer("k2")
    bearer = {"authorization": f"Bearer {other.token()}"}
    assert (await desk.push(envelope(notification()), headers=bearer)).status == 401
    google.keys = {"k2": other.certificate()}
    assert (await desk.push(envelope(notification()), headers=bearer)).status == 401
    assert google.fetched == 1
    clock.advance(61)
    assert (await desk.push(envelope(notification()), headers=bearer)).status == 200
    assert google.fetched == 2


async def test_unreachable_keys_are_a_503_not_a_refusal(
    desk: Desk, google: Google, clock: ManualClock
) -> None:
    """Pub/Sub sends again; keys known before stay good."""
    google.down = True
    assert (await desk.push(envelope(notification()))).status == 503
    google.down = False
    clock.advance(61)
    assert (await desk.push(envelope(notification()))).status == 200
    google.down = True
    clock.advance(3600)
    assert (await desk.push(envelope(notification()))).status == 200


# --- when it cannot be stored ---------------------------------------------------------------------------------


async def test_locked_database_is_a_503_and_heals(desk: Desk, database: Database, store_url: str) -> None:
    """Another process holds the write lock for longer than we wait."""
    await desk.alert(notification("first"))
    path = store_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = await asyncio.gather(*(desk.alert(notification(f"n{n}")) for n in range(5)))
        assert {answer.status for answer in answers} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"5"}
        with pytest.raises(StorageBusy):
            await desk.intake.store_pulled(
                [PulledMessage(subscription="s", message_id="1", data=b"{}", attributes={})]
            )
        other.execute("ROLLBACK")
    assert (await desk.alert(notification("n0"))).said == {"status": "accepted"}
    assert len(rows(database)) == 2


async def test_nobody_waits_longer_than_the_patience(database: Database, clock: ManualClock) -> None:
    """A commit that hangs: 503 for all who wait and for who comes; all is well once it is through."""
    hold, entered = threading.Event(), threading.Event()

    class Slow:
        def put_many(self, rows: Any) -> list[bool]:
            entered.set()
            assert hold.wait(20)
            return database.put_many(rows)

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not for others")

    sets = IntakeSettings(monitoring_tokens=("t",))
    intake = Intake(Slow(), sets, lambda: None, elsewhere, clock=clock, patience=0.05)

    async def post(number: str) -> int:
        return (await request(intake, MONITORING, notification(number), query="auth_token=t")).status

    assert await post("a") == 503
    assert entered.is_set()
    assert await post("b") == 503
    hold.set()
    await intake.close()
    assert [row.delivery_key.split(":")[0] for row in rows(database)] == ["a"]


async def test_full_disk_is_a_503_keeps_no_half_and_heals(desk: Desk, database: Database) -> None:
    """SQLITE_FULL, through the page limit of the writer's own connection."""
    await desk.alert(notification("first"))

    def limit(pages: int) -> int:
        return int(database._bulk().execute(f"PRAGMA max_page_count = {pages}").fetchone()[0])

    pages = limit(1)
    big = "x" * 200_000
    answers = await asyncio.gather(*(desk.alert(notification(f"n{n}", pad=big)) for n in range(3)))
    assert {answer.status for answer in answers} == {503}
    assert len(rows(database)) == 1
    limit(pages + 10_000)
    assert (await desk.alert(notification("n0", pad=big))).status == 200


# --- anything at all --------------------------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_near = st.fixed_dictionaries(
    {"version": st.sampled_from(["1.2", "1.0", "test"]) | _json},
    optional={
        "incident": st.fixed_dictionaries(
            {
                "incident_id": st.text() | _json,
                "state": st.sampled_from(["open", "closed", "OPEN"]) | _json,
            },
            optional={"condition": _json, "resource": _json, "policy_user_labels": _json},
        ),
        "costAmount": _json,
        "budgetAmount": _json,
        "message": st.fixed_dictionaries(
            {"data": st.text() | _json}, optional={"attributes": _json, "messageId": _json}
        ),
    },
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.binary() | st.one_of(_json, _near).map(lambda value: json.dumps(value).encode()))
def test_no_content_ever_causes_a_5xx(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    """Webhook, push, and push of the same as data; what was stored can be read back."""
    asyncio.run(_throw(tmp_path_factory, body))


_kept: dict[str, Any] = {}


async def _throw(folder: pytest.TempPathFactory, body: bytes) -> None:
    if not _kept:
        signer = Signer()
        _kept.update(signer=signer, google=Google({signer.kid: signer.certificate()}), token=signer.token())
        clock = ManualClock(datetime(2026, 11, 23, tzinfo=UTC))
        _kept["database"] = Database(f"sqlite:///{folder.mktemp('fuzz') / 'x.db'}", clock, create=True)
    database: Database = _kept["database"]

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not for others")

    intake = Intake(
        database, SETTINGS, lambda: None, elsewhere, clock=database.clock, fetch=_kept["google"].fetch
    )
    bearer = {"authorization": f"Bearer {_kept['token']}"}
    alert = await request(intake, MONITORING, body, basic("monitoring", "new-password"))
    assert alert.status in (200, 400)
    for pushed in (body, envelope(body, None)):
        assert (await request(intake, PUBSUB, pushed, bearer)).status in (200, 204)
    await intake.close()
    assert database.read(lambda tx: len(tx.inbox_batch(1000)) + len(tx.inbox_dead_rows(1000))) > 0
