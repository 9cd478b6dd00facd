"""The eight procedures of the operations document, from alert to resolved, with people only pressing buttons."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bot.demo_player import Player, clock_now
from bot.demo_procedures import PROCEDURES
from tests.e2e.running import ROOT, Json, Stage, staged

SPEED = 60.0  # a minute of the incident's time passes in a second
T = TypeVar("T")


class Ground:
    """A stage as the player knows it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._stage.sandbox.post(path, body)

    def state(self) -> Json:
        return self._stage.state()

    def incidents(self) -> list[Json]:
        return self._stage.incidents()

    def incident(self, name: str) -> Json:
        return self._stage.incident(name)

    def until(self, good: Callable[[], T], seconds: float, trouble: str) -> T:
        return self._stage.until(good, seconds, trouble)

    def now(self) -> datetime:
        return clock_now(self._stage.clock)


def policy() -> str:
    """The shipped policy; on the fast clock a probe a minute is one a second, and people look here by themselves."""
    shipped = (ROOT / "runbooks" / "escalation.yaml").read_text(encoding="utf-8")
    assert "probe: 60s" in shipped
    return shipped.replace("probe: 60s", "probe: 30m")


@pytest.mark.parametrize("name", list(PROCEDURES))
def test_from_the_alert_to_resolved_by_pressing_buttons(tmp_path: Path, name: str) -> None:
    now, told = time.time(), list[str]()
    with staged(tmp_path, clock=f"{now},{now},{SPEED}", runbooks={"escalation.yaml": policy()}) as stage:
        incident = Player(Ground(stage), PROCEDURES[name], told.append).play()
    assert incident["status"] in ("resolved", "reviewed")
    assert incident["runbook"]["name"] == PROCEDURES[name].runbook
    assert {e["actor"] for e in incident["events"] if e["type"] == "step"} == {"streamwatch", "alice"}
    assert told[-1].endswith("resolves INC-1."), told
