"""The real sandbox and the real bot as processes, and what tests do to them through the outside interface.

Everything waits on a condition with a deadline, listens on loopback at free ports, lives in the test's own
folder, and ends with the test by process id.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bot.demo_world import Processes, Sandbox, Trouble, get
from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
WEBHOOK = "/webhooks/cloud-monitoring"
UP_S = 120.0
BUSY = 3.0  # so many times slower than usual a machine may be
LONG = os.environ.get("STREAMWATCH_LONG") == "1"

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the bot said to a post; status 0: the connection broke before an answer."""

    status: int
    body: str = ""
    ms: float = 0.0

    @property
    def accepted(self) -> bool:
        """2xx: from here on it may not be lost."""
        return 200 <= self.status < 300


class _Connections:
    """One kept connection for each thread; http.client connects again by itself after a close."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def mine(self) -> http.client.HTTPConnection:
        """This thread's."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._all.append(found)
        return found

    def close(self) -> None:
        """Close those of all threads."""
        for connection in self._all:
            connection.close()


class Stage:
    """One sandbox and one bot. ``runbooks`` maps file names of runbooks/ to the text that replaces them."""

    def __init__(
        self,
        processes: Processes,
        *,
        limits: bool = False,
        clock: str = "",
        env: Mapping[str, str] | None = None,
        runbooks: Mapping[str, str] | None = None,
    ) -> None:
        self.processes = processes
        self.folder = processes.folder
        self.port = free_port()
        self.app_url = f"http://127.0.0.1:{self.port}"
        self.clock = clock
        self._clock = {"STREAMWATCH_CLOCK": clock}
        self._documents = {"RUNBOOKS_DIR": str(self._written(runbooks or {}))}
        sandbox_port = self._start_sandbox(limits)
        self.sandbox = Sandbox(f"http://127.0.0.1:{sandbox_port}")
        self.settings = processes.settings(sandbox_port)
        self.env = {**self._bot_env(), **(env or {})}
        self._basic = base64.b64encode(
            f"{self.settings['MONITORING_WEBHOOK_USER']}:{self.settings['MONITORING_WEBHOOK_PASSWORD']}".encode()
        ).decode()

    # --- processes ----------------------------------------------------------------------------------------

    def _start_sandbox(self, limits: bool) -> int:
        more = [] if limits else ["--no-limits"]
        module = ["sandbox", "--port", "0", "--google-port", "0", "--app-url", self.app_url, *more]
        self.processes.start("sandbox", module, {**self._clock, **self._documents})
        log = self.folder / "sandbox.log"

        def said() -> str:
            lines = log.read_text(errors="replace").splitlines()
            return next((line.split()[-1] for line in lines if line.startswith("sandbox: http")), "")

        url = until(said, UP_S, "the sandbox did not say where it listens", self.processes.check)
        sandbox = Sandbox(url)
        sandbox.wait_until_up(UP_S, self.processes)
        return int(url.rsplit(":", 1)[1].rstrip("/"))

    def _written(self, runbooks: Mapping[str, str]) -> Path:
        if not runbooks:
            return ROOT / "runbooks"
        folder = self.folder / "runbooks"
        shutil.copytree(ROOT / "runbooks", folder)
        for name, text in runbooks.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    def _bot_env(self) -> dict[str, str]:
        return {
            **self.settings,
            **self._clock,
            **self._documents,
            "DATABASE_URL": f"sqlite:///{self.folder / 'streamwatch.db'}",
            "DLQ_EXPORT_DIR": str(self.folder / "exports"),
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "PUBLIC_URL": self.app_url,
            "PULL_SUBSCRIPTIONS": "",
            "WEB_TOKEN": "",
            # A digest in the middle of another story would only be noise; its own test turns it on.
            "CALENDAR_DAYS": "off",
            "LOG_LEVEL": "WARNING",
        }

    def start_bot(self, *, ready: bool = True) -> None:
        """Start the bot (again), with the same database; ``ready``: wait until it can store."""
        self.processes.start("bot", ["bot", "serve"], self.env)
        if ready:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Until /readyz is fine. Raises Trouble with the end of the logs."""
        try:
            self.sandbox.wait_for_bot(self.app_url, UP_S, self.processes)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.processes.last_lines()}") from trouble

    def kill_bot(self) -> None:
        """kill -9."""
        self.processes.kill("bot")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query finds in the bot's SQLite file."""
        with contextlib.closing(sqlite3.connect(self.folder / "streamwatch.db", timeout=10)) as database:
            return list(database.execute(sql))

    # --- the way in ---------------------------------------------------------------------------------------

    def post(self, body: Mapping[str, Any] | bytes, *, path: str = WEBHOOK) -> Answer:
        """One notification by Cloud Monitoring's webhook, with basic authentication."""
        return self.post_many([body], at_once=1, path=path)[0]

    def post_many(
        self, bodies: Sequence[Mapping[str, Any] | bytes], *, at_once: int = 50, path: str = WEBHOOK
    ) -> list[Answer]:
        """Each body once, ``at_once`` at a time over kept connections; the answers in their order."""
        kept = _Connections(self.port)
        try:
            with ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(lambda body: self._send(body, path, kept.mine()), bodies))
        finally:
            kept.close()

    def _send(
        self, body: Mapping[str, Any] | bytes, path: str, connection: http.client.HTTPConnection
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Basic {self._basic}", "content-type": "application/json"}
        began = time.monotonic()
        try:
            connection.request("POST", path, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            connection.close()
            return Answer(status=0, ms=(time.monotonic() - began) * 1000)
        return Answer(status=answer.status, body=text, ms=(time.monotonic() - began) * 1000)

    def command(self, user: str, channel: str, text: str) -> Json:
        """Type a slash command: {status, ms, body} of its acknowledgement."""
        return dict(self.sandbox.post("/sim/command", {"user": user, "channel": channel, "text": text}))

    # --- looking ------------------------------------------------------------------------------------------

    def incidents(self) -> list[Json]:
        """GET /incidents as JSON: the rows of the list."""
        return list(get(f"{self.app_url}/incidents", timeout=30)["incidents"])

    def incident(self, name: str) -> Json:
        """GET /incidents/{id} as JSON."""
        return dict(get(f"{self.app_url}/incidents/{name}", timeout=30))

    def health(self) -> Json:
        """GET /healthz."""
        return dict(get(f"{self.app_url}/healthz", timeout=30))

    def state(self) -> Json:
        """GET /sim/state."""
        return self.sandbox.state()

    def sandbox_json(self, path: str) -> Any:
        """GET any other page of the sandbox as JSON."""
        return get(f"{self.sandbox.url}{path}", timeout=30)

    def channels(self, prefix: str = "inc-") -> list[Json]:
        """The channels whose name begins so, as /sim/state has them."""
        return [c for c in self.state()["channels"] if str(c.get("name") or "").startswith(prefix)]

    def until(self, good: Callable[[], T], seconds: float, trouble: str) -> T:
        """The first true answer of ``good``. Raises Trouble with the end of the logs after ``seconds``."""
        try:
            return until(good, seconds, trouble, self.processes.check)
        except Trouble as problem:
            raise Trouble(f"{problem}\n{self.processes.last_lines()}") from problem

    def until_told(self, count: int, seconds: float = 40.0) -> None:
        """Until ``count`` incidents stand, each with a channel that has its pinned headline, every page sent,
        and nothing waits in the inbox. (News and furniture may still follow at Slack's pace.)"""

        def told() -> bool:
            if self.health()["inbox_waiting"]:
                return False
            rows = self.incidents()
            rooms = {c["id"]: c for c in self.channels()}
            if len(rows) != count or any(row["channel_id"] not in rooms for row in rows):
                return False
            if not all(headlines(room) and room["pins"] for room in rooms.values()):
                return False
            pages = [page for row in rows for page in self.incident(row["id"])["pages"]]
            return all(page["sent_at"] or page["failed"] for page in pages)

        self.until(told, seconds, f"{count} incidents with channel, headline and sent pages did not come")

    def until_quiet(self, seconds: float = 40.0) -> None:
        """Until nothing waits in inbox and outbox, twice in a row."""
        seen = 0

        def quiet() -> bool:
            nonlocal seen
            now = self.health()
            seen = seen + 1 if now["inbox_waiting"] == now["outbox_waiting"] == 0 else 0
            return seen >= 2

        self.until(quiet, seconds, "inbox and outbox did not become empty")


@contextmanager
def staged(folder: Path, **options: Any) -> Iterator[Stage]:
    """A stage with a running bot; everything on it ends with the block. Options: see ``Stage``."""
    with Processes(ROOT, folder) as processes:
        stage = Stage(processes, **options)
        stage.start_bot()
        try:
            yield stage
        finally:
            # The bot's orderly end takes seconds, and is not what these tests are about.
            stage.kill_bot()
            processes.kill("sandbox")


def until(good: Callable[[], T], seconds: float, trouble: str, check: Callable[[], None]) -> T:
    """The first true answer of ``good``, asked ten times a second. Raises Trouble after ``seconds``, as a machine with
    nothing else to do needs them."""
    end = time.monotonic() + BUSY * seconds
    while True:
        check()
        try:
            found = good()
        except (OSError, urllib.error.URLError):
            found = None
        if found:
            return found
        if time.monotonic() > end:
            raise Trouble(f"{trouble} (waited {BUSY * seconds:.0f} s)")
        time.sleep(0.1)


def verified(stage: Stage) -> tuple[int, str]:
    """`python -m bot audit verify`: its exit code and what it says."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "bot", "audit", "verify"], cwd=ROOT, env={**clean, **stage.env},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.strip()


# --- what the workspace shows ---------------------------------------------------------------------------------


def metadata(message: Mapping[str, Any]) -> tuple[str, Json]:
    """(event type, payload) of a message's metadata; ("", {}) without."""
    found = message.get("metadata") or {}
    return str(found.get("event_type") or ""), dict(found.get("event_payload") or {})


def page_places(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(channel, outbox id) of every page that stands in a message; one that stands twice is there twice."""
    found = []
    for channel in state["channels"]:
        for message in channel["messages"]:
            event, payload = metadata(message)
            if event == "streamwatch_page":
                keys = dict.fromkeys([payload["outbox_id"], *(payload.get("pages") or ())])
                found += [(str(channel["id"]), str(key)) for key in keys]
    return found


def headlines(channel: Mapping[str, Any]) -> list[Json]:
    """The channel's headline messages."""
    return [m for m in channel["messages"] if metadata(m)[0] == "streamwatch_headline"]


def opened_keys(incident: Mapping[str, Any]) -> set[str]:
    """The source's ids of all alerts that an incident's timeline knows."""
    return {e["data"]["key"] for e in incident["events"] if e["type"] == "alert_opened"}


def texts(state: Mapping[str, Any]) -> Iterator[str]:
    """Every text that anybody reads in the workspace: messages, blocks, topics, names, bookmarks."""
    for channel in state["channels"]:
        yield str(channel.get("name") or "")
        yield from _strings(channel.get("topic"))
        yield from _strings(channel.get("bookmarks"))
        for message in (*channel["messages"], *channel.get("ephemerals", ())):
            yield str(message.get("text") or "")
            yield from _strings(message.get("blocks"))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
