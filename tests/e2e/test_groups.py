"""Roles and contacts that are Slack user groups: a member has the right, nobody else has it by them, whoever left has
lost it when it counts, and while Slack is away the members last read stay.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from bot.clock import Clock
from bot.demo_world import get
from bot.desk.test_pages import SINCE
from bot.store.database import Database
from tests.e2e.people import WAIT_S, People, metadata
from tests.e2e.running import ROOT, Json, staged
from tests.e2e.test_operations import dead_letter

SPEED = 20.0  # a replay is verified after half a minute
SHIPPED = (ROOT / "runbooks" / "roster.yaml").read_text(encoding="utf-8")
ROSTER = (
    SHIPPED.replace("L2: [carol] ", 'L2: ["@data-leads"] ')
    .replace("security: security@yourcompany.com ", 'security: "@owners" ')
    .replace("data: data-sources@yourcompany.com ", 'data: "@owners" ')
)
OWNERS: list[str] = []
OPERATION = "dlq.replay"  # with --force destructive, on production: a technical lead approves it


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """L2 is the group of carol and dave; a contact is the group of erin and sam, who is on no roster."""
    now = time.time()
    folder = tmp_path_factory.mktemp("groups")
    with staged(folder, clock=f"{now},{now},{SPEED}", runbooks={"roster.yaml": ROSTER}) as stage:
        people = People(stage)
        stage.sandbox.post("/sim/users", {"name": "sam"})
        people.world(dead_letters=[dead_letter(n) for n in range(20)])
        OWNERS[:] = [grouped(people, "owners", "sam", "erin")]
        known(people, "@owners", 2)
        people.ask("alice", "general", "/incident declare warning Orders look odd", "is declared")
        people.channel_of("INC-1")
        yield people


def grouped(people: People, handle: str, *users: str) -> str:
    """From now on these are in the group, in Slack; its id."""
    made = people.stage.sandbox.post("/sim/usergroups", {"handle": handle, "users": list(users)})
    return str(made["id"])


def known(people: People, ref: str, members: int) -> Json:
    """What /healthz says of the group, once the bot has read so many members."""

    def read() -> Json | None:
        if groups := people.stage.health().get("user_groups", {}):
            found: Json = groups[ref]
            if found["members"] == members and not found["error"]:
                return found
        people.stage.command("alice", "general", "/oncall")  # whoever looks has them read again
        return None

    found = people.stage.until(read, 3 * WAIT_S, f"{ref} was not read with {members} members")
    assert found is not None
    return found


def waiting(people: People) -> Json:
    """A plan that alice confirmed, and that waits for the second person."""
    room, since = people.channel_of("INC-1"), people.mark()
    people.stage.command("alice", room, "/dlq replay --force --limit 1")
    plan = people.plan(OPERATION, "waiting for confirmation", since)
    assert people.confirm("alice", plan).get("closed")
    return people.plan(OPERATION, "a second person must approve", since)


def told(people: People, user: str, plan: Json, expect: str) -> str:
    """What a person who presses Approve is told privately."""
    since = people.mark()
    people.click(user, plan, "plan_approve")
    said = people.saw(expect, since=since)
    assert said["ephemeral"]
    return str(said["text"])


def test_who_is_in_the_groups_is_shown_with_its_age(people: People) -> None:
    shown = str(people.ask("bob", "general", "/oncall", "On call now"))
    assert "@data-leads (L2): carol, dave (read " in shown
    assert "L2 group @data-leads: carol, dave" in shown
    assert "@owners (contact data, contact security): sam, erin (read " in shown
    leads = people.stage.health()["user_groups"]["@data-leads"]
    assert leads["read_s_ago"] is not None
    assert leads["gone"] is False


def test_a_contact_that_is_a_group_is_mentioned_and_each_member_paged(people: People) -> None:
    room = people.channel_of("INC-1")
    people.ask("bob", room, "/incident escalate data the totals are wrong", "@owners")
    page = people.page("sam")
    assert "the first of you to acknowledge answers for all" in str(page)
    assert people.page("erin")
    people.saw(f"<!subteam^{OWNERS[0]}>", channel=room)
    assert "@owners; its members are paged: sam, erin" in people.events("INC-1", "contact_told")[0]["text"]
    people.click("sam", page, "page_ack")

    def answered() -> bool:
        ours = [p for p in people.stage.incident("INC-1")["pages"] if ":contact:" in p["id"]]
        return len(ours) == 2 and all(p["acked_at"] for p in ours)

    people.stage.until(answered, WAIT_S, "the first member's answer does not count for the group")
    assert [e["actor"] for e in people.events("INC-1", "acknowledged")] == ["sam"]


def test_a_member_of_a_contact_s_group_helps_where_they_were_called_and_no_more(people: People) -> None:
    room = people.channel_of("INC-1")
    people.ask("sam", room, "/incident note I know that table", "Noted")
    people.refused("sam", room, "/pipeline restart", "act only in incidents that they were called to")
    people.refused("sam", "general", "/runbook run daily", "act only in incidents that they were called to")


def test_the_security_contact_s_group_comes_into_the_private_channel(people: People) -> None:
    people.ask("bob", "general", "/incident declare security Odd logins", "INC-2")

    def inside() -> bool:
        rooms = [
            c for c in people.stage.state()["channels"] if str(c.get("name") or "").startswith("inc-0002")
        ]
        wanted = {people.id_of(user) for user in ("sam", "erin", "carol", "dave", "alice")}
        return bool(rooms) and rooms[0]["is_private"] and wanted <= set(rooms[0]["members"])

    people.stage.until(inside, WAIT_S, "the contacts, L1 and L2 are not in the private channel")


def test_a_member_may_approve_and_nobody_else_is_told_who_may(people: People) -> None:
    plan = waiting(people)
    why = told(people, "bob", plan, "needs a technical lead")
    assert "These people may: carol, dave, erin" in why
    people.click("carol", plan, "plan_approve")
    people.plan(OPERATION, "Done")
    assert people.events("INC-1", "plan_approved")[-1]["actor"] == "carol"


def test_while_slack_is_away_the_members_last_read_have_the_right(people: People) -> None:
    away = {"kind": "error", "error": "internal_error", "count": 1000}
    plan = waiting(people)
    people.stage.sandbox.post("/sim/faults", {"method": "usergroups.list", **away})
    people.click("dave", plan, "plan_approve")
    people.stage.until(
        lambda: [e["actor"] for e in people.events("INC-1", "plan_approved")][-1] == "dave",
        WAIT_S,
        "no approval",
    )
    people.plan(OPERATION, "Done")

    def admitted() -> bool:
        shown = str(people.ask("bob", "general", "/oncall", "On call now"))
        return "carol, dave (read " in shown and "Slack cannot be asked since: internal_error" in shown

    people.stage.until(admitted, WAIT_S, "nobody says that Slack is away")
    assert people.stage.health()["user_groups"]["@data-leads"]["error"] == "internal_error"
    request = urllib.request.Request(f"{people.stage.sandbox.url}/sim/faults", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()


def test_whoever_left_the_group_approves_nothing(people: People) -> None:
    plan = waiting(people)
    grouped(people, "data-leads", "dave")
    why = told(people, "carol", plan, "needs a technical lead")
    assert "These people may: dave, erin" in why


def test_whoever_left_the_group_has_lost_the_right_at_once_without_anybody_asking(people: People) -> None:
    """Slack tells that the group is another now; the hourly reading is a long way off."""
    room = people.channel_of("INC-1")
    grouped(people, "owners", "erin")
    people.stage.until(
        lambda: people.stage.health()["user_groups"]["@owners"]["members"] == 1, WAIT_S, "it was not read"
    )
    people.refused("sam", room, "/incident resolve it is over", "only people on the roster may")
    journal = get(f"{people.stage.sandbox.url}/sim/deliveries?since=0")["items"]
    assert {d["status"] for d in journal if d["name"] == "subteam_members_changed"} == {200}
    grouped(people, "owners", "sam", "erin")
    people.stage.until(
        lambda: people.stage.health()["user_groups"]["@owners"]["members"] == 2, WAIT_S, "it was not read"
    )


def test_whoever_left_the_group_has_lost_the_right_when_it_is_carried_out(people: People) -> None:
    """Slack does not tell of it, and is too slow for the click, and quick enough for the run: what was approved
    is judged again there."""
    heard = people.stage.sandbox.post("/sim/config", {"events": ["reaction_added"]})["events"]
    assert "subteam_members_changed" not in heard
    grouped(people, "data-leads", "carol", "dave")
    known(people, "@data-leads", 2)
    plan = waiting(people)
    begun = len(people.events("INC-1", "operation_started"))
    grouped(people, "data-leads", "dave")
    people.stage.sandbox.post("/sim/faults", {"method": "usergroups.list", "kind": "slow", "count": 1})
    since = people.mark()
    people.click("carol", plan, "plan_approve")
    people.saw("You may not approve this: this needs a technical lead", since=since)
    assert people.events("INC-1", "plan_approved")[-1]["actor"] == "carol"
    assert len(people.events("INC-1", "operation_started")) == begun
    people.stage.until(
        lambda: any(e["actor"] == "alice" for e in people.events("INC-1", "refused")),
        WAIT_S,
        "nobody wrote it down",
    )


def test_the_members_last_read_get_the_weekly_test_page_and_whoever_left_gets_none(people: People) -> None:
    grouped(people, "data-leads", "dave")
    known(people, "@data-leads", 1)
    with Database(people.stage.env["DATABASE_URL"], Clock.from_env({}), create=False) as database:
        # As if the bot had been there for years: this week's test is due.
        database.write(lambda tx: tx.put_value(SINCE, "2020-01-01T00:00:00+00:00"))
    people.saw("Test page to L4, erin", channel="erin")
    page = people.saw("Test page to the data contact, sam", channel="sam")
    people.saw("Test page to L3, dave", channel="dave")
    got = {metadata(m)[1]["receipt"].split(":")[1] for m in people.messages(event="streamwatch_test_page")}
    assert {"sam", "dave", "erin"} <= got
    assert "carol" not in got
    people.click("sam", page, "oncall_test_ack")
    people.saw("Slack reaches you", channel="sam")
    shown = str(people.ask("bob", "general", "/oncall", "On call now"))
    assert "Test page to sam by Slack: acknowledged" in shown
    assert "Test page to dave by Slack: sent" in shown


def test_the_check_names_groups_that_give_nobody_anything(people: People) -> None:
    roster = people.stage.folder / "runbooks" / "roster.yaml"
    roster.write_text(ROSTER.replace("L3: [dave]  ", 'L3: ["@nobody-here"]  '), encoding="utf-8")
    people.stage.sandbox.post("/sim/usergroups", {"handle": "owners", "disabled": True})
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "bot", "check"], cwd=ROOT, env={**clean, **people.stage.env},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout
    assert "The Slack user group @nobody-here (L3): Slack has no such group" in said, said + done.stderr
    assert "The Slack user group @owners (contact data, contact security): Slack has no such group" in said
    assert "@data-leads" not in said
    assert "Nobody holds L3" in said
