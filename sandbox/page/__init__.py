"""The sandbox's page: a look-alike of Slack in plain HTML, CSS and JavaScript modules.

`routes` serves `/` and `/page/<file>` from the files beside this one. The page reads and writes through
`/sim/*` only, so it knows nothing that a script of a visitor could not know too.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

_FOLDER = Path(__file__).parent
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
# Outside text reaches this page (alerts, log lines, dead letters): even if a node were built wrongly from it,
# the browser must have nothing to run or load. data: is for the images that the page draws itself.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def _index(request: Request) -> Response:
    """The one HTML document."""
    return FileResponse(_FOLDER / "index.html", media_type="text/html; charset=utf-8", headers=_HEADERS)


async def _asset(request: Request) -> Response:
    """A script or style sheet by its bare name; 404 for every other name."""
    name = request.path_params["name"]
    path = _FOLDER / name
    media_type = _TYPES.get(path.suffix)
    if media_type is None or path.parent != _FOLDER or not path.is_file():
        return PlainTextResponse("no such file", status_code=404, headers=_HEADERS)
    return FileResponse(path, media_type=media_type, headers=_HEADERS)


async def _favicon(request: Request) -> Response:
    """No icon; an empty answer keeps the browser's console free of a 404."""
    return Response(status_code=204, headers=_HEADERS)


routes: list[BaseRoute] = [
    Route("/", _index, methods=["GET"]),
    Route("/page/{name:str}", _asset, methods=["GET"]),
    Route("/favicon.ico", _favicon, methods=["GET"]),
]

__all__ = ["routes"]
