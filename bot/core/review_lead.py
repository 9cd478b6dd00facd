"""What a lead reads first in a review: the incident in short, its course as a chart, and what is still open.

Pure, as the rest of the review: each line cites its events, and nothing is said that no event tells. The chart is
text, because the review is read in Slack, in a terminal and on a code host alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from bot.core.incident import Event, Incident, Page, instant
from bot.core.markdown import within
from bot.core.policy import fact_words, format_duration
from bot.core.review_tables import cite
from bot.core.text import clean, cut

WIDTH = 48
_LABEL = 24
_ROWS = 16
_WAITED = timedelta(minutes=5)  # who was paged so shortly before the end owes no answer
LEGEND = "P paged, A acknowledged, R resolved, V verified, X failed, ▒ an operation runs, █ a fact holds"


def in_short(i: Incident, events: Sequence[Event]) -> str:
    """A lead's questions, a line each: what held, what was found, who came, what was done, how it ended."""
    lines = [
        _what_held(events),
        _what_was_found(events),
        _who_came(i, events),
        *_what_was_done(events),
        _how_it_ended(i, events),
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _what_held(events: Sequence[Event]) -> str:
    began = [e for e in events if e.type == "fact_began"]
    if not began:
        return "What: no fact was measured."
    first: dict[str, Event] = {}
    for event in began:
        first.setdefault(str(event.data["fact"]), event)
    told = [
        f"{fact_words(fact)} since {_time(instant(e.data.get('begin')) or e.at)} UTC"
        + (f" ({within(e.data['text'], 160)})" if e.data.get("text") else "")
        + f" {cite(e)}"
        for fact, e in first.items()
    ]
    return f"What: {'; '.join(told)}."


def _what_was_found(events: Sequence[Event]) -> str:
    """What the runbook's first reading said; it names the cause where it knows one."""
    first = next((e for e in events if e.type == "step" and e.data.get("verdict")), None)
    return f"Found: {within(first.data['verdict'], 300).rstrip('.')} {cite(first)}." if first else ""


def _who_came(i: Incident, events: Sequence[Event]) -> str:
    acknowledged = next((e for e in events if e.type == "acknowledged"), None)
    paged = [e for e in events if e.type == "paged"]
    levels = list(dict.fromkeys(f"{e.data['level']} {within(e.data['person'], 60)}" for e in paged))
    many = (
        f"paged were {', '.join(levels)} {cite(*paged[:1], *paged[1:][-1:])}"
        if levels
        else "nobody was paged"
    )
    if acknowledged is None:
        return f"Who: nobody acknowledged; {many}."
    after = format_duration(acknowledged.at - i.opened_at)
    return f"Who: {within(acknowledged.actor, 60)} acknowledged after {after} {cite(acknowledged)}; {many}."


def _what_was_done(events: Sequence[Event]) -> list[str]:
    """The changes, each with its last word: what verified it, else what it reported."""
    out: list[str] = []
    ends = ("operation_verified", "operation_finished", "operation_unknown")
    last: dict[str, Event] = {}
    for event in events:
        if event.type in ends:
            last[str(event.data.get("run") or event.data["operation"])] = event
    for event in last.values():
        word = (
            "outcome unknown"
            if event.type == "operation_unknown"
            else within(event.data.get("verdict", ""), 200)
        )
        confirmed = [
            e
            for e in events
            if e.type == "plan_confirmed" and e.data.get("run") == event.data.get("run") is not None
        ]
        by = f" by {within(confirmed[-1].actor, 60)}" if confirmed else ""
        out.append(f"Done: {within(event.data['operation'], 60)}{by}: {word.rstrip('.')} {cite(event)}.")
    return out


def _how_it_ended(i: Incident, events: Sequence[Event]) -> str:
    resolved = next((e for e in reversed(events) if e.type == "resolved"), None)
    if i.resolved_at is None or resolved is None:
        return "End: it is not resolved."
    reason = resolved.data.get("reason")
    why = f" ({within(reason, 160)})" if reason else ""
    return (
        f"End: resolved by {within(resolved.actor, 60)}{why} "
        f"{format_duration(resolved.at - i.opened_at)} after it was opened {cite(resolved)}."
    )


# --- the chart -------------------------------------------------------------------------------------------


def chart(i: Incident, events: Sequence[Event]) -> str:
    """Facts, people and operations over the time of the incident, as text in a code fence."""
    if not events:
        return ""
    end = i.resolved_at or events[-1].at
    begins = [instant(e.data.get("begin")) or e.at for e in events if e.type == "fact_began"]
    axis = _Axis(min([i.opened_at, *begins]), max(end, events[0].at))
    rows = [
        *_fact_rows(events, axis),
        *_page_rows(i, axis),
        *_operation_rows(events, axis),
        _own_row(i, events, axis),
    ]
    kept = rows if len(rows) <= _ROWS else [*rows[: _ROWS - 1], rows[-1]]
    left = [f"{len(rows) - len(kept)} more rows are on the timeline"] if len(rows) > len(kept) else []
    first, last = _time(axis.start), _time(axis.end)
    head = f"{'UTC':<{_LABEL}}{first}{last:>{WIDTH - len(first)}}"
    return "\n".join(["```text", head, *kept, *left, LEGEND, "```"])


class _Axis:
    """Instants as columns."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.start, self.end = start, end
        self._span = max((end - start).total_seconds(), 1.0)

    def at(self, moment: datetime) -> int:
        """The column of an instant; what lies outside is at the edge."""
        share = (moment - self.start).total_seconds() / self._span
        return max(0, min(WIDTH - 1, int(share * (WIDTH - 1))))

    def bar(self, start: datetime, end: datetime, sign: str) -> list[str]:
        """A row with a bar, one column at least."""
        cells = [" "] * WIDTH
        for column in range(self.at(start), self.at(end) + 1):
            cells[column] = sign
        return cells


def _row(label: str, cells: list[str]) -> str:
    # A fence shows everything as it is; what could end it is not let in.
    name = cut(" ".join(clean(label).replace("`", "'").split()), _LABEL - 1)
    return f"{name:<{_LABEL}}{''.join(cells)}".rstrip()


def _fact_rows(events: Sequence[Event], axis: _Axis) -> Iterator[str]:
    cells: dict[str, list[str]] = {}
    for event in events:
        if event.type != "fact_began":
            continue
        fact = str(event.data["fact"])
        over = (
            e.at
            for e in events
            if e.type == "fact_ended" and e.data.get("fact") == fact and e.seq > event.seq
        )
        bar = axis.bar(instant(event.data.get("begin")) or event.at, next(over, axis.end), "█")
        row = cells.setdefault(fact, [" "] * WIDTH)
        cells[fact] = [new if new != " " else old for new, old in zip(bar, row, strict=True)]
    for fact, row in cells.items():
        yield _row(fact_words(fact), row)


def _page_rows(i: Incident, axis: _Axis) -> Iterator[str]:
    of: dict[tuple[str, str], list[Page]] = {}
    for page in sorted(i.pages.values(), key=lambda p: (p.due_at, p.level)):
        of.setdefault((f"{page.level}", page.person), []).append(page)
    for (level, person), pages in of.items():
        cells = [" "] * WIDTH
        for page in pages:
            if page.acked_at is not None:
                cells[axis.at(page.acked_at)] = "A"
        for page in pages:  # a page that was answered at once is still seen
            cells[axis.at(page.sent_at or page.due_at)] = "P"
        yield _row(f"{level} {person}", cells)


def _operation_rows(events: Sequence[Event], axis: _Axis) -> Iterator[str]:
    ends = ("operation_verified", "operation_finished", "operation_unknown")
    for event in events:
        if event.type != "operation_started":
            continue
        run = event.data.get("run") or event.data["operation"]
        over = [e for e in events if e.type in ends and (e.data.get("run") or e.data["operation"]) == run]
        last = over[-1] if over else None
        cells = axis.bar(event.at, last.at if last else axis.end, "▒")
        if last is not None:
            bad = last.type == "operation_unknown" or bool(last.data.get("failed"))
            cells[axis.at(last.at)] = "X" if bad else "V" if last.type == "operation_verified" else "▒"
        yield _row(str(event.data["operation"]), cells)


def _own_row(i: Incident, events: Sequence[Event], axis: _Axis) -> str:
    cells = axis.bar(i.opened_at, i.resolved_at or axis.end, "·")
    for event in events:
        if event.type in ("acknowledged", "resolved"):
            cells[axis.at(event.at)] = event.type[0].upper()
    return _row(i.name, cells)


# --- what is open ----------------------------------------------------------------------------------------


def open_questions(i: Incident, events: Sequence[Event]) -> str:
    """What the timeline leaves unexplained, for the people of the review."""
    asked = [
        *_of_facts(events),
        *_of_alerts(events),
        *_of_pages(i, events),
        *_of_changes(events),
        *_of_actions(i),
    ]
    return "\n".join(f"- {line}" for line in asked) or "None that the timeline shows."


def _of_facts(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.type == "fact_ended" and str(event.data.get("text", "")).startswith("resolved"):
            fact = fact_words(str(event.data["fact"]))
            yield f"Is it over? No measurement ended “{fact}”, but the resolve did. {cite(event)}"


def _of_alerts(events: Sequence[Event]) -> Iterator[str]:
    closed = {(e.data["source"], e.data["key"]) for e in events if e.type == "alert_closed"}
    still: dict[str, list[Event]] = {}
    for event in events:
        if event.type == "alert_opened" and (event.data["source"], event.data["key"]) not in closed:
            still.setdefault(str(event.data["title"]), []).append(event)
    for title, opened in still.items():
        yield f"Why is the alert “{within(title, 120)}” still open? {cite(*opened[:3])}"


def _of_pages(i: Incident, events: Sequence[Event]) -> Iterator[str]:
    made = {e.data["page"]: e for e in events if e.type == "paged"}
    end = i.resolved_at or (events[-1].at if events else i.opened_at)
    answered = {page.person for page in i.pages.values() if page.acked_at is not None}
    for page in sorted(i.pages.values(), key=lambda p: (p.due_at, p.level)):
        who = f"{page.level} {within(page.person, 60)}"
        if page.failed and page.sent_at is None:
            yield f"Why did the page to {who} not go out? {cite(made.get(page.id))}"
        elif page.person not in answered and end - page.due_at > _WAITED:
            yield f"Why did {who} not acknowledge the page? {cite(made.get(page.id))}"


def _of_changes(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.type == "operation_unknown":
            yield f"What did {within(event.data['operation'], 60)} do before it was cut off? {cite(event)}"
        elif event.type == "operation_finished" and event.data.get("failed"):
            yield f"Why did {within(event.data['operation'], 60)} not come out well? {cite(event)}"


def _of_actions(i: Incident) -> Iterator[str]:
    for action in i.actions:
        missing = [
            word for word, value in (("owner", action.owner), ("due date", action.due)) if not value.strip()
        ]
        if missing:
            yield f"Action {action.id} has no {' and no '.join(missing)}: {within(action.text, 120)}"
