"""What Cloud Monitoring, or Cloud Billing, would say in each scenario of the demo."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

RESOURCE: Mapping[str, Any] = {
    "type": "dataflow_job",
    "labels": {"job_name": "ecommerce-streaming", "project_id": "demo-project", "region": "europe-west1"},
}

OVERRUN = 262.4  # of a budget of 200 USD

# scenario -> (policy name, metric, value, threshold, severity, runbook)
_ALERTS: Mapping[str, tuple[str, str, str, str, str, str]] = {
    "job_failed": ("Orders pipeline stopped", "job/is_failed", "1.000", "0", "critical", "pipeline-health"),
    "job_stuck": (
        "Orders data is late",
        "job/data_watermark_age",
        "1260.0",
        "600",
        "critical",
        "pipeline-health",
    ),
    "slow_sink": ("Orders is slow", "job/system_lag", "410.0", "120", "warning", "performance"),
    "hot_key": ("Orders is slow", "job/system_lag", "380.0", "120", "warning", "performance"),
    "doubled_job": (
        "Orders runs twice",
        "job/active_worker_instances",
        "2.000",
        "1",
        "warning",
        "cost-spike",
    ),
}
_QUALITY = ("schema_change", "new_required_field", "invalid_format", "rule_violation")
SCENARIOS = (*_ALERTS, *_QUALITY, "cost_spike")


def monitoring(scenario: str, alert_id: str, state: str) -> dict[str, Any]:
    """The incident of a Cloud Monitoring notification, for POST /sim/alert."""
    quality = ("Orders error rate is high", "job/user_counter", "0.310", "0.1", "warning", "data-quality")
    name, metric, value, threshold, severity, runbook = _ALERTS.get(scenario, quality)
    is_open = state == "open"
    words = f"is above the threshold of {threshold}" if is_open else "returned to normal"
    shown = value if is_open else "0.000"
    labels = {"metric_name": "click_invalid"} if metric == "job/user_counter" else {}
    return {
        "incident_id": alert_id,
        "state": state,
        "policy_name": name,
        "condition_name": name,
        "summary": f"{name}: ecommerce-streaming {words} with a value of {shown}.",
        "observed_value": shown,
        "threshold_value": threshold,
        "severity": severity.capitalize(),
        "policy_user_labels": {"severity": severity, "runbook": runbook},
        "metric": {"type": f"dataflow.googleapis.com/{metric}", "displayName": name, "labels": labels},
        "resource": dict(RESOURCE),
    }


def budget() -> dict[str, Any]:
    """A budget notification of 131 % for POST /sim/push."""
    start = datetime.now(UTC).replace(day=1, hour=7, minute=0, second=0, microsecond=0)
    return {
        "data": {
            "budgetDisplayName": "orders-monthly",
            "costAmount": OVERRUN,
            "costIntervalStart": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "budgetAmount": 200.0,
            "budgetAmountType": "SPECIFIED_AMOUNT",
            "alertThresholdExceeded": 1.2,
            "currencyCode": "USD",
        },
        "attributes": {
            "billingAccountId": "01A2B3-C4D5E6-F7A8B9",
            "budgetId": "d327eacf-4fde-3651-8c57-f6d63f5f4fba",  # the sandbox's, which notifies of it too
            "schemaVersion": "1.0",
        },
    }


def spent_besides(spend: Mapping[str, Any]) -> dict[str, Any]:
    """What was spent besides, so that the month comes to what the budget tells; yesterday's, unless that was another
    month's."""
    days = {one["day"]: one["services"] for one in spend["days"]}
    today, yesterday = max(days), sorted(days)[-2]
    day = yesterday if yesterday[:7] == today[:7] else today
    service = "Cloud Dataflow"
    more = OVERRUN - float(spend["month_to_date"])
    return {"day": day, "service": service, "amount": round(days[day][service] + more, 2)}
