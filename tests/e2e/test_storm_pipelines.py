"""2,000 alerts of 20 pipelines within seconds: nothing is refused, and people are answered meanwhile."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import LONG, Stage, opened_keys, page_places

ALERTS = 10_000 if LONG else 2_000
PIPELINES = ["orders", *(f"line-{n:02d}" for n in range(1, 20))]
# Slack lets a burst of channels be made at once, and the rest one every three seconds.
CHANNELS_S = 60


@dataclass(slots=True)
class Typist:
    """Types commands in turn until told to stop."""

    stage: Stage
    done: threading.Event = field(default_factory=threading.Event)
    ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def type(self) -> None:
        """One command after the other, about ten a second."""
        words = ["/incident list", "/pipeline health orders"]
        while not self.done.wait(0.05):
            words.append(words.pop(0))
            answer = self.stage.command("alice", "general", words[0])
            self.ms.append(float(answer["ms"]))
            self.statuses[int(answer["status"] or 0)] += 1

    def said(self) -> str:
        """What was measured, in words."""
        ordered = sorted(self.ms)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return (
            f"{len(ordered)} commands: p50 {ordered[len(ordered) // 2]:.0f} ms, p99 {p99:.0f} ms, "
            f"longest {ordered[-1]:.0f} ms; {dict(self.statuses)}"
        )


def test_2000_alerts_of_20_pipelines_make_20_incidents_while_commands_are_acknowledged(
    staging: Staging,
) -> None:
    stage = staging()
    ids = [f"0.{pipeline}.{n}" for pipeline in PIPELINES for n in range(ALERTS // len(PIPELINES))]
    random.Random(7).shuffle(ids)
    storm = [alert(each, pipeline=each.split(".")[1]) for each in ids]
    typist = Typist(stage)
    typing = threading.Thread(target=typist.type)
    typing.start()
    try:
        answers = stage.post_many(storm, at_once=50)
        stage.until(lambda: not stage.health()["inbox_waiting"], 60, "the inbox did not become empty")
    finally:
        typist.done.set()
        typing.join(40)
    assert Counter(answer.status for answer in answers) == {200: len(storm)}
    # Whatever is not acknowledged within Slack's 3 s has no status. (How long it takes, the bench measures.)
    assert set(typist.statuses) == {200}, typist.said()
    assert_every_alert_is_in_its_incident(stage, ids)
    stage.until(lambda: len(stage.channels()) == len(PIPELINES), CHANNELS_S, "not 20 channels")
    assert set(Counter(page_places(stage.state())).values()) == {1}
    assert_the_storm_is_told_in_one_message(stage)


def assert_the_storm_is_told_in_one_message(stage: Stage) -> None:
    """In the announcement channel, with counts that add up to the inbox."""
    ((rows, dead),) = stage.rows("SELECT count(*), sum(state = 'dead') FROM inbox")
    opened = len(PIPELINES)
    wanted = f"Opened an incident: {opened}; folded into what was known: {rows - opened - dead:,};"

    def told() -> list[str]:
        said = [str(m["text"]) for room in stage.channels("incidents") for m in room["messages"]]
        return [text for text in said if "torm" in text.partition(":")[0] and wanted in text]

    (text,) = stage.until(told, 60, f"nobody said {wanted!r}")
    assert f"received {rows:,}," in text
    assert f"over {opened} incidents" in text
    assert text.endswith(f"set aside: {dead}; dropped: 0.")


def assert_every_alert_is_in_its_incident(stage: Stage, ids: list[str]) -> None:
    """20 incidents, and each knows exactly the alerts of its pipeline."""
    rows = stage.incidents()
    assert Counter(row["pipeline"] for row in rows) == dict.fromkeys(PIPELINES, 1)
    for row in rows:
        mine = {each for each in ids if each.split(".")[1] == row["pipeline"]}
        assert opened_keys(stage.incident(row["id"])) == mine
