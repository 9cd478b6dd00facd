"""Messages that people wrote to the contacts of an incident: whom, since when an answer is waited for, and the draft.

Nothing here is sent by itself; what is paged to the security and compliance contacts is in `paging` (rules:
"Escalation", Security). All instants are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

REMIND_AFTER = timedelta(hours=1)
TEXT_MAX = 2500

WRITTEN, ANSWERED, REMINDED = "contact_written", "contact_answered", "contact_reminded"

SUBJECTS: Mapping[str, str] = {
    "infrastructure": "Google Cloud support",
    "network": "the network team",
    "data": "the owners of the data sources",
    "business": "the business stakeholders",
    "security": "the security team",
    "compliance": "the compliance officer",
}
_ASKED: Mapping[str, str] = {
    "infrastructure": "Please tell us whether a service of this project is disturbed, and until when. Our case: ...",
    "network": "Please tell us whether connections between our workers and the services changed at that time.",
    "data": "Did you release or change something at that time (schema, required field, format)? Until it is mended we "
    "keep the refused events; nothing is lost. Please tell us what changed, and when it will be mended.",
    "business": "Figures that rest on this pipeline may be incomplete or late from that time on. We tell you when they "
    "are whole again. Please tell us which reports of yours must not go out before.",
    "security": "Please take part in the incident's private channel, and tell us what must be preserved as evidence.",
    "compliance": "Please tell us whether anybody has to be notified, by when, and what we must write down for it.",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The last message to one contact. ``remind_at`` None: nobody waits for an answer (any more)."""

    subject: str
    by: str
    value: str
    at: datetime
    remind_at: datetime | None = None


def fold(
    standing: Mapping[str, Written], kind: str, at: datetime, actor: str, data: Mapping[str, Any]
) -> Mapping[str, Written]:
    """The messages after one event of the three types."""
    subject = str(data["subject"])
    if kind == WRITTEN:
        until = datetime.fromisoformat(data["remind_at"]) if data.get("remind_at") else None
        found = Written(subject=subject, by=actor, value=str(data.get("value", "")), at=at, remind_at=until)
    elif subject not in standing:
        return standing
    else:
        found = replace(standing[subject], remind_at=None)
    return {**standing, subject: found}


def draft(
    subject: str,
    *,
    name: str,
    pipeline: str,
    title: str,
    since: datetime,
    facts: Sequence[str],
    examples: Sequence[str],
) -> str:
    """What a person may send after they have read it: what, since when, how many, examples (masked already), and
    what is asked of whoever gets it."""
    lines = [f"{name}: {title}", f"Pipeline {pipeline}, since {since:%Y-%m-%d %H:%M} UTC."]
    lines += [f"What we know: {facts[0]}", *(f"- {fact}" for fact in facts[1:])] if facts else []
    lines += ["Examples, masked:", *(f"- {example}" for example in examples)] if examples else []
    lines += ["", _ASKED[subject]]
    return "\n".join(lines)[:TEXT_MAX]
