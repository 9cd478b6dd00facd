"""The Web API over HTTP: arguments, token, faults, scopes, limits, and the journal of calls."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

import sandbox.slack.methods  # noqa: F401  (registers the methods)
from sandbox.slack import ids
from sandbox.slack.errors import COMMON, SlackError
from sandbox.slack.faults import SLOW_SECONDS, TIMEOUT_SECONDS, Fault
from sandbox.slack.hub import Hub
from sandbox.slack.model import Json
from sandbox.slack.registry import METHODS, Args, Call, Method
from sandbox.slack.transport import abort, gone


async def api(request: Request) -> Response:
    """Answer GET and POST /api/<method>."""
    hub: Hub = request.app.state.hub
    name = request.path_params["method"]
    started = time.monotonic()
    found = METHODS.get(name)
    args = Args({})
    fault: Fault | None = None
    try:
        if found is None:
            raise SlackError("unknown_method", req_method=name)
        args = await read_args(request, json_body=found.json)
        fault = hub.faults.take(name)
        if fault is None or fault.after_accept or fault.kind == "slow":
            answer = _run(hub, found, args, request)
        else:
            answer = Answer(body={"ok": False, "error": fault.kind})
    except SlackError as error:
        answer = Answer(body=error.body())
    if fault is not None:
        return await _break(request, fault, answer, name, args, started)
    _note(hub, name, args, answer.body, answer.status, started)
    return _response(hub, found, answer)


class Answer:
    """A method's answer before it is sent: body, status and headers."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: Json, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.body, self.status, self.headers = body, status, headers or {}


def _run(hub: Hub, found: Method, args: Args, request: Request) -> Answer:
    """Check and carry out a call in Slack's order: token, scope, rate, arguments, state."""
    try:
        if found.token:
            _check_token(request, args, ids.APP_TOKEN if found.app_token else ids.TOKEN)
        _check_scopes(hub, found)
        wait = hub.limits.retry_after(found.name, found.tier, args.text("channel") or None)
        if wait:
            return Answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(wait)})
        found.check_required(args)
        return Answer({"ok": True, **found.handler(Call(hub, args, found.scopes))})
    except SlackError as error:
        if error.name not in found.errors | COMMON:
            raise RuntimeError(
                f"{found.name} answers {error.name}, which Slack's specification does not name"
            ) from error
        return Answer(error.body())


def _check_token(request: Request, args: Args, wanted: str) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else args.text("token")
    if not token:
        raise SlackError("not_authed")
    if token.partition("-")[0] != wanted.partition("-")[0] and token in (ids.TOKEN, ids.APP_TOKEN):
        raise SlackError("not_allowed_token_type")
    if token != wanted:
        raise SlackError("invalid_auth")


def _check_scopes(hub: Hub, found: Method) -> None:
    installed = hub.config.scopes
    if found.scopes and not set(found.scopes) & set(installed):
        raise SlackError("missing_scope", needed=",".join(found.scopes), provided=",".join(installed))


def _response(hub: Hub, found: Method | None, answer: Answer) -> Response:
    headers = {"x-slack-req-id": hub.workspace.ids.new("req"), "x-oauth-scopes": ",".join(hub.config.scopes)}
    if found is not None and found.scopes:
        headers["x-accepted-oauth-scopes"] = ",".join(found.scopes)
    return JSONResponse(answer.body, answer.status, headers=headers | answer.headers)


def _note(
    hub: Hub, name: str, args: Args, body: Json, status: int | None, started: float, fault: str = ""
) -> None:
    """Write a call down, without its token."""
    hub.calls.add(
        {
            "at": hub.clock.wall().isoformat(),
            "method": name,
            "args": {key: value for key, value in args.values.items() if key != "token"},
            "ok": bool(body.get("ok")),
            "error": body.get("error"),
            "status": status,
            "ms": round((time.monotonic() - started) * 1000),
            **({"fault": fault} if fault else {}),
        }
    )


async def _break(
    request: Request, fault: Fault, answer: Answer, name: str, args: Args, started: float
) -> Response:
    """Answer as the fault says; the call may have been carried out already."""
    hub: Hub = request.app.state.hub
    found = METHODS.get(name)
    if fault.kind == "slow":
        await asyncio.sleep(SLOW_SECONDS)
        _note(hub, name, args, answer.body, answer.status, started, "slow")
        return _response(hub, found, answer)
    body: Json = {"ok": False, "error": fault.error if fault.kind == "error" else fault.kind}
    status = {"http_500": 500, "http_503": 503, "ratelimited": 429, "error": 200}.get(fault.kind)
    if fault.after_accept:
        body["accepted"] = bool(answer.body.get("ok"))
    _note(hub, name, args, body, status, started, fault.kind)
    if status is None:
        if fault.kind == "timeout":
            await gone(request, TIMEOUT_SECONDS)
        return abort(request)
    if status >= 500:
        return PlainTextResponse("upstream error", status)
    headers = {"Retry-After": str(fault.retry_after)} if status == 429 else {}
    text = "ratelimited" if status == 429 else fault.error
    return _response(hub, found, Answer({"ok": False, "error": text}, status, headers))


async def read_args(request: Request, *, json_body: bool) -> Args:
    """Merge query string, form and JSON body. Raises SlackError for a body that is not what it says.

    A JSON body is not read by methods that take forms only, as in Slack.
    """
    values: Json = dict(request.query_params)
    if request.method != "POST":
        return Args(values)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = await request.form()
        values |= {name: value for name, value in form.items() if isinstance(value, str)}
        return Args(values)
    raw = await request.body()
    if not raw:
        return Args(values)
    if kind == "application/json":
        values |= _json_body(raw) if json_body else {}
    elif kind in ("application/x-www-form-urlencoded", ""):
        values |= _form_body(raw)
    else:
        raise SlackError("invalid_post_type")
    return Args(values)


def _json_body(raw: bytes) -> Json:
    try:
        value: Any = json.loads(raw)
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(value, dict):
        raise SlackError("invalid_json")
    return value


def _form_body(raw: bytes) -> Json:
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise SlackError("invalid_form_data") from None
