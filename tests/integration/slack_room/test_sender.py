"""Promise: everything arrives, once, whatever Slack and the network do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from typing import Any

import aiohttp
import pytest

from bot.clock import Clock
from bot.core.delivery import (
    Ambiguous,
    Kind,
    Leased,
    LookupFailed,
    NotSent,
    Outbound,
    Priority,
    Refused,
    Sent,
    settle,
)
from bot.core.incident import Incident
from bot.slack.api import make_client
from bot.slack.sender import Sender
from pipeline.chart import Chart
from pipeline.painter import paint
from pipeline.picture import NotDrawn
from sandbox.app import running
from sandbox.slack.hub import Hub
from sandbox.slack.model import User
from tests.integration.slack_room.conftest import EmptyWorld, Slack
from tests.unit.slack.samples import AT, incident, leased, page, plan, report, row

# The shapes of a failing Slack: what fails, and whether it was accepted all the same.
TROUBLE = [
    pytest.param("ratelimited", {"retry_after": 1}, id="429"),
    pytest.param("http_500", {}, id="500-before"),
    pytest.param("http_500", {"after_accept": True}, id="500-after"),
    pytest.param("http_503", {"after_accept": True}, id="503-after"),
    pytest.param("reset", {}, id="reset-before"),
    pytest.param("reset", {"after_accept": True}, id="reset-after"),
    pytest.param("error", {"error": "internal_error", "after_accept": True}, id="internal-error-after"),
    pytest.param("error", {"error": "fatal_error"}, id="fatal-error-before"),
]


async def deliver(sender: Sender, out: Outbound, case: Incident | None, **start: Any) -> Leased:
    """The deliverer's loop without its database: look up after a doubt, then send, until it is settled."""
    row = leased(out, **start)
    for attempt in range(1, 8):
        found = await sender.look_up(row, case) if row.ambiguous else None
        outcome = found or await sender.send(row, case)
        settled = settle(row, outcome)
        if settled.again_in is None:
            assert settled.state == "sent", settled
            return leased(out, result=settled.result, asked=row.asked)
        row = replace(row, ambiguous=settled.ambiguous, attempts=attempt + 1)
    raise AssertionError(f"not delivered: {outcome}")


async def open_channel(sender: Sender, name: str = "inc-0007-job-stopped") -> Incident:
    out = row(Kind.CREATE_CHANNEL, key=f"create:{name}", name=name, private=False, number=7)
    outcome = await sender.send(leased(out), None)
    assert isinstance(outcome, Sent), outcome
    return incident(channel_id=outcome.result["channel"], channel_name=outcome.result["name"])


@pytest.mark.parametrize(("kind", "more"), TROUBLE)
async def test_a_post_arrives_once(sender: Sender, slack: Slack, kind: str, more: dict[str, Any]) -> None:
    case = await open_channel(sender)
    await slack.fault("chat.postMessage", kind, **more)
    await deliver(sender, row(Kind.POST, key="post:1", text="Restart was verified"), case)
    said = [m for m in await slack.ours() if "Restart was verified" in m["text"]]
    assert len(said) == 1
    assert said[0]["metadata"]["event_payload"]["outbox_id"] == "post:1"


@pytest.mark.parametrize(("kind", "more"), TROUBLE)
async def test_a_page_arrives_once(sender: Sender, slack: Slack, kind: str, more: dict[str, Any]) -> None:
    await slack.fault("chat.postMessage", kind, **more)
    done = await deliver(sender, page(), incident())
    pages = [m for m in await slack.ours() if "Page to L1" in m["text"]]
    assert len(pages) == 1
    assert pages[0]["ts"] == done.result["ts"]


async def test_a_timeout_after_acceptance_is_looked_up_and_not_sent_again(slack: Slack) -> None:
    sender = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "incidents", Clock())
    case = await open_channel(sender)
    await slack.fault("chat.postMessage", "timeout", after_accept=True)
    held = row(Kind.POST, key="post:slow", text="Slow but accepted")
    outcome = await sender.send(leased(held), case)
    assert isinstance(outcome, Ambiguous)
    assert isinstance(await sender.look_up(leased(held, ambiguous=True), case), Sent)
    assert sum("Slow but accepted" in m["text"] for m in await slack.ours()) == 1


async def test_a_whole_send_ends_within_its_time_however_slow_each_call_is(slack: Slack) -> None:
    sender = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "incidents", Clock())
    await slack.fault("*", "slow", count=3)
    began = monotonic()
    outcome = await sender.send(leased(page(slack="alice@example.com")), incident())
    assert monotonic() - began < 5.5
    assert isinstance(outcome, NotSent), "a post begun in the last moments would only end in doubt"
    assert await slack.ours() == []
    assert isinstance(await sender.send(leased(page(slack="alice@example.com")), incident()), Sent)


async def test_a_rate_limit_says_when_to_come_back_and_the_pace_waits(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    await slack.fault("chat.postMessage", "ratelimited", retry_after=7)
    held = leased(row(Kind.POST, text="x"))
    outcome = await sender.send(held, case)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_in.total_seconds() == 7
    assert 6 < sender.ready_in(held) <= 7


async def test_nothing_listens_means_surely_not_sent() -> None:
    sender = Sender(make_client("xoxb-sandbox", "http://127.0.0.1:9/api/"), "incidents", Clock())
    outcome = await sender.send(leased(row(Kind.POST, channel="C01GENERAL", text="x")), None)
    assert isinstance(outcome, NotSent)
    with pytest.raises(LookupFailed):
        await sender.look_up(leased(row(Kind.POST, channel="C01GENERAL", text="x"), ambiguous=True), None)


async def test_what_slack_refuses_is_refused_for_good(sender: Sender) -> None:
    outcome = await sender.send(leased(row(Kind.POST, channel="C404", text="x")), None)
    assert outcome == Refused(reason="channel_not_found")


async def test_a_row_waits_for_its_channel(sender: Sender) -> None:
    assert isinstance(await sender.send(leased(row(Kind.POST, text="x")), incident()), NotSent)


async def test_blocks_that_slack_does_not_like_leave_the_text(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    await slack.fault("chat.postMessage", "error", error="invalid_blocks")
    assert isinstance(await sender.send(leased(row(Kind.POST, text="still said")), case), Sent)
    assert any(m["text"] == "still said" for m in await slack.ours())


# --- the channel ------------------------------------------------------------------------------------------


async def test_a_taken_name_gets_a_suffix_and_the_other_channel_is_left_alone(
    sender: Sender, slack: Slack
) -> None:
    first = await open_channel(sender)
    second = await open_channel(sender)
    assert second.channel_name == "inc-0007-job-stopped-2"
    assert second.channel_id != first.channel_id


@pytest.mark.parametrize("kind", ["http_500", "reset"])
async def test_a_channel_made_in_doubt_is_found_and_adopted(sender: Sender, slack: Slack, kind: str) -> None:
    await slack.fault("conversations.create", kind, after_accept=True)
    out = row(Kind.CREATE_CHANNEL, key="create:7", name="inc-0007-doubt", private=False, number=7)
    done = await deliver(sender, out, None)
    state = await slack.get("/sim/state")
    made = [c for c in state["channels"] if (c["name"] or "").startswith("inc-0007-doubt")]
    assert [c["id"] for c in made] == [done.result["channel"]]
    assert done.result["name"] == "inc-0007-doubt"


async def test_an_older_channel_of_the_same_name_is_not_adopted(sender: Sender) -> None:
    await open_channel(sender, "inc-0007-old")
    out = row(Kind.CREATE_CHANNEL, key="create:7", name="inc-0007-old", private=False, number=7)
    later = monotonic() + 60
    assert await sender.look_up(leased(out, ambiguous=True, asked=later), None) is None


async def test_the_furniture_is_put_and_may_be_put_twice(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    headline = await deliver(sender, row(Kind.HEADLINE, key="headline:7"), case)
    case = replace(case, headline_ts=headline.result["ts"])
    rows = [
        row(Kind.INVITE, people=["U01ALICE", "bob@example.com", "carol", "nobody@example.com"]),
        row(Kind.TOPIC),
        row(Kind.PIN),
        row(Kind.BOOKMARK, items=[{"title": "Runbook <!channel>", "link": "https://example.com/runbook"}]),
    ]
    for out in rows + rows:
        outcome = await sender.send(leased(out), case)
        assert isinstance(outcome, Sent), outcome
    channel = await slack.channel(case.channel_id)
    assert {"U01ALICE", "U02BOB", "U03CAROL"} <= set(channel["members"])
    assert "CRITICAL" in str(channel["topic"])
    assert len(channel["pins"]) == 1
    assert len(channel["bookmarks"]) == 1


async def test_one_who_cannot_be_invited_keeps_nobody_out(sender: Sender, slack: Slack) -> None:
    """Whatever Slack calls the reason; what is wrong with the channel is told at once."""
    await slack.act("users", name="bob", deleted=True)
    case = await open_channel(sender)
    await slack.fault("conversations.invite", "error", error="user_team_not_in_channel")
    people = ["U01ALICE", "U02BOB", "carol@example.com"]
    done = await deliver(sender, row(Kind.INVITE, people=people), case)
    assert done.result["missing"] == ["U02BOB"]
    members = (await slack.channel(case.channel_name))["members"]
    assert {"U01ALICE", "U03CAROL"} <= {m if isinstance(m, str) else m["id"] for m in members}
    await slack.fault("conversations.invite", "error", error="is_archived")
    before = len(await slack.calls("conversations.invite"))
    assert isinstance(await sender.send(leased(row(Kind.INVITE, key="i:2", people=people)), case), Refused)
    assert len(await slack.calls("conversations.invite")) == before + 1


async def test_the_headline_is_one_message_edited_in_place(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    first = await deliver(sender, row(Kind.HEADLINE, key="headline:7"), case)
    await slack.fault("chat.update", "http_500", after_accept=True)
    again = await deliver(
        sender,
        row(Kind.HEADLINE, key="headline:7"),
        incident(channel_id=case.channel_id, acked_by="alice"),
        result=first.result,
    )
    assert again.result["ts"] == first.result["ts"]
    headlines = [
        m for m in await slack.ours() if (m["metadata"] or {}).get("event_type") == "streamwatch_headline"
    ]
    assert len(headlines) == 1
    assert "Acknowledged by alice" in headlines[0]["text"]


async def test_announcements_find_their_channel_join_it_and_are_edited(sender: Sender, slack: Slack) -> None:
    first = await deliver(sender, row(Kind.ANNOUNCE, key="announce:7", lane="announce"), incident())
    assert first.result["channel"] == "C02INCIDENTS"
    await deliver(
        sender,
        row(Kind.ANNOUNCE, key="announce:7", lane="announce"),
        incident(channel_id="C0INC7"),
        result=first.result,
    )
    messages = [m for m in (await slack.channel("incidents"))["messages"] if "INC-7" in m["text"]]
    assert len(messages) == 1
    assert "<#C0INC7>" in messages[0]["text"]


async def test_an_announcement_goes_on_in_a_new_channel_when_its_own_was_archived(
    sender: Sender, slack: Slack, hub: Hub
) -> None:
    """What stands in the old one cannot be changed any more."""
    out = row(Kind.ANNOUNCE, key="announce:7", lane="announce")
    first = await deliver(sender, out, incident())
    old = hub.workspace.channels["C02INCIDENTS"]
    hub.workspace.channels["C0NEWER1"] = replace(old, id="C0NEWER1", messages={}, members=[])
    old.is_archived, old.name = True, "incidents-of-old"
    held = leased(out, result=first.result)
    waits = await sender.send(held, incident(channel_id="C0INC7"))
    done = waits if isinstance(waits, Sent) else await sender.send(held, incident(channel_id="C0INC7"))
    assert isinstance(done, Sent), done
    assert done.result["channel"] == "C0NEWER1"
    messages = [m for m in (await slack.channel("incidents"))["messages"] if "INC-7" in m["text"]]
    assert len(messages) == 1
    assert "<#C0INC7>" in messages[0]["text"]


async def test_a_channel_given_by_its_id_is_not_searched_for(slack: Slack) -> None:
    sender = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "C02INCIDENTS", Clock())
    done = await deliver(sender, row(Kind.ANNOUNCE, key="announce:7", lane="announce"), incident())
    assert done.result["channel"] == "C02INCIDENTS"
    assert await slack.calls("conversations.list") == []
    nobody = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "C0NOWHERE99", Clock())
    outcome = await nobody.send(leased(row(Kind.ANNOUNCE, key="announce:8", lane="announce")), incident())
    assert isinstance(outcome, NotSent), "a person may yet make it"


async def test_a_search_for_a_channel_goes_on_where_it_was_broken_off(
    sender: Sender, slack: Slack, hub: Hub
) -> None:
    """In a large workspace one send has no time for all of them."""
    known = hub.workspace.channels
    last = known.pop("C02INCIDENTS")
    for n in range(2500):
        known[f"C1{n:07}"] = replace(last, id=f"C1{n:07}", name=f"other-{n}")
    known[last.id] = last
    await slack.fault("conversations.list", "slow", count=50)
    done = await deliver(sender, row(Kind.ANNOUNCE, key="announce:7", lane="announce"), incident())
    assert done.result["channel"] == "C02INCIDENTS"


async def test_a_channel_made_in_doubt_is_looked_for_among_our_own(sender: Sender, slack: Slack) -> None:
    await slack.fault("conversations.create", "reset", after_accept=True)
    out = row(Kind.CREATE_CHANNEL, key="create:7", name="inc-0007-x", private=False, number=7)
    done = await deliver(sender, out, None)
    assert done.result["name"] == "inc-0007-x"
    assert await slack.calls("conversations.list") == [], "a workspace has thousands of others'"


# --- pages ------------------------------------------------------------------------------------------------


async def test_pages_of_one_moment_to_one_person_are_one_message(sender: Sender, slack: Slack) -> None:
    rows = [leased(page(f"page:{n}", incident=f"INC-{n}", page=f"p{n}")) for n in (7, 8, 9)]
    outcomes = await sender.send_pages(rows[:2], {7: incident()})
    later = await sender.send_pages(rows[2:], {})
    results = [o.result for o in [*outcomes, *later] if isinstance(o, Sent)]
    assert len(results) == 3
    assert len({r["ts"] for r in results}) == 1
    pages = await slack.ours()
    assert len(pages) == 1
    assert pages[0]["metadata"]["event_payload"]["pages"] == ["page:7", "page:8", "page:9"]
    for name in ("INC-7", "INC-8", "INC-9"):
        assert name in pages[0]["text"]


async def test_a_page_added_in_doubt_is_found_by_its_key(sender: Sender, slack: Slack) -> None:
    await sender.send(leased(page("page:7")), incident())
    await slack.fault("chat.update", "reset", after_accept=True)
    done = await deliver(sender, page("page:8", incident="INC-8"), None)
    messages = await slack.ours()
    assert len(messages) == 1
    assert done.result["ts"] == messages[0]["ts"]


async def test_a_page_is_edited_when_its_channel_exists_and_keeps_its_neighbours(
    sender: Sender, slack: Slack
) -> None:
    rows = [leased(page("page:7")), leased(page("page:8", incident="INC-8"))]
    first, _ = await sender.send_pages(rows, {7: incident()})
    assert isinstance(first, Sent)
    renewed = leased(page("page:7"), result=first.result)
    await sender.send_pages([renewed], {7: incident(channel_id="C0INC7")})
    (message,) = await slack.ours()
    assert "<#C0INC7>" in message["text"]
    assert "INC-8" in message["text"]


async def test_after_a_restart_an_edit_does_not_drop_the_other_pages(sender: Sender, slack: Slack) -> None:
    rows = [leased(page("page:7")), leased(page("page:8", incident="INC-8"))]
    first, _ = await sender.send_pages(rows, {7: incident()})
    assert isinstance(first, Sent)
    fresh = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "incidents", Clock())
    renewed = leased(page("page:7"), result=first.result)
    assert isinstance((await fresh.send_pages([renewed], {7: incident(channel_id="C0INC7")}))[0], Sent)
    (message,) = await slack.ours()
    assert "INC-8" in message["text"]


async def test_pages_to_different_people_go_to_each_and_an_unknown_one_is_refused(
    sender: Sender, slack: Slack
) -> None:
    rows = [
        leased(page("a")),
        leased(page("b", slack="ghost@example.com", person="ghost")),
        leased(page("c", slack="bob@example.com", person="bob")),
    ]
    outcomes = await sender.send_pages(rows, {})
    assert [type(o) for o in outcomes] == [Sent, Refused, Sent]
    assert len(await slack.ours()) == 2


async def test_a_handle_is_found_in_a_large_workspace_however_slow_slack_is(
    sender: Sender, slack: Slack, hub: Hub
) -> None:
    """One send has no time for the whole list of members; the next goes on where it was broken off."""
    for n in range(2500):
        hub.workspace.users[f"U1{n:05}"] = User(id=f"U1{n:05}", name=f"member{n}", real_name=f"Member {n}")
    await slack.fault("users.list", "slow", count=50)
    await deliver(sender, page(slack="@member2400", person="member2400"), None)
    (message,) = await slack.ours()
    assert "Page to L1" in message["text"]


async def test_a_page_that_cannot_be_written_takes_no_other_with_it(sender: Sender, slack: Slack) -> None:
    rows = [leased(page("a", page="x" * 3000)), leased(page("b", slack="bob@example.com", person="bob"))]
    outcomes = await sender.send_pages(rows, {})
    assert [type(o) for o in outcomes] == [Refused, Sent]
    assert len(await slack.ours()) == 1


async def test_who_was_refused_is_looked_up_again(sender: Sender, slack: Slack, hub: Hub) -> None:
    """A person may leave and come back under the same address, with another id."""
    await deliver(sender, page("a", slack="bob@example.com", person="bob"), None)
    bob = next(user for user in hub.workspace.users.values() if user.name == "bob")
    del hub.workspace.users[bob.id]
    hub.workspace.users["U0BOBAGAIN"] = replace(bob, id="U0BOBAGAIN")
    held = page("b", slack="bob@example.com", person="bob", incident="INC-8")
    await slack.fault("chat.update", "error", error="channel_not_found")
    first = await sender.send(leased(held), None)
    assert isinstance(first, Refused), first
    await deliver(sender, page("c", slack="bob@example.com", person="bob", incident="INC-9"), None)
    opened = await slack.calls("conversations.open")
    assert [call["args"]["users"] for call in opened] == [bob.id, "U0BOBAGAIN"]


@pytest.mark.parametrize("ref", ["U02BOB", "bob@example.com", "@bob"])
async def test_a_page_to_somebody_who_left_is_refused_at_once(sender: Sender, slack: Slack, ref: str) -> None:
    """So that the next in line is paged."""
    await slack.act("users", name="bob", deleted=True)
    (outcome,) = await sender.send_pages([leased(page(slack=ref, person="bob"))], {})
    assert isinstance(outcome, Refused)
    assert await slack.ours() == []


# --- answers, files ---------------------------------------------------------------------------------------


async def test_a_whisper_reaches_a_person_who_is_not_in_the_channel(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    out = row(Kind.EPHEMERAL, channel=case.channel_id, user="U05ERIN", text="only for you")
    assert isinstance(await sender.send(leased(out), case), Sent)
    assert any(m["text"] == "only for you" for m in await slack.ours())


async def test_an_answer_in_a_public_channel_that_we_are_not_in_joins_it(
    sender: Sender, slack: Slack
) -> None:
    out = row(Kind.POST, channel="C01GENERAL", user="U02BOB", text="Step 2 of 2, for you: Sign")
    assert isinstance(await sender.send(leased(replace(out, incident=None)), None), Sent)
    channel = await slack.channel("general")
    assert [m["text"] for m in channel["messages"] if "Sign" in m["text"]] == ["Step 2 of 2, for you: Sign"]


async def test_where_we_cannot_be_the_answer_reaches_who_asked(sender: Sender, slack: Slack) -> None:
    out = row(Kind.POST, channel="C0ELSEWHERE", user="U02BOB", text="Step 2 of 2, for you: Sign")
    assert isinstance(await sender.send(leased(replace(out, incident=None)), None), Sent)
    (told,) = [m for m in await slack.ours() if "Sign" in m["text"]]
    assert told["text"] == "Step 2 of 2, for you: Sign"
    nobody = row(Kind.POST, key="post:2", channel="C0ELSEWHERE", user="ghost@example.com", text="lost")
    assert isinstance(await sender.send(leased(replace(nobody, incident=None)), None), Refused)


@pytest.mark.parametrize(
    "method", ["files.getUploadURLExternal", "files.completeUploadExternal", "chat.postMessage"]
)
async def test_a_file_is_shared_once(sender: Sender, slack: Slack, method: str) -> None:
    case = await open_channel(sender)
    await slack.fault(method, "http_500", after_accept=True)
    metadata = {"event_type": "streamwatch_review", "event_payload": {"incident": "INC-7"}}
    out = row(
        Kind.FILE,
        key="review:7",
        filename="INC-7.md",
        title="Review of INC-7",
        content="# Review\n",
        comment="Draft",
        metadata=metadata,
    )
    await deliver(sender, out, case)
    await slack.get(f"/sim/wait?channel={case.channel_id}&contains=Draft&since=0&timeout=40")
    channel = await slack.channel(case.channel_id)
    assert len(channel["files"]) == 1
    assert sum(m["text"] == "Draft" for m in channel["messages"]) == 1
    marked = [
        m for m in channel["messages"] if (m["metadata"] or {}).get("event_type") == "streamwatch_review"
    ]
    assert len(marked) == 1


CHART = Chart(
    name="cost", title="Cost a day", note="by week", rows=(("W48", 8.0, "8.00 USD"), ("W47", 4.0, "4.00 USD"))
)


def no_pencil(chart: Chart, *, deadline_s: float) -> bytes:
    raise NotDrawn("the drawing program ended with 1: no fonts")


async def test_a_chart_is_shared_as_a_picture_once(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    await slack.fault("files.completeUploadExternal", "http_500", after_accept=True)
    out = row(Kind.FILE, key="chart:7", **CHART.as_file(), title="Cost a day, W48")
    await deliver(sender, out, case)
    await slack.get(f"/sim/wait?channel={case.channel_id}&contains=W47&since=0&timeout=40")
    (file,) = (await slack.channel(case.channel_id))["files"]
    assert (file["name"], file["mimetype"]) == ("cost.png", "image/png")
    assert file["alt_txt"] == "Cost a day, by week. W48: 8.00 USD; W47: 4.00 USD"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{slack.base_url}/sim/files/{file['id']}") as got,
    ):
        assert await got.read() == paint(CHART)
    said = [m["text"] for m in await slack.ours() if "W47" in m["text"]]
    assert said == ["Cost a day (by week):\n████████████ W48: 8.00 USD\n██████░░░░░░ W47: 4.00 USD"]


async def test_where_nothing_can_be_drawn_the_words_go_out_once(slack: Slack) -> None:
    client = make_client("xoxb-sandbox", f"{slack.base_url}/api/")
    sender = Sender(client, "incidents", Clock(), draw=no_pencil)
    case = await open_channel(sender)
    out = row(Kind.FILE, key="chart:7", **CHART.as_file(), title="Cost a day, W48")
    first = await sender.send(leased(out), case)
    assert isinstance(first, NotSent), "a busy machine draws it a moment later"
    assert "no fonts" in first.reason
    await slack.fault("chat.postMessage", "http_500", after_accept=True)
    await deliver(sender, out, case)
    channel = await slack.channel(case.channel_id)
    assert channel["files"] == []
    (said,) = [m for m in channel["messages"] if "W47" in m["text"]]
    assert "██████░░░░░░ W47: 4.00 USD" in said["text"]
    assert "The picture of this chart could not be drawn" in said["text"]


async def test_after_a_restart_a_file_that_was_shared_is_found(sender: Sender, slack: Slack) -> None:
    case = await open_channel(sender)
    out = row(Kind.FILE, key="f:7", filename="INC-7.md", title="Review", content="x", comment="Here")
    await deliver(sender, out, case)
    await slack.get(f"/sim/wait?channel={case.channel_id}&contains=Here&since=0&timeout=40")
    fresh = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "incidents", Clock())
    assert isinstance(await fresh.look_up(leased(out, ambiguous=True), case), Sent)
    await fresh.send(leased(out, ambiguous=True, attempts=2), case)
    assert len((await slack.channel(case.channel_id))["files"]) == 1


@pytest.mark.parametrize("form", [{"form": "report", "report": report()}, {"form": "plan", "plan": plan()}])
async def test_reports_and_plans_pass_slacks_own_validation(
    sender: Sender, slack: Slack, form: dict[str, Any]
) -> None:
    case = await open_channel(sender)
    out = Outbound(
        key="r", kind=Kind.POST, lane="incident:7", priority=Priority.CHANNEL, incident=7, data=form
    )
    assert isinstance(await sender.send(leased(out), case), Sent)
    assert len(await slack.calls("chat.postMessage")) == 1


async def test_an_answered_page_says_so_and_loses_its_button(sender: Sender, slack: Slack) -> None:
    first = await sender.send(leased(page()), incident())
    assert isinstance(first, Sent)
    renewed = page(acknowledged=AT.isoformat(), acknowledged_by="alice", refresh=True, late_s=9000)
    await sender.send(leased(renewed, result=first.result), incident(channel_id="C0INC7"))
    (message,) = await slack.ours()
    assert "You acknowledged this page" in message["text"]
    assert "late" not in message["text"]
    assert all(block["type"] != "actions" for block in message["blocks"])


async def test_a_page_answered_elsewhere_before_it_left_wakes_nobody(sender: Sender, slack: Slack) -> None:
    stale = page(acknowledged=AT.isoformat(), refresh=True)
    assert isinstance(await sender.send(leased(stale), incident()), Sent)
    assert await slack.ours() == []


async def test_a_private_channel_is_made_read_and_filled(sender: Sender, slack: Slack) -> None:
    out = row(Kind.CREATE_CHANNEL, key="create:9", name="inc-0009-secret", private=True, number=9)
    await slack.fault("conversations.create", "reset", after_accept=True)
    made = await deliver(sender, out, None)
    case = incident(channel_id=made.result["channel"], private=True)
    await slack.fault("chat.postMessage", "reset", after_accept=True)
    await deliver(sender, row(Kind.POST, key="post:9", text="for few"), case)
    channel = await slack.channel("inc-0009-secret")
    assert channel["is_private"]
    assert sum("for few" in m["text"] for m in channel["messages"]) == 1


async def test_with_limits_on_a_storm_that_keeps_the_pace_meets_no_429() -> None:
    with running(lambda _: EmptyWorld(), limits=True) as hub:
        slack = Slack(hub.workspace.base_url)
        clock = Clock()
        sender = Sender(make_client("xoxb-sandbox", f"{slack.base_url}/api/"), "incidents", clock)
        await sender.open()
        cases = [await open_channel(sender, f"inc-{n:04d}-storm") for n in range(1, 13)]
        held = 0
        for nth in range(12):
            for case in cases:
                lane = f"incident:{case.channel_id}"
                post = leased(row(Kind.POST, key=f"{case.channel_id}:{nth}", lane=lane, text=f"line {nth}"))
                if sender.ready_in(post) > 0:
                    held += 1
                    continue
                assert isinstance(await sender.send(post, case), Sent)
        refused = [c for c in (await slack.get("/sim/calls?since=0"))["items"] if c["status"] == 429]
        await sender.close()
    assert refused == []
    assert held >= 12


async def test_twenty_incidents_at_once_in_a_failing_slack_get_one_channel_and_one_headline_each(
    sender: Sender, slack: Slack
) -> None:
    for method in ("conversations.create", "chat.postMessage", "chat.update"):
        for kind in ("http_500", "reset", "ratelimited"):
            await slack.fault(method, kind, count=3, after_accept=kind != "ratelimited")

    async def one(number: int) -> None:
        name = f"inc-{number:04d}-storm"
        out = row(Kind.CREATE_CHANNEL, key=f"create:{number}", lane=name, name=name, private=False)
        made = await deliver(sender, out, None)
        case = incident(id=number, channel_id=made.result["channel"])
        headline = row(Kind.HEADLINE, key=f"headline:{number}", lane=name)
        first = await deliver(sender, headline, case)
        acked = replace(case, acked_by="alice")
        await deliver(sender, headline, acked, result=first.result)
        await deliver(sender, page(f"page:{number}", incident=f"INC-{number}"), case)

    await asyncio.gather(*(one(number) for number in range(1, 21)))
    state = await slack.get("/sim/state")
    storm = [c for c in state["channels"] if (c["name"] or "").startswith("inc-")]
    assert sorted(c["name"] for c in storm) == [f"inc-{n:04d}-storm" for n in range(1, 21)]
    for channel in storm:
        headlines = [m for m in channel["messages"] if m["metadata"]]
        assert len(headlines) == 1
        assert "Acknowledged by alice" in headlines[0]["text"]
    pages = [m for m in await slack.ours() if (m["metadata"] or {}).get("event_type") == "streamwatch_page"]
    payloads = [m["metadata"]["event_payload"] for m in pages]
    keys = [key for p in payloads for key in p.get("pages", [p["outbox_id"]])]
    assert sorted(keys) == sorted(f"page:{n}" for n in range(1, 21))
