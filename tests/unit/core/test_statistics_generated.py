"""The statistics of generated months, against figures that are counted while the month is made up."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.alert_model import Kind, Severity
from bot.core.folding import fold
from bot.core.incident import Event
from bot.core.lifecycle import opened
from bot.core.policy import Policy
from bot.core.runbook import Runbook, Step
from bot.core.statistics import Told, compute
from bot.web import pages_operations

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 28
STEPS = ("look", "ask", "mend", "watch")
BOOK = Runbook(
    name="book",
    title="Book",
    kind="health",
    steps=tuple(Step(id=s, title=s, prose="", line=1) for s in STEPS),
)
POLICIES = ("Lag", "Errors", "Backlog", "Disk")
CAUSES = ("a release without the new field", "a hot key", "")
RULES = ("down", "error_rate", "ladder")


@dataclass
class Sums:
    """What is counted while the month is made up."""

    kinds: Counter[str] = field(default_factory=Counter)
    acked: dict[str, float] = field(default_factory=dict)
    resolved: dict[str, float] = field(default_factory=dict)
    weeks: Counter[int] = field(default_factory=Counter)
    week_of: dict[str, int] = field(default_factory=dict)
    policies: Counter[str] = field(default_factory=Counter)
    causes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    fired: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    reached: set[str] = field(default_factory=set)


class Month:
    """Incidents with random stories, and the sums of what was put into them."""

    def __init__(self, seed: int, count: int) -> None:
        self.chance = random.Random(seed)
        self.sums = Sums()
        self.told = [self.incident(number) for number in range(1, count + 1)]

    def incident(self, number: int) -> Told:
        chance, sums, name = self.chance, self.sums, f"INC-{number}"
        minute = chance.randrange(DAYS * 24 * 60)
        start, week = MONDAY + timedelta(minutes=minute), minute // (7 * 24 * 60)
        kind = chance.choice([Kind.HEALTH, Kind.COST, Kind.QUALITY])
        sums.kinds[str(kind)] += 1
        sums.weeks[week] += 1
        sums.week_of[name] = week
        lines: list[tuple[int, str, str, dict[str, Any]]] = []
        self.alerts(name, lines)
        acked = chance.choice([None, chance.randrange(1, 200)])
        if acked is not None:
            lines.append((acked * 60, "acknowledged", "alice", {"person": "alice"}))
            sums.acked[name] = acked * 60
        self.pages(acked, lines)
        over = chance.random() < 0.8
        self.steps(lines, ends=over)
        if over:
            length = chance.randrange(400, 3000)
            lines.append((length * 60, "resolved", "alice", {"reason": "it fell"}))
            sums.resolved[name] = length * 60
            self.cause(name, length * 60, lines)
        return self.story(number, start, kind, lines)

    def alerts(self, name: str, lines: list[Any]) -> None:
        for place in range(self.chance.randrange(1, 4)):
            policy = self.chance.choice(POLICIES)
            self.sums.policies[policy] += 1
            data = {
                "source": "m",
                "key": f"{name}.{place}",
                "title": policy,
                "severity": "critical",
                "kind": "health",
            }
            lines.append((place, "alert_opened", "m", {**data, "policy_name": policy}))

    def pages(self, acked: int | None, lines: list[Any]) -> None:
        """Dave never does anything: a page to him moved something only when somebody acknowledged after it."""
        for minute in self.chance.sample(range(201, 390), self.chance.randrange(3)):
            late = self.chance.random() < 0.5 and acked is not None
            at, rule = (minute if not late else 0), self.chance.choice(RULES)
            self.sums.fired[rule] += 1
            if not (acked is not None and at < acked):
                self.sums.idle[rule] += 1
            page = {"page": f"{rule}{minute}", "epoch": 1, "step": "s", "level": "L2", "person": "dave"}
            more = {"rule": rule, "due_at": MONDAY.isoformat(), "reasons": []}
            lines.append((at * 60 + 10, "paged", "streamwatch", {**page, **more}))

    def steps(self, lines: list[Any], *, ends: bool) -> None:
        sums = self.sums
        begin = {"runbook": "book", "title": "Book", "steps": len(STEPS), "number": 1}
        lines.append((4, "runbook_started", "streamwatch", begin))
        for place, step in enumerate(STEPS[: self.chance.randrange(4)], 1):
            sums.reached.add(step)
            ref, at = f"book/{step}#1.{place}", 5 + place * 2
            data = {"ref": ref, "title": step, "how": "read", "place": place, "of": len(STEPS), "nth": place}
            lines.append((at, "step_taken", "streamwatch", {"runbook": "book", **data}))
            ended = self.chance.choice(["done", "failed", "left"])
            if ended == "left":
                sums.left[f"book/{step}"] += ends
                break
            verdict = "could not be measured: no" if ended == "failed" else "fine"
            sums.failed[f"book/{step}"] += ended == "failed"
            said = {
                "step": f"book/{step}",
                "runbook": "book",
                "ref": ref,
                "state": "done",
                "verdict": verdict,
            }
            lines.append((at + 1, "step", "streamwatch", said))

    def cause(self, name: str, at: int, lines: list[Any]) -> None:
        cause = self.chance.choice(CAUSES)
        if cause:
            lines.append((at + 60, "review_stated", "carol", {"field": "root_cause", "text": cause}))
            self.sums.causes[cause].add(name)

    def story(self, number: int, start: datetime, kind: Kind, lines: list[Any]) -> Told:
        first = opened(
            project="p", pipeline="orders", family="stream", title="It stopped", kind=kind,
            severity=Severity.CRITICAL, policy=Policy(), now=start, actor="watch", reason="a probe",
        )  # fmt: skip
        first = replace(first, data={**first.data, "runbook": "book"})
        rest = [
            Event(type=t, at=start + timedelta(seconds=s), actor=actor, data=data)
            for s, t, actor, data in sorted(lines, key=lambda line: line[0])
        ]
        events = [replace(e, seq=n) for n, e in enumerate([first, *rest], 1)]
        incident = fold(number, events)
        assert incident is not None
        return incident, events


def average(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@pytest.mark.parametrize("seed", range(6))
def test_every_figure_is_the_one_that_was_put_in(seed: int) -> None:
    month = Month(seed, 40)
    sums, found = month.sums, compute(month.told, MONDAY, MONDAY + timedelta(days=DAYS), [BOOK])
    assert found.incidents == 40
    assert found.kinds == dict(sums.kinds)
    assert found.unacknowledged == 40 - len(sums.acked)
    assert found.unresolved == 40 - len(sums.resolved)
    assert found.acknowledge is not None
    assert found.resolve is not None
    assert found.acknowledge.mean_s == pytest.approx(sum(sums.acked.values()) / len(sums.acked))
    assert found.resolve.mean_s == pytest.approx(sum(sums.resolved.values()) / len(sums.resolved))
    assert found.resolve.longest_s == max(sums.resolved.values())
    middle = sorted(sums.acked.values())
    assert middle[(len(middle) - 1) // 2] <= found.acknowledge.median_s <= middle[len(middle) // 2]
    for week in range(DAYS // 7):
        monday = (MONDAY + timedelta(days=7 * week)).date().isoformat()
        assert dict(found.weeks)[monday] == sums.weeks[week]
        (times,) = [(a, r) for m, a, r in found.times if m == monday]
        wanted = [
            average([s for n, s in of.items() if sums.week_of[n] == week])
            for of in (sums.acked, sums.resolved)
        ]
        assert times == pytest.approx(tuple(wanted))
    assert {c.name: c.count for c in found.policies} == dict(sums.policies)
    assert found.policies[0].count == max(sums.policies.values()), "the noisiest is the first"
    stated = {c.name: set(c.where) for c in found.causes if c.name.startswith("stated: ")}
    for cause, names in sums.causes.items():
        if len(names) > 1 and f"stated: {cause}" in stated:
            assert stated[f"stated: {cause}"] <= names
            assert next(c.count for c in found.causes if c.name == f"stated: {cause}") == len(names)
    assert stated, "something came again"
    assert {c.name: (c.count, c.part) for c in found.rules} == {
        r: (n, sums.idle[r]) for r, n in sums.fired.items()
    }
    assert {c.name: c.count for c in found.failed_steps} == {s: n for s, n in sums.failed.items() if n}
    assert {c.name: c.count for c in found.left_steps} == {s: n for s, n in sums.left.items() if n}
    assert found.never_run == {"book": tuple(step for step in STEPS if step not in sums.reached)}


def test_a_chart_has_a_bar_and_words_for_each_figure() -> None:
    month = Month(1, 40)
    found = compute(month.told, MONDAY, MONDAY + timedelta(days=DAYS), [BOOK])
    charts = {chart.title: chart for chart in pages_operations.charts(found)}
    noisy = charts["Noisiest alert policies"]
    assert [bar.name for bar in noisy.bars] == [name for name, _ in month.sums.policies.most_common()]
    assert noisy.bars[0].width > noisy.bars[-1].width
    assert f"{noisy.bars[0].name}: {month.sums.policies.most_common()[0][1]} alerts in " in noisy.words
    kinds = charts["Incidents by kind"]
    assert {bar.name: bar.words for bar in kinds.bars} == {k: str(n) for k, n in month.sums.kinds.items()}
    assert len(charts["Mean time to resolve (MTTR) by week"].bars) == 4
    assert all(chart.words.startswith(chart.title) for chart in charts.values())
