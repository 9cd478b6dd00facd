"""The review as a file in the channel; drafting it never blocks a resolve."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core import review
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Event, Incident


def file_row(incident: Incident, events: Sequence[Event]) -> Outbound:
    """The upload of the review as it stands; one for each state of the timeline."""
    return Outbound(
        key=f"review:{incident.name}:{incident.seq}",
        kind=Kind.FILE,
        lane=f"incident:{incident.id}:review",
        priority=Priority.ANSWER,
        incident=incident.id,
        needs_channel=True,
        data={
            "filename": review.filename(incident),
            "title": f"Review of {incident.name}",
            "content": review.draft(incident, events),
            "comment": (
                f"The review of {incident.name} is drafted from its timeline. What people must say is marked "
                "“not stated”: /review edit; action items: /review actions; /review done closes it."
            ),
            "metadata": {"event_type": "streamwatch_review", "event_payload": {"incident": incident.name}},
        },
    )
