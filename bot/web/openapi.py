"""GET /openapi.json: what the bot answers over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

_ERROR = {"type": "object", "properties": {"error": {"type": "string"}, "hint": {"type": "string"}}}
_KINDS = ["text/html", "application/json"]
_ACCEPTED = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "string", "enum": ["accepted", "duplicate", "test"]},
        "incident": {"type": "string", "example": "INC-7"},
    },
}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _webhook(summary: str, security: list[dict[str, list[str]]], unusable: str, code: str) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "security": security,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "responses": {
                "200": _json("committed to the inbox", _ACCEPTED),
                code: {"description": unusable} if code == "204" else _json(unusable, _ERROR),
                "401": _json("no or wrong credentials; basic auth is challenged", _ERROR),
                "413": _json("more than 1 MiB", _ERROR),
                "503": _json("cannot be stored now; see Retry-After", _ERROR),
            },
        }
    }


def _probe(summary: str, kind: str, away: str) -> dict[str, Any]:
    answers = {"200": {"description": "it", "content": {kind: {}}}, "503": _json(away, _ERROR)}
    return {"get": {"summary": summary, "responses": answers}}


def _page(summary: str, kinds: list[str], *, found: bool = False) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "it", "content": {kind: {} for kind in kinds}},
        "401": {
            "description": "WEB_TOKEN is needed: as a bearer, as ?token=, or by the cookie that this sets"
        },
        "403": {"description": "there is no WEB_TOKEN, so only this machine is shown it"},
    }
    if found:
        responses["404"] = {"description": "there is none, or it is private"}
    return {"get": {"summary": summary, "security": [{"web": []}], "responses": responses}}


def _link(summary: str) -> dict[str, Any]:
    kinds: dict[str, Any] = {"text/html": {}, "application/json": {}}
    answers = {
        "200": {"description": "it", "content": kinds},
        "403": {"description": "not genuine, or not this person's to do any more"},
        "409": {"description": "the incident is over"},
        "410": {"description": "used or too old"},
    }
    return {"summary": summary, "security": [], "responses": answers}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    incident = {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "example": "INC-7",
    }
    one = _page("one incident", _KINDS, found=True)
    review = _page("its review", ["text/markdown"], found=True)
    for path in (one, review):
        path["parameters"] = [incident]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Streamwatch", "version": "0.1.0"},
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "token": {"type": "apiKey", "in": "query", "name": "auth_token"},
                "oidc": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "web": {"type": "http", "scheme": "bearer"},
            }
        },
        "paths": {
            "/webhooks/cloud-monitoring": _webhook(
                "a Cloud Monitoring notification", [{"basic": []}, {"token": []}], "unusable content", "400"
            ),
            "/webhooks/pubsub": _webhook(
                "a Pub/Sub push of an alert or a budget",
                [{"oidc": []}],
                "stored as dead, never redelivered",
                "204",
            ),
            "/slack/events": {
                "post": {
                    "summary": "Slack's events, commands and clicks; signed",
                    "responses": {
                        "200": {"description": "acknowledged"},
                        "400": _json("a signed body that cannot be read", _ERROR),
                        "401": _json("not signed by Slack just now, or sent before", _ERROR),
                        "413": _json("more than 1 MiB", _ERROR),
                    },
                }
            },
            "/healthz": _probe("is it alive, is it late", "application/json", "the database is away"),
            "/readyz": _probe("can it store", "application/json", "it cannot; see Retry-After"),
            "/metrics": _probe("Prometheus metrics", "text/plain", "the database is away"),
            "/incidents": _page("the incidents", _KINDS),
            "/incidents/{id}": one,
            "/oncall": _page("who is on call, and the next two weeks", _KINDS),
            "/operations": _page(
                "statistics, the operations calendar, open actions, what could not be used or sent", _KINDS
            ),
            "/audit": _page("what the gates let through and refused, and what people signed for", _KINDS),
            "/incidents/{id}/review": review,
            "/ack/{token}": {
                "parameters": [
                    {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "get": _link("what a page's link is for; changes nothing"),
                "post": _link("acknowledge as the person whom the page went to, once"),
            },
        },
    }


async def openapi(_: Request) -> JSONResponse:
    """The route."""
    return JSONResponse(document())
