"""Where the time goes: which stage holds a pipeline back, and what kind of trouble it is.  Pure.

A stage is behind by its system lag: the longest that an element waits or is worked on in it.  What
is behind it waits for it, so the stage that is furthest behind is where to look.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pipeline.catching_up import CatchingUp
from pipeline.measurements import LogError
from pipeline.report import Evidence, clock, duration, percent, plural

Kind = Literal["hot_key", "slow_sink", "workers", "stage", "catching_up"]

BEHIND_S: Final = 30.0  # less than this is the usual way of a stream
_STANDS_OUT: Final = 3.0  # times the middle of the other stages
_BUSY: Final = 0.8
_YOUNG_S: Final = 5 * 60.0
_COMFORTABLE: Final = 0.6  # so busy, workers can take a rush
_MOST: Final = 1000  # what Dataflow allows
_SINK: Final = re.compile(r"big ?query|big ?table|write|sink|insert|append|load", re.IGNORECASE)
_SOURCE: Final = re.compile(r"read|pub ?sub|source|input", re.IGNORECASE)
_HOT_KEY: Final = re.compile(
    r"hot key.*?detected in (?:step|stage) '?([\w./:+-]+?)'?(?: with|[.,;\s]|$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: how far behind it is, how far an hour ago, and since when it is more than usual."""

    name: str
    lag_s: float
    before_s: float | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What tells where the time goes; None where nobody could measure it."""

    now: datetime
    stages: tuple[Stage, ...] = ()
    utilisation: float | None = None  # 0 to 1
    workers: int | None = None
    most_workers: int | None = None
    backlog: int | None = None
    warnings: tuple[LogError, ...] = ()
    catching_up: CatchingUp | None = None  # what waits, where it gets less
    began: datetime | None = None  # since when the job runs


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stage that holds the others back; ``text`` completes "NAME is held back by ...", or of one that catches up
    "NAME catches up: ..."."""

    kind: Kind
    stage: Stage
    text: str
    advice: str
    evidence: tuple[Evidence, ...]
    target: int | None = None  # of workers at most, where more of them would help

    @property
    def catches_up(self) -> bool:
        """Whether it is over soon without anybody's doing."""
        return self.kind == "catching_up"

    @property
    def of_it(self) -> str:
        """What is said of the pipeline: "is held back by ...", "catches up: ..."."""
        return f"catches up: {self.text}" if self.catches_up else f"is held back by {self.text}"


def bottleneck(speed: Speed) -> Bottleneck | None:
    """The stage that stands out, or None when none is far behind."""
    if not speed.stages:
        return None
    worst = max(speed.stages, key=lambda stage: stage.lag_s)
    if worst.lag_s < BEHIND_S:
        return None
    hot = _hot_steps(speed.warnings)
    # Behind a hot key everything else may wait as long; the service's own word is surer than lag.
    named = next((stage for stage in speed.stages if stage.name in hot and stage.lag_s >= BEHIND_S), None)
    if named is not None:
        return _made(speed, "hot_key", named)
    if _SINK.search(worst.name) and _stands_out(worst, speed.stages):
        return _made(speed, "slow_sink", worst)
    at_source = bool(_SOURCE.search(worst.name)) or not _stands_out(worst, speed.stages)
    if at_source and speed.catching_up is not None and speed.catching_up.soon:
        return _caught_up(speed.catching_up, worst)
    if at_source and speed.catching_up is None and _young(speed):
        return _just_begun(speed, worst)
    if at_source and (speed.utilisation or 0.0) >= _BUSY:
        return _made(speed, "workers", worst)
    return _made(speed, "stage", worst)


def more_workers(speed: Speed) -> int | None:
    """How many workers the job should be allowed at most: so many that they would be comfortably busy, at least one
    more and at most twice as many as now. None while the autoscaler could take more and does not, or nobody knows.
    """
    if not speed.workers or speed.utilisation is None:
        return None
    if speed.most_workers is not None and speed.workers < speed.most_workers:
        return None
    now = speed.most_workers or speed.workers
    wanted = math.ceil(round(speed.workers * speed.utilisation / _COMFORTABLE, 6))
    target = min(max(wanted, now + 1), 2 * now, _MOST)
    return target if target > now else None


def _stands_out(worst: Stage, stages: Sequence[Stage]) -> bool:
    others = sorted(stage.lag_s for stage in stages if stage is not worst)
    if not others:
        return True
    return worst.lag_s >= _STANDS_OUT * others[len(others) // 2]


def _hot_steps(warnings: Sequence[LogError]) -> set[str]:
    found = (_HOT_KEY.search(" ".join(warning.example.split())) for warning in warnings)
    return {match.group(1).rstrip(".") for match in found if match}


def _caught_up(catching: CatchingUp, stage: Stage) -> Bottleneck:
    advice = "No worker is needed: look again then. If it does not shrink any more by that time, more workers help."
    return Bottleneck("catching_up", stage, catching.text, advice, catching.evidence)


def _young(speed: Speed) -> bool:
    """Whether the job is too new for two looks at what waits: it has everything to work off, and nothing is known."""
    return speed.began is not None and (speed.now - speed.began).total_seconds() <= _YOUNG_S


def _just_begun(speed: Speed, stage: Stage) -> Bottleneck:
    waits = f", and {plural(speed.backlog, 'message waits', 'messages wait')}" if speed.backlog else ""
    began = clock(speed.began or speed.now, speed.now)
    text = f"its job runs since {began}{waits}; by when it is done shows within minutes"
    evidence = (Evidence("waiting", speed.backlog, "messages", speed.now),)
    return Bottleneck("catching_up", stage, text, "Look again in a few minutes.", evidence)


def _made(speed: Speed, kind: Kind, stage: Stage) -> Bottleneck:
    behind = f"{duration(stage.lag_s)} behind" + (
        f" since {clock(stage.since, speed.now)}" if stage.since else ""
    )
    busy = f"; the workers are {percent(speed.utilisation)} busy" if speed.utilisation is not None else ""
    target = more_workers(speed)
    texts: dict[Kind, tuple[str, str]] = {
        "hot_key": (
            f"a hot key: one key gets so many events that step {stage.name} is {behind}",
            "One worker does the work of a key; more workers do not help. Spread the key (a salt, a combiner with "
            "fanout), or find out who sends so much of it.",
        ),
        "slow_sink": (
            f"a slow sink: {stage.name} is {behind}, the stages before it are not",
            "Look at the store behind it: slow queries and quota of BigQuery, nodes and hot rows of Bigtable. More "
            "workers only press harder on it.",
        ),
        "workers": (
            f"too few workers: {stage.name} is {behind}{busy}",
            _slowly(speed) + _more(speed, target),
        ),
        "stage": (
            f"stage {stage.name}, which is {behind}{busy}",
            "Look at what this stage does, and at its logs.",
        ),
    }
    text, advice = texts[kind]
    evidence = [Evidence(f"system lag of {stage.name}", round(stage.lag_s), "s", speed.now)]
    if stage.before_s is not None:
        evidence.append(Evidence("an hour before", round(stage.before_s), "s"))
    if kind == "workers" and target is not None:
        evidence.append(Evidence("workers that it may have", speed.most_workers or speed.workers))
        evidence.append(Evidence("workers that it needs, about", target))
    return Bottleneck(kind, stage, text, advice, tuple(evidence), target if kind == "workers" else None)


def _slowly(speed: Speed) -> str:
    """Where it catches up, and nobody should wait for so long."""
    return f"It catches up, but slowly: {speed.catching_up.text}. " if speed.catching_up is not None else ""


def _more(speed: Speed, target: int | None) -> str:
    if target is not None:
        busy = (speed.workers or 0) * (speed.utilisation or 0.0) / target
        return (
            f"Let it have {target} workers (`scale --max {target}`): they would be about {percent(busy)} busy. Or find "
            "what made each event dearer."
        )
    if speed.workers is not None and speed.most_workers is not None:
        return (
            f"It may have {speed.most_workers} workers and has {speed.workers}: look why the autoscaler holds back, "
            "before you raise the limit."
        )
    return "Raise the greatest number of workers (`scale --max N`), or find what made each event dearer."
