"""``make demo``: the sandbox, the bot and an outage on one machine, as processes of their own.

The bot that runs here is the product, started with nothing but addresses and credentials. With
``--exit`` the clock of incident and world runs fast, so that a night takes a minute; every check of
the story looks at what a person would see in Slack or on the bot's pages.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from bot.core.text import cut
from bot.demo_alerts import SCENARIOS
from bot.demo_kept import PREFIX, Kept, directing, end_survivor, interrupted
from bot.demo_player import Player, clock_now
from bot.demo_postgres import NotStarted, Postgres, find_postgres
from bot.demo_procedures import PROCEDURES
from bot.demo_replicas import Apps, Replicas
from bot.demo_story import Story, Trouble
from bot.demo_world import Processes, Sandbox, free_port

SPEED = 720.0
# A channel takes one message a second, which at 720 is two in 24 minutes: enough where pages are waited for alone.
SPEED_SHORT = 120.0
SPEED_PROCEDURE = 60.0  # its plans are read and confirmed within 15 minutes of this clock
# A page that a killed bot held waits for the end of its lease, 20 s: two hours on this clock.
SPEED_KILLED = 360.0
MOST = 8
NO_POSTGRES = (
    "Replicas need PostgreSQL, and none is installed here (initdb and postgres were looked for in "
    "/usr/lib/postgresql, on the path and in STREAMWATCH_POSTGRES_BIN). Without --replicas the demo runs on SQLite."
)
TAKE_UP = "`make demo ARGS=--continue` goes on with it."
SANDBOX_GONE = (
    "the sandbox was killed, too. It is the Slack and the Google Cloud of the story, and what stood there is gone: "
    "begin anew with `make demo`"
)
T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


def demo(
    *, exit_: bool, scenario: str, port: int, bot_port: int, replicas: int = 1, speed: float = 0.0
) -> int:
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
    if left := interrupted():
        print(f"A demo was killed in the middle of its story ({left[0].folder}). {TAKE_UP}\n")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    speed = speed or _usual_speed(scenario, replicas)
    clock: dict[str, str] = {}
    if exit_:
        now = time.time()
        clock = {"STREAMWATCH_CLOCK": f"{now:.3f},{now:.3f},{speed:g}", "CALENDAR_DAYS": "off"}
    kept = Kept(
        folder=folder, exit_=exit_, scenario=scenario, clock=clock, speed=speed if exit_ else 1.0,
        ports=_ports(bot_port, replicas), sandbox_port=free_port(port),
    )  # fmt: skip
    return _direct(kept)


def _usual_speed(scenario: str, replicas: int) -> float:
    if scenario in PROCEDURES:
        return SPEED_PROCEDURE
    if scenario != "job_failed":
        return SPEED_SHORT
    return SPEED if replicas == 1 else SPEED_KILLED


def take_up() -> int:
    """Go on with the newest demo of which every process was killed; exit codes as for ``demo``."""
    left = interrupted()
    if not left:
        print("There is no demo to go on with: none was killed in the middle of its story.", file=sys.stderr)
        return 2
    return _direct(left[0], again=True)


def _direct(kept: Kept, *, again: bool = False) -> int:
    """Everything of it ends with this, unless this is killed: then the folder stays, and says how to go on."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, kept.folder, ignore_errors=True)
        stack.enter_context(directing(kept.folder))
        signal.signal(signal.SIGTERM, _stop)
        for mark in kept.folder.glob("bot*.pid"):
            end_survivor(mark)
        running = Processes(ROOT, kept.folder)
        try:
            postgres = _database(stack, kept)
            stack.enter_context(running)
            return _tell(running, postgres, kept, again=again)
        except KeyboardInterrupt:
            print("\nStopped.")
            return 1 if kept.exit_ else 0
        except (Trouble, NotStarted) as trouble:
            print(f"\nThe story did not come out right: {trouble}", file=sys.stderr)
            print(running.last_lines(), file=sys.stderr)
            return 1


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _database(stack: ExitStack, kept: Kept) -> Postgres | None:
    """PostgreSQL for several bots; one has its own SQLite file."""
    binaries = find_postgres() if len(kept.ports) > 1 else None
    if binaries is None:
        return None
    found = kept.postgres
    home = Path(found["home"]) if found else None
    return stack.enter_context(Postgres(binaries, home=home, port=found.get("port", 0)))


def _tell(running: Processes, postgres: Postgres | None, kept: Kept, *, again: bool) -> int:
    began = time.monotonic()
    port, urls = kept.sandbox_port, [f"http://127.0.0.1:{each}" for each in kept.ports]
    sandbox = Sandbox(f"http://127.0.0.1:{port}")
    if not again:
        running.start("sandbox", ["sandbox", "--port", str(port), "--app-url", ",".join(urls)], kept.clock)
    elif not running.adopt("sandbox"):
        raise Trouble(SANDBOX_GONE)
    sandbox.wait_until_up(30, running)
    env = {
        **running.settings(port),
        **sandbox.phone(),
        **kept.clock,
        "DATABASE_URL": postgres.url if postgres else f"sqlite:///{kept.folder / 'streamwatch.db'}",
        "DLQ_EXPORT_DIR": str(kept.folder / "exports"),
        "HOST": "127.0.0.1",
        "PUBLIC_URL": urls[0],
        "PULL_SUBSCRIPTIONS": "streamwatch-alerts,streamwatch-budgets",
        "LOG_LEVEL": "WARNING",
    }
    if postgres is not None:
        running.finish(["bot", "migrate"], env)
        kept.postgres = postgres.place
    apps = Apps(urls, patience_s=60.0)
    envs = [{**env, "PORT": str(each)} for each in kept.ports]
    bots = Replicas(
        running, envs, apps, postgres=postgres, say=lambda text: print(text, flush=True), kept=kept
    )
    seen = kept.last_seen() if again else time.time()
    try:
        bots.start()
        if again:
            _told_of_fall(kept, bots, seen)
        if kept.scenario not in PROCEDURES:
            kept.save()
        print(f"Slack on this machine:  http://127.0.0.1:{port}/")
        print(f"The on-call phone:      http://127.0.0.1:{port}/phone")
        for place, url in enumerate(urls):
            label = "" if place else "The bot's pages:"
            print(f"{label:<24}{url}/incidents")
        print(f"Ready after {time.monotonic() - began:.1f} s.\n", flush=True)
        if kept.scenario in PROCEDURES:
            ground = _Ground(sandbox, apps, running, kept.clock.get("STREAMWATCH_CLOCK", ""))
            return _procedure(ground, kept.scenario, by_itself=kept.exit_)
        story = Story(sandbox, apps, kept, running, bots)
        return story.by_itself() if kept.exit_ else story.with_a_person()
    finally:
        bots.close()


def _told_of_fall(kept: Kept, bots: Replicas, seen: float) -> None:
    now = time.time()
    kept.falls.append((seen, now))
    clock = [f"{datetime.fromtimestamp(kept.domain(wall), UTC):%H:%M:%S}" for wall in (seen, now)]
    bots.tell(
        f"everything was killed at {clock[0]}; all stood again at {clock[1]}, {now - seen:.1f} s real later"
    )


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
            print(f"  {event['at'][11:19]}  {cut(' '.join(event['text'].split()), 400)}")
    print("\nAlert, right branch, people only pressing buttons, resolved: all came out right.", flush=True)
    return 0


def _ports(wanted: int, count: int) -> tuple[int, ...]:
    ports: list[int] = []
    for _ in range(count):
        ports.append(free_port(ports[-1] + 10 if ports else wanted))
    return tuple(ports)
