"""The story of the demo: an outage from its alert to its review, told by what Slack shows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from bot.demo_alerts import budget, monitoring
from bot.demo_kept import Kept
from bot.demo_replicas import Apps, Replicas
from bot.demo_telling import LEVELS, Hints, check, confirmed, meta, once, transcript, verified
from bot.demo_world import Processes, Sandbox, Trouble, get

__all__ = ["Story", "Trouble"]

LOOKS_A_SECOND = 10
BUSY = 3.0  # so many times slower than usual a machine may be
TRIES = 60
LATE_REAL_S = 3.0
# What a killed bot was about to send is sent by the next one when its lease of 20 s ends.
LATE_KILLED_S = 30.0
REAP_EXIT_S, REAP_PERSON_S = 6.0, 30.0
ALL_RIGHT = (
    "Alert, channel, findings, pages of every level, restart, replay, recovery, review: all came out right."
)


class Story:
    """One outage. What of it was told before everything was killed stands in ``kept``, and is not told again."""

    def __init__(
        self,
        sandbox: Sandbox,
        apps: Apps,
        kept: Kept,
        running: Processes,
        replicas: Replicas,
    ) -> None:
        self._sandbox = sandbox
        self._apps = apps
        self._kept = kept
        self._scenario = kept.scenario
        self._speed = kept.speed
        self._running = running
        self._replicas = replicas
        kept.alert = kept.alert or f"0.demo{int(time.time()) % 100000}"
        self._name = "INC-1"

    # --- by itself ----------------------------------------------------------------------------------------

    def by_itself(self) -> int:
        """Nobody reacts until the director is paged; then the engineer works. Raises Trouble."""
        self._once("broken", self._break)
        channel = self._channel()
        self._step(f"The alert opened {self._name} and #{channel}.")
        if self._replicas.count > 1:
            self._step(f"{self._replicas.count} bots are on duty; from now on they are killed in turn.")
            self._replicas.reap(REAP_EXIT_S)
        if self._scenario != "job_failed":
            return self._short_story(channel)
        self._step("Nobody reacts. Waiting for the pages of every level (eight hours on the fast clock) …")
        self._wait_for_levels()
        if not self._acknowledged("alice"):
            self._click_page("alice")
        # On this clock L1 is called about once a second, and a channel takes one message a second: on a busy machine
        # what the bot found may wait until somebody acknowledged.
        self._finding("pipeline.health", channel)
        found = self._reports("pipeline.health", channel)[0]["text"]
        self._step(f"alice acknowledged. The bot had looked by itself: {_short(str(found))}")
        self._type("alice", channel, "/pipeline health")
        self._finding("pipeline.health", channel, more_than=self._count("pipeline.health", channel))
        self._step("alice looked again with /pipeline health.")
        self._change("alice", channel, "/pipeline restart", "pipeline.restart")
        self._step("alice restarted the pipeline; the bot verified it.")
        self._healthy()
        self._change("alice", channel, "/dlq replay", "dlq.replay")
        self._step("alice replayed the dead letters; the bot verified it.")
        self._once("closed", lambda: self._notify("/sim/alert", self._alert("closed")))
        self._until(lambda: self._incident()["status"] == "resolved", 60, "the incident was not resolved")
        self._step("The alert closed, the probes were good for ten minutes: resolved.")
        action = "/review actions add Alert on the backlog before it is an hour old"
        self._once("action", lambda: self._type("alice", channel, action))
        self._until(lambda: self._files(channel), 20, "the review was not uploaded")
        review = self._apps.get(f"/incidents/{self._name}/review", accept="text/markdown")
        self._check(review, channel)
        print(self._transcript(review), flush=True)
        return 0

    def _short_story(self, channel: str) -> int:
        """The other scenarios: alert, channel, page, acknowledge, findings, resolve, review."""
        first = {"cost_spike": "cost.report", "doubled_job": "cost.report"}.get(self._scenario, "pipeline.")
        self._until(lambda: self._incident()["pages"], 20, "nobody was paged")
        if not self._acknowledged("alice"):
            self._click_page("alice")
        self._step("alice is paged and acknowledged.")
        self._until(lambda: self._any_report(first, channel), 40, f"no report of {first} came")
        self._step(f"The bot looked by itself: {_short(self._any_report(first, channel))}")
        if self._incident()["status"] != "resolved":
            self._type("alice", channel, "/incident resolve --yes the demo ends here")
        self._until(lambda: self._incident()["status"] == "resolved", 20, "the incident was not resolved")
        self._type("alice", channel, "/review show")
        self._until(lambda: self._files(channel), 20, "the review was not uploaded")
        review = self._apps.get(f"/incidents/{self._name}/review", accept="text/markdown")
        once(self._sandbox.state())
        print(
            self._transcript(review, "Alert, channel, page, findings, review: all came out right."),
            flush=True,
        )
        return 0

    def _any_report(self, prefix: str, channel: str) -> str:
        found = [
            m["text"]
            for m in self._messages(channel)
            if str(meta(m).get("event_payload", {}).get("operation", "")).startswith(prefix)
        ]
        return str(found[0]) if found else ""

    def with_a_person(self) -> int:
        """The outage, and the next thing to try, until somebody ends it."""
        self._once("broken", self._break)
        channel = self._channel()
        print(f"An outage has begun: #{channel}. Ctrl-C ends everything.\n", flush=True)
        if self._replicas.count > 1:
            print(f"{self._replicas.count} bots are on duty; one is killed every {REAP_PERSON_S:g} s.\n")
            self._replicas.reap(REAP_PERSON_S)
        hints = Hints(channel)
        closed = False
        shown = ""
        while True:
            self._look_after()
            incident = self._incident()
            hint = hints.next(incident, self._sandbox.state())
            if hint != shown:
                shown = hint
                print(f"Try next: {hint}", flush=True)
                self._sandbox.post("/sim/config", {"hint": hint})
            if not closed and verified(incident, "pipeline.restart"):
                self._notify("/sim/alert", self._alert("closed"))
                closed = True
            time.sleep(1.0)

    # --- the outage ---------------------------------------------------------------------------------------

    def _once(self, what: str, do: Callable[[], None]) -> None:
        if what not in self._kept.done:
            do()
            self._kept.did(what)

    def _break(self) -> None:
        self._sandbox.post("/sim/world", {"scenario": self._scenario})
        if self._scenario == "cost_spike":
            self._notify("/sim/push", budget())
        else:
            self._notify("/sim/alert", self._alert("open"))

    def _notify(self, path: str, body: Mapping[str, Any]) -> None:
        """As a source does: what was not answered with 2xx is sent again."""

        def accepted() -> bool:
            return 200 <= (self._sandbox.post(path, body).get("status") or 0) < 300

        self._until(accepted, 30, "the notification was not accepted")

    def _alert(self, state: str) -> dict[str, Any]:
        return monitoring(self._scenario, self._kept.alert, state)

    def _channel(self) -> str:
        name = ""

        def found() -> bool:
            nonlocal name
            names = [c["name"] for c in self._sandbox.state()["channels"] if not c.get("is_im")]
            # A budget's notification that lay in its queue may have taken the first number, without a channel.
            name = next((n for n in names if str(n).startswith("inc-")), "")
            return bool(name)

        self._until(found, 20, "no incident channel was opened")
        self._name = f"INC-{int(name.split('-')[1])}"
        return name

    # --- looking ------------------------------------------------------------------------------------------

    def _incident(self) -> dict[str, Any]:
        return dict(self._apps.get(f"/incidents/{self._name}"))

    def _messages(self, channel: str) -> list[dict[str, Any]]:
        found = next((c for c in self._sandbox.state()["channels"] if c["name"] == channel), None)
        return list(found["messages"]) if found else []

    def _reports(self, operation: str, channel: str) -> list[dict[str, Any]]:
        return [
            m
            for m in self._messages(channel)
            if meta(m).get("event_type") == "streamwatch_report"
            and meta(m).get("event_payload", {}).get("operation") == operation
        ]

    def _count(self, operation: str, channel: str) -> int:
        return len(self._reports(operation, channel)) - 1

    def _finding(self, operation: str, channel: str, more_than: int = 0) -> str:
        what = f"no report of {operation} came"
        self._until(lambda: len(self._reports(operation, channel)) > more_than, 30, what)
        return str(self._reports(operation, channel)[-1]["text"])

    def _files(self, channel: str) -> bool:
        found: dict[str, Any] = next(
            (c for c in self._sandbox.state()["channels"] if c["name"] == channel), {}
        )
        return bool(found.get("files"))

    def _wait_for_levels(self) -> None:
        def all_sent() -> bool:
            pages = self._incident()["pages"]
            ladder = [p for p in pages if ":ladder:" in p["step"] or p["level"] == "L1"]
            return {p["level"] for p in ladder if p.get("sent_at")} >= set(LEVELS)

        self._until(all_sent, 8 * 3600 / self._speed + 30, "not every level was paged")

    def _healthy(self) -> None:
        def good() -> bool:
            world = get(f"{self._sandbox.url}/sim/world")
            return "RUNNING" in str(world.get("pipelines", world))

        self._until(good, 30, "the job does not run")

    # --- acting -------------------------------------------------------------------------------------------

    def _click_page(self, user: str) -> None:
        self._until(lambda: self._page_of(user), 20, f"{user} has no page to acknowledge")
        what = "the acknowledgement did not arrive"
        self._insist("/sim/click", self._page_of(user), lambda: self._acknowledged(user), 15, what)

    def _page_of(self, user: str) -> dict[str, Any]:
        """The click on a person's newest page; {} while there is none."""
        for channel in self._sandbox.state()["channels"]:
            for message in reversed(channel["messages"]) if channel.get("is_im") else ():
                found = meta(message)
                if found.get("event_type") == "streamwatch_page" and found["event_payload"]["person"] == user:
                    place = {"channel": channel["id"], "ts": message["ts"]}
                    return {"user": user, **place, "action_id": "page_ack"}
        return {}

    def _acknowledged(self, user: str) -> bool:
        return any(e["type"] == "acknowledged" and e["actor"] == user for e in self._incident()["events"])

    def _change(self, user: str, channel: str, text: str, operation: str) -> None:
        """Plan, read, confirm. A plan lives for 15 minutes of the fast clock, a second or two: one that was too old
        when the button was pressed is made again."""
        tries = 0
        while not confirmed(self._incident(), operation):
            tries += 1
            message = self._planned(user, channel, text, operation)
            ready = "plan_confirm" in str(message.get("blocks"))
            if ready:
                self._press(user, channel, str(message["ts"]), text, operation)
            elif tries > TRIES:
                raise Trouble(f"{text} was refused: {message['text']}")
            else:
                time.sleep(1.0)
        self._until(lambda: verified(self._incident(), operation), 60, f"{text} was not verified")

    def _planned(self, user: str, channel: str, text: str, operation: str) -> dict[str, Any]:
        before = self._plans(channel, operation)
        self._type(user, channel, text)
        self._until(lambda: self._plans(channel, operation) - before, 30, f"no plan for {text} came")
        return self._message(channel, max(self._plans(channel, operation) - before))

    def _press(self, user: str, channel: str, ts: str, text: str, operation: str) -> None:
        """Until it is confirmed, or its button is gone."""

        def heard() -> bool:
            gone = "plan_confirm" not in str(self._message(channel, ts).get("blocks"))
            return gone or confirmed(self._incident(), operation)

        click = {"user": user, "channel": channel, "ts": ts, "action_id": "plan_confirm"}
        self._insist("/sim/click", click, heard, 15, f"{text} could not be confirmed")

    def _message(self, channel: str, ts: str) -> dict[str, Any]:
        return next(m for m in self._messages(channel) if m["ts"] == ts)

    def _type(self, user: str, channel: str, text: str) -> None:
        """Type a command; whoever is told that the app did not answer types it again."""
        if self._replicas.count == 1:
            self._sandbox.command(user, channel, text)
            return

        def answered() -> bool:
            with contextlib.suppress(Trouble):
                self._sandbox.command(user, channel, text)
                return True
            return False

        self._until(answered, 30, f"{text} was not answered")

    def _insist(
        self, path: str, body: Mapping[str, Any], good: Callable[[], Any], seconds: float, trouble: str
    ) -> None:
        """Press a button; where bots are killed, again every few seconds until what it does is seen."""
        self._sandbox.post(path, body)
        again = time.monotonic() + 5.0

        def seen() -> bool:
            nonlocal again
            if good():
                return True
            if self._replicas.count > 1 and time.monotonic() > again:
                again = time.monotonic() + 5.0
                with contextlib.suppress(Trouble):  # the button is gone: the first press was heard
                    self._sandbox.post(path, body)
            return False

        self._until(seen, seconds, trouble)

    def _plans(self, channel: str, operation: str) -> set[str]:
        return {m["ts"] for m in self._messages(channel) if _is_plan(m, operation)}

    # --- telling ------------------------------------------------------------------------------------------

    def _until(self, good: Callable[[], Any], seconds: float, trouble: str) -> None:
        """Looks as often as fits into so many seconds on a machine with nothing else to do. On a busy one a look takes
        longer, and so does what is waited for; but not for ever."""
        began, usual = time.monotonic(), seconds * self._patience
        for _ in range(int(usual * LOOKS_A_SECOND)):
            self._look_after()
            if good():
                return
            if time.monotonic() - began > BUSY * usual:
                break
            time.sleep(1 / LOOKS_A_SECOND)
        raise Trouble(f"{trouble} (waited {time.monotonic() - began:.0f} s)")

    @property
    def _patience(self) -> float:
        """Where bots are killed, whatever one of them was at is taken up a minute later."""
        return 4.0 if self._replicas.count > 1 or self._replicas.told else 1.0

    def _look_after(self) -> None:
        self._running.check()
        self._kept.seen()
        if self._replicas.trouble:
            raise Trouble(self._replicas.trouble)

    def _step(self, text: str) -> None:
        print(f"- {text}", flush=True)

    def _check(self, review: str, channel: str) -> None:
        limit = LATE_KILLED_S if self._replicas.told else LATE_REAL_S
        check(self._incident(), self._sandbox.state(), review, self._kept, limit)
        self._finding("dlq.replay", channel)

    def _transcript(self, review: str, ending: str = ALL_RIGHT) -> str:
        return transcript(self._incident(), review, self._replicas.told, self._kept.speed, ending)


def _is_plan(message: Mapping[str, Any], operation: str) -> bool:
    found = meta(message)
    return (
        found.get("event_type") == "streamwatch_plan" and found["event_payload"].get("operation") == operation
    )


def _short(text: str) -> str:
    return text.splitlines()[0][:160]
