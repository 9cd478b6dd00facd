"""``make demo``: the sandbox, the bot and an outage on one machine, as processes of their own.

The bot that runs here is the product, started with nothing but addresses and credentials. With
``--exit`` the clock of incident and world runs fast, so that a night takes a minute; every check of
the story looks at what a person would see in Slack or on the bot's pages.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bot.demo_alerts import SCENARIOS
from bot.demo_player import Player, clock_now
from bot.demo_postgres import Postgres, find_postgres
from bot.demo_procedures import PROCEDURES
from bot.demo_replicas import Apps, Replicas
from bot.demo_story import Story, Trouble
from bot.demo_world import Processes, Sandbox, free_port

SPEED = 720.0
SPEED_PROCEDURE = 60.0  # its plans are read and confirmed within 15 minutes of this clock
# A page that a killed bot held waits for the end of its lease, 20 s: two hours on this clock.
SPEED_KILLED = 360.0
MOST = 8
NO_POSTGRES = (
    "Replicas need PostgreSQL, and none is installed here (initdb and postgres were looked for in "
    "/usr/lib/postgresql, on the path and in STREAMWATCH_POSTGRES_BIN). Without --replicas the demo runs on SQLite."
)
T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


def demo(*, exit_: bool, scenario: str, port: int, replicas: int = 1) -> int:
    """Run it; 0 when the whole story came out right (or when a person ended it), 2 for what cannot be done here."""
    if scenario not in (*SCENARIOS, *PROCEDURES):
        known = f"{', '.join(SCENARIOS)}; and the procedures {', '.join(PROCEDURES)}"
        print(f"There is no scenario {scenario}. There are: {known}.", file=sys.stderr)
        return 2
    if not 1 <= replicas <= MOST:
        print(f"--replicas must be from 1 to {MOST}.", file=sys.stderr)
        return 2
    if replicas > 1 and scenario in PROCEDURES:
        print("--replicas is for the outages, not for the procedures.", file=sys.stderr)
        return 2
    if replicas > 1 and find_postgres() is None:
        print(NO_POSTGRES, file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="streamwatch-demo-") as folder,
        _database(replicas) as postgres,
        Processes(ROOT, Path(folder)) as running,
    ):
        signal.signal(signal.SIGTERM, _stop)
        try:
            return _tell(running, postgres, exit_=exit_, scenario=scenario, port=port, count=replicas)
        except KeyboardInterrupt:
            print("\nStopped.")
            return 1 if exit_ else 0
        except Trouble as trouble:
            print(f"\nThe story did not come out right: {trouble}", file=sys.stderr)
            print(running.last_lines(), file=sys.stderr)
            return 1


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _database(replicas: int) -> Iterator[Postgres | None]:
    """PostgreSQL for several bots; one has its own SQLite file."""
    binaries = find_postgres() if replicas > 1 else None
    if binaries is None:
        yield None
        return
    with Postgres(binaries) as postgres:
        yield postgres


def _tell(
    running: Processes, postgres: Postgres | None, *, exit_: bool, scenario: str, port: int, count: int
) -> int:
    began = time.monotonic()
    speed = SPEED_PROCEDURE if scenario in PROCEDURES else SPEED if count == 1 else SPEED_KILLED
    clock: Mapping[str, str] = {}
    if exit_:
        now = time.time()
        clock = {"STREAMWATCH_CLOCK": f"{now:.3f},{now:.3f},{speed:g}", "CALENDAR_DAYS": "off"}
    ports = _ports(count)
    urls = [f"http://127.0.0.1:{each}" for each in ports]
    port = free_port(port)
    running.start("sandbox", ["sandbox", "--port", str(port), "--app-url", ",".join(urls)], clock)
    sandbox = Sandbox(f"http://127.0.0.1:{port}")
    sandbox.wait_until_up(30, running)
    env = {
        **running.settings(port),
        **sandbox.phone(),
        **clock,
        "DATABASE_URL": postgres.url if postgres else f"sqlite:///{running.folder / 'streamwatch.db'}",
        "DLQ_EXPORT_DIR": str(running.folder / "exports"),
        "HOST": "127.0.0.1",
        "PUBLIC_URL": urls[0],
        "PULL_SUBSCRIPTIONS": "streamwatch-alerts,streamwatch-budgets",
        "LOG_LEVEL": "WARNING",
    }
    if postgres is not None:
        running.finish(["bot", "migrate"], env)
    apps = Apps(urls, patience_s=60.0)
    envs = [{**env, "PORT": str(each)} for each in ports]
    bots = Replicas(running, envs, apps, postgres=postgres, say=lambda text: print(text, flush=True))
    try:
        bots.start()
        print(f"Slack on this machine:  http://127.0.0.1:{port}/")
        print(f"The on-call phone:      http://127.0.0.1:{port}/phone")
        for place, url in enumerate(urls):
            label = "" if place else "The bot's pages:"
            print(f"{label:<24}{url}/incidents")
        print(f"Ready after {time.monotonic() - began:.1f} s.\n", flush=True)
        if scenario in PROCEDURES:
            ground = _Ground(sandbox, apps, running, clock.get("STREAMWATCH_CLOCK", ""))
            return _procedure(ground, scenario, by_itself=exit_)
        story = Story(sandbox, apps, scenario, speed if exit_ else 1.0, running, bots)
        return story.by_itself() if exit_ else story.with_a_person()
    finally:
        bots.close()


class _Ground:
    """The demo's sandbox and bot, as whoever plays a procedure sees them."""

    def __init__(self, sandbox: Sandbox, apps: Apps, running: Processes, clock: str) -> None:
        self._sandbox = sandbox
        self._apps = apps
        self._running = running
        self._clock = clock

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._sandbox.post(path, body)

    def state(self) -> dict[str, Any]:
        return self._sandbox.state()

    def incidents(self) -> list[dict[str, Any]]:
        return list(self._apps.get("/incidents")["incidents"])

    def incident(self, name: str) -> dict[str, Any]:
        return dict(self._apps.get(f"/incidents/{name}"))

    def until(self, good: Callable[[], T], seconds: float, trouble: str) -> T:
        end = time.monotonic() + seconds
        while not (found := good()):
            self._running.check()
            if time.monotonic() > end:
                raise Trouble(f"{trouble} (waited {seconds:.0f} s)")
            time.sleep(0.2)
        return found

    def now(self) -> datetime:
        return clock_now(self._clock)


def _procedure(ground: _Ground, name: str, *, by_itself: bool) -> int:
    player = Player(ground, PROCEDURES[name], lambda text: print(f"- {text}", flush=True))
    if not by_itself:
        print("Ctrl-C ends everything.\n")
        player.with_a_person()
        while True:
            ground.until(lambda: False, 86_400.0, "the demo ran for a day")
    incident = player.play()
    print(f"\nTimeline of {incident['id']}: {incident['title']}")
    for event in incident["events"]:
        if event["type"] in (
            "opened",
            "acknowledged",
            "step",
            "operation_verified",
            "plan_approved",
            "resolved",
        ):
            print(f"  {event['at'][11:19]}  {' '.join(event['text'].split())[:200]}")
    print("\nAlert, right branch, people only pressing buttons, resolved: all came out right.", flush=True)
    return 0


def _ports(count: int) -> list[int]:
    ports: list[int] = []
    for _ in range(count):
        ports.append(free_port(ports[-1] + 10 if ports else 8080))
    return ports
