"""What the people of the story see and do: they look at Slack and at the pages of the bot, type, press buttons."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from bot.demo_kept import Kept
from bot.demo_replicas import Apps, Replicas
from bot.demo_telling import LEVELS, confirmed, meta, verified
from bot.demo_world import Processes, Sandbox, Trouble, get

LOOKS_A_SECOND = 10
BUSY = 3.0  # so many times slower than usual a machine may be
TRIES = 60
LAST_EVENTS = 20
AGAIN_S = 5.0  # so long whoever sees nothing happen waits before trying again


class Hands:
    """Eyes and hands on the sandbox's Slack. Whoever waits does so by looking; every wait ends with Trouble."""

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

    # --- looking ------------------------------------------------------------------------------------------

    def _incident(self) -> dict[str, Any]:
        return dict(self._apps.get(f"/incidents/{self._name}"))

    def _last_events(self) -> str:
        """What the timeline ends with, for whoever asks why; "" where no bot answers."""
        with contextlib.suppress(Trouble, OSError):
            events = self._incident()["events"][-LAST_EVENTS:]
            return "".join(f"\n  {e['at'][11:19]} {e['type']} {short(str(e['text']))}" for e in events)
        return ""

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

    def _was_resolved(self) -> bool:
        return any(e["type"] == "resolved" for e in self._incident()["events"])

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

    def _type_until(self, user: str, channel: str, text: str, good: Callable[[], Any], trouble: str) -> None:
        """Type a command until what it does is seen; once, where no bot is killed."""
        again = 0.0

        def seen() -> bool:
            nonlocal again
            if good():
                return True
            if not again or (self._replicas.count > 1 and time.monotonic() > again):
                self._type(user, channel, text)
                again = time.monotonic() + AGAIN_S
            return False

        self._until(seen, 20, trouble)

    def _insist(
        self, path: str, body: Mapping[str, Any], good: Callable[[], Any], seconds: float, trouble: str
    ) -> None:
        """Press a button; where bots are killed, again every few seconds until what it does is seen."""
        self._sandbox.post(path, body)
        again = time.monotonic() + AGAIN_S

        def seen() -> bool:
            nonlocal again
            if good():
                return True
            if self._replicas.count > 1 and time.monotonic() > again:
                again = time.monotonic() + AGAIN_S
                with contextlib.suppress(Trouble):  # the button is gone: the first press was heard
                    self._sandbox.post(path, body)
            return False

        self._until(seen, seconds, trouble)

    def _plans(self, channel: str, operation: str) -> set[str]:
        return {m["ts"] for m in self._messages(channel) if _is_plan(m, operation)}

    # --- waiting ---

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


def _is_plan(message: Mapping[str, Any], operation: str) -> bool:
    found = meta(message)
    return (
        found.get("event_type") == "streamwatch_plan" and found["event_payload"].get("operation") == operation
    )


def short(text: str) -> str:
    """The first line of it, cut."""
    return next(iter(text.splitlines()), "")[:160]
