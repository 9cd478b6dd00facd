"""Named moments at which a fault test may kill or freeze this process, as a power cut or a busy host would.

`STREAMWATCH_KILL_AT=deliver.sent` kills at that point, `deliver.sent:3` at the third time it is reached;
`STREAMWATCH_STOP_AT` freezes there instead, until somebody sends SIGCONT. Unset, a probe does nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping

from bot.core.errors import ConfigError

Probe = Callable[[str], None]

POINTS = (
    "intake.before_commit",
    "intake.committed",
    "process.before_commit",
    "process.committed",
    "timers.before_commit",
    "timers.committed",
    "deliver.claimed",
    "deliver.sending",
    "deliver.sent",
    "deliver.settled",
    "run.started",
    "migrate.before_commit",
)


def nowhere(_: str) -> None:
    """The probe of a process that nobody attacks."""


def from_env(env: Mapping[str, str]) -> Probe:
    """The probe that the environment asks for. Raises ConfigError for a point that does not exist."""
    kill, stop = env.get("STREAMWATCH_KILL_AT", ""), env.get("STREAMWATCH_STOP_AT", "")
    wanted = {
        (point, turn): number
        for text, number in ((kill, signal.SIGKILL), (stop, signal.SIGSTOP))
        for point, turn in _parsed(text)
    }
    if not wanted:
        return nowhere
    seen: Counter[str] = Counter()

    def reach(point: str) -> None:
        seen[point] += 1
        number = wanted.get((point, seen[point]))
        if number is not None:
            os.kill(os.getpid(), number)

    return reach


def _parsed(text: str) -> list[tuple[str, int]]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        point, _, turn = part.partition(":")
        if point not in POINTS or not (turn or "1").isdigit():
            raise ConfigError(f"STREAMWATCH_KILL_AT and STREAMWATCH_STOP_AT know no point {part!r}")
        found.append((point, int(turn or 1)))
    return found
