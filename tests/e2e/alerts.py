"""Notifications as Cloud Monitoring writes them (version 1.2), for tests."""

from __future__ import annotations

from typing import Any


def alert(
    incident_id: str,
    /,
    *,
    state: str = "open",
    pipeline: str = "",
    value: str = "",
    severity: str = "critical",
    **more: Any,
) -> dict[str, Any]:
    """A failed job of ``pipeline``: "orders" is the claimed one, any other name an unclaimed job.

    ``more`` replaces keys of the incident object; the value None removes one.
    """
    job = "ecommerce-streaming" if pipeline in ("", "orders") else pipeline
    observed = value or ("1.000" if state == "open" else "0.000")
    words = "is above the threshold of 0.000" if state == "open" else "returned to normal"
    incident = {
        "incident_id": incident_id,
        "state": state,
        "policy_name": f"Pipeline {job} stopped",
        "condition_name": "Dataflow job failed",
        "summary": f"Failed for demo-project {job} {words} with a value of {observed}.",
        "observed_value": observed,
        "threshold_value": "0",
        "policy_user_labels": {"severity": severity, "kind": "health"},
        "metric": {"type": "dataflow.googleapis.com/job/is_failed", "displayName": "Failed", "labels": {}},
        "resource": {
            "type": "dataflow_job",
            "labels": {"job_name": job, "project_id": "demo-project", "region": "europe-west1"},
        },
        "scoping_project_id": "demo-project",
        "url": f"https://console.cloud.google.com/monitoring/alerting/alerts/{incident_id}",
        **more,
    }
    return {"version": "1.2", "incident": {k: v for k, v in incident.items() if v is not None}}
