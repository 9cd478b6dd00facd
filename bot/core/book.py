"""The audit book: what the gates let through and what they refused, inside incidents and outside of them.

The timeline of an incident tells its story; the book tells who asked the gates for what, also where there is no
incident. Its lines are one hash chain, like a timeline's (design, "Promises", 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.core.refusal import Refused

REFUSED = "refused"
FORGED = "forged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. ``subject`` is the id of the run that it is about, or ""; ``seq`` is given by the store.

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


def words(entry: Entry) -> str:
    """The line in words, without its time."""
    data = entry.data
    why = str(data.get("reason") or data.get("verdict") or "")
    tail = f": {why}" if why else ""
    if entry.what == REFUSED:
        return f"{entry.actor} was refused {data.get('asked') or 'something'}{tail}"
    if entry.what == FORGED:
        return f"{data.get('count', 1)} requests that are not Slack's were refused at the door{tail}"
    what = _SAYS.get(entry.what, entry.what.replace("_", " "))
    place = f" on {data['pipeline']}" if data.get("pipeline") else ""
    return f"{entry.actor} {what} {data.get('operation', '')}{place}{tail}"
