"""The story of the demo: an outage from its alert to its review, told by what Slack shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.demo_alerts import budget, monitoring
from bot.demo_hands import Hands, short
from bot.demo_telling import Hints, check, meta, once, transcript, verified
from bot.demo_world import Trouble

__all__ = ["Story", "Trouble"]

GROWN_S = 20 * 60.0
LATE_REAL_S = 3.0
# What a killed bot was about to send is sent by the next one when its lease of 20 s ends.
LATE_KILLED_S = 30.0
REAP_EXIT_S, REAP_PERSON_S = 6.0, 30.0
ALL_RIGHT = (
    "Alert, channel, findings, pages of every level, restart, replay, recovery, review: all came out right."
)


class Story(Hands):
    """One outage. What of it was told before everything was killed stands in ``kept``, and is not told again."""

    # --- by itself ----------------------------------------------------------------------------------------

    def by_itself(self) -> int:
        """Nobody reacts until the director is paged; then the engineer works. Raises Trouble."""
        try:
            return self._told()
        except Trouble as trouble:
            raise Trouble(f"{trouble}{self._last_events()}") from trouble

    def _told(self) -> int:
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
        self._step(f"alice acknowledged. The bot had looked by itself: {short(str(found))}")
        self._type("alice", channel, "/pipeline health")
        self._finding("pipeline.health", channel, more_than=self._count("pipeline.health", channel))
        self._step("alice looked again with /pipeline health.")
        self._change("alice", channel, "/pipeline restart", "pipeline.restart")
        self._step("alice restarted the pipeline; the bot verified it.")
        self._healthy()
        self._change("alice", channel, "/dlq replay", "dlq.replay")
        self._step("alice replayed the dead letters; the bot verified it.")
        self._once("closed", lambda: self._notify("/sim/alert", self._alert("closed")))
        self._until(self._was_resolved, 60, "the incident was not resolved")
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
        self._step(f"The bot looked by itself: {short(self._any_report(first, channel))}")
        # Over what is still broken the watch would open it again, after two minutes of the fast clock.
        self._once("mended", lambda: self._sandbox.post("/sim/world", {"scenario": "healthy"}))
        resolve = "/incident resolve --yes the cause was mended outside"
        self._type_until("alice", channel, resolve, self._was_resolved, "the incident was not resolved")
        self._step("The cause was mended outside; alice resolved the incident.")
        self._type_until("alice", channel, "/review show", lambda: self._files(channel), "no review came")
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
        """Where nothing failed at once, the alert comes when the trouble has grown for a while."""
        grown = GROWN_S if self._scenario != "job_failed" else 0.0
        at = datetime.fromtimestamp(self._kept.domain(time.time()) - grown, UTC)
        self._sandbox.post("/sim/world", {"scenario": self._scenario, "at": at.isoformat()})
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

    # --- telling ------------------------------------------------------------------------------------------

    def _step(self, text: str) -> None:
        print(f"- {text}", flush=True)

    def _check(self, review: str, channel: str) -> None:
        limit = LATE_KILLED_S if self._replicas.told else LATE_REAL_S
        check(self._incident(), self._sandbox.state(), review, self._kept, limit)
        self._finding("dlq.replay", channel)

    def _transcript(self, review: str, ending: str = ALL_RIGHT) -> str:
        return transcript(self._incident(), review, self._replicas.told, self._kept.speed, ending)
