"""Who should have been paged by now, held against who was (rules: "Escalation"). Pure, from the events alone.

The duties come from `bot.core.auditor_world`, a second reading of the rules; this module walks a timeline and
says what is missing, what was late, what came twice and what nobody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.auditor_reading import Call
from bot.core.auditor_world import Duty, World, own_step_of_l1
from bot.core.incident import Event, instant
from bot.core.policy import Level, format_duration

# Below this nothing counts as late: a tick and a busy machine are not a disagreement.
TOLERANCE = timedelta(seconds=2)
DISAGREEMENTS = ("missing", "twice", "unasked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the rules have it.

    kind: "missing" (due, and there is no page), "unsent" (made, and not delivered yet), "failed" (delivery was
        refused for good everywhere), "late" (done, ``late`` after it was due), "missed" (due, never made, and
        not wanted any more), "twice" (one page in one place more than once), "unasked" (no rule wanted it).
    """

    kind: str
    incident: str
    level: str
    due_at: datetime
    late: timedelta
    step: str
    person: str = ""
    why: str = ""

    @property
    def key(self) -> str:
        """What makes it the same finding in the next audit."""
        return f"{self.kind}:{self.incident}:{self.step}:{self.person}"

    def words(self) -> str:
        """The finding in one sentence."""
        who = f"{self.level} {self.person}".strip()
        due = f"{self.due_at:%Y-%m-%d %H:%M:%S} UTC"
        late = format_duration(self.late)
        why = f" ({self.why})" if self.why else ""
        return {
            "missing": f"{self.incident}: {who} should have been paged at {due}{why} and was not, for {late}.",
            "unsent": f"{self.incident}: the page to {who} was due at {due} and is not out yet, for {late}.",
            "failed": f"{self.incident}: the page to {who}, due at {due}, could not be delivered{why}.",
            "late": f"{self.incident}: {who} was paged {late} after {due}{why}.",
            "missed": f"{self.incident}: {who} should have been paged at {due}{why}; it never happened.",
            "twice": f"{self.incident}: {who} was paged twice for one step{why}.",
            "unasked": f"{self.incident}: {who} was paged at {due}, and no rule asked for it.",
        }[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What one timeline, or many, came to. ``pages`` is how many were made."""

    pages: int = 0
    findings: tuple[Finding, ...] = ()

    def of(self, *kinds: str) -> tuple[Finding, ...]:
        """The findings of these kinds."""
        return tuple(f for f in self.findings if f.kind in kinds)

    @property
    def disagreements(self) -> tuple[Finding, ...]:
        """What the escalation itself did wrong, whatever the weather outside."""
        return self.of(*DISAGREEMENTS)


def owed(events: Sequence[Event], now: datetime) -> list[Duty]:
    """The pages that are due by ``now`` and are not on the timeline, earliest first; [] for no events."""
    world = World()
    for event in events:
        world.read(event)
    return world.duties(now) if events else []


def audit(number: int, events: Sequence[Event], now: datetime) -> Audit:
    """Hold one whole timeline against the rules, at ``now`` (aware UTC)."""
    name = f"INC-{number}"
    world, findings = World(), list[Finding]()
    standing: dict[str, Duty] = {}
    before: datetime | None = None
    for event in events:
        if before is not None and event.at > before:
            _compare(name, standing, world, event.at, findings)
        if event.type == "timer_fired":
            _fired(name, standing, event, findings)
        elif event.type == "paged":
            findings += _unasked(name, world, event)
        world.read(event)
        before = event.at
    if before is None:
        return Audit()
    _compare(name, standing, world, now, findings)
    findings += [_from(name, "missing", d, now - d.due) for d in standing.values() if now - d.due > TOLERANCE]
    findings += _delivery(name, events, world, now)
    return Audit(pages=len(world.calls), findings=tuple(findings))


def _compare(
    name: str, standing: dict[str, Duty], world: World, at: datetime, findings: list[Finding]
) -> None:
    """What is owed at this instant. A duty that is owed no more, and was not done, came to nothing."""
    now_owed = {duty.step: duty for duty in world.duties(at)}
    for step, duty in list(standing.items()):
        if step not in now_owed:
            del standing[step]
            if at - duty.due > TOLERANCE and step not in world.done:
                findings.append(_from(name, "missed", duty, at - duty.due))
    for step, duty in now_owed.items():
        standing.setdefault(step, duty)


def _fired(name: str, standing: dict[str, Duty], e: Event, findings: list[Finding]) -> None:
    for step in e.data["steps"]:
        duty = standing.get(str(step))
        if duty is not None and e.at - duty.due > TOLERANCE:
            findings.append(_from(name, "late", duty, e.at - duty.due))


def _from(name: str, kind: str, duty: Duty, late: timedelta) -> Finding:
    return Finding(
        kind=kind, incident=name, level=str(duty.level), due_at=duty.due, late=late, step=duty.step, why=duty.why
    )  # fmt: skip


def _unasked(name: str, world: World, e: Event) -> list[Finding]:
    """A page that no rule wants now or within the merging time, unless a person asked for it; or one made twice."""
    step, page = str(e.data["step"]), str(e.data["page"])
    kind, why = "", ""
    if any(call.page == page for call in world.calls):
        kind, why = "twice", "made twice"
    elif ":hand:" not in step and not any(c.step == step and c.made == e.at for c in world.calls):
        wanted = {duty.step for duty in world.duties(e.at + world.policy.merge)}
        # The contacts of a rule are told with it.
        kind = "" if step.partition(":contact:")[0] in wanted else "unasked"
    if not kind:
        return []
    due = instant(e.data.get("due_at")) or e.at
    return [
        Finding(
            kind=kind, incident=name, level=str(e.data["level"]), due_at=due, late=timedelta(0), step=step,
            person=str(e.data["person"]), why=why,
        )
    ]  # fmt: skip


def _of(name: str, kind: str, call: Call, late: timedelta, why: str = "") -> Finding:
    return Finding(
        kind=kind, incident=name, level=str(call.level), due_at=call.due, late=late, step=call.step,
        person=call.person, why=why,
    )  # fmt: skip


def _delivery(name: str, events: Sequence[Event], world: World, now: datetime) -> list[Finding]:
    """What became of each page on its way out."""
    out: dict[str, dict[str, int]] = {}
    first: dict[str, datetime] = {}
    refused: dict[str, str] = {}
    open_places: dict[str, set[str]] = {}
    for e in events:
        if e.type == "paged":
            open_places[e.data["page"]] = set(e.data.get("places", ()))
        elif e.type == "page_rerouted":
            open_places.setdefault(e.data["page"], set()).add(str(e.data["place"]))
            refused.pop(e.data["page"], None)
        elif e.type == "page_delivered":
            places = out.setdefault(e.data["page"], {})
            place = str(e.data.get("place", ""))
            places[place] = places.get(place, 0) + 1
            first.setdefault(e.data["page"], e.at)
        elif e.type == "page_failed":
            left = open_places.setdefault(e.data["page"], set())
            left.discard(str(e.data.get("place", "")))
            # It failed when the last place that it was sent to did.
            if not left:
                refused[e.data["page"]] = str(e.data.get("error", ""))
    found = []
    for call in world.calls:
        for place, count in out.get(call.page, {}).items():
            if count > 1:
                found.append(_of(name, "twice", call, timedelta(0), f"{count} times in the {place}"))
        if call.page in first:
            late = first[call.page] - call.due
            # What was made late was told already.
            if late > TOLERANCE and first[call.page] - call.made > TOLERANCE:
                found.append(_of(name, "late", call, late, "on its way out"))
        elif call.page in refused:
            found.append(_of(name, "failed", call, now - call.due, refused[call.page]))
        elif now - call.due > TOLERANCE and not _called_off(call, events):
            found.append(_of(name, "unsent", call, now - call.due))
    return found


def _called_off(call: Call, events: Sequence[Event]) -> bool:
    """Nobody waits for it any more: resolved, a page of L1's steps where it is acknowledged, a rung of what is info
    now."""
    of_l1 = call.level is Level.L1 or (own_step_of_l1(call.step) and ":contact:" not in call.step)
    for e in events:
        if e.at < call.made:
            continue
        if e.type == "resolved" or (e.type == "acknowledged" and of_l1):
            return True
        lowered = e.type == "severity_changed" and e.data.get("to") == "info"
        if lowered and ":rule:" not in call.step and ":hand:" not in call.step:
            return True
    return False
