"""What the demo prints: the next thing to try, and the transcript at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_QUIET = frozenset(
    {"timer_fired", "probed", "page_delivered", "page_acknowledged", "fact_known", "fact_false", "reported"}
)


def transcript(
    incident: Mapping[str, Any], review: str, *, speed: float, killed: Sequence[str], ending: str
) -> str:
    """The pages with their due and sent times, what was ``killed`` meanwhile, the timeline, the review's begin."""
    out = ["", f"=== Transcript of {incident['id']}: {incident['title']} ===", "", "Pages"]
    repeats = 0
    for page in sorted(incident["pages"], key=lambda p: p["due_at"]):
        if ":again:" in page["step"]:
            repeats += 1
            continue
        late = late_s(page)
        out.append(
            f"  {page['level']} {page['person']:<6} due {_clock(page['due_at'])}  sent {_clock(page['sent_at'])}"
            f"  ({late:.0f} s on the fast clock, {late / speed:.2f} s real)"
            f"  {_cut('; '.join(page['reasons']), 100)}"
        )
    out.append(
        f"  and {repeats} repeats to L1, every 15 minutes until somebody acknowledged, each sent "
        + ("once." if killed else "in time.")
    )
    if killed:
        out += ["", "Meanwhile", *(f"  {line}" for line in killed)]
    out += ["", "Timeline"]
    for event in incident["events"]:
        quiet = event["type"] in _QUIET or ":again:" in str(event["data"].get("step", ""))
        if not quiet:
            out.append(f"  {_clock(event['at'])}  {_cut(event.get('text') or event['type'], 180)}")
    out += ["", f"Review: {len(review.splitlines())} lines, the first of them:"]
    out += [f"  {line}" for line in review.splitlines()[:14]]
    out += ["", ending]
    return "\n".join(out)


class Hints:
    """The next thing to try, from what has happened."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def next(self, incident: Mapping[str, Any], _: Mapping[str, Any]) -> str:
        """One line."""
        done = {e["type"] for e in incident["events"]}
        if incident["status"] in ("resolved", "reviewed"):
            return "read the review that was drafted in the channel, then type /review actions"
        if "acknowledged" not in done:
            return f"you are alice, and you are paged: open #{self._channel} and press Acknowledge"
        if confirmed(incident, "pipeline.restart") and not verified(incident, "pipeline.restart"):
            return "the restart is verified after two minutes of running; meanwhile type /dlq peek or /incident timers"
        if not any(e["type"] == "reported" and e["actor"] == "alice" for e in incident["events"]):
            return "type /pipeline health in the channel"
        if not verified(incident, "pipeline.restart"):
            return "type /pipeline restart, read the plan, press the button that runs it"
        if not verified(incident, "dlq.replay"):
            return "type /dlq peek, then /dlq replay (once the pipeline has caught up)"
        return "type /incident timers, or /incident resolve (it resolves by itself after ten good minutes)"


def late_s(page: Mapping[str, Any]) -> float:
    """How many seconds a page was sent after it was due, on the incident's clock."""
    due, sent = datetime.fromisoformat(page["due_at"]), datetime.fromisoformat(page["sent_at"])
    return max(0.0, (sent - due).total_seconds())


def confirmed(incident: Mapping[str, Any], operation: str) -> bool:
    """Whether somebody confirmed a plan of the operation."""
    return any(
        e["type"] == "plan_confirmed" and e["data"].get("operation") == operation for e in incident["events"]
    )


def verified(incident: Mapping[str, Any], operation: str) -> bool:
    """Whether an operation was carried out and found to have had its effect."""
    return any(
        e["type"] == "operation_verified" and e["data"].get("operation") == operation
        for e in incident["events"]
    )


def _cut(text: str, limit: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text):%H:%M:%S}"
