"""What Google reports of its own services: the events of Personalized Service Health, API servicehealth v1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

from sandbox.google.errors import invalid
from sandbox.google.scenarios import ServiceEvent
from sandbox.google.timeline import rfc3339

Json = dict[str, Any]
_STATE = re.compile(r'\s*state\s*=\s*"?(ACTIVE|CLOSED)"?\s*')


@dataclass(frozen=True, slots=True)
class _Reported:
    """An event with its id and its begin and end in epoch seconds."""

    id: str
    what: ServiceEvent
    begun: float
    ended: float | None


class ServiceEvents:
    """The events of the world, the newest last. Not thread-safe."""

    def __init__(self) -> None:
        self._kept: list[_Reported] = []

    def add(self, what: ServiceEvent, at: float) -> None:
        """Report an event at `at`; a closed one of the same product and place ends the one that is open."""
        same = [
            one
            for one in self._kept
            if (one.what.product, one.what.location) == (what.product, what.location)
        ]
        if what.state == "CLOSED" and any(one.ended is None for one in same):
            self._end([one for one in same if one.ended is None], at)
            return
        number = Random(f"event:{len(self._kept)}").getrandbits(60)
        ended = at if what.state == "CLOSED" else None
        self._kept.append(_Reported(f"{number:015x}", what, at, ended))

    def end_all(self, at: float) -> None:
        """Everything is mended at `at`."""
        self._end([one for one in self._kept if one.ended is None], at)

    def shown(self, project: str, location: str, wanted: str, now: float, *, full: bool) -> list[Json]:
        """The events as Google shows them. `wanted` is empty or a filter on `state`. Raises Refused."""
        match = _STATE.fullmatch(wanted) if wanted.strip() else None
        if wanted.strip() and match is None:
            raise invalid(
                f"Invalid filter: {wanted!r}; the sandbox understands state=ACTIVE and state=CLOSED."
            )
        shown = [_event(one, project, location, now, full=full) for one in self._kept if one.begun <= now]
        return [one for one in shown if match is None or one["state"] == match[1]]

    def _end(self, which: list[_Reported], at: float) -> None:
        ended = {one.id for one in which}
        self._kept = [
            _Reported(one.id, one.what, one.begun, at) if one.id in ended else one for one in self._kept
        ]


def _event(one: _Reported, project: str, location: str, now: float, *, full: bool) -> Json:
    what, active = one.what, one.ended is None or one.ended > now
    place = what.location or "global"
    title = what.title or f"We are experiencing an issue with {what.product} in {place}."
    newest = one.begun if active else float(one.ended or now)
    event: Json = {
        "name": f"projects/{project}/locations/{location}/events/{one.id}",
        "title": title,
        "description": title,
        "category": "INCIDENT",
        "detailedCategory": "CONFIRMED_INCIDENT",
        "state": "ACTIVE" if active else "CLOSED",
        "detailedState": "CONFIRMED" if active else "RESOLVED",
        "eventImpacts": [{"product": {"productName": what.product}, "location": {"locationName": place}}],
        "relevance": what.relevance,
        "updateTime": rfc3339(newest),
        "startTime": rfc3339(one.begun),
    }
    if not active:
        event["endTime"] = rfc3339(newest)
    if full:
        texts = {
            "symptom": what.symptom or "None at this time.",
            "workaround": what.workaround or "None at this time.",
        }
        event["updates"] = [{"updateTime": rfc3339(newest), "title": title, "description": title, **texts}]
    return event
