"""Plays one procedure against a running sandbox and bot: it breaks the world, sends the alert, and presses buttons.

Everything it knows comes from what a person would see: the messages of the workspace and the bot's incident page.
It is what ``make demo ARGS="--scenario NAME"`` and the tests of the procedures share.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from bot.demo_alerts import RESOURCE, budget, spent_besides
from bot.demo_buttons import actions, operations_of, plan_of, press, steps_of, value_of, values
from bot.demo_procedures import Move, Procedure
from bot.demo_world import PRESS_AGAIN_S, Trouble, confirm_form

T = TypeVar("T")
Json = dict[str, Any]
WAIT_S = 40.0
WEEK_S = 7 * 86_400.0  # for a person, who takes their time
ENGINEER, LEAD = "alice", "carol"
LOOK_AGAIN = "look-again"
ANYTHING = Move(says="does it")
PATIENT = Move(says="looks again: it gets less", answer="it_shrinks")


class Ground(Protocol):
    """Where a story is played."""

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST to the sandbox. Raises Trouble with its reason."""
        ...

    def state(self) -> Json:
        """/sim/state."""
        ...

    def incidents(self) -> list[Json]:
        """The bot's list of incidents."""
        ...

    def incident(self, name: str) -> Json:
        """One incident with its events."""
        ...

    def until(self, good: Callable[[], T], seconds: float, trouble: str) -> T:
        """The first true answer. Raises Trouble."""
        ...

    def now(self) -> datetime:
        """The incident's clock."""
        ...


class Player:
    """One story of one pipeline. ``say`` hears each thing that happened, in a sentence."""

    def __init__(
        self,
        ground: Ground,
        story: Procedure,
        say: Callable[[str], None],
    ) -> None:
        self._ground = ground
        self._story = story
        self._say = say
        self._alert_id = f"0.{story.name}"
        self._plans: set[str] = set()  # what was shown and could not be run
        self.name = ""
        self.channel = ""

    def with_a_person(self) -> None:
        """Break it, and tell a person what to press, step by step, until the incident is resolved. Raises Trouble."""
        self._break()
        self._tell()
        self._find()
        first = f"you are {ENGINEER}, and you are paged: open #{self.channel}, press Acknowledge, then "
        for ref, step in self._steps(WEEK_S):
            step_id = str(step["step"]).partition("/")[2]
            # A person may go another way than the story; every step of it can be done.
            move = PATIENT if step_id == LOOK_AGAIN else self._story.moves.get(step_id, ANYTHING)
            self._hint(f"{first}step {step['place']} of {step['of']}: {press(step, move)}")
            first = ""
            begun = partial(self._is_acknowledged_or_done, ref)
            self._ground.until(begun, WEEK_S, "nobody acknowledged it")
            if move.meanwhile:
                self._ground.post("/sim/world", self._some_time_ago(move.meanwhile))
            self._ground.until(partial(self._is_done, ref), WEEK_S, f"nobody did {step_id}")
        by_itself = ""
        if self._story.alert:
            self._alert("closed")
            by_itself = ", or wait: after ten good minutes it is resolved by itself"
        self._hint(f"the runbook is through: press Resolve on the pinned headline{by_itself}")
        self._ground.until(self._over, WEEK_S, "nobody resolved it")
        self._hint(
            "type /review show in the channel and read what became of it, then /review actions; what it lacks is said "
            f"in /review edit; {LEAD}, the technical lead, closes it with /review done"
        )
        self._ground.until(lambda: self._incident()["status"] == "reviewed", WEEK_S, "nobody reviewed it")
        self._hint(
            "the review is closed, and that was the whole story: Ctrl-C in the terminal ends everything"
        )

    def _is_acknowledged_or_done(self, ref: str) -> bool:
        """Some go to work without a word."""
        return bool(self._incident()["acknowledged_by"]) or self._is_done(ref)

    def _some_time_ago(self, world: Mapping[str, Any]) -> Json:
        """What somebody outside mended while this person read: what they look at next must show it."""
        at = {"at": (self._ground.now() - timedelta(minutes=2)).isoformat()}
        return {**world, **(at if "scenario" in world else {})}

    def _hint(self, text: str) -> None:
        """What to try next, where the person looks: in the terminal and on the sandbox's page."""
        self._say(f"Try next: {text}")
        self._ground.post("/sim/config", {"hint": text})

    # --- the story ----------------------------------------------------------------------------------------

    def play(self) -> Json:
        """From the alert to resolved; the incident as it stands then. Raises Trouble where it goes wrong."""
        self._break()
        self._tell()
        self._find()
        self._acknowledge()
        for ref, step in self._steps():
            self._do(ref, step)
        self._check_path()
        if self._story.alert:
            self._alert("closed")
            self._say("The alert closes.")
        self._resolve()
        return self._incident()

    def _break(self) -> None:
        since = self._ground.now() - timedelta(minutes=self._story.since_min)
        at = {"at": since.isoformat()}
        world = self._ground.post("/sim/world", {**self._story.world, **at})
        if not self._story.alert:
            self._ground.post("/sim/world", {"spend": [spent_besides(world["spend"])]})

    def _find(self) -> None:
        def opened() -> Json | None:
            rooms = {c["id"]: str(c["name"]) for c in self._ground.state()["channels"]}
            mine = [row for row in self._ground.incidents() if row["channel_id"] in rooms]
            self.channel = rooms[mine[0]["channel_id"]] if mine else ""
            return mine[0] if mine else None

        found = self._ground.until(opened, WAIT_S, "no incident channel was opened")
        assert found is not None
        self.name = str(found["id"])
        self._say(f"The {'alert' if self._story.alert else 'budget'} opened {self.name} and #{self.channel}.")

    def _tell(self) -> None:
        if self._story.alert:
            self._alert("open")
            return
        self._accepted("/sim/push", budget())

    def _alert(self, state: str) -> None:
        policy, metric, value, threshold, severity = self._story.alert or ("", "", "", "", "")
        side = "below" if self._story.below else "above"
        words = f"is {side} the threshold of {threshold}" if state == "open" else "returned to normal"
        resource, name = self._story.resource or RESOURCE, self._story.named or RESOURCE["labels"]["job_name"]
        incident = {
            "incident_id": self._alert_id,
            "state": state,
            "policy_name": policy,
            "condition_name": policy,
            "summary": f"{policy}: {name} {words} with a value of {value}.",
            "observed_value": value,
            "threshold_value": threshold,
            "severity": severity.capitalize(),
            "policy_user_labels": {"severity": severity, "runbook": self._story.runbook},
            "metric": {"type": metric, "displayName": policy, "labels": {}},
            "resource": dict(resource),
        }
        self._accepted("/sim/alert", incident)

    def _accepted(self, path: str, body: Mapping[str, Any]) -> None:
        """As a source does: what was not answered with 2xx is sent again."""

        def sent() -> bool:
            return 200 <= (self._ground.post(path, body).get("status") or 0) < 300

        self._ground.until(sent, WAIT_S, "the notification was not accepted")

    def _acknowledge(self) -> None:
        headline = self._found(lambda m: "incident_ack" in actions(m), "no headline to acknowledge came")
        self._click(headline, "incident_ack")
        self._ground.until(
            lambda: self._incident()["acknowledged_by"], WAIT_S, f"{self.name} is not acknowledged"
        )
        self._say(f"{ENGINEER} acknowledges.")

    def _resolve(self) -> None:
        over = self._over

        def asked() -> Json | None:
            mine = [m for m in self._messages(private=True) if "incident_resolve" in actions(m)]
            return mine[-1] if mine else None

        headline = self._found(
            lambda m: "incident_resolve" in actions(m) or over(), "nothing to resolve with"
        )
        if not over():
            self._click(headline, "incident_resolve")
            self._ground.until(lambda: over() or asked(), WAIT_S, f"{self.name} neither resolved nor asked")
        if not over() and (sure := asked()) is not None:
            self._click(sure, "incident_resolve")
        self._ground.until(over, WAIT_S, f"{self.name} is not resolved")
        self._say(f"{ENGINEER} resolves {self.name}.")

    def _over(self) -> bool:
        return str(self._incident()["status"]) in ("resolved", "reviewed")

    # --- steps --------------------------------------------------------------------------------------------

    def _steps(self, patience: float = WAIT_S) -> Iterator[tuple[str, Json]]:
        """Each step that waits for a person, as it comes, until the runbook ends."""
        seen: set[str] = set()
        while True:

            def coming() -> tuple[str, Json] | str | None:
                taken, ended = self._walk()
                waits = next((t for t in taken if t["how"] != "read" and t["ref"] not in seen), None)
                return (waits["ref"], waits) if waits else ended

            found = self._ground.until(
                coming, patience, f"the runbook of {self.name} does not go on{self._where()}"
            )
            if found is None or isinstance(found, str):
                return
            seen.add(found[0])
            yield found

    def _walk(self) -> tuple[list[Json], str]:
        """The steps that were taken, in their order, and how the runbook ended ("": it has not)."""
        events = self._incident()["events"]
        book = self._story.runbook
        taken = [e["data"] for e in events if e["type"] == "step_taken" and e["data"]["runbook"] == book]
        ended = [e["data"] for e in events if e["type"] == "runbook_ended" and e["data"]["runbook"] == book]
        return taken, str(ended[-1]["reason"]) if ended else ""

    def _where(self) -> str:
        taken = [t["step"].partition("/")[2] for t in self._walk()[0]]
        return f", after {', '.join(taken)}"

    def _do(self, ref: str, step: Mapping[str, Any]) -> None:
        step_id, move = self._move(step)
        if move.meanwhile:
            self._ground.post("/sim/world", move.meanwhile)
        offered = self._found(
            lambda m: ref in steps_of(m), f"the step {step_id} was not offered with a button"
        )
        if move.also:
            report = self._found(lambda m: move.also in operations_of(m), f"no report offers {move.also}")
            self._change(report, move.also, "", move)
        if step["operation"]:
            self._change(offered, str(step["operation"]), ref, move)
        else:
            self._write(offered)
            self._click(offered, "step_done", value=value_of(offered, ref, move.answer))
        self._ground.until(lambda: self._is_done(ref), 3 * WAIT_S, f"the step {step_id} was not done")
        self._say(f"Step {step['place']} of {step['of']}, {step['title']}: {ENGINEER} {move.says}.")

    def _write(self, offered: Mapping[str, Any]) -> None:
        """Where the step is to write to somebody: open the draft, read it, send it."""
        for value in values(offered, "contact_draft"):
            subject = value.partition(":")[2]
            self._click(offered, "contact_draft", value=value)
            self._ground.until(lambda: self._ground.state()["views"], WAIT_S, f"no draft to {subject} opened")
            self._ground.post("/sim/submit", {"user": ENGINEER, "values": {}})
            self._ground.until(
                partial(self._wrote, subject), WAIT_S, f"the message to {subject} is not on the timeline"
            )

    def _wrote(self, subject: str) -> bool:
        told = [e["data"] for e in self._incident()["events"] if e["type"] == "contact_written"]
        return any(data["subject"] == subject for data in told)

    def _move(self, step: Mapping[str, Any]) -> tuple[str, Move]:
        step_id = str(step["step"]).partition("/")[2]
        move = PATIENT if step_id == LOOK_AGAIN else self._story.moves.get(step_id)
        if move is None:
            raise Trouble(f"the bot asks for {step_id}, which the story does not have{self._where()}")
        return step_id, move

    def _is_done(self, ref: str) -> bool:
        return any(e["type"] == "step" and e["data"]["ref"] == ref for e in self._incident()["events"])

    def _change(self, offered: Mapping[str, Any], operation: str, ref: str, move: Move) -> None:
        """Press the button that makes a plan, read it, confirm it, have it approved where that is asked for."""
        plan = self._planned(offered, operation, ref)
        self._click(plan, "plan_confirm")
        if move.approve:
            self._type_target(plan)
            waits = self._plan(operation, plan["ts"], "plan_approve")
            self._click(waits, "plan_approve", user=move.approve)
            self._say(f"{move.approve} approves {operation} as the second person.")
        self._ground.until(lambda: self._ran(operation), 3 * WAIT_S, f"{operation} did not come out well")

    def _type_target(self, plan: Mapping[str, Any]) -> None:
        """What destroys on production is confirmed by typing the pipeline's name into the form that opens."""
        target = str(self._incident()["pipeline"])
        pressed = time.monotonic()

        def opened() -> str:
            nonlocal pressed
            if time.monotonic() - pressed > PRESS_AGAIN_S:
                pressed = time.monotonic()
                self._click(plan, "plan_confirm")
            return confirm_form(self._ground.state(), ENGINEER)

        form = self._ground.until(opened, WAIT_S, "no form asked for the pipeline's name")
        values = {"target": {"value": target}}
        answer = self._ground.post("/sim/submit", {"user": ENGINEER, "view_id": form, "values": values})
        if answer.get("errors"):
            raise Trouble(f"{target} was not taken as the pipeline's name: {answer['errors']}")
        self._say(f"{ENGINEER} types {target}, the pipeline's name, to confirm.")

    def _planned(self, offered: Mapping[str, Any], operation: str, ref: str) -> Json:
        end = time.monotonic() + 2 * WAIT_S
        value = next(v for v in values(offered, "step_run") if json.loads(v)["operation"] == operation)
        while True:
            self._click(offered, "step_run", value=value)
            plan = self._found(
                lambda m: m["ts"] not in self._plans and plan_of(m) == operation,
                f"no plan of {operation} came",
            )
            self._plans.add(str(plan["ts"]))
            if "plan_confirm" in actions(plan):
                return plan
            if time.monotonic() > end:
                raise Trouble(f"{operation} for {ref or 'a report'} was refused: {plan['text']}")
            time.sleep(0.5)

    def _plan(self, operation: str, ts: str, action: str) -> Json:
        return self._found(
            lambda m: m["ts"] == ts and action in actions(m),
            f"the plan of {operation} never offered {action}",
        )

    def _ran(self, operation: str) -> bool:
        for event in self._incident()["events"]:
            if event["type"] == "operation_finished" and event["data"]["operation"] == operation:
                if event["data"].get("failed"):
                    raise Trouble(f"{operation} did not work: {event['data']['failed']}")
                return True
        return False

    def _check_path(self) -> None:
        taken, _ = self._walk()
        path = _without_waits(str(t["step"]).partition("/")[2] for t in taken)
        if path != self._story.path:
            raise Trouble(f"the runbook went {' > '.join(path)}, and not {' > '.join(self._story.path)}")
        told = json.dumps([e["data"] for e in self._incident()["events"] if e["type"] == "step"])
        if self._story.finds not in told:
            raise Trouble(f"no step found {self._story.finds!r}: {told[:2000]}")

    # --- looking and pressing -----------------------------------------------------------------------------

    def _incident(self) -> Json:
        return self._ground.incident(self.name)

    def _messages(self, *, private: bool = False) -> list[Json]:
        for channel in self._ground.state()["channels"]:
            if channel["name"] == self.channel:
                found = channel["ephemerals"] if private else channel["messages"]
                return [{**m, "channel": channel["id"]} for m in found]
        return []

    def _found(self, fits: Callable[[Json], bool], trouble: str, *, private: bool = False) -> Json:
        def newest() -> Json | None:
            return next((m for m in reversed(self._messages(private=private)) if fits(m)), None)

        found = self._ground.until(newest, WAIT_S, trouble)
        assert found is not None
        return found

    def _click(
        self, message: Mapping[str, Any], action: str, *, user: str = ENGINEER, value: str = ""
    ) -> None:
        body = {"user": user, "channel": message["channel"], "ts": message["ts"], "action_id": action}
        self._ground.post("/sim/click", {**body, "value": value} if value else body)


def _without_waits(steps: Iterable[str]) -> tuple[str, ...]:
    """The way without the turns of looking again, of which there are as many as the pipeline needs."""
    path: list[str] = []
    for step in steps:
        if step != LOOK_AGAIN and path[-1:] != [step]:
            path.append(step)
    return tuple(path)


def clock_now(clock: str) -> datetime:
    """The time on STREAMWATCH_CLOCK ("" for the real time)."""
    wall = time.time()
    if not clock:
        return datetime.fromtimestamp(wall, UTC)
    wall0, domain0, speed = (float(part) for part in clock.split(","))
    return datetime.fromtimestamp(domain0 + (wall - wall0) * speed, UTC)
