"""Changes of the roster by people, with an end: somebody takes a place over, or two people swap.

They are looked up by time, so that nothing has to happen for one to begin or to end: an override whose end
has passed no longer changes anybody's name. A cancelled one ends at that moment. Instants are aware UTC.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.core.policy import Level
from bot.core.rotation import Holder

OverrideKind = Literal["override", "swap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """From `begin` to before `end`, `person` holds a place, or `person` and `other` hold each other's.

    level, place: where; "primary", "backup" and "emergency" at L1, "1", "2", ... above it. A swap has
        neither: it is about whatever the two would hold.
    other: who is relieved, as it was known when the override was made; of a swap the second person.
    """

    id: int = 0
    kind: OverrideKind
    person: str
    other: str = ""
    level: Level | None = None
    place: str = ""
    begin: datetime
    end: datetime
    reason: str = ""
    made_by: str
    made_at: datetime
    cancelled_by: str = ""

    def instead(self, name: str) -> str:
        """Who holds a place that `name` would hold, while this is in force there."""
        if self.kind == "override":
            return self.person
        return {self.person: self.other, self.other: self.person}.get(name, name)

    def holds(self, at: datetime) -> bool:
        """Whether it is in force at this instant."""
        return self.begin <= at < self.end

    def concerns(self) -> tuple[str, ...]:
        """The people whom it is about, each once."""
        return tuple(dict.fromkeys(name for name in (self.person, self.other) if name))


@dataclass(frozen=True, slots=True)
class Overridden:
    """A place with the overrides that touch it, oldest first: a later one is about what the earlier ones made.

    `base` None: a place that the roster gives to nobody.
    """

    base: Holder | None
    overrides: tuple[Override, ...]

    def on_duty(self, at: datetime) -> str:
        """The name of the person who holds the place at this instant; "" when nobody does."""
        name = self.base.on_duty(at) if self.base is not None else ""
        for each in self.overrides:
            if each.holds(at):
                name = each.instead(name)
        return name

    def by(self, at: datetime) -> Override | None:
        """The override that decides who holds the place at this instant; None when the roster does."""
        name, decides = self.base.on_duty(at) if self.base is not None else "", None
        for each in self.overrides:
            if each.holds(at) and (each.kind == "override" or each.instead(name) != name):
                name, decides = each.instead(name), each
        return decides

    def next_hand_over(self, at: datetime) -> datetime | None:
        """The first instant after `at` at which somebody else takes over; None when nobody ever does."""
        now, change = self.on_duty(at), self._next_change(at)
        # It ends: after the last override only the base changes, and then the name is another one.
        while change is not None:
            if self.on_duty(change) != now:
                return change
            change = self._next_change(change)
        return None

    def names(self) -> tuple[str, ...]:
        """Everybody who may hold the place, each once."""
        base = self.base.names() if self.base is not None else ()
        return tuple(dict.fromkeys([*base, *(name for each in self.overrides for name in each.concerns())]))

    def _next_change(self, at: datetime) -> datetime | None:
        edges = [edge for each in self.overrides for edge in (each.begin, each.end) if edge > at]
        turn = self.base.next_hand_over(at) if self.base is not None else None
        return min([*edges, *([turn] if turn is not None else [])], default=None)


def touching(
    overrides: Collection[Override], level: Level, place: str, base: Holder | None
) -> tuple[Override, ...]:
    """Those that may change who holds this place, oldest first."""
    mine = [o for o in overrides if o.kind == "swap" or (o.level is level and o.place == place)]
    if base is None and all(o.kind == "swap" for o in mine):
        return ()
    return tuple(sorted(mine, key=lambda o: (o.made_at, o.id)))
