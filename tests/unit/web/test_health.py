"""What probes and scrapers are told while the database is away, and what the document says of every answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.web.health import Figures, routes
from bot.web.openapi import document


async def gone() -> Figures:
    raise ConnectionError("postgresql://streamwatch:hunter2@db/streamwatch")


async def cannot() -> bool:
    return False


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_while_the_database_is_away_the_answer_is_503(path: str) -> None:
    app = Starlette(routes=routes(gone, cannot))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bot") as web:
        answer = await web.get(path)
    assert answer.status_code == 503
    assert "hunter2" not in answer.text


def _answers(path: str, method: str) -> set[str]:
    told: dict[str, Any] = document()["paths"][path][method]
    return set(told["responses"])


def test_the_document_names_every_answer() -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert _answers(path, "get") == {"200", "503"}
    for path in ("/incidents", "/oncall", "/operations", "/audit"):
        assert _answers(path, "get") == {"200", "401", "403"}
        assert document()["paths"][path]["get"]["security"] == [{"web": []}]
    assert _answers("/incidents/{id}", "get") == {"200", "401", "403", "404"}
    assert _answers("/slack/events", "post") == {"200", "400", "401", "413"}
    schemes = document()["components"]["securitySchemes"]
    for item in document()["paths"].values():
        for operation in (item[method] for method in item if method in ("get", "post")):
            assert all(name in schemes for need in operation.get("security", ()) for name in need)
