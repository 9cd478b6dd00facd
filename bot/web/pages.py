"""The pages: the incidents, one incident, its review; HTML for people, JSON for scripts.

Nothing here changes anything. A private incident is absent: it cannot be told from one that never was
(rules: "Escalation", Security).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.core import book as books
from bot.core import groups, oncall_words, review
from bot.core.book import Entry
from bot.core.incident import Event, Incident, number_of
from bot.core.overrides import Override
from bot.core.policy import fact_words, format_duration
from bot.core.receipts import Receipt
from bot.core.roster import Roster
from bot.core.text import without
from bot.web import pages_operations
from bot.web import pages_view as view
from bot.web.pages_auth import Unwelcome, judge, remember
from bot.web.pages_axis import axis
from bot.web.pages_operations import Operations
from bot.web.pages_timeline import minutes

LINES_SHOWN = 500
STYLE = "/incidents/static/style.css"
_TEMPLATES = Path(__file__).parent / "templates"
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "vary": "accept, cookie, authorization",
}

Shown = Callable[[Request], Awaitable[Response]]


class PagesPort(Protocol):
    """What the pages read; instants are aware UTC."""

    async def incidents(self) -> Sequence[Incident]:
        """The newest first."""
        ...

    async def incident(self, number: int) -> tuple[Incident, Sequence[Event]] | None:
        """The incident with its whole timeline, or None."""
        ...

    async def oncall(self) -> tuple[Roster, Sequence[Override], Sequence[Receipt]]:
        """The roster with the overrides that hold or are to come, these, and the receipts of the last days."""
        ...

    async def book(self) -> Sequence[Entry]:
        """The newest lines of the audit book first, without those of private incidents."""
        ...

    async def operations(self) -> Operations:
        """The statistics of the last 30 days, the last rounds of the calendar, open actions."""
        ...

    def now(self) -> datetime:
        """The instant on the incidents' clock."""
        ...


def routes(
    read: PagesPort, token: str | None, *, head: Callable[[int], Awaitable[str]] | None = None
) -> list[Route]:
    """The pages' routes. ``token`` None or empty: loopback only. ``head`` gives the hash of the last event."""
    pages = _Pages(read, head)
    return [
        Route("/incidents", _guarded(pages.listing, token)),
        Route(STYLE, _style),
        Route("/oncall", _guarded(pages.oncall, token)),
        Route("/operations", _guarded(pages.operations, token)),
        Route("/audit", _guarded(pages.audit, token)),
        Route("/incidents/{id}", _guarded(pages.one, token)),
        Route("/incidents/{id}/review", _guarded(pages.review, token)),
    ]


class _Pages:
    def __init__(self, read: PagesPort, head: Callable[[int], Awaitable[str]] | None) -> None:
        self._read = read
        self._head = head
        self._templates = templates()

    async def listing(self, request: Request) -> Response:
        """GET /incidents."""
        now = self._read.now()
        found = [i for i in await self._read.incidents() if not i.private]
        if wants_json(request):
            return JSONResponse({"incidents": [view.as_row(i) for i in found], "as_of": view.rfc3339(now)})
        ages = {i.id: format_duration((i.resolved_at or now) - i.opened_at) for i in found}
        parts = [("Open", [i for i in found if i.active]), ("Over", [i for i in found if not i.active])]
        return self._html("list.html", parts=parts, ages=ages, now=now)

    async def one(self, request: Request) -> Response:
        """GET /incidents/{id}."""
        found = await self._find(request)
        if found is None:
            return _absent(request)
        incident, events = found
        now = self._read.now()
        if wants_json(request):
            return JSONResponse(view.as_json(incident, events, now))
        rungs = view.rungs(incident, events, now)
        return self._html(
            "incident.html",
            incident=incident,
            now=now,
            age=format_duration((incident.resolved_at or now) - incident.opened_at),
            rungs=rungs,
            axis=axis(incident, rungs, now),
            runbook=view.runbook_words(incident, now),
            minutes=minutes(incident, events[-LINES_SHOWN:]),
            hidden=max(0, len(events) - LINES_SHOWN),
            pages=sorted(incident.pages.values(), key=lambda page: (page.due_at, page.level)),
            reviewable=view.has_review(incident),
        )

    async def review(self, request: Request) -> Response:
        """GET /incidents/{id}/review: Markdown, 404 before there is one."""
        found = await self._find(request)
        if found is None:
            return _absent(request)
        incident, events = found
        if not view.has_review(incident):
            return _refusal(
                request, 404, f"{incident.name} has no review yet",
                "It is drafted when the incident is resolved, or with /review show.",
            )  # fmt: skip
        head = await self._head(incident.id) if self._head else ""
        name = review.filename(incident)
        headers = {"content-disposition": f'inline; filename="{name}"'}
        return Response(
            review.draft(incident, events, head=head), media_type="text/markdown", headers=headers
        )

    async def oncall(self, request: Request) -> Response:
        """GET /oncall: who holds which level, the next two weeks; `?tz=Europe/Berlin` for its days and hours."""
        roster, overrides, receipts = await self._read.oncall()
        now = self._read.now()
        if wants_json(request):
            return JSONResponse(oncall_words.as_json(roster, overrides, receipts, now))
        zone = _zone(request.query_params.get("tz", "UTC"))
        days, calendar = oncall_words.calendar(roster, now, zone)
        return self._html(
            "oncall.html",
            now=now,
            zone=zone.key,
            standing=oncall_words.standing_rows(roster, now, zone),
            overrides=[oncall_words.override_words(o, zone) for o in overrides],
            receipts=oncall_words.receipt_lines(roster, receipts, now),
            contacts=[f"{subject}: {contact.value}" for subject, contact in roster.contacts.items()],
            groups=groups.lines(roster, now),
            days=days,
            calendar=calendar,
        )

    async def audit(self, request: Request) -> Response:
        """GET /audit: what the gates let through and refused, and what people signed for, the newest first."""
        entries = await self._read.book()
        now = self._read.now()
        if wants_json(request):
            told = [view.entry_json(entry) for entry in entries]
            return JSONResponse({"entries": told, "as_of": view.rfc3339(now)})
        lines = [(e.seq, e.at, e.what, view.safe(books.words(e)), e.incident) for e in entries]
        return self._html("audit.html", now=now, lines=lines)

    async def operations(self, request: Request) -> Response:
        """GET /operations: how the last 30 days went, and what the calendar did."""
        read = await self._read.operations()
        if wants_json(request):
            return JSONResponse(pages_operations.as_json(read))
        return self._html("operations.html", now=self._read.now(), **pages_operations.values(read))

    async def _find(self, request: Request) -> tuple[Incident, Sequence[Event]] | None:
        number = number_of(request.path_params["id"])
        found = await self._read.incident(number) if number is not None else None
        return None if found is None or found[0].private else found

    def _html(self, name: str, **values: Any) -> Response:
        return Response(self._templates.get_template(name).render(**values), media_type="text/html")


def _zone(name: str) -> ZoneInfo:
    """The zone of this name; UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def templates() -> Environment:
    """The pages' templates; whatever they print is made harmless."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clock"] = view.clock
    made.filters["fact_name"] = fact_words
    made.globals.update(
        style=STYLE,
        fact_words=view.fact_words,
        page_words=view.page_words,
        lateness=view.lateness,
        without=without,
    )
    return made


def _harmless(value: object) -> object:
    """Whatever a template prints: secrets masked, no characters that turn the reading direction."""
    return view.safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _guarded(show: Shown, token: str | None) -> Shown:
    """The page behind its gate, with the headers that every answer carries."""

    async def guarded(request: Request) -> Response:
        response = await _answer(request, show, token)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return guarded


async def _answer(request: Request, show: Shown, token: str | None) -> Response:
    verdict = judge(request, token)
    if isinstance(verdict, Unwelcome):
        refusal = _refusal(request, verdict.status, verdict.error, verdict.hint)
        if verdict.status == 401:
            refusal.headers["www-authenticate"] = 'Bearer realm="streamwatch"'
        return refusal
    if not verdict.by_address or not token:
        return await show(request)
    # A browser is sent on to the address without the token; a script gets its answer at once.
    response = await show(request) if not _wants_html(request) else _without_token(request)
    remember(request, response, token)
    return response


def _without_token(request: Request) -> Response:
    rest = urlencode([(k, v) for k, v in request.query_params.multi_items() if k != "token"])
    # The path alone, with one slash: never another host's address.
    path = "/" + request.url.path.lstrip("/")
    return RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)


async def _style(_: Request) -> Response:
    text = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    headers = {"x-content-type-options": "nosniff", "cache-control": "max-age=300"}
    return Response(text, media_type="text/css", headers=headers)


def _absent(request: Request) -> Response:
    return _refusal(request, 404, "there is no such incident", "GET /incidents lists them.")


def _refusal(request: Request, status: int, error: str, hint: str) -> Response:
    if wants_json(request):
        return JSONResponse({"error": error, "hint": hint}, status_code=status)
    return Response(f"{error}\n{hint}\n", status_code=status, media_type="text/plain")


def wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return _weight(accept, "application/json") > _weight(accept, "text/html")


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _weight(accept: str, kind: str) -> float:
    """The q of exactly this media type in an Accept header; 0 where it is not named."""
    for part in accept.lower().split(","):
        name, *params = (piece.strip() for piece in part.split(";"))
        if name == kind:
            q = next((p[2:] for p in params if p.startswith("q=")), "1")
            return float(q) if re.fullmatch(r"[01](\.\d{0,3})?", q) else 0.0
    return 0.0
