"""What Google says of its own services, and whether it is about what a pipeline stands on.  Pure.

An event counts when it is active, of a product that the pipeline uses, and of its region (or of a place
that holds the region).  Runbook "Identify Issue Type": infrastructure, GCP service status.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pipeline.catalogue import Pipeline
from pipeline.causes import Issue
from pipeline.report import Evidence, Finding, clock

FINDING: Final = "service_health"
EVENT: Final = "service_event"
# Google's own names of products vary ("Google BigQuery", "Cloud Bigtable"); these words are in all of them.
_PRODUCTS: Final = re.compile(
    r"dataflow|pub ?/? ?sub|bigquery|bigtable|compute engine|cloud networking|persistent disk"
    r"|identity and access|cloud monitoring|cloud logging",
    re.IGNORECASE,
)
_CARRIES: Final = re.compile(r"dataflow|pub ?/? ?sub|bigquery|bigtable|compute engine", re.IGNORECASE)
_WIDE: Final = ("global", "multi-region", "multiregion")
_CONTINENTS: Final = {"europe": ("eu", "europe"), "us": ("us",), "asia": ("asia",)}
_NONE: Final = re.compile(r"^(none( at this time)?\.?)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One active event as Google reports it; times are aware UTC."""

    title: str
    products: tuple[str, ...]
    locations: tuple[str, ...]
    relevance: str = ""
    symptom: str = ""
    workaround: str = ""
    since: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHealth:
    """What was found; ``unknown`` says why nothing is known, with the command that mends it."""

    events: tuple[ServiceEvent, ...] = ()
    unknown: str = ""


def relevant(health: ServiceHealth, pipeline: Pipeline) -> ServiceHealth:
    """Only the events about what the pipeline stands on, those that carry its data first."""
    found = [
        one
        for one in health.events
        if one.relevance != "NOT_IMPACTED"
        and any(_PRODUCTS.search(product) for product in one.products)
        and _near(one.locations, pipeline.region)
    ]
    return replace(health, events=tuple(sorted(found, key=lambda one: (not _carries(one), one.title))))


def service_issue(health: ServiceHealth, now: datetime) -> Issue | None:
    """The infrastructure issue that an event about a service in the data's way is; None without one."""
    first = next((one for one in health.events if _carries(one)), None)
    if first is None:
        return None
    return Issue("infrastructure", words(first, now), (_evidence(first),), in_short(first))


def in_short(event: ServiceEvent) -> str:
    """An event in a few words: what is ill, and where."""
    return f"Google reports an incident of {_where(event)}"


def findings(health: ServiceHealth, now: datetime) -> list[Finding]:
    """One line for each event; one that says why nothing is known; nothing where Google reports nothing of ours."""
    if health.unknown:
        text = f"Google's own service health is not known. {health.unknown}"
        return [Finding(FINDING, "unknown", text)]
    out = []
    for one in health.events:
        hints = [
            f"{name}: {text.rstrip('.')}."
            for name, text in (("Symptom", one.symptom), ("Workaround", one.workaround))
            if not _NONE.match(text.strip())
        ]
        out.append(Finding(EVENT, "info", " ".join([f"{words(one, now)}.", *hints]), (_evidence(one),)))
    return out


def words(event: ServiceEvent, now: datetime) -> str:
    """An event in a sentence without its full stop: what, where, since when, and Google's own words."""
    since = f" since {clock(event.since, now)}" if event.since else ""
    title = " ".join(event.title.split()).rstrip(".")
    return f"{in_short(event)}{since}: {title}"


def _where(event: ServiceEvent) -> str:
    products = ", ".join(dict.fromkeys(event.products))
    places = ", ".join(dict.fromkeys(event.locations))
    return f"{products} in {places}" if places else products


def _evidence(event: ServiceEvent) -> Evidence:
    return Evidence(
        f"Google's service health, {', '.join(event.products)}", "ACTIVE", "", event.updated or event.since
    )


def _carries(event: ServiceEvent) -> bool:
    return any(_CARRIES.search(product) for product in event.products)


def _near(locations: Sequence[str], region: str) -> bool:
    """Whether one of the places is the region, a zone of it, or something that holds it; no place is every place."""
    return not locations or any(_holds(place.lower(), region.lower()) for place in locations)


def _holds(place: str, region: str) -> bool:
    continent = region.partition("-")[0]
    return (
        place == region
        or place.startswith(f"{region}-")
        or place in _CONTINENTS.get(continent, (continent,))
        or any(wide in place for wide in _WIDE)
    )
