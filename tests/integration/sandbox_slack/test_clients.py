"""Slack's own clients run against the sandbox unchanged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import ids

from .conftest import Sim


def refusal(caught: pytest.ExceptionInfo[SlackApiError]) -> Any:
    return caught.value.response["error"]


def test_sync_client_posts_updates_reads_back_and_pins(sim: Sim, client: WebClient) -> None:
    assert client.auth_test()["bot_id"] == ids.BOT
    channel = client.conversations_create(name="inc-0001-lag")["channel"]["id"]
    metadata = {"event_type": "streamwatch_page", "event_payload": {"outbox_id": "1"}}
    ts = client.chat_postMessage(channel=channel, text="lag <b> & more", metadata=metadata)["ts"]
    client.chat_update(channel=channel, ts=ts, text="lag gone")
    client.pins_add(channel=channel, timestamp=ts)
    client.reactions_add(channel=channel, timestamp=ts, name="eyes")
    client.conversations_setTopic(channel=channel, topic="critical")
    client.bookmarks_add(channel_id=channel, title="Runbook", type="link", link="https://example.com/r")
    client.conversations_invite(channel=channel, users=["U01ALICE", "U02BOB"])
    plain = client.conversations_history(channel=channel)["messages"]
    full = client.conversations_history(channel=channel, include_all_metadata=True)["messages"]
    assert [m["text"] for m in plain][-1] == "lag gone"
    assert "metadata" not in plain[-1]
    assert full[-1]["metadata"] == metadata
    assert client.pins_list(channel=channel)["items"][0]["message"]["ts"] == ts
    state = sim.channel("inc-0001-lag")
    assert (state["topic"], state["pins"], state["members"]) == (
        "critical",
        [ts],
        [ids.BOT_USER, "U01ALICE", "U02BOB"],
    )
    assert state["messages"][0]["edited"]["user"] == ids.BOT_USER
    assert state["bookmarks"][0]["title"] == "Runbook"


async def test_async_client_does_the_same(sim: Sim) -> None:
    client = AsyncWebClient(token=ids.TOKEN, base_url=f"{sim.url}/api/")
    assert (await client.auth_test())["user_id"] == ids.BOT_USER
    answer = await client.chat_postMessage(channel="U01ALICE", text="page", blocks=[{"type": "divider"}])
    assert str(answer["channel"]).startswith("D")
    assert (await client.users_info(user="U01ALICE"))["user"]["name"] == "alice"
    assert (await client.users_lookupByEmail(email="bob@example.com"))["user"]["id"] == "U02BOB"
    uploaded = await client.files_upload_v2(
        channel="C02INCIDENTS", filename="r.md", content="# Review", title="R"
    )
    assert uploaded["file"]["title"] == "R"
    assert sim.wait("page")["channel"] == answer["channel"]


def test_upload_keeps_the_bytes_and_shares_them_in_a_message(sim: Sim, client: WebClient) -> None:
    answer = client.files_upload_v2(
        channel="C02INCIDENTS", content=b"# Review\n", filename="review.md", initial_comment="The review"
    )
    file_id = answer["file"]["id"]
    found = sim.wait("The review", channel="incidents")
    assert found["files"][0]["id"] == file_id
    assert sim.http.get(f"/sim/files/{file_id}").content == b"# Review\n"
    info = client.files_info(file=file_id)["file"]
    assert info["shares"]["public"]["C02INCIDENTS"][0]["ts"] == found["ts"]
    assert sim.http.get(info["url_private"]).status_code == 404
    fetched = sim.http.get(info["url_private"], headers={"Authorization": f"Bearer {ids.TOKEN}"})
    assert fetched.content == b"# Review\n"


def test_token_and_scopes_are_checked_in_slacks_order(sim: Sim) -> None:
    for token, error in (
        ("", "not_authed"),
        ("xoxb-other", "invalid_auth"),
        (ids.APP_TOKEN, "not_allowed_token_type"),
    ):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = sim.http.post("/api/chat.postMessage", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (200, error)
    assert sim.http.post("/api/no.suchMethod").json()["error"] == "unknown_method"
    sim.post("config", scopes=["channels:read"])
    answer = sim.http.post("/api/chat.postMessage", headers={"Authorization": f"Bearer {ids.TOKEN}"})
    assert answer.json() == {
        "ok": False,
        "error": "missing_scope",
        "needed": "chat:write",
        "provided": "channels:read",
    }
    assert answer.headers["x-oauth-scopes"] == "channels:read"
    assert answer.headers["x-accepted-oauth-scopes"] == "chat:write"


@pytest.mark.parametrize("kind", ["channels", "groups", "im"])
def test_each_kind_of_channel_wants_its_own_scope(sim: Sim, client: WebClient, kind: str) -> None:
    """A token that may read public channels may not read private ones, nor the other way about."""
    places = {
        "channels": client.conversations_create(name="public")["channel"]["id"],
        "groups": client.conversations_create(name="private", is_private=True)["channel"]["id"],
        "im": client.conversations_open(users="U01ALICE")["channel"]["id"],
    }
    sim.post("config", scopes=[f"{kind}:history", f"{kind}:read", f"{kind}:write", "channels:join"])
    types = {"channels": "public_channel", "groups": "private_channel", "im": "im"}
    for other, place in places.items():
        calls: list[Callable[[], Any]] = [
            partial(client.conversations_history, channel=place),
            partial(client.conversations_info, channel=place),
            partial(client.conversations_list, types=types[other]),
        ]
        if other == "groups":
            calls.append(partial(client.conversations_create, name="another", is_private=True))
        if other == "im":
            calls.append(partial(client.conversations_open, users="U02BOB"))
        for call in calls:
            if other == kind:
                assert call()["ok"]
                continue
            with pytest.raises(SlackApiError) as caught:
                call()
            assert refusal(caught) == "missing_scope"
            assert f"{other}:" in caught.value.response["needed"]


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("application/json", b"{", "invalid_json"),
        ("application/json", b"[]", "invalid_json"),
        ("text/plain", b"channel=C1", "invalid_post_type"),
        ("application/x-www-form-urlencoded", b"text=%ff", "invalid_form_data"),
    ],
)
def test_malformed_bodies_are_refused(sim: Sim, content_type: str, body: bytes, error: str) -> None:
    headers = {"Authorization": f"Bearer {ids.TOKEN}", "Content-Type": content_type}
    assert sim.http.post("/api/chat.postMessage", content=body, headers=headers).json()["error"] == error


def test_channel_names_follow_slacks_rules_and_stay_taken(sim: Sim, client: WebClient) -> None:
    channel = client.conversations_create(name="inc-0001-x")["channel"]["id"]
    client.conversations_archive(channel=channel)
    cases = {"inc-0001-x": "name_taken", "Inc": "invalid_name_specials", "a b": "invalid_name_specials"}
    cases |= {
        "x" * 81: "invalid_name_maxlength",
        "": "invalid_name_required",
        "--": "invalid_name_punctuation",
    }
    for name, error in cases.items():
        with pytest.raises(SlackApiError) as caught:
            client.conversations_create(name=name)
        assert refusal(caught) == error
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=channel, text="x")
    assert refusal(caught) == "is_archived"


def test_what_stands_in_an_archived_channel_stays_as_it_is(sim: Sim, client: WebClient) -> None:
    channel = client.conversations_create(name="inc-0001-x")["channel"]["id"]
    ts = client.chat_postMessage(channel=channel, text="x")["ts"]
    client.conversations_archive(channel=channel)
    with pytest.raises(SlackApiError) as caught:
        client.chat_update(channel=channel, ts=ts, text="y")
    assert refusal(caught) == "is_inactive"


def test_invitations_name_every_refusal(sim: Sim, client: WebClient) -> None:
    channel = client.conversations_create(name="inc-0001-x")["channel"]["id"]
    with pytest.raises(SlackApiError) as caught:
        client.conversations_invite(channel=channel, users=["U01ALICE", "U0NOBODY"])
    assert refusal(caught) == "user_not_found"
    assert caught.value.response["errors"][0]["user"] == "U0NOBODY"
    answer = client.conversations_invite(channel=channel, users=["U01ALICE", "U0NOBODY"], force=True)
    assert answer["errors"][0]["error"] == "user_not_found"
    for user, error in ((ids.BOT_USER, "cant_invite_self"), ("U01ALICE", "already_in_channel")):
        with pytest.raises(SlackApiError) as caught:
            client.conversations_invite(channel=channel, users=[user])
        assert refusal(caught) == error


def test_paging_goes_through_everything_once(sim: Sim, client: WebClient) -> None:
    for number in range(7):
        client.chat_postMessage(channel="C02INCIDENTS", text=f"m{number}")
    for number in range(5):
        client.conversations_create(name=f"inc-{number}")
    texts = [
        m["text"]
        for part in client.conversations_history(channel="C02INCIDENTS", limit=3)
        for m in part["messages"]
    ]
    assert texts == [f"m{number}" for number in reversed(range(7))]
    pages = [part["channels"] for part in client.conversations_list(limit=2)]
    assert [len(part) for part in pages] == [2, 2, 2, 1]
    names = [m["name"] for part in client.users_list(limit=4) for m in part["members"]]
    assert names == ["alice", "bob", "carol", "dave", "erin", "streamwatch"]
    for cursor in ("nonsense", "bmV4dDpDMTIz"):
        with pytest.raises(SlackApiError) as caught:
            client.conversations_list(cursor=cursor)
        assert refusal(caught) == "invalid_cursor"


def test_history_between_two_moments(sim: Sim, client: WebClient) -> None:
    stamps = [client.chat_postMessage(channel="C02INCIDENTS", text=str(n))["ts"] for n in range(4)]
    inner = client.conversations_history(channel="C02INCIDENTS", oldest=stamps[0], latest=stamps[3])
    assert [m["ts"] for m in inner["messages"]] == [stamps[2], stamps[1]]
    both = client.conversations_history(
        channel="C02INCIDENTS", oldest=stamps[0], latest=stamps[3], inclusive=True
    )
    assert len(both["messages"]) == 4
    with pytest.raises(SlackApiError) as caught:
        client.conversations_history(channel="C02INCIDENTS", oldest="yesterday")
    assert refusal(caught) == "invalid_ts_oldest"


def test_threads_stay_out_of_the_history(sim: Sim, client: WebClient) -> None:
    parent = client.chat_postMessage(channel="C02INCIDENTS", text="parent")["ts"]
    reply = client.chat_postMessage(channel="C02INCIDENTS", text="reply", thread_ts=parent)["ts"]
    nested = client.chat_postMessage(channel="C02INCIDENTS", text="nested", thread_ts=reply)
    assert nested["message"]["thread_ts"] == parent
    shown = client.conversations_history(channel="C02INCIDENTS")["messages"]
    assert [(m["text"], m["reply_count"]) for m in shown] == [("parent", 2)]
    thread = client.conversations_replies(channel="C02INCIDENTS", ts=parent)["messages"]
    assert [m["text"] for m in thread] == ["parent", "reply", "nested"]


def test_ephemerals_need_the_person_in_the_channel(sim: Sim, client: WebClient) -> None:
    channel = client.conversations_create(name="inc-0001-x")["channel"]["id"]
    with pytest.raises(SlackApiError) as caught:
        client.chat_postEphemeral(channel=channel, user="U01ALICE", text="psst")
    assert refusal(caught) == "user_not_in_channel"
    client.conversations_invite(channel=channel, users=["U01ALICE"])
    ts = client.chat_postEphemeral(channel=channel, user="U01ALICE", text="psst")["message_ts"]
    assert sim.channel("inc-0001-x")["ephemerals"][0]["user"] == "U01ALICE"
    with pytest.raises(SlackApiError) as caught:
        client.chat_update(channel=channel, ts=ts, text="x")
    assert refusal(caught) == "message_not_found"


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ({}, "no_text"),
        ({"text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "a b", "event_payload": {}}}, "invalid_metadata_schema"),
        ({"text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"text": "x", "thread_ts": "1.1"}, "cannot_reply_to_message"),
        ({"markdown_text": "x", "text": "y"}, "markdown_text_conflict"),
    ],
)
def test_posts_are_refused_as_slack_does(client: WebClient, extra: dict[str, Any], error: str) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call("chat.postMessage", json={"channel": "C02INCIDENTS", **extra})
    assert refusal(caught) == error


def test_text_is_kept_raw_and_cut_at_forty_thousand(sim: Sim, client: WebClient) -> None:
    client.chat_postMessage(channel="#incidents", text="<!channel> `x` \u202e" + "y" * 40_000)
    text = sim.channel("incidents")["messages"][0]["text"]
    assert text.startswith("<!channel> `x` \u202e")
    assert len(text) == 40_000


def test_posts_to_one_channel_are_limited_and_say_when_to_come_back(sim: Sim, client: WebClient) -> None:
    sim.post("config", limits=True, post_burst=2)
    for _ in range(2):
        client.chat_postMessage(channel="C02INCIDENTS", text="x")
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="C02INCIDENTS", text="x")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    assert refusal(caught) == "ratelimited"
    client.chat_postMessage(channel="C01GENERAL", text="another channel has its own second")


def test_tiers_limit_each_method_by_itself(sim: Sim, client: WebClient) -> None:
    sim.post("config", limits=True, burst=0.1)
    client.conversations_list()
    client.conversations_list()
    with pytest.raises(SlackApiError) as caught:
        client.conversations_list()
    assert caught.value.response.headers["Retry-After"] == "3"
    assert client.users_list()["ok"]


async def test_official_retry_handler_gets_through_a_limit(sim: Sim) -> None:
    sim.post("faults", method="chat.postMessage", kind="ratelimited", retry_after=0, count=1)
    client = AsyncWebClient(token=ids.TOKEN, base_url=f"{sim.url}/api/")
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    assert (await client.chat_postMessage(channel="C02INCIDENTS", text="once"))["ok"]
    assert len(sim.channel("incidents")["messages"]) == 1


def post(sim: Sim, timeout: float = 5) -> httpx.Response:
    headers = {"Authorization": f"Bearer {ids.TOKEN}"}
    data = {"channel": "C02INCIDENTS", "text": "x"}
    return httpx.post(
        f"{sim.url}/api/chat.postMessage", data=data, headers=headers, timeout=timeout, trust_env=False
    )


@pytest.mark.parametrize("after_accept", [False, True])
@pytest.mark.parametrize("kind", ["http_500", "http_503", "ratelimited", "error", "reset", "timeout"])
def test_fault_happens_before_or_after_the_state_changed(sim: Sim, kind: str, after_accept: bool) -> None:
    sim.post(
        "faults", method="chat.postMessage", kind=kind, count=1, after_accept=after_accept, retry_after=7
    )
    if kind == "reset":
        with pytest.raises(httpx.TransportError):
            post(sim)
    elif kind == "timeout":
        with pytest.raises(httpx.ReadTimeout):
            post(sim, timeout=0.3)
    else:
        answer = post(sim)
        status = {"http_500": 500, "http_503": 503, "ratelimited": 429, "error": 200}[kind]
        assert answer.status_code == status
        if kind == "ratelimited":
            assert answer.headers["retry-after"] == "7"
        if kind == "error":
            assert answer.json() == {"ok": False, "error": "internal_error"}
    assert len(sim.channel("incidents")["messages"]) == (1 if after_accept else 0)
    assert post(sim).json()["ok"] is True


def test_slow_answers_come_late_but_right(sim: Sim) -> None:
    sim.post("faults", method="*", kind="slow", count=1)
    started = time.monotonic()
    assert post(sim).json()["ok"] is True
    assert time.monotonic() - started >= 2


@pytest.mark.parametrize(
    "body",
    [{"method": "chat.post", "kind": "reset"}, {"method": "*", "kind": "x"}, {"kind": "slow", "count": -1}],
)
def test_senseless_faults_are_refused_with_a_reason(sim: Sim, body: dict[str, Any]) -> None:
    assert sim.post("faults", status=400, **body)["error"]
    assert sim.get("faults")["faults"] == []


def test_faults_can_be_taken_away(sim: Sim) -> None:
    sim.post("faults", method="*", kind="http_500", count=5)
    assert sim.http.delete("/sim/faults").json() == {"removed": 1}
    assert post(sim).json()["ok"] is True


def test_calls_are_listed_without_the_token(sim: Sim, client: WebClient) -> None:
    before = sim.get("calls")["next"]
    client.chat_postMessage(channel="C02INCIDENTS", text="hello")
    with pytest.raises(SlackApiError):
        client.users_info(user="U0NOBODY")
    items = sim.get("calls", since=before)["items"]
    assert [(i["method"], i["ok"], i["error"], i["status"]) for i in items] == [
        ("chat.postMessage", True, None, 200),
        ("users.info", False, "user_not_found", 200),
    ]
    assert items[0]["args"]["text"] == "hello"
    assert ids.TOKEN not in json.dumps(items)
