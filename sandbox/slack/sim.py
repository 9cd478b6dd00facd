"""The control interface's common part: bodies in, refusals out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.slack.errors import Refused
from sandbox.slack.hub import Hub
from sandbox.slack.model import Json

Endpoint = Callable[[Request], Awaitable[Response]]
BODY_LIMIT = 5_000_000


def hub_of(request: Request) -> Hub:
    """The hub that the app was made with."""
    found: Hub = request.app.state.hub
    return found


def endpoint(handler: Callable[[Request], Awaitable[Any]]) -> Endpoint:
    """Turn a handler's value into JSON, and a refusal into 4xx with its reason."""

    async def wrapped(request: Request) -> Response:
        try:
            value = await handler(request)
        except Refused as refused:
            return JSONResponse(refused.body(), refused.status)
        return value if isinstance(value, Response) else JSONResponse(value)

    return wrapped


async def body_of(request: Request) -> Json:
    """The JSON object in a request's body; an empty body is an empty object. Raises Refused."""
    raw = await request.body()
    if len(raw) > BODY_LIMIT:
        raise Refused("the body is too large", 413)
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise Refused(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise Refused("the body is nested too deeply") from None
    if b"\\ud" in raw.lower() and _half_a_pair(value):
        raise Refused("the body has half of a surrogate pair, which no text holds")
    if not isinstance(value, dict):
        raise Refused("the body must be a JSON object")
    return value


def _half_a_pair(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def whole(request: Request, name: str, default: int = 0) -> int:
    """A whole number of the query string. Raises Refused."""
    text = request.query_params.get(name, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise Refused(f"{name} must be a whole number") from None


def seconds(request: Request, name: str, default: float, most: float) -> float:
    """Seconds of the query string, between 0 and `most`. Raises Refused."""
    text = request.query_params.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        raise Refused(f"{name} must be a number of seconds") from None
    if not 0 <= value <= most:
        raise Refused(f"{name} must be between 0 and {most:g} seconds")
    return value
