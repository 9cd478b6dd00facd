"""Two replicas on one database, one of them killed at every named point."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from bot.probe import POINTS
from tests.e2e.running import LONG
from tests.faults.field import Field, field

# The short form leaves those of the intake to tests/integration/intake/test_killed.
LEFT_OUT = ("migrate", "run") if LONG else ("migrate", "run", "intake")
ATTACKED = [p for p in POINTS if not p.startswith(LEFT_OUT)]
SEEDS = range(5 if LONG else 1)
# The short form attacks at each point on one of the databases.
EVERY, EVEN, ODD = slice(None), slice(0, None, 2), slice(1, None, 2)
HALVES = [("sqlite", EVERY if LONG else EVEN), ("postgresql", EVERY if LONG else ODD)]


def attack(place: Field, variable: str, points: list[str], chance: random.Random) -> int:
    """A with a fault planned at each point in turn while B goes on; how often it fell."""
    fell = 0
    place.start("b")
    for number, point in enumerate(points):
        turn = 1 if point.startswith(("intake", "process")) else chance.randint(1, 3)
        a = place.start("a", **{variable: f"{point}:{turn}"})
        # B may be the quicker one for a while.
        for copy in range(8):
            key = f"{number}x{copy}"
            if not place.post(a, key):
                assert place.post(place.replicas["b"], key), "B takes what A did not"
            place.until(lambda a=a: not a.alive or a.frozen or place.rows()["pending"] == 0, "A does nothing")  # type: ignore[misc]
            if not a.alive or a.frozen:
                break
        fell += not a.alive or a.frozen
        a.send(signal.SIGCONT)
        a.kill()
    return fell


@pytest.mark.parametrize(("url", "half"), HALVES, indirect=["url"])
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_every_named_point_loses_nothing_and_repeats_nothing(
    url: str, half: slice, tmp_path: Path, seed: int
) -> None:
    points = ATTACKED[half]
    chance = random.Random(seed)
    with field(url, tmp_path, seed=seed, trouble=0.1) as place:
        fell = attack(place, "STREAMWATCH_KILL_AT", points, chance)
        assert fell >= len(points) // 2
        place.slack.trouble = 0.0
        place.start("a")
        place.until_told()
        place.judge()
