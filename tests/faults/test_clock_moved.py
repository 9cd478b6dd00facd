"""The real bot on a machine whose clock is moved by hours, both ways (libfaketime; Slack's own clock is right)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.e2e.alerts import alert
from tests.e2e.running import ROOT, Json, Stage, page_places, staged, texts
from tests.support.servers import find_faketime, require

PATIENCE_S = 60.0
# L1 alone at first, and the others only after everything was moved; nothing that depends on who answers.
ESCALATION = """
ladder: {L2: 2h, L3: 3h, L4: 4h}
l1: {backup: 1h, emergency: 9h, l2_if_critical: 9h}
repeat: 9h
unanswered: 9h
reopen: 60m
rules: []
"""


class Clock:
    """The time of day as the bot sees it; the monotonic clock is left alone, as a system does."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "time"
        self.shift = timedelta()
        self.move(self.shift)
        self.env = {
            "LD_PRELOAD": str(require("libfaketime", find_faketime())),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, shift: timedelta) -> None:
        """To so far from the true time. Whoever reads sees the old or the new."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{shift.total_seconds():+.0f}\n", encoding="ascii")
        new.rename(self._file)
        self.shift = shift


@contextmanager
def moving(folder: Path) -> Iterator[tuple[Stage, Clock]]:
    """The whole bot on a clock that can be moved."""
    clock = Clock(folder)
    with staged(folder, env=clock.env, runbooks={"escalation.yaml": ESCALATION}) as stage:
        yield stage, clock


def moved(stage: Stage, clock: Clock, hours: float, alarm: str) -> None:
    """Move it, and wait until people are told."""
    clock.move(timedelta(hours=hours))
    stage.until(
        lambda: any(alarm in text for text in texts(stage.state())), PATIENCE_S, f"nobody was told: {alarm}"
    )


def sent(stage: Stage, name: str) -> dict[str, Json]:
    """The pages of an incident that are out, by level (the backup's apart)."""
    pages = [page for page in stage.incident(name)["pages"] if page["sent_at"]]
    return {"backup" if "backup" in page["step"] else page["level"]: page for page in pages}


def until_sent(stage: Stage, name: str, *levels: str) -> None:
    stage.until(
        lambda: set(levels) <= set(sent(stage, name)), PATIENCE_S, f"{name} was not paged to {levels}"
    )


def test_a_clock_that_is_moved_by_hours_loses_no_page_and_doubles_none(tmp_path: Path) -> None:
    with moving(tmp_path) as (stage, clock):
        assert stage.post(alert("0.1", pipeline="first")).accepted
        until_sent(stage, "INC-1", "L1")

        moved(stage, clock, -5, "The clock was set back by 5 h")
        assert stage.post(alert("0.2", pipeline="second")).accepted
        until_sent(stage, "INC-2", "L1")
        assert set(sent(stage, "INC-1")) == {"L1"}, "paged before the time"

        # What falls due is sent at once, though Slack leaves it open whether it took the messages.
        doubt = {"method": "chat.postMessage", "kind": "http_500", "count": 4, "after_accept": True}
        stage.sandbox.post("/sim/faults", doubt)
        moved(stage, clock, 3, "The clock was set forward by 8 h")
        for name in ("INC-1", "INC-2"):
            until_sent(stage, name, "L1", "backup", "L2")
        until_sent(stage, "INC-2", "L3", "L4")  # for it eight hours went by, for the first three
        assert "L4" not in sent(stage, "INC-1"), "paged before the time"

        stage.sandbox.post("/sim/faults", doubt)
        moved(stage, clock, 0, "The clock was set back by 3 h")
        assert stage.post(alert("0.3", pipeline="third")).accepted
        stage.until_told(3, PATIENCE_S)
        until_sent(stage, "INC-3", "L1")
        assert set(sent(stage, "INC-3")) == {"L1"}, "paged before the time"

        for name in ("INC-1", "INC-2", "INC-3"):
            for page in stage.incident(name)["pages"]:
                late = datetime.fromisoformat(page["sent_at"]) - datetime.fromisoformat(page["due_at"])
                assert late > timedelta(), f"{page['id']} went before it was due"
        places = Counter(page_places(stage.state()))
        assert [place for place, times in places.items() if times > 1] == [], "twice in one place"
        assert stage.health()["loop_age_s"] < PATIENCE_S
        verified = subprocess.run(
            [sys.executable, "-m", "bot", "audit", "verify"],
            cwd=ROOT, env={**stage.env, "PATH": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert verified.returncode == 0, verified.stdout
