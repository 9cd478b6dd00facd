"""Whoever tries the gates: a plan that was changed, a second approval by the same hand, an approval that is too
late, a button of somebody without the right, a click played again, a forged request. Each is refused, explained
to whoever tried, and written down; nothing is run.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.core.policy import Policy
from bot.core.roster import FirstLevel, Roster
from bot.demo_world import get
from bot.desk.gates import seal
from bot.desk.house import House
from bot.desk.ports import Run
from bot.store.codec import dumps, loads
from pipeline.operations.base import Plan
from tests.e2e.people import WAIT_S, People
from tests.e2e.running import Json, metadata, staged, verified

SPEED = 60.0  # a quarter of an hour passes in 15 s
OPERATION = "pipeline.cancel"  # destructive, on production
AGE_S = 16 * 60 / SPEED


class Gates:
    """The workspace, its one incident, and a plan that was confirmed at the very beginning, to grow old."""

    def __init__(self, people: People) -> None:
        self.people = people
        people.ask("alice", "general", "/incident declare warning Orders look odd", "is declared")
        self.room = people.channel_of("INC-1")
        self.old = self.planned()
        self.confirmed(self.old)
        self.old_since = time.monotonic()

    def planned(self) -> Json:
        """A new plan that waits for its confirmation."""
        since = self.people.mark()
        self.people.stage.command("alice", self.room, "/pipeline cancel")
        return self.people.plan(OPERATION, "waiting for confirmation", since)

    def confirmed(self, plan: Json) -> Json:
        """The plan's message once alice has confirmed it and a second person is waited for."""
        assert self.people.confirm("alice", plan).get("closed")

        def shown() -> Json | None:
            found = [m for m in self.people.messages(event="streamwatch_plan") if m["ts"] == plan["ts"]]
            return found[0] if found and "a second person must approve" in found[0]["text"] else None

        found = self.people.stage.until(shown, WAIT_S, "the plan does not wait for a second person")
        assert found is not None
        return found

    def told(self, user: str, since: int, expect: str) -> str:
        """What a person was told privately."""
        said = self.people.saw(expect, since=since)
        if said["ephemeral"]:
            assert said["user"] == self.people.id_of(user), said
        else:
            direct = [m for m in self.people.messages() if m["ts"] == said["ts"]]
            assert [m["is_im"] for m in direct] == [True], "everybody could read it"
        return str(said["text"])

    def book(self, run: str = "") -> list[Json]:
        """GET /audit, as JSON, the oldest first; of one run."""
        entries = reversed(get(f"{self.people.stage.app_url}/audit", timeout=30)["entries"])
        return [e for e in entries if run in ("", e["run"])]

    def written(self, run: str, actor: str, reason: str) -> Json:
        """The refusal in the audit book, once it is there; and the same on the incident's timeline."""

        def there() -> Json | None:
            found = [e for e in self.book(run) if e["what"] == "refused" and e["actor"] == actor]
            return next((e for e in found if reason in e["text"]), None)

        entry = self.people.stage.until(there, WAIT_S, f"{actor}'s refusal is not in the book")
        assert entry is not None
        assert entry["incident"] == "INC-1"
        lines = [e["text"] for e in self.people.events("INC-1", "refused") if e["actor"] == actor]
        assert any(reason in line for line in lines), lines
        return entry

    def begun(self) -> int:
        """How many operations ever began."""
        return len(self.people.events("INC-1", "operation_started"))

    def state_of(self, run: str) -> str:
        """The state of a run, as it is stored."""
        return str(self.people.stage.rows(f"select state from runs where id = '{run}'")[0][0])

    def alter(self, run: str, changed: Changed, *, recomputed: bool) -> None:
        """Change in the database what would be done; ``recomputed``: and every digest beside it."""
        path = self.people.stage.folder / "streamwatch.db"
        with sqlite3.connect(path, timeout=20) as database:
            ((text,),) = database.execute("select data from runs where id = ?", (run,))
            stored = changed(loads(text, Run))
            if recomputed:
                plan = Plan.from_json({k: v for k, v in stored.plan.items() if k != "digest"})
                stored = replace(stored, plan=plan.to_json(), digest=seal(PRODUCTION, stored, plan))
            database.execute("update runs set data = ? where id = ?", (dumps(stored), run))

    def put_back(self, run: str, data: str) -> None:
        """The row as it was."""
        with sqlite3.connect(self.people.stage.folder / "streamwatch.db", timeout=20) as database:
            database.execute("update runs set data = ? where id = ?", (data, run))

    def send(self, payload: Json, *, at: float | None = None, secret: str = "") -> tuple[int, Json]:
        """A request to the bot as Slack makes it, or as somebody would who is not Slack."""
        stamp = str(int(time.time() if at is None else at))
        body = urllib.parse.urlencode({"payload": json.dumps(payload)})
        key = secret or self.people.stage.settings["SLACK_SIGNING_SECRET"]
        signed = hmac.new(key.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": f"v0={signed}",
        }
        return self.post(body, headers)

    def post(self, body: str, headers: dict[str, str]) -> tuple[int, Json]:
        connection = http.client.HTTPConnection("127.0.0.1", self.people.stage.port, timeout=30)
        try:
            connection.request("POST", "/slack/events", body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else {}

    def click(self, user: str, plan: Json, action: str, trigger: str) -> Json:
        """The payload of a button, as Slack would send it from a window that still shows the button."""
        person = {"id": self.people.id_of(user), "username": user, "team_id": "T0SANDBOX"}
        return {
            "type": "block_actions",
            "team": {"id": "T0SANDBOX", "domain": "sandbox"},
            "user": person,
            "api_app_id": "A0STREAMWATCH",
            "trigger_id": trigger,
            "channel": {"id": plan["channel"], "name": self.room},
            "container": {"type": "message", "message_ts": plan["ts"], "channel_id": plan["channel"]},
            "message": {"ts": plan["ts"], "type": "message", "text": ""},
            "actions": [
                {
                    "type": "button",
                    "action_id": action,
                    "block_id": "b",
                    "action_ts": "1.1",
                    "value": run_of(plan),
                }
            ],
        }


Changed = Callable[[Run], Run]
# A house that claims no pipeline takes every one for production, as the one of these tests is.
PRODUCTION = House(
    roster=Roster(people={}, first=FirstLevel()), policy=Policy(), runbooks=(), pipelines=(), operations={}
)


def with_plan(**fields: Any) -> Changed:
    """Whatever changes these fields of a run's plan."""
    return lambda run: replace(run, plan={**run.plan, **fields})


def older(run: Run) -> Run:
    """The run with a plan that was made later than it was, so that it lives longer."""
    made = datetime.fromisoformat(run.plan["made_at"]) + timedelta(hours=8)
    return with_plan(made_at=made.isoformat())(run)


# What decides a run: what is done, to which job, with which flags, for whom, and until when.
ALTERED: dict[str, Changed] = {
    "job": with_plan(data={"job_id": "another-job", "state": "RUNNING"}),
    "words": with_plan(summary="Look at the job."),
    "longer": older,
    "flags": lambda run: replace(run, params={**run.params, "break_glass": "nobody answers"}),
    "requester": lambda run: replace(run, requested_by="carol"),
    "target": lambda run: replace(with_plan(pipeline="other")(run), pipeline="other"),
}


def run_of(plan: Json) -> str:
    """The id of the run that a plan's message is about."""
    return str(metadata(plan)[1]["run"])


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    """One workspace for all attempts, on a clock that runs sixty times as fast."""
    now = time.time()
    with staged(tmp_path_factory.mktemp("tampering"), clock=f"{now},{now},{SPEED}") as stage:
        yield Gates(People(stage))


@pytest.mark.parametrize("recomputed", [False, True], ids=["plan", "plan_and_digests"])
def test_a_plan_that_was_changed_since_it_was_shown_is_not_run(gates: Gates, recomputed: bool) -> None:
    """One plan, changed in each thing that decides the run, and put back: only as it was shown does it go on."""
    plan = gates.planned()
    for name, changed in ALTERED.items():
        ((shown,),) = gates.people.stage.rows(f"select data from runs where id = '{run_of(plan)}'")
        gates.alter(run_of(plan), changed, recomputed=recomputed)
        since = gates.people.mark()
        gates.people.click("alice", plan, "plan_confirm")
        words = gates.told("alice", since, "This plan is not the one that was shown")
        assert "plan again" in words, name
        gates.put_back(run_of(plan), shown)
    gates.written(run_of(plan), "alice", "not the one that was shown")
    assert gates.state_of(run_of(plan)) == "planned"
    assert gates.begun() == 0


def test_what_destroys_on_production_is_confirmed_by_typing_its_name(gates: Gates) -> None:
    """Another name is refused at the field, and the form stays; so is a plan that changed while the form was open."""
    plan = gates.planned()
    form = gates.people.confirm_form("alice", plan)
    for typed in ("Orders", "ecommerce-streaming", "yes"):
        said = gates.people.type_target("alice", form, typed)
        assert said["errors"] == {
            "target": "That is not its name. Type orders to run this; nothing was run."
        }, said
    assert gates.state_of(run_of(plan)) == "planned"
    ((shown,),) = gates.people.stage.rows(f"select data from runs where id = '{run_of(plan)}'")
    gates.alter(run_of(plan), ALTERED["job"], recomputed=True)
    said = gates.people.type_target("alice", form)
    assert "This plan is not the one that was shown" in said["errors"]["target"]
    gates.written(run_of(plan), "alice", "not the one that was shown")
    gates.put_back(run_of(plan), shown)
    assert gates.people.type_target("alice", form, " orders ").get("closed")
    gates.people.stage.until(
        lambda: gates.state_of(run_of(plan)) == "approval", WAIT_S, "it is not confirmed"
    )
    assert gates.begun() == 0


def test_a_plan_that_was_changed_before_the_second_person_looked_is_not_run(gates: Gates) -> None:
    plan = gates.planned()
    waits = gates.confirmed(plan)
    gates.alter(run_of(plan), ALTERED["job"], recomputed=True)
    since = gates.people.mark()
    gates.people.click("carol", waits, "plan_approve")
    gates.told("carol", since, "This plan is not the one that was shown")
    gates.written(run_of(plan), "carol", "not the one that was shown")
    assert gates.begun() == 0


def test_the_second_person_is_another_one_with_the_right(gates: Gates) -> None:
    plan = gates.planned()
    waits = gates.confirmed(plan)
    for user, why in (("alice", "must be somebody else"), ("bob", "needs a technical lead or above")):
        since = gates.people.mark()
        gates.people.click(user, waits, "plan_approve")
        assert "These people may: carol" in gates.told(user, since, why)
        gates.written(run_of(plan), user, why)
    assert gates.state_of(run_of(plan)) == "approval"
    assert gates.begun() == 0


def test_a_button_of_somebody_without_the_right_does_nothing(gates: Gates) -> None:
    gates.people.stage.sandbox.post("/sim/users", {"name": "mallory"})
    gates.people.stage.sandbox.post("/sim/message", {"user": "mallory", "channel": gates.room, "text": "hm"})
    plan = gates.planned()
    person = f"slack:{gates.people.id_of('mallory')}"
    for action in ("plan_confirm", "plan_cancel"):
        since = gates.people.mark()
        gates.people.click("mallory", plan, action)
        words = gates.told("mallory", since, "only people on the roster may do this")
        assert "alice" in words, "it says who may"
    gates.written(run_of(plan), person, "only people on the roster")
    help_ = str(gates.people.ask("mallory", gates.room, "/incident help", "can do this"))
    assert "/incident note" in help_
    assert "/incident resolve" not in help_, "help lists only what the asker may do"
    assert gates.state_of(run_of(plan)) == "planned"
    assert gates.begun() == 0


def test_a_click_is_done_once_however_often_it_comes(gates: Gates) -> None:
    """The same request again; the same click with another signature; the button pressed again in an old window."""
    plan = gates.planned()
    press = gates.click("alice", plan, "plan_cancel", "1.1.repeated")
    moment = time.time()
    assert gates.send(press, at=moment)[0] == 200
    again, why = gates.send(press, at=moment)
    assert (again, why) == (401, {"error": "this request was made already"})
    assert gates.send(press, at=moment - 1)[0] == 200, "Slack repeats what it is not sure of"
    gates.people.stage.until(lambda: gates.state_of(run_of(plan)) == "cancelled", WAIT_S, "it is not done")
    since = gates.people.mark()
    assert gates.send(gates.click("alice", plan, "plan_confirm", "1.1.old-window"))[0] == 200
    gates.told("alice", since, "This plan is cancelled already")
    gates.written(run_of(plan), "alice", "cancelled already")
    assert [e["what"] for e in gates.book(run_of(plan))].count("plan_cancelled") == 1
    assert gates.begun() == 0


def test_what_is_not_slacks_own_is_refused_at_the_door(gates: Gates) -> None:
    plan = gates.planned()
    press = gates.click("carol", plan, "plan_confirm", "1.1.forged")
    tries: list[tuple[dict[str, Any], str]] = [
        ({"secret": "not-the-secret"}, "the signature does not fit"),
        ({"at": time.time() - 600}, "the timestamp is more than 5 minutes off"),
        ({"at": time.time() + 600}, "the timestamp is more than 5 minutes off"),
    ]
    for how, why in tries:
        assert gates.send(press, **how) == (401, {"error": why})
    status, said = gates.post("payload=%7B%7D", {"content-type": "application/x-www-form-urlencoded"})
    assert (status, said["error"]) == (401, "the signature or its timestamp is missing or malformed")

    def written() -> bool:
        reasons = {e["data"]["reason"] for e in gates.book() if e["what"] == "forged"}
        return {why for _, why in tries} | {said["error"]} <= reasons

    gates.people.stage.until(written, WAIT_S, "the book does not know of the forged requests")
    assert gates.state_of(run_of(plan)) == "planned"
    assert gates.begun() == 0


def test_an_approval_that_comes_too_late_is_none(gates: Gates) -> None:
    gates.people.stage.until(
        lambda: time.monotonic() - gates.old_since > AGE_S, 2 * AGE_S, "time does not pass"
    )
    since = gates.people.mark()
    assert gates.send(gates.click("carol", gates.old, "plan_approve", "1.1.late"))[0] == 200
    gates.told("carol", since, "This plan is older than 15 minutes")
    gates.written(run_of(gates.old), "carol", "older than 15 minutes")
    assert gates.state_of(run_of(gates.old)) == "expired"
    assert gates.begun() == 0


def test_what_was_written_down_holds_and_a_changed_line_is_named(gates: Gates) -> None:
    """The page shows it to people, and `audit verify` finds what somebody changed afterwards."""
    words = "was refused the button plan approve: You may not approve this"
    gates.people.stage.until(lambda: words in get_page(gates, "/audit"), WAIT_S, "the page does not show it")
    path = gates.people.stage.folder / "streamwatch.db"
    gates.people.stage.kill_bot()
    assert verified(gates.people.stage) == (0, "Every timeline is intact, and the audit book.")
    with sqlite3.connect(path, timeout=20) as database:
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            database.execute("delete from audit_book where seq = 3")
        database.execute("drop trigger audit_book_no_update")
        database.execute("update audit_book set actor = 'mallory' where seq = 3")
    code, text = verified(gates.people.stage)
    found = json.loads(text)
    assert (code, found["incident"], found["seq"]) == (1, 0, 3)
    assert "audit book" in found["reason"]


def get_page(gates: Gates, path: str) -> str:
    """A page as a browser gets it."""
    connection = http.client.HTTPConnection("127.0.0.1", gates.people.stage.port, timeout=30)
    try:
        connection.request("GET", path, headers={"accept": "text/html"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()
