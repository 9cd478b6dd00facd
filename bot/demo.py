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
from collections.abc import Mapping
from pathlib import Path

from bot.demo_alerts import SCENARIOS
from bot.demo_story import Story, Trouble
from bot.demo_world import Processes, Sandbox, free_port

SPEED = 720.0
ROOT = Path(__file__).resolve().parent.parent


def demo(*, exit_: bool, scenario: str, port: int) -> int:
    """Run it; 0 when the whole story came out right (or when a person ended it)."""
    if scenario not in SCENARIOS:
        print(f"There is no scenario {scenario}. There are: {', '.join(SCENARIOS)}.", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="streamwatch-demo-") as folder,
        Processes(ROOT, Path(folder)) as running,
    ):
        signal.signal(signal.SIGTERM, _stop)
        try:
            return _tell(running, exit_=exit_, scenario=scenario, port=port)
        except KeyboardInterrupt:
            print("\nStopped.")
            return 1 if exit_ else 0
        except Trouble as trouble:
            print(f"\nThe story did not come out right: {trouble}", file=sys.stderr)
            print(running.last_lines(), file=sys.stderr)
            return 1


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _tell(running: Processes, *, exit_: bool, scenario: str, port: int) -> int:
    began = time.monotonic()
    clock: Mapping[str, str] = {}
    if exit_:
        now = time.time()
        clock = {"STREAMWATCH_CLOCK": f"{now:.3f},{now:.3f},{SPEED:g}"}
    app_port = free_port(8080)
    app_url = f"http://127.0.0.1:{app_port}"
    port = free_port(port)
    running.start("sandbox", ["sandbox", "--port", str(port), "--app-url", app_url], clock)
    sandbox = Sandbox(f"http://127.0.0.1:{port}")
    sandbox.wait_until_up(30, running)
    settings = running.settings(port)
    database = f"sqlite:///{running.folder / 'streamwatch.db'}"
    env = {
        **settings,
        **clock,
        "DATABASE_URL": database,
        "PORT": str(app_port),
        "HOST": "127.0.0.1",
        "PUBLIC_URL": app_url,
        "PULL_SUBSCRIPTIONS": "streamwatch-alerts,streamwatch-budgets",
        "LOG_LEVEL": "WARNING",
    }
    running.start("bot", ["bot", "serve"], env)
    sandbox.wait_for_bot(app_url, 30, running)
    print(f"Slack on this machine:  http://127.0.0.1:{port}/")
    print(f"The bot's pages:        {app_url}/incidents")
    print(f"Ready after {time.monotonic() - began:.1f} s.\n", flush=True)
    story = Story(sandbox, app_url, scenario, SPEED if exit_ else 1.0, running)
    if exit_:
        return story.by_itself()
    return story.with_a_person()
