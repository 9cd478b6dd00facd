"""The audit book: what the gates let through and refused, and what people signed for, inside incidents and outside.

The timeline of an incident tells its story; the book tells who asked the gates for what, also where there is no
incident; and who ticked off what, wrote to whom, and bade the repeats be silent. Its lines are one hash chain, like a
timeline's (design, "Promises", 7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.core.incident import Event, Incident
from bot.core.refusal import Refused
from bot.core.written import ANSWERED, WRITTEN

REFUSED = "refused"
FORGED = "forged"
TICKED = "ticked"
SNOOZED = "snoozed"
_KEPT: Mapping[str, tuple[str, ...]] = {
    SNOOZED: ("until", "reason"),
    # Not the text: it stands on the timeline, and the book is shown to more people.
    WRITTEN: ("subject", "kind", "value", "sent", "mailed"),
    ANSWERED: ("subject", "note"),
}
"""Acts of people on a timeline that the book has too, and what it keeps of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. ``subject`` is the id of the run, runbook's run or round that it is about, or ""; ``seq`` is given by
    the store.

    ``actor`` as in an event; ``data`` holds JSON values. ``at`` is an aware UTC datetime.
    """

    at: datetime
    actor: str
    what: str
    subject: str = ""
    incident: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0

    def record(self) -> dict[str, Any]:
        """What is hashed of it: all that it says."""
        return {
            "seq": self.seq,
            "at": self.at,
            "actor": self.actor,
            "what": self.what,
            "subject": self.subject,
            "incident": self.incident,
            "data": self.data,
        }


class Barred(Refused):
    """A gate refused: not this person, or not now. Unlike a slip of the tongue it is written down."""

    def __init__(
        self, reason: str, remedy: str = "", *, subject: str = "", incident: int | None = None
    ) -> None:
        super().__init__(reason, remedy)
        self.subject = subject
        self.incident = incident


def of_event(incident: Incident, event: Event) -> Entry | None:
    """The line for an act on a timeline, or None where the timeline alone has it."""
    kept = _KEPT.get(event.type)
    if kept is None:
        return None
    data = {name: event.data[name] for name in kept if event.data.get(name) not in (None, "")}
    return Entry(at=event.at, actor=event.actor, what=event.type, incident=incident.id, data=data)


def ticked(
    at: datetime,
    actor: str,
    *,
    subject: str,
    of: str,
    item: str,
    answer: str = "",
    note: str = "",
    incident: int | None = None,
) -> Entry:
    """The line for an item of a round, or a step of a runbook, that a person says is done."""
    data = {"of": of, "item": item, "answer": answer, "note": note}
    told = {name: value for name, value in data.items() if value}
    return Entry(at=at, actor=actor, what=TICKED, subject=subject, incident=incident, data=told)


_SAYS = {
    "planned": "planned",
    "plan_confirmed": "confirmed",
    "plan_approved": "approved as the second person",
    "plan_cancelled": "cancelled the plan of",
    "operation_started": "started",
    "operation_finished": "finished",
    "operation_verified": "verified",
    "operation_unknown": "lost sight of",
    "break_glass": "broke the glass for",
}


def _sent(data: Mapping[str, Any]) -> str:
    return "" if data.get("sent") else " (shown to be copied, not sent)"


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    TICKED: lambda d: f"ticked off “{d['item']}” of {d['of']}" + (
        f" ({str(d['answer']).replace('_', ' ')})" if d.get("answer") else ""
    ),
    SNOOZED: lambda d: f"snoozed the incident until {str(d['until'])[:16].replace('T', ' ')} UTC",
    WRITTEN: lambda d: f"wrote to the {d['subject']} contact, {d.get('value', '')}{_sent(d)}",
    ANSWERED: lambda d: f"noted that the {d['subject']} contact answered",
}  # fmt: skip


def words(entry: Entry) -> str:
    """The line in words, without its time."""
    data = entry.data
    why = str(data.get("reason") or data.get("verdict") or data.get("note") or "")
    tail = f": {why}" if why else ""
    if entry.what == REFUSED:
        return f"{entry.actor} was refused {data.get('asked') or 'something'}{tail}"
    if entry.what == FORGED:
        return f"{data.get('count', 1)} requests that are not Slack's were refused at the door{tail}"
    if entry.what in _WORDS:
        return f"{entry.actor} {_WORDS[entry.what](data)}{tail}"
    what = _SAYS.get(entry.what, entry.what.replace("_", " "))
    place = f" on {data['pipeline']}" if data.get("pipeline") else ""
    return f"{entry.actor} {what} {data.get('operation', '')}{place}{tail}"
