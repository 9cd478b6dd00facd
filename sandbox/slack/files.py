"""The addresses of files: where the bytes go, and where they are fetched."""

from __future__ import annotations

import mimetypes

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from sandbox.slack import ids
from sandbox.slack.hub import Hub
from sandbox.slack.model import File

SIGN_IN = "<!doctype html><title>Slack</title><h1>Sign in to Sandbox</h1>"
# What people uploaded is shown in the page: it must not run there.
_HARMLESS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


async def upload(request: Request) -> Response:
    """Take the bytes of a file; the address itself is the permission."""
    hub: Hub = request.app.state.hub
    secret = request.path_params["secret"]
    file = next((f for f in hub.workspace.files.values() if f.secret == secret), None)
    if file is None or file.completed:
        return PlainTextResponse("not found", 404)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form = await request.form()
        parts = [part for part in form.values() if not isinstance(part, str)]
        content = await parts[0].read() if parts else b""
    else:
        content = await request.body()
    if not content:
        return PlainTextResponse("no data", 400)
    file.content = content
    return PlainTextResponse(f"OK - {len(content)}")


async def private(request: Request) -> Response:
    """A file for the app: needs the bearer token, otherwise Slack's sign-in page."""
    hub: Hub = request.app.state.hub
    file_id = request.path_params["file"].partition("-")[2]
    file = hub.workspace.files.get(file_id)
    if request.headers.get("authorization") != f"Bearer {ids.TOKEN}" or file is None:
        return HTMLResponse(SIGN_IN, 404)
    return content_of(file)


def content_of(file: File) -> Response:
    """The bytes of a file, as a page may show them."""
    kind = mimetypes.guess_type(file.name)[0] or "text/plain"
    name = file.name.encode("ascii", "replace").decode().replace('"', "")
    headers = {**_HARMLESS, "Content-Disposition": f'inline; filename="{name}"'}
    return Response(file.content or b"", media_type=kind, headers=headers)
