"""The page behind an acknowledgement link: GET and HEAD show, POST answers (rules: "A page wakes").

A link preview, a mail scanner or a reload of the page only looks. The link itself is the permission, so it is never
logged, never sent on as a referrer, and never kept by a cache.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from jinja2 import Template
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.core.incident import Incident
from bot.web.pages import HEADERS, STYLE, templates, wants_json

_STATUS = {
    "ready": HTTPStatus.OK,
    "done": HTTPStatus.OK,
    "used": HTTPStatus.GONE,
    "expired": HTTPStatus.GONE,
    "over": HTTPStatus.CONFLICT,
    "denied": HTTPStatus.FORBIDDEN,
    "forged": HTTPStatus.FORBIDDEN,
}
_TITLES = {
    "ready": "Acknowledge",
    "done": "Acknowledged",
    "used": "Answered already",
    "expired": "This link is too old",
    "over": "It is over",
    "denied": "Not possible any more",
    "forged": "This link is not genuine",
}


class Told(Protocol):
    """What the reader of a link is told."""

    @property
    def state(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def incident(self) -> Incident | None: ...
    @property
    def person(self) -> str: ...
    @property
    def level(self) -> str: ...


class LinksPort(Protocol):
    """What stands behind the links."""

    async def show(self, token: str) -> Told: ...
    async def answer(self, token: str) -> Told: ...


def routes(port: LinksPort) -> list[Route]:
    """The route of the links."""

    shown = templates().get_template("ack.html")

    async def ack(request: Request) -> Response:
        token = request.path_params["token"]
        told = await (port.answer(token) if request.method == "POST" else port.show(token))
        response = _page(request, told, shown)
        for name, value in HEADERS.items():
            response.headers[name] = value.replace("form-action 'none'", "form-action 'self'")
        response.headers["x-robots-tag"] = "noindex, nofollow"
        return response

    return [Route("/ack/{token}", ack, methods=["GET", "POST"])]


def _page(request: Request, told: Told, shown: Template) -> Response:
    status = _STATUS[told.state]
    incident = told.incident
    if wants_json(request):
        body = {
            "status": told.state,
            "incident": incident.name if incident else None,
            "person": told.person or None,
            "level": told.level or None,
            "message": told.said or None,
        }
        return JSONResponse(body, status_code=status)
    text = shown.render(told=told, incident=incident, title=_TITLES[told.state], style=STYLE)
    return Response(text, status_code=status, media_type="text/html")
