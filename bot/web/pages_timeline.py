"""The timeline as the page shows it: by the minute, with routine folded and nothing said twice. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.core.incident import Event, Incident
from bot.core.review import said_again
from bot.core.sentences import PLACES, sentence
from bot.web.pages_view import safe

# What the house did so that people learn of it; one line stands for a run of these.
_ROUTINE = frozenset(
    {
        "page_delivered",
        "headline_posted",
        "announced",
        "channel_created",
        "timer_fired",
        "fact_known",
        "fact_false",
    }
)
LATE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event in words. ``also`` are the numbers of events that said the same."""

    seq: int
    at: datetime
    actor: str
    text: str
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line, or several behind one ``summary`` ("" for a line that stands for itself)."""

    lines: tuple[Line, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """What happened within one minute (UTC)."""

    at: datetime
    items: tuple[Item, ...]


def minutes(incident: Incident, events: Sequence[Event]) -> list[Minute]:
    """The timeline; secrets in it are masked."""
    made: list[tuple[datetime, list[Item]]] = []
    for run in _runs(events):
        at = run[0].at.replace(second=0, microsecond=0)
        if not made or made[-1][0] != at:
            made.append((at, []))
        made[-1][1].append(_item(incident, run))
    return [Minute(at=at, items=tuple(items)) for at, items in made]


def _runs(events: Sequence[Event]) -> Iterator[list[Event]]:
    """One event each, but routine of one minute together, and a report with the step that repeats it."""
    run: list[Event] = []
    for event in events:
        if run and not _together(run[-1], event):
            yield run
            run = []
        run.append(event)
    if run:
        yield run


def _together(before: Event, event: Event) -> bool:
    same_minute = before.at.replace(second=0, microsecond=0) == event.at.replace(second=0, microsecond=0)
    return same_minute and ((_routine(before) and _routine(event)) or said_again(before, event))


def _routine(event: Event) -> bool:
    """A page that was late, or met do-not-disturb, is not routine."""
    told = float(event.data.get("late_s") or 0) >= LATE_S or bool(event.data.get("dnd"))
    return event.type in _ROUTINE and not told


def _item(incident: Incident, run: Sequence[Event]) -> Item:
    if len(run) == 2 and said_again(run[0], run[1]):
        return Item(lines=(_line(incident, run[1], (run[0].seq,)),))
    lines = tuple(_line(incident, event) for event in run)
    return Item(lines=lines, summary=safe(_summary(run)) if len(run) > 1 else "")


def _line(incident: Incident, event: Event, also: tuple[int, ...] = ()) -> Line:
    text = safe(sentence(incident, event))
    return Line(seq=event.seq, at=event.at, actor=event.actor, text=text, also=also)


def _summary(run: Sequence[Event]) -> str:
    """ "The page to alice (L1) went out by direct message, by the hook; 3 more of routine"."""
    ways: dict[str, list[str]] = {}
    for event in run:
        if event.type == "page_delivered":
            place = str(event.data["place"])
            ways.setdefault(f"{event.data['person']} ({event.data['level']})", []).append(
                PLACES.get(place, place)
            )
    pages = [f"The page to {who} went out {', '.join(dict.fromkeys(how))}" for who, how in ways.items()]
    rest = [event for event in run if event.type != "page_delivered"]
    words = list(dict.fromkeys(_WORDS[event.type] for event in rest))
    if not pages:
        return "; ".join(words)[:1].upper() + "; ".join(words)[1:]
    return "; ".join([*pages, *words])


_WORDS = {
    "headline_posted": "headline posted",
    "announced": "announced",
    "channel_created": "channel created",
    "timer_fired": "timer fired",
    "fact_known": "a fact measured again",
    "fact_false": "a fact measured false for now",
}
