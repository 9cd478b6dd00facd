"""One JSON answer over HTTP, for the services that are asked without a client of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.google.calls import reading_http
from pipeline.google.clients import Clients


def get_json(
    clients: Clients, address: str, query: Mapping[str, str], deadline_s: float
) -> Mapping[str, Any]:
    """One answer; Google's own exceptions for a refusal, OSError when there was none."""
    from google.api_core import exceptions as api

    answer = clients.http.get(
        address, params={k: v for k, v in query.items() if v}, timeout=reading_http(deadline_s)
    )
    if answer.status_code != 200:
        raise api.from_http_response(answer)
    try:
        body = answer.json()
    except ValueError as error:
        raise api.ServiceUnavailable("the answer was no JSON") from error
    return body if isinstance(body, Mapping) else {}
