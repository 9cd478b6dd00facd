"""What a timeline says that somebody must be paged for, by a reading of its own (rules: "Escalation").

A second implementation, on purpose: it knows the events and the rules, and nothing of `bot.core.escalation`,
`bot.core.paging` or the folded incident. Where the two disagree, one of them is wrong, and people are told.

What counts as done is never taken on trust: a timer that is said to have fired needs the page to prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from bot.core.auditor_reading import Call, Known
from bot.core.policy import Level, Rule

# The document's "within 4 hours" tier: these page even an info incident, and nobody is asked to answer.
MINOR = ("persistent_minor", "resource_constraint", "degradation_trend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Somebody of ``level`` is to be paged at ``due``. ``step`` is the name that the timeline gives to it."""

    step: str
    level: Level
    due: datetime
    why: str


@dataclass(slots=True)
class World(Known):
    """One incident, and who is to be paged for it."""

    # --- what must be done by now ---------------------------------------------------------------------------

    def duties(self, now: datetime) -> list[Duty]:
        """Every page that is due by ``now`` and was not made, earliest first."""
        if not self.active:
            return []
        known = [
            *self._rungs(),
            *self._first_level(),
            *self._rules(),
            *self._unanswered(),
        ]
        return sorted((d for d in known if d.due <= now), key=lambda d: (d.due, d.step))

    @property
    def _here(self) -> list[Call]:
        return [call for call in self.calls if call.epoch == self.epoch]

    @property
    def _proofs(self) -> list[Call]:
        """A contact who is told too is no proof that the level was."""
        return [call for call in self._here if ":contact:" not in call.step]

    def _reached(self, level: Level) -> bool:
        return any(call.level is level for call in self._proofs)

    def _is_done(self, step: str, proof: Callable[[datetime, datetime], bool]) -> bool:
        """It is said to have fired, and there is the page to prove it, or nobody there to be paged."""
        if step not in self.done:
            return False
        due, fired = self.done[step]
        return fired in self.nobody or proof(due, fired)

    def _helped(self, due: datetime, fired: datetime) -> bool:
        """The proof of backup and emergency: a page of L1's, or the emergency step's shout with the numbers."""
        return fired in self.emergencies or self._paged_then(Level.L1)(due, fired)

    def _paged_then(self, level: Level) -> Callable[[datetime, datetime], bool]:
        """A page at that moment to this level, or to one above where this one had nobody."""
        return lambda _, fired: any(c.made == fired and c.level >= level for c in self._proofs)

    def _paged_about(self, level: Level) -> Callable[[datetime, datetime], bool]:
        """The same, or one that had been due within the merging time of it."""
        merge = self.policy.merge
        return lambda due, fired: any(
            c.level >= level and (c.made == fired or abs(c.due - due) <= merge) for c in self._proofs
        )

    def _paged_ever(self, level: Level) -> Callable[[datetime, datetime], bool]:
        """A page of this epoch: a rule only adds its reason to it."""
        return lambda _, fired: any(c.level >= level and c.made <= fired for c in self._proofs)

    def _rungs(self) -> Iterator[Duty]:
        """L1 at once; L2, L3, L4 on unresolved time. None for info."""
        if self.severity == "info" or self.clock is None:
            return
        step = f"e{self.epoch}:c{self.cycle}:L1"
        if self.round is not None and not self._is_done(step, self._paged_then(Level.L1)):
            due = self._patient(self._on(self.round))
            yield Duty(step=step, level=Level.L1, due=due, why="L1 at once")
        open_rungs = []
        for level in (Level.L2, Level.L3, Level.L4):
            after = self.policy.ladder.get(level)
            step = f"e{self.epoch}:ladder:{level}"
            if after is not None and not self._is_done(step, self._paged_about(level)):
                open_rungs.append((level, step, self.clock + after))
        lowest = next((level for level, _, _ in open_rungs if not self._reached(level)), None)
        for level, step, due in open_rungs:
            sooner = self._before_deletion() if level is lowest else None
            at = min(due, sooner) if sooner is not None else due
            yield Duty(step=step, level=level, due=self._patient(self._on(at)), why="unresolved")

    def _first_level(self) -> Iterator[Duty]:
        """Backup, emergency, L1 again, and L2 when critical: until somebody acknowledges."""
        if self.round is None or self.acknowledged or self.recovering or self.severity == "info":
            return
        start, p = self.round, self.policy
        name = f"e{self.epoch}:c{self.cycle}"
        for step, after, why in (
            (f"{name}:backup", p.backup, "backup"),
            (f"{name}:emergency", p.emergency, "emergency step"),
        ):
            if not self._is_done(step, self._helped):
                yield Duty(step=step, level=Level.L1, due=self._quiet(self._on(start + after)), why=why)
        step = f"{name}:L2"
        if self.severity == "critical" and not self._is_done(step, self._paged_about(Level.L2)):
            due = self._on(self._critical(start + p.l2_if_critical))
            yield Duty(step=step, level=Level.L2, due=due, why="critical and unacknowledged")
        number = 1
        while self._is_done(f"{name}:again:{number}", self._paged_then(Level.L1)):
            number += 1
        due = self._quiet(self._on(start + number * p.repeat))
        yield Duty(step=f"{name}:again:{number}", level=Level.L1, due=due, why="L1 again")

    def _rules(self) -> Iterator[Duty]:
        """ "When to Escalate": begin + for + within, but not before anybody could know."""
        for rule in self.policy.rules:
            fact = self.facts.get(rule.fact)
            if fact is None or not fact.holds or self._taken_by_hand(rule):
                continue
            if self.severity == "info" and rule.fact not in MINOR:
                continue
            step = f"e{self.epoch}:rule:{rule.id}:{fact.begin.isoformat()}"
            if not self._is_done(step, self._paged_ever(rule.to)):
                due = max(fact.begin + rule.for_ + rule.within, fact.known)
                yield Duty(step=step, level=rule.to, due=due, why=rule.id)

    def _taken_by_hand(self, rule: Rule) -> bool:
        return self.by_hand is not None and self.by_hand >= rule.to

    def _unanswered(self) -> Iterator[Duty]:
        """L2 and above: repeated once after 15 min; critical then goes one level up, unless it is there already."""
        asked: dict[str, list[Call]] = {}
        for call in self._proofs:
            if call.level is not Level.L1 and call.urgent and not own_step_of_l1(call.step):
                asked.setdefault(call.step, []).append(call)
        for step, calls in asked.items():
            root = step.removesuffix(":repeat")
            if any(c.answered for name in (root, f"{root}:repeat") for c in asked.get(name, [])):
                continue
            level, due = calls[0].level, calls[0].made + self.policy.unanswered
            if step == root:
                again = f"{step}:repeat"
                if not self._is_done(again, self._paged_about(level)):
                    yield Duty(step=again, level=level, due=self._quiet(due), why="unanswered")
                continue
            above = level.up
            if self.severity == "critical" and above is not None and not self._reached(above):
                up = f"{step}:up"
                if not self._is_done(up, self._paged_about(above)):
                    yield Duty(step=up, level=above, due=self._critical(due), why="unanswered twice")

    # --- what moves a due time ------------------------------------------------------------------------------

    def _on(self, due: datetime) -> datetime:
        """What fell due while the ladder was off is due when it is on again."""
        return due if self.switched_on is None else max(due, self.switched_on)

    def _critical(self, due: datetime) -> datetime:
        """What only a critical incident asks for is asked for from then on."""
        return due if self.critical_from is None else max(due, self.critical_from)

    def _quiet(self, due: datetime) -> datetime:
        """A snooze holds repeats and the steps of L1 back to its end."""
        return due if self.snoozed is None else max(due, self.snoozed)

    def _patient(self, due: datetime) -> datetime:
        """A snooze holds a ladder back that is not critical, though not past the last hour of the data."""
        if self.snoozed is None or self.severity == "critical" or due >= self.snoozed:
            return due
        end = self.snoozed
        if self.deletion is not None:
            end = min(end, self.deletion - self.policy.deletion_margin)
        return max(due, end)

    def _before_deletion(self) -> datetime | None:
        """The data-loss clock: an hour before, unless somebody above L1 was paged since that moment."""
        if self.deletion is None or self.opened is None:
            return None
        moment = max(self.deletion - self.policy.deletion_margin, self.deletion_known or self.opened)
        told = any(call.level > Level.L1 and call.made >= moment for call in self._proofs)
        return None if told else moment


def own_step_of_l1(step: str) -> bool:
    """ "e1:c2:backup" and its like, where an empty L1 made them a page to a higher level; not "e1:c2:L2". A contact
    has no repeats either."""
    if ":contact:" in step:
        return True
    _, _, rest = step.partition(":")
    head, _, tail = rest.partition(":")
    return head.startswith("c") and tail.split(":")[0] != "L2"
