"""A rehearsal: what happens and when, on a clock of its own, and the story that comes of it.

Rules: "Outside interface: Files in runbooks". Pure: playing it is `bot.desk.rehearse`.

All instants are aware UTC datetimes, all durations `timedelta`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from bot.core.policy import Level, Policy, format_duration
from bot.core.roster import Roster
from bot.core.text import counted


@dataclass(frozen=True, slots=True)
class AlertArrives:
    """An alert comes in: JSON-able data. `severity`, `kind` and `state`, where given, are known words."""

    at: datetime
    alert: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChanges:
    """A fact of a pipeline becomes true or false; `pipeline` None is the one that the rehearsal is about."""

    at: datetime
    name: str
    on: bool
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class PersonActs:
    """A person does something. A snooze has a length; an escalation may name its level (None: the next)."""

    at: datetime
    person: str
    act: Literal["ack", "resolve", "snooze", "escalate"]
    length: timedelta | None = None
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """The bot or Slack is down from `at` for `length`."""

    at: datetime
    what: Literal["bot", "slack"]
    length: timedelta


@dataclass(frozen=True, slots=True)
class Maintained:
    """A pipeline is in maintenance from `at` for `length`; None is the one that the rehearsal is about."""

    at: datetime
    length: timedelta
    pipeline: str | None = None


Happening = AlertArrives | FactChanges | PersonActs | Outage | Maintained


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a rehearsal file says, in time order. `policy` and `roster` None: those of the folder.

    groups: who is in the roster's Slack user groups, by name; there is no Slack to ask.
    """

    name: str
    start: datetime
    happenings: tuple[Happening, ...]
    policy: Policy | None = None
    roster: Roster | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


# --- what comes of it -------------------------------------------------------------------------------------

# What happens to the story alone: people read it, a script that counts pages does not want it.
UNKNOWN_GROUP = "group_unknown"
_TOLD_ONLY = frozenset(
    {"fact_began", "fact_ended", "fact_unknown", "outage", "back", "announced", UNKNOWN_GROUP}
)
_FIELDS = ("at", "due", "kind", "level", "person", "rule", "late_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that came of a rehearsal. `due` None: it was due at no particular time."""

    at: datetime
    kind: str
    due: datetime | None = None
    level: str | None = None
    person: str | None = None
    rule: str | None = None
    incident: str = ""
    text: str = ""

    @property
    def late_s(self) -> float:
        """Seconds between due and done; 0 for what was due at no particular time."""
        return 0 if self.due is None else max(0.0, round((self.at - self.due).total_seconds(), 3))

    def to_json(self) -> dict[str, object]:
        """The line as `rehearse --json` prints it; times are RFC 3339 in UTC."""
        late = self.late_s
        return {
            "at": _rfc3339(self.at),
            "due": _rfc3339(self.due) if self.due else None,
            "kind": self.kind,
            "level": self.level,
            "person": self.person,
            "rule": self.rule,
            "late_s": int(late) if late == int(late) else late,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that came of a rehearsal, in the order in which it came."""

    name: str
    start: datetime
    lines: tuple[Line, ...]

    def unknown_groups(self) -> tuple[str, ...]:
        """A sentence for each user group of the roster that the file says nothing of."""
        return tuple(line.text for line in self.lines if line.kind == UNKNOWN_GROUP)

    def pages(self, level: str | None = None) -> tuple[Line, ...]:
        """The pages that were sent, to one level or to all."""
        return tuple(x for x in self.lines if x.kind == "page" and level in (None, x.level))


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_lines(story: Story) -> list[str]:
    """The story as JSON, one object a line ("Outside interface: Files in runbooks")."""
    return [json.dumps(line.to_json()) for line in story.lines if line.kind not in _TOLD_ONLY]


def text_of(story: Story) -> str:
    """The story for people: times counted from its start, one line each."""
    head = f"Rehearsal {story.name}, from {story.start:%Y-%m-%d %H:%M} UTC"
    rows = [head, ""]
    width = max((len(_since(story, line)) for line in story.lines), default=0)
    for line in story.lines:
        late = f" [{format_duration(timedelta(seconds=line.late_s))} late]" if line.late_s >= 1 else ""
        what = f"{line.incident} " if line.incident and line.incident not in line.text else ""
        rows.append(f"{_since(story, line):>{width}}  {what}{line.text or line.kind}{late}")
    pages = story.pages()
    people = len({line.person for line in pages})
    late_pages = sum(1 for line in pages if line.late_s >= 1)
    rows += ["", f"{counted(len(pages), 'page')} to {people} people, {late_pages} of them late."]
    return "\n".join(rows)


def _since(story: Story, line: Line) -> str:
    return f"+{format_duration(line.at - story.start)}"


def differences(story: Story, expected: str) -> list[str]:
    """How the story differs from the JSON lines that were expected, a sentence each; [] when it does not.

    An expected line counts only the fields that it has. Raises ValueError for text that is not JSON lines.
    """
    wanted = _expected(expected)
    found: list[dict[str, object]] = [json.loads(line) for line in json_lines(story)]
    told: list[str] = []
    for number in range(max(len(wanted), len(found))):
        if number >= len(found):
            told.append(f"line {number + 1}: expected {_short(wanted[number])}, nothing came")
        elif number >= len(wanted):
            told.append(f"line {number + 1}: nothing more was expected, came {_short(found[number])}")
        else:
            off = {k: v for k, v in wanted[number].items() if found[number].get(k) != v}
            told += [
                f"line {number + 1}: expected {key} {json.dumps(value)}, came {json.dumps(found[number].get(key))}"
                f" ({_short(found[number])})"
                for key, value in off.items()
            ]
    return told


def _expected(text: str) -> list[dict[str, object]]:
    wanted: list[dict[str, object]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} of the expected story is not JSON: {error}") from error
        unknown = set(value) - set(_FIELDS) if isinstance(value, dict) else {"no object"}
        if unknown:
            raise ValueError(f"line {number} of the expected story has what no line has: {sorted(unknown)}")
        wanted.append(value)
    return wanted


def _short(line: Mapping[str, object]) -> str:
    words = (line.get(key) for key in ("at", "kind", "level", "person", "rule"))
    return " ".join(str(word) for word in words if word is not None)
