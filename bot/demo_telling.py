"""What the demo's story ends with: whether every page was right, and the transcript; and what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.demo_kept import Kept
from bot.demo_world import Trouble

LEVELS = ("L1", "L2", "L3", "L4")

_QUIET = frozenset(
    {"timer_fired", "probed", "page_delivered", "page_acknowledged", "fact_known", "fact_false", "reported"}
)


def check(
    incident: Mapping[str, Any], state: Mapping[str, Any], review: str, kept: Kept, limit_s: float
) -> None:
    """Every level paged, in time, once; a review with its headings. Raises Trouble.

    limit_s: how late, in real seconds, a page may be; while everything was dead nothing could be sent.
    """
    pages = incident["pages"]
    late = [(p["id"], _late(p)) for p in pages if p.get("sent_at") and _blamed(p, kept, limit_s) > limit_s]
    if late:
        raise Trouble(f"pages were late: {late}")
    unsent = [p["id"] for p in pages if not p.get("sent_at")]
    if unsent:
        raise Trouble(f"pages were never sent: {unsent}")
    if not {p["level"] for p in pages} >= set(LEVELS):
        raise Trouble("not every level was paged")
    once(state)
    for heading in ("Timeline", "Root cause", "Action Items"):
        if heading.lower() not in review.lower():
            raise Trouble(f"the review lacks {heading}")


def once(state: Mapping[str, Any]) -> None:
    """No page stands twice in one place. Raises Trouble."""
    keys = [
        meta(m)["event_payload"]["outbox_id"]
        for c in state["channels"]
        for m in c["messages"]
        if meta(m).get("event_type") == "streamwatch_page"
    ]
    if len(keys) != len(set(keys)):
        raise Trouble("a page was sent twice to one place")


def _blamed(page: Mapping[str, Any], kept: Kept, limit_s: float) -> float:
    """Real seconds that a page was late, since everything was back where it fell due while nothing lived."""
    due, sent = (datetime.fromisoformat(page[name]).timestamp() for name in ("due_at", "sent_at"))
    since = due
    for seen, back in kept.falls:
        if kept.domain(seen - limit_s) <= due <= kept.domain(back):
            since = max(since, kept.domain(back))
    return (sent - since) / kept.speed


def transcript(
    incident: Mapping[str, Any], review: str, told: Sequence[str], speed: float, ending: str
) -> str:
    """Each page with how late it was, what befell the bots (``told``), the timeline, and how the review begins."""
    out = ["", f"=== Transcript of {incident['id']}: {incident['title']} ===", "", "Pages"]
    repeats = 0
    for page in sorted(incident["pages"], key=lambda p: p["due_at"]):
        if ":again:" in page["step"]:
            repeats += 1
            continue
        sent = "called off before it was sent"
        if page["sent_at"]:
            late = _late(page)
            sent = (
                f"sent {_clock(page['sent_at'])}  ({late:.0f} s on the fast clock, {late / speed:.2f} s real)"
            )
        out.append(
            f"  {page['level']} {page['person']:<6} due {_clock(page['due_at'])}  {sent}"
            f"  {_cut('; '.join(page['reasons']), 100)}"
        )
    out.append(
        f"  and {repeats} repeats to L1, every 15 minutes until somebody acknowledged, each sent "
        + ("once." if told else "in time.")
    )
    if told:
        out += ["", "Meanwhile", *(f"  {line}" for line in told)]
    out += ["", "Timeline"]
    for event in incident["events"]:
        quiet = event["type"] in _QUIET or ":again:" in str(event["data"].get("step", ""))
        if not quiet:
            out.append(f"  {_clock(event['at'])}  {_cut(event.get('text') or event['type'], 180)}")
    out += ["", f"Review: {len(review.splitlines())} lines, the first of them:"]
    out += [f"  {line}" for line in review.splitlines()[:14]]
    out += ["", ending]
    return "\n".join(out)


def _cut(text: str, limit: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


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


def confirmed(incident: Mapping[str, Any], operation: str) -> bool:
    """Whether somebody confirmed a plan of the operation."""
    return any(
        e["type"] == "plan_confirmed" and e["data"].get("operation") == operation for e in incident["events"]
    )


def verified(incident: Mapping[str, Any], operation: str) -> bool:
    """Whether a change of the operation was verified."""
    return any(
        e["type"] == "operation_verified" and e["data"].get("operation") == operation
        for e in incident["events"]
    )


def meta(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message's metadata, {} without."""
    return dict(message.get("metadata") or {})


def _late(page: Mapping[str, Any]) -> float:
    due, sent = datetime.fromisoformat(page["due_at"]), datetime.fromisoformat(page["sent_at"])
    return max(0.0, (sent - due).total_seconds())


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text):%H:%M:%S}"
