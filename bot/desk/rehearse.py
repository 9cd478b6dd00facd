"""Rehearse: play a story on a clock of its own against the real rules, and tell what came of it.

Alerts go the way of every alert (`receive`), timers fire as they do on duty (`change`), a probe feeds
facts as the watch does. Only the database and Slack are absent. Nothing leaves the building.

A bot that is down does nothing, and does at once what was due when it is back; what arrives meanwhile
waits for it. A Slack that is down keeps pages waiting, and people away from their buttons.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from bot.core import access, lifecycle
from bot.core.access import Denied
from bot.core.alert_model import Severity
from bot.core.escalation import TimerKind, timers
from bot.core.facts import Measured, from_measurements
from bot.core.folding import begin
from bot.core.holding import Hold, Why
from bot.core.incident import Incident
from bot.core.page_rows import page_keys
from bot.core.policy import format_duration
from bot.core.refusal import Refused
from bot.core.rehearsal import (
    UNKNOWN_GROUP,
    AlertArrives,
    FactChanges,
    Happening,
    Line,
    Maintained,
    Outage,
    PersonActs,
    Rehearsal,
    Story,
)
from bot.desk import holds
from bot.desk.change import change, decide, fire_due
from bot.desk.house import House
from bot.desk.learn import learn
from bot.desk.ports import Tx
from bot.desk.receive import let_go, receive
from bot.desk.rehearse_lines import lines_of
from bot.desk.rehearse_memory import Memory
from bot.desk.rehearse_people import NEEDED, deed, unknown, with_members
from bot.desk.rehearse_world import World, gravity_of, kind_of

AFTERWARDS = timedelta(hours=24)  # how long a story goes on after its last event, at most
PROBE = timedelta(seconds=60)


def rehearse(rehearsal: Rehearsal, house: House) -> Story:
    """What comes of this rehearsal in this house; its own policy and roster, where it has them, win.

    The story ends when nothing is due any more but L1's repeats, at most a day after the last event.
    What people may not do is a line of kind "refused". Raises ValueError for a start that no calendar has room for.
    """
    if not 2000 <= rehearsal.start.year < 9000:
        raise ValueError(f"a rehearsal cannot start in the year {rehearsal.start.year}")
    roster = with_members(rehearsal.roster or house.roster, rehearsal.groups, rehearsal.start)
    # Nobody overrides anything, and the groups stay as the file has them: this roster is the live one.
    own = replace(house, policy=rehearsal.policy or house.policy, roster=roster, live=True)
    player = _Player(rehearsal, own)
    player.play()
    lines = sorted(
        player.lines, key=lambda line: line.at
    )  # stable: what happened in one instant stays in order
    return Story(name=rehearsal.name, start=rehearsal.start, lines=tuple(lines))


def _about(rehearsal: Rehearsal, house: House) -> str:
    """The pipeline that the rehearsal is about: the first that is named, else the first on duty."""
    for item in rehearsal.happenings:
        name = (
            item.alert.get("pipeline") if isinstance(item, AlertArrives) else getattr(item, "pipeline", None)
        )
        if name:
            return str(name)
    return house.pipelines[0].name if house.pipelines else "pipeline"


class _Player:
    """The hands of the clock: the next instant at which anything happens, and what happens then."""

    def __init__(self, rehearsal: Rehearsal, house: House) -> None:
        self.lines: list[Line] = []
        self._house = house
        self._about = _about(rehearsal, house)
        self._memory = Memory(rehearsal.start)
        self._tx = cast(Tx, self._memory)
        self._world = World(house, self._about)
        self._agenda: list[tuple[datetime, int, Happening]] = []
        for place, item in enumerate(rehearsal.happenings):
            heapq.heappush(self._agenda, (item.at, place, item))
        self._measured = {
            item.pipeline or self._about for item in rehearsal.happenings if isinstance(item, FactChanges)
        }
        self._probes: dict[str, datetime] = {}
        self._down: dict[str, datetime] = {}
        self._held: list[Happening] = []
        self._unsent: dict[str, Line] = {}
        lasting = (Outage, Maintained)
        ends = [h.at + h.length if isinstance(h, lasting) else h.at for h in rehearsal.happenings]
        self._last = max(ends, default=rehearsal.start)
        for text in unknown(house.roster):
            self._tell(UNKNOWN_GROUP, text)

    @property
    def _now(self) -> datetime:
        return self._memory.at

    def play(self) -> None:
        """Go from instant to instant until nothing more is to come."""
        while (at := self._next()) is not None and at <= self._last + AFTERWARDS:
            if at > self._last and self._only_repeats():
                return
            self._memory.at = max(at, self._now)
            self._ends_of_outages()
            if "bot" not in self._down:
                self._fire()
                self._release()
                self._let_go()
            while self._agenda and self._agenda[0][0] <= self._now:
                self._happens(heapq.heappop(self._agenda)[2])
            if "bot" not in self._down:
                self._probe_due()

    def _next(self) -> datetime | None:
        candidates = [self._agenda[0][0]] if self._agenda else []
        candidates += self._down.values()
        if "bot" not in self._down:
            candidates += self._probes.values()
            candidates += [hold.until for hold in self._house.maintenances]
            due = self._memory.next_due()
            candidates += [due] if due is not None else []
        return min(candidates, default=None)

    def _only_repeats(self) -> bool:
        """Nobody acts any more, and L1 is paged again until somebody does: the story is told."""
        if self._agenda or self._down or self._probes or self._house.maintenances:
            return False
        armed = [timer for incident in self._memory.active() for timer in timers(incident)]
        return all(timer.kind is TimerKind.L1_AGAIN for timer in armed)

    # --- outages ---

    def _ends_of_outages(self) -> None:
        for what in [w for w, until in self._down.items() if until <= self._now]:
            del self._down[what]
            self._tell("back", f"{'Slack' if what == 'slack' else 'The bot'} is back.")
            if what == "slack":
                waiting, self._unsent = list(self._unsent.values()), {}
                self.lines += [replace(line, at=self._now) for line in waiting]

    def _release(self) -> None:
        """What waited for the bot, or for Slack, in its order."""
        held, self._held = self._held, []
        for item in held:
            self._happens(item)

    def _fire(self) -> None:
        while due := self._memory.due_incidents(100):
            for number in due:
                self._do(lambda number=number: fire_due(self._tx, self._house, number))  # type: ignore[misc]

    # --- what happens ---

    def _happens(self, item: Happening) -> None:
        if isinstance(item, Outage):
            self._goes_down(item)
        elif isinstance(item, FactChanges):
            self._fact(item)
        elif isinstance(item, Maintained):
            self._maintained(item)
        elif "bot" in self._down or ("slack" in self._down and isinstance(item, PersonActs)):
            self._held.append(item)
        elif isinstance(item, AlertArrives):
            self._alert(item)
        else:
            self._person(item)

    def _goes_down(self, item: Outage) -> None:
        self._down[item.what] = max(item.at + item.length, self._down.get(item.what, item.at))
        name = "Slack" if item.what == "slack" else "The bot"
        self._tell("outage", f"{name} is down for {format_duration(item.length)}.")

    def _alert(self, item: AlertArrives) -> None:
        alert = self._world.alert(item.alert, item.at)
        self._do(lambda: receive(self._tx, self._house, alert, self._now))
        name = str(item.alert.get("pipeline") or self._about)
        if name in self._measured:
            self._probes[name] = self._now

    def _fact(self, item: FactChanges) -> None:
        name = item.pipeline or self._about
        self._world.change(name, item.name, item.on, item.at)
        self._probes[name] = self._now

    def _maintained(self, item: Maintained) -> None:
        """It stands in the database, whether the bot is there to see it or not."""
        known = self._house.maintenances
        hold = Hold(
            name=f"maintenance:{item.at.isoformat()}:{item.pipeline}",
            why=Why.MAINTENANCE,
            pipeline=item.pipeline or self._about,
            reason="rehearsed",
            by="somebody",
            begin=item.at,
            until=item.at + item.length,
        )
        self._house = replace(self._house, maintenances=(*known, hold))
        if "bot" not in self._down:
            self._let_go()

    def _let_go(self) -> None:
        """What maintenances begin and end now, and the alerts that they held."""
        over: list[str] = []
        self._do(lambda: over.extend(holds.turn(self._tx, self._house, let_go)))
        for hold in [hold for hold in self._house.maintenances if hold.name in over]:
            self._house = replace(
                self._house, maintenances=tuple(h for h in self._house.maintenances if h is not hold)
            )
            self._probes.update(dict.fromkeys(self._measured & {hold.pipeline}, self._now))

    def _person(self, item: PersonActs) -> None:
        incident = self._meant(item)
        needed = NEEDED[item.act]
        decided = access.decide(self._house.roster, item.person, self._now, needed, incident=incident)
        if isinstance(decided, Denied):
            self._refused(item, decided.reason)
            return
        if incident is None:
            self._refused(item, "there is no open incident")
            return
        act = deed(item, self._house.roster)
        try:
            self._do(lambda: decide(self._tx, self._house, incident.id, act))
        except Refused as why:
            self._refused(item, str(why))

    def _meant(self, item: PersonActs) -> Incident | None:
        """The incident that a person means: to acknowledge, one that paged them; else one in hand."""
        active, who = self._memory.active(), item.person
        paged = [i for i in active if any(p.person == who for p in i.pages.values())]
        if item.act == "ack":
            asked = [i for i in active if i.asked_at is not None and i.acked_by == who]
            waiting = [i for i in paged if any(p.person == who and not p.acked_at for p in i.pages.values())]
            open_ones = [i for i in active if not i.acked_by]
            return _newest(asked or waiting or open_ones or active)
        in_hand = [i for i in active if who in (i.acked_by, i.assignee)]
        return _newest(in_hand or paged or active)

    # --- probes ---

    def _probe_due(self) -> None:
        for name in [n for n, at in self._probes.items() if at <= self._now]:
            del self._probes[name]
            self._probe(name)

    def _probe(self, name: str) -> None:
        for measured in self._world.others(name):
            self._learn_alone(name, measured)
        key = self._world.where(name, "down").key
        standing = self._memory.open_incident(key)
        facts = self._world.stream(name, standing)
        on = [m.id for m in facts if m.on]
        if standing is None and gravity_of(on) == "info":
            for measured in facts:
                self._learn_alone(name, measured)
        elif facts:
            report = self._world.report(name, facts, self._now)
            self._do(lambda: learn(self._tx, self._house, self._world.pipeline(name), report))
        self._again(name, unopened=bool(on) and self._memory.open_incident(key) is None)

    def _again(self, name: str, *, unopened: bool) -> None:
        """A probe a minute later matters only where one may still change something."""
        mine = [i for i in self._memory.active() if i.pipeline == name]
        fading = any(f.false_since for i in mine for f in i.holding)
        if unopened or fading:
            self._probes[name] = self._now + PROBE

    def _learn_alone(self, name: str, measured: Measured) -> None:
        """A fact that the watch's probe does not carry: into the incident it belongs to, or into a new one."""
        where = self._world.where(name, measured.id)
        mine = [i for i in self._memory.active() if i.key == where.key]
        if mine:
            self._do(
                lambda: decide(
                    self._tx,
                    self._house,
                    mine[-1].id,
                    lambda i, now: from_measurements(i, [measured], now, "watch"),
                )
            )
        elif measured.on:
            self._do(lambda: self._open(name, measured))

    def _open(self, name: str, measured: Measured) -> None:
        where = self._world.where(name, measured.id)
        gravity = gravity_of([measured.id])
        number = self._tx.next_number()
        words = measured.id.replace("_", " ")
        first = lifecycle.opened(
            project=where.project,
            pipeline=name,
            family=str(where.family),
            title=f"{name}: {words}",
            kind=kind_of(measured.id),
            severity=Severity(gravity),
            policy=self._house.policy,
            now=self._now,
            actor="watch",
            reason=words,
            claimed=where.claimed,
        )
        facts = from_measurements(begin(number, first), [measured], self._now, "watch")
        change(self._tx, self._house, None, number, [first, *facts])

    # --- the story ---

    def _do(self, act: Callable[[], object]) -> None:
        """Do something to incidents and tell what came of it."""
        try:
            act()
        finally:
            fresh, self._memory.fresh = self._memory.fresh, []
            said, self._memory.said = self._memory.said, []
        for number in dict.fromkeys(number for number, _ in fresh):
            incident = self._memory.incident(number)
            if incident is None:
                continue
            for line, page in lines_of(incident, [event for n, event in fresh if n == number]):
                self._line(line, page)
        for text in said:
            self._tell("announced", text)
        for page in [page for page in self._unsent if page_keys(page)[0] in self._memory.gone]:
            line = self._unsent.pop(page)
            text = f"the page to {line.person} ({line.level}) never left: it was not needed any more"
            self.lines.append(replace(line, at=self._now, due=None, kind="cancelled", text=text))

    def _line(self, line: Line, page: str) -> None:
        if line.kind == "page" and "slack" in self._down:
            self._unsent[page] = line
        else:
            self.lines.append(line)

    def _tell(self, kind: str, text: str) -> None:
        self.lines.append(Line(at=self._now, kind=kind, text=text))

    def _refused(self, item: PersonActs, why: str) -> None:
        text = f"{item.person} tried to {item.act}: {why}"
        self.lines.append(Line(at=self._now, kind="refused", person=item.person, text=text))


def _newest(incidents: list[Incident]) -> Incident | None:
    return incidents[-1] if incidents else None
