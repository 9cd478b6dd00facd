"""Google's own service health explains trouble, makes none, and is never taken for fine when nobody may read it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.google.clients import Clients, GoogleSettings
from pipeline.report import Finding, Report
from tests.integration.sandbox_google.google import PROJECT

from .conftest import Served

DATAFLOW = {
    "product": "Google Cloud Dataflow",
    "location": "europe-west1",
    "title": "Streaming jobs start late in europe-west1.",
    "symptom": "Jobs stay in the state PENDING.",
    "workaround": "Launch in another region.",
}


def health(served: Served, minutes: int = 6, **change: Any) -> Report:
    return served.after(minutes, **change).read("pipeline.health")


def finding(report: Report, name: str) -> Finding | None:
    return next((one for one in report.findings if one.id == name), None)


def test_where_google_reports_nothing_nothing_is_said(served: Served) -> None:
    report = health(served)
    assert report.severity == "ok", report.verdict
    assert finding(report, "service_event") is finding(report, "service_health") is None
    assert report.data["google"] == []


def test_an_event_beside_a_healthy_pipeline_is_told_and_alarms_nobody(served: Served) -> None:
    report = health(served, 6, service_events=[DATAFLOW])
    assert report.severity == "ok", report.verdict
    assert "is running" in report.verdict
    assert "Google reports an incident of Google Cloud Dataflow in europe-west1" in report.verdict
    told = finding(report, "service_event")
    assert told is not None
    assert "Streaming jobs start late in europe-west1." in told.text
    assert "Symptom: Jobs stay in the state PENDING." in told.text
    assert "Workaround: Launch in another region." in told.text
    fact = report.fact("healthy")
    assert fact is not None
    assert fact.on is True


@pytest.mark.parametrize(("scenario", "minutes"), [("job_stuck", 16), ("slow_sink", 14)])
def test_an_event_makes_trouble_an_infrastructure_issue_with_its_evidence(
    served: Served, scenario: str, minutes: int
) -> None:
    report = health(served, minutes, scenario=scenario, service_events=[DATAFLOW])
    assert "infrastructure issue, Google reports an incident of Google Cloud Dataflow" in report.verdict
    issue = finding(report, "infrastructure_issue")
    assert issue is not None
    assert issue.evidence[0].what == "Google's service health, Google Cloud Dataflow"
    assert issue.evidence[0].value == "ACTIVE"
    assert issue.evidence[0].at is not None


def test_an_event_does_not_hide_bad_data(served: Served) -> None:
    report = health(served, 8, scenario="schema_change", service_events=[DATAFLOW])
    assert "data issue, schema change" in report.verdict
    assert finding(report, "service_event") is not None


@pytest.mark.parametrize(
    "other",
    [
        {"location": "us-east1"},
        {"location": "europe-west10"},
        {"product": "Google Cloud SQL"},
        {"relevance": "NOT_IMPACTED"},
        {"state": "CLOSED"},
    ],
)
def test_what_is_not_about_this_pipeline_is_not_told(served: Served, other: dict[str, str]) -> None:
    report = health(served, 6, service_events=[DATAFLOW | other])
    assert finding(report, "service_event") is None
    assert "Google reports" not in report.dumps()


@pytest.mark.parametrize(
    ("product", "location"),
    [
        ("Google BigQuery", "global"),
        ("Google Cloud Pub/Sub", "europe"),
        ("Cloud Bigtable", "europe-west1-b"),
        ("Google Compute Engine", ""),
    ],
)
def test_whatever_holds_the_region_or_lies_in_it_counts(served: Served, product: str, location: str) -> None:
    report = health(served, 6, service_events=[{"product": product, "location": location}])
    assert f"Google reports an incident of {product}" in report.verdict


def test_the_end_of_an_event_is_noticed(served: Served) -> None:
    assert "Google reports" in health(served, 1, service_events=[DATAFLOW]).verdict
    assert "Google reports" not in health(served, 1, service_events=[DATAFLOW | {"state": "CLOSED"}]).verdict


def test_an_api_that_is_off_is_unknown_with_the_command_that_turns_it_on(served: Served) -> None:
    served.rest.world.usage.switch("servicehealth.googleapis.com", on=False)
    report = health(served)
    unknown = finding(report, "service_health")
    assert unknown is not None
    assert unknown.severity == "unknown"
    assert f"gcloud services enable servicehealth.googleapis.com --project {PROJECT}" in unknown.text
    assert report.severity == "ok", "everything else was measured"
    assert report.data["google"] is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("PERMISSION_DENIED", "--role=roles/servicehealth.viewer"),
        ("UNAVAILABLE", "not reachable"),
        ("RESOURCE_EXHAUSTED", "quota"),
    ],
)
def test_a_refusal_is_unknown_and_never_fine(served: Served, code: str, said: str) -> None:
    injected = {"method": "servicehealth.events/list", "code": code, "count": 9}
    report = health(served, 1, errors=[injected])
    unknown = finding(report, "service_health")
    assert unknown is not None
    assert unknown.severity == "unknown"
    assert said in unknown.text
    assert "cannot be judged" not in report.verdict


def test_an_address_that_is_not_known_is_told(served: Served) -> None:
    settings = GoogleSettings(project=PROJECT, endpoint=served.ctx.clients.settings.endpoint)
    from pipeline.google.service_health import service_health

    with Clients(settings) as clients:
        assert "set GOOGLE_REST_ENDPOINT" in service_health(clients, PROJECT, 5).unknown


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "needs a product"),
        ({"product": 3}, "needs a product"),
        ({"product": "x", "state": "OPEN"}, "unknown state"),
        ({"product": "x", "place": "y"}, "unknown field 'place'"),
    ],
)
def test_a_wrong_event_is_refused(served: Served, entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="service_events") as caught:
        served.rest.world.apply({"service_events": [entry]})
    assert said in str(caught.value)
