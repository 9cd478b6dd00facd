"""Dashboards of Cloud Monitoring: over HTTP, as their client is not among the dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.charts import dashboard, dashboard_id
from pipeline.errors import Missing
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_SERVICE: Final = "Cloud Monitoring"


def found(clients: Clients, pipeline: Pipeline, deadline_s: float) -> Mapping[str, Any] | None:
    """Our dashboard of a pipeline as it is there; None when there is none."""
    try:
        return _call(clients, "GET", f"{_parent(pipeline)}/{dashboard_id(pipeline)}", None, deadline_s)
    except Missing:
        return None


def put(clients: Clients, pipeline: Pipeline, there: Mapping[str, Any] | None, deadline_s: float) -> None:
    """Creates the dashboard, or replaces the content of the one that was found."""
    name = f"{_parent(pipeline)}/{dashboard_id(pipeline)}"
    body = {**dashboard(pipeline), "name": name}
    if there is None:
        _call(clients, "POST", _parent(pipeline), body, deadline_s)
    else:
        # Written over by somebody else meanwhile, its etag is no longer the newest: refused, not lost.
        _call(clients, "PATCH", name, {**body, "etag": there.get("etag", "")}, deadline_s)


def link(pipeline: Pipeline) -> str:
    """Where a person sees it."""
    id_ = dashboard_id(pipeline)
    return f"https://console.cloud.google.com/monitoring/dashboards/builder/{id_}?project={pipeline.project}"


def _parent(pipeline: Pipeline) -> str:
    return f"projects/{pipeline.project}/dashboards"


def _call(clients: Clients, method: str, path: str, body: Any, deadline_s: float) -> Mapping[str, Any]:
    from google.api_core.exceptions import from_http_response

    address = f"{clients.url('monitoring')}/v1/{path}"
    doing = "looking at the dashboard" if method == "GET" else "writing the dashboard"
    with explained(_SERVICE, doing):
        answer = clients.http.request(method, address, json=body, timeout=deadline_s)
        if answer.status_code >= 400:
            raise from_http_response(answer)
        read: Mapping[str, Any] = answer.json()
    return read
