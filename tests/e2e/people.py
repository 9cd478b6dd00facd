"""What people of the sandbox's workspace do and see: type, press, react, read."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from bot.demo_world import PRESS_AGAIN_S, Trouble, confirm_form, get
from tests.e2e.running import Json, Stage, metadata

WAIT_S = 60.0
PIPELINE = "orders"


class People:
    """One workspace. Whatever is awaited is new: it came, or was edited, since the person acted."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    # --- acting -------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """A point in the workspace's history; pass it as ``since``."""
        return int(self.stage.state()["seq"])

    def ask(
        self, user: str, channel: str, text: str, expect: str, *, within: str = "", seconds: float = WAIT_S
    ) -> Json:
        """Type a command; the first answer that contains ``expect``. ``within``: another channel it comes to."""
        since = self.mark()
        answer = self.stage.command(user, channel, text)
        # After Slack's 3 s the sandbox gives up, as Slack does.
        assert answer["status"] == 200, f"{text} was not acknowledged: {answer}"
        return self.saw(expect, channel=within or channel, since=since, seconds=seconds)

    def refused(self, user: str, channel: str, text: str, expect: str) -> None:
        """Type a command that is refused: privately, to the one who typed it."""
        since, person = self.mark(), self.id_of(user)
        assert self.stage.command(user, channel, text)["status"] == 200

        def told() -> str:
            private = [m for m in self._heard(channel, since) if "sender" in m and m["user"] == person]
            return next((str(m["text"]) for m in private if expect in m["text"]), "")

        words = self.stage.until(told, WAIT_S, f"{user} was not told {expect!r} privately after {text}")
        loud = [m for m in self._heard("", since) if "sender" not in m and words in m["text"]]
        assert not loud, f"everybody could read the refusal of {text}"

    def click(self, user: str, message: Mapping[str, Any], action: str, **more: Any) -> Json:
        """Press a button of a message that ``saw`` or ``messages`` gave."""
        body = {"user": user, "channel": message["channel"], "ts": message["ts"], "action_id": action, **more}
        return dict(self.stage.sandbox.post("/sim/click", body))

    def confirm(self, user: str, plan: Mapping[str, Any], typed: str = "") -> Json:
        """Press a plan's first button and type its target's name where that is asked for (``typed``: another name);
        what the form says. Where no form is due use ``click``."""
        return self.type_target(user, self.confirm_form(user, plan), typed)

    def confirm_form(self, user: str, plan: Mapping[str, Any]) -> str:
        """Press a plan's first button; the id of the form that opens for it."""
        before = confirm_form(self.stage.state(), user)
        self.click(user, plan, "plan_confirm")
        pressed = time.monotonic()

        def opened() -> str:
            nonlocal pressed
            if time.monotonic() - pressed > PRESS_AGAIN_S:
                pressed = time.monotonic()
                self.click(user, plan, "plan_confirm")
            form = confirm_form(self.stage.state(), user)
            return form if form != before else ""

        return self.stage.until(opened, WAIT_S, "no form asked for the target's name")

    def type_target(self, user: str, form: str, typed: str = "") -> Json:
        """Send the open form of ``confirm`` with a name in it."""
        values = {"target": {"value": typed or PIPELINE}}
        return dict(self.stage.sandbox.post("/sim/submit", {"user": user, "view_id": form, "values": values}))

    def form(self, user: str, channel: str, text: str) -> None:
        """Type a command that opens a form. Slack takes the form for 3 s only; who waited in vain types again."""
        typed = 0.0

        def opened() -> bool:
            nonlocal typed
            if self.stage.state()["views"]:
                return True
            if time.monotonic() > typed + PRESS_AGAIN_S:
                typed = time.monotonic()
                self.stage.command(user, channel, text)
            return False

        self.stage.until(opened, 2 * WAIT_S, f"no form was opened by {text}")

    def submit(self, user: str, values: Mapping[str, Any]) -> Json:
        """Fill in the form that is open for a person: ``{field: text}``."""
        filled = {field: {"value": value} for field, value in values.items()}
        return dict(self.stage.sandbox.post("/sim/submit", {"user": user, "values": filled}))

    def world(self, **change: Any) -> Json:
        """Change what stands behind Google's services."""
        return dict(self.stage.sandbox.post("/sim/world", change))

    def push(self, data: Mapping[str, Any], attributes: Mapping[str, str] | None = None) -> Json:
        """One signed Pub/Sub push."""
        body = {"data": dict(data), "attributes": dict(attributes or {})}
        return dict(self.stage.sandbox.post("/sim/push", body))

    def alert(self, incident_id: str, **fields: Any) -> Json:
        """One Cloud Monitoring notification with the sandbox's defaults; fields replace them."""
        answer = self.stage.sandbox.post("/sim/alert", {"incident_id": incident_id, **fields})
        assert answer["status"] == 200, answer
        return dict(answer)

    # --- seeing -------------------------------------------------------------------------------------------

    def saw(self, contains: str, *, channel: str = "", since: int = 0, seconds: float = WAIT_S) -> Json:
        """The first message, ephemeral or DM with this text since then. Raises Trouble."""
        query = {"contains": contains, "timeout": str(seconds), "since": str(since)}
        if channel:
            query["channel"] = channel
        try:
            url = f"{self.stage.sandbox.url}/sim/wait?{urllib.parse.urlencode(query)}"
            return dict(get(url, timeout=seconds + 10)["message"])
        except urllib.error.HTTPError as error:
            heard = "\n".join(str(m["text"])[:200] for m in self._heard(channel, since))[-3000:]
            raise Trouble(
                f"nobody said {contains!r} in {channel or 'any channel'}; heard:\n{heard}"
            ) from error

    def _heard(self, channel: str, since: int) -> list[Json]:
        return [
            item
            for place in self.stage.state()["channels"]
            if channel in ("", place["id"], place.get("name"))
            for item in (*place["messages"], *place["ephemerals"])
            if int(item["seq"]) > since
        ]

    def channel_of(self, name: str, seconds: float = WAIT_S) -> str:
        """The name of an incident's channel, once it is there."""
        prefix = f"inc-{int(name.removeprefix('INC-')):04d}"

        def found() -> str:
            return next((str(c["name"]) for c in self.stage.channels(prefix)), "")

        return self.stage.until(found, seconds, f"{name} has no channel")

    def messages(self, channel: str = "", event: str = "") -> list[Json]:
        """Messages as they stand, with their channel's id; of one channel, or of one kind of metadata."""
        return list(self._messages(channel, event))

    def _messages(self, channel: str, event: str) -> Iterator[Json]:
        for place in self.stage.state()["channels"]:
            if channel and channel not in (place["id"], place.get("name")):
                continue
            for message in place["messages"]:
                if not event or metadata(message)[0] == event:
                    yield {**message, "channel": place["id"], "is_im": place["is_im"]}

    def plan(self, operation: str, state: str, since: int = 0, seconds: float = WAIT_S) -> Json:
        """The message of the newest plan of an operation, once it shows this state."""

        def shown() -> Json | None:
            plans = [
                m
                for m in self.messages(event="streamwatch_plan")
                if metadata(m)[1].get("operation") == operation and int(m["seq"]) > since
            ]
            newest = max(plans, key=lambda m: str(m["ts"]), default=None)
            return newest if newest is not None and state in str(newest["text"]) else None

        try:
            found = self.stage.until(shown, seconds, f"no plan of {operation} says {state!r}")
        except Trouble as trouble:
            heard = "\n".join(str(m["text"])[:300] for m in self._heard("", since))[-3000:]
            raise Trouble(f"{trouble}\nheard:\n{heard}") from trouble
        assert found is not None
        return found

    def page(self, person: str, level: str = "", seconds: float = WAIT_S) -> Json:
        """The newest page in a person's direct messages."""

        def shown() -> Json | None:
            pages = [
                m
                for m in self.messages(event="streamwatch_page")
                if m["is_im"]
                and metadata(m)[1]["person"] == person
                and level in ("", metadata(m)[1]["level"])
            ]
            return pages[-1] if pages else None

        found = self.stage.until(shown, seconds, f"{person} was not paged")
        assert found is not None
        return found

    def id_of(self, user: str) -> str:
        """The Slack id behind a name."""
        return next(str(u["id"]) for u in self.stage.state()["users"] if u["name"] == user)

    def events(self, name: str, *types: str) -> list[Json]:
        """The timeline of an incident; of these types where some are named."""
        return [e for e in self.stage.incident(name)["events"] if not types or e["type"] in types]

    def becomes(self, name: str, status: str, seconds: float = WAIT_S) -> Json:
        """The incident once it has this status."""

        def there() -> Json | None:
            incident = self.stage.incident(name)
            return incident if incident["status"] == status else None

        found = self.stage.until(there, seconds, f"{name} is not {status}")
        assert found is not None
        return found
