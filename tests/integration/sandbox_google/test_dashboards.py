"""Dashboards over HTTP, as Monitoring's first version speaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Http

PATH = f"/v1/projects/{PROJECT}/dashboards"


def dashboard(**more: Any) -> dict[str, Any]:
    chart = {
        "dataSets": [
            {
                "timeSeriesQuery": {
                    "timeSeriesFilter": {
                        "filter": 'metric.type="dataflow.googleapis.com/job/system_lag"',
                        "aggregation": {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MAX"},
                    }
                }
            }
        ]
    }
    tile = {"xPos": 0, "yPos": 0, "width": 24, "height": 16, "widget": {"title": "Lag", "xyChart": chart}}
    return {"displayName": "Orders", "mosaicLayout": {"columns": 48, "tiles": [tile]}} | more


def test_a_dashboard_is_made_read_replaced_and_deleted(http: Http) -> None:
    made = http.call("POST", PATH, dashboard(name=f"projects/{PROJECT}/dashboards/streamwatch-orders"))
    assert made["name"] == f"projects/{PROJECT}/dashboards/streamwatch-orders"
    path = f"/v1/{made['name']}"
    assert http.call("GET", path) == made
    changed = http.call("PATCH", path, made | {"displayName": "Orders, live"})
    assert (changed["displayName"], changed["etag"] != made["etag"]) == ("Orders, live", True)
    error = http.call("PATCH", path, made, status=409)["error"]
    assert error["status"] == "ABORTED"
    assert http.call("DELETE", path) == {}
    assert http.call("GET", path, status=404)["error"]["status"] == "NOT_FOUND"


def test_dashboards_are_listed_in_pages_and_a_check_makes_none(http: Http) -> None:
    http.call("POST", PATH + "?validateOnly=true", dashboard())
    assert http.call("GET", PATH) == {"dashboards": []}
    names = [http.call("POST", PATH, dashboard(displayName=f"D{n}"))["name"] for n in range(3)]
    first = http.call("GET", PATH + "?pageSize=2")
    rest = http.call("GET", f"{PATH}?pageSize=2&pageToken={first['nextPageToken']}")
    assert [one["name"] for one in first["dashboards"] + rest["dashboards"]] == names
    assert "nextPageToken" not in rest


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"displayName": ""}, "displayName"),
        ({"gridLayout": {"widgets": []}}, "exactly one layout"),
        ({"mosaicLayout": {"columns": 7}}, "columns"),
        (
            {"mosaicLayout": {"columns": 12, "tiles": [{"width": 24, "height": 2, "widget": {}}]}},
            "does not fit",
        ),
    ],
)
def test_a_dashboard_that_would_show_nothing_is_refused(
    http: Http, wrong: dict[str, Any], reason: str
) -> None:
    error = http.call("POST", PATH, dashboard(**wrong), status=400)["error"]
    assert reason in error["message"]
    assert http.call("GET", PATH) == {"dashboards": []}


def test_a_filter_that_is_none_and_a_name_that_is_taken_are_refused(http: Http) -> None:
    body = dashboard(name="taken")
    http.call("POST", PATH, body)
    assert http.call("POST", PATH, body, status=409)["error"]["status"] == "ALREADY_EXISTS"
    chart = body["mosaicLayout"]["tiles"][0]["widget"]["xyChart"]["dataSets"][0]["timeSeriesQuery"]
    chart["timeSeriesFilter"]["filter"] = 'resource.type="dataflow_job"'
    assert "metric.type" in http.call("POST", PATH, body, status=400)["error"]["message"]
