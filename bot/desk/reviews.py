"""The review as a file in the channel; drafting it never blocks a resolve."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core import review
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Event, Incident
from bot.core.rows import in_channel


def file_row(incident: Incident, events: Sequence[Event]) -> Outbound:
    """The upload of the review as it stands; one for each state of the timeline."""
    name = incident.name
    data = {
        "filename": review.filename(incident),
        "title": f"Review of {name}",
        "content": review.draft(incident, events),
        "comment": (
            f"The review of {name} is drafted from its timeline. What people must say is marked "
            "“not stated”: /review edit; action items: /review actions; /review done closes it."
        ),
        "metadata": {"event_type": "streamwatch_review", "event_payload": {"incident": name}},
    }
    return in_channel(
        incident, Kind.FILE, f"review:{name}:{incident.seq}", Priority.ANSWER, data, apart="review"
    )
