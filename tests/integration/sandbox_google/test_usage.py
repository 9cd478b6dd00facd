"""Services that are on or off, and projects, over HTTP; a service that is off refuses its calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.alert_policy_service.transports import (
    AlertPolicyServiceGrpcTransport,
)

from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Http, Rest, channel_to, world_of

PATH = f"/v1/projects/{PROJECT}/services"


def test_what_a_pipeline_needs_is_on_in_a_fresh_world(http: Http) -> None:
    names = {one["config"]["name"] for one in http.call("GET", PATH + "?filter=state:ENABLED")["services"]}
    needed = ("dataflow", "pubsub", "bigquery", "monitoring", "logging", "cloudbilling", "bigtable")
    assert {f"{name}.googleapis.com" for name in needed} <= names
    assert http.call("GET", PATH + "?filter=state:DISABLED") == {"services": []}
    assert http.call("GET", PATH + "/pubsub.googleapis.com")["state"] == "ENABLED"
    assert http.call("GET", PATH + "/none.googleapis.com", status=404)["error"]["status"] == "NOT_FOUND"


def test_a_service_that_is_off_refuses_until_it_is_on_again(http: Http, rest: Rest) -> None:
    done = http.call("POST", PATH + "/bigquery.googleapis.com:disable", {})
    assert done["response"]["service"]["state"] == "DISABLED"
    with pytest.raises(exceptions.Forbidden, match="BigQuery API has not been used in project demo-project"):
        rest.bigquery.get_dataset("ecommerce")
    http.call("POST", PATH + "/bigquery.googleapis.com:enable", {})
    assert rest.bigquery.get_dataset("ecommerce").dataset_id == "ecommerce"


def test_a_service_that_is_off_refuses_over_grpc_too(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.usage.switch("monitoring.googleapis.com", on=False)
    with channel_to(world) as channel:
        client = monitoring_v3.AlertPolicyServiceClient(
            transport=AlertPolicyServiceGrpcTransport(channel=channel)
        )
        with pytest.raises(exceptions.PermissionDenied, match="it is disabled"):
            client.list_alert_policies(name=f"projects/{PROJECT}")
        world.apply({"scenario": "healthy"})
        assert not list(client.list_alert_policies(name=f"projects/{PROJECT}"))


def test_projects_answer_by_id_and_by_number(http: Http) -> None:
    project = http.call("GET", f"/v3/projects/{PROJECT}")
    assert (project["projectId"], project["state"]) == (PROJECT, "ACTIVE")
    assert http.call("GET", f"/v3/{project['name']}") == project
    wanted = {"permissions": ["dataflow.jobs.create"]}
    assert http.call("POST", f"/v3/projects/{PROJECT}:testIamPermissions", wanted) == wanted
    assert http.call("GET", "/v3/projects/none", status=403)["error"]["status"] == "PERMISSION_DENIED"
