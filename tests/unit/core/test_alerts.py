"""Rules: From notification to alert. Every variety is understood, or refused with a reason."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.alerts import (
    Alert,
    Kind,
    Severity,
    TestNotification,
    Unusable,
    begins_at,
    from_dict,
    parse_monitoring,
    to_dict,
)
from bot.core.policy import Thresholds

NOW = datetime(2026, 11, 22, 3, 10, tzinfo=UTC)
SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "monitoring"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared")
FILTER = 'resource.type = "dataflow_job" AND metric.type = "dataflow.googleapis.com/job/system_lag"'


def notification(**changes: Any) -> dict[str, Any]:
    """An open alert of a Dataflow job's lag, with keys of the incident changed; None takes a key away."""
    incident: dict[str, Any] = {
        "incident_id": "0.abc",
        "state": "open",
        "started_at": int((NOW - timedelta(minutes=5)).timestamp()),
        "ended_at": None,
        "summary": "System lag is above the threshold of 60.000 with a value of 300.000.",
        "policy_name": "lag of orders",
        "condition_name": "System lag",
        "condition": {
            "name": "projects/demo-project/alertPolicies/111/conditions/222",
            "displayName": "System lag",
            "conditionThreshold": {"filter": FILTER, "comparison": "COMPARISON_GT", "thresholdValue": 60},
        },
        "metric": {"type": "dataflow.googleapis.com/job/system_lag", "displayName": "Lag", "labels": {}},
        "resource": {
            "type": "dataflow_job",
            "labels": {"job_name": "ecommerce-streaming", "project_id": "demo-project"},
        },
        "observed_value": "300.000",
        "threshold_value": "60",
        "url": "https://console.cloud.google.com/monitoring/alerting/alerts/0.abc?project=demo-project",
    }
    incident.update(changes)
    return {
        "version": "1.2",
        "incident": {name: value for name, value in incident.items() if value is not None},
    }


def alert(**changes: Any) -> Alert:
    parsed = parse_monitoring(notification(**changes), NOW)
    assert isinstance(parsed, Alert)
    return parsed


def error_rate(value: str, threshold: str, label: str = "info") -> Severity:
    return alert(
        metric={"type": "custom.googleapis.com/pipeline/error_rate"},
        observed_value=value,
        threshold_value=threshold,
        policy_user_labels={"severity": label},
    ).severity


def sample(name: str) -> Any:
    (path,) = SAMPLES.glob(f"{name}_*.json")
    return json.loads(path.read_bytes())


def test_an_open_alert_is_understood() -> None:
    found = alert()
    assert (found.source, found.key, found.state) == ("cloud-monitoring", "0.abc", "open")
    assert found.title == "lag of orders"
    assert (found.project, found.policy_id) == ("demo-project", "111")
    assert (found.observed, found.threshold) == (300.0, 60.0)
    assert (found.kind, found.severity) == (Kind.PERFORMANCE, Severity.WARNING)
    assert found.started_at == NOW - timedelta(minutes=5)
    assert found.ended_at is None
    assert not found.proves_recovery


@pytest.mark.parametrize(
    ("value", "threshold", "severity"),
    [
        ("0.51", "0.1", Severity.CRITICAL),
        ("0.50", "0.1", Severity.WARNING),
        ("0.11", "0.1", Severity.WARNING),
        ("0.10", "0.1", Severity.INFO),
        ("51", "10", Severity.CRITICAL),
        ("50", "10", Severity.WARNING),
        ("0.9", "10", Severity.INFO),
        ("0.9", "1", Severity.CRITICAL),
        ("10.5", "10", Severity.WARNING),
    ],
)
def test_the_documents_thresholds_on_the_error_rate(value: str, threshold: str, severity: Severity) -> None:
    assert error_rate(value, threshold) is severity


def test_the_thresholds_are_those_of_the_policy() -> None:
    said = notification(
        metric={"type": "custom.googleapis.com/pipeline/error_rate"}, observed_value="0.3", threshold_value="0.1",
        policy_user_labels={"severity": "info"},
    )  # fmt: skip
    strict = Thresholds(error_rate_warning=0.05, error_rate_critical=0.2)
    found = [parse_monitoring(said, NOW, limits=limits) for limits in (Thresholds(), strict)]
    assert [one.severity for one in found if isinstance(one, Alert)] == [Severity.WARNING, Severity.CRITICAL]


def test_a_label_raises_and_never_lowers_a_document_threshold() -> None:
    assert error_rate("0.2", "0.1", "critical") is Severity.CRITICAL
    assert error_rate("0.6", "0.1", "info") is Severity.CRITICAL
    assert error_rate("0.05", "0.01", "info") is Severity.INFO


def test_an_error_rate_is_known_by_its_name_where_a_query_made_it() -> None:
    named = {"condition_name": "High error rate", "observed_value": "0.6", "threshold_value": "0.1"}
    assert alert(metric={"type": ""}, **named).severity is Severity.CRITICAL
    per_second = named | {"observed_value": "300", "threshold_value": "100"}
    assert alert(metric={"type": "x/request_count"}, **per_second).severity is Severity.WARNING


def test_a_stopped_pipeline_is_critical_whatever_the_label_says() -> None:
    failed = {"type": "dataflow.googleapis.com/job/is_failed"}
    stopped = alert(metric=failed, observed_value="1.000", policy_user_labels={"severity": "info"})
    assert (stopped.severity, stopped.kind, stopped.stated) == (
        Severity.CRITICAL,
        Kind.HEALTH,
        Severity.INFO,
    )
    assert alert(metric=failed, observed_value="0").severity is Severity.WARNING


@pytest.mark.parametrize(
    ("label", "payload", "severity"),
    [
        (None, "Critical", Severity.CRITICAL),
        (None, "Error", Severity.WARNING),
        (None, "Warning", Severity.WARNING),
        (None, "No severity", Severity.WARNING),
        (None, None, Severity.WARNING),
        (None, 7, Severity.WARNING),
        ("info", "Critical", Severity.INFO),
        (" INFO ", None, Severity.INFO),
        ("informational", None, Severity.WARNING),
        ("sev2", "Critical", Severity.CRITICAL),
        ("critical", "no severity", Severity.CRITICAL),
    ],
)
def test_the_stated_severity(label: str | None, payload: Any, severity: Severity) -> None:
    labels = {"severity": label} if label else None
    assert alert(policy_user_labels=labels, severity=payload).stated is severity


def test_severities_are_ordered_by_weight() -> None:
    assert Severity.INFO < Severity.WARNING < Severity.CRITICAL
    assert max(Severity.CRITICAL, Severity.WARNING) is Severity.CRITICAL
    assert sorted([Severity.WARNING, Severity.CRITICAL, Severity.INFO])[-1] is Severity.CRITICAL
    assert Severity.highest([Severity.INFO, Severity.CRITICAL]) is Severity.CRITICAL
    assert Severity.highest([]) is None
    with pytest.raises(ValueError):
        _ = Severity.INFO < "loud"


@pytest.mark.parametrize(
    ("labels", "metric", "resource", "kind"),
    [
        ({"kind": "Security"}, "dataflow.googleapis.com/job/is_failed", {}, Kind.SECURITY),
        ({"kind": "nonsense"}, "dataflow.googleapis.com/job/is_failed", {}, Kind.HEALTH),
        ({"runbook": "cost_spike"}, "", {}, Kind.COST),
        ({"runbook": "runbooks/data-quality.md"}, "", {}, Kind.QUALITY),
        ({"runbook": "unknown"}, "dataflow.googleapis.com/job/status", {}, Kind.HEALTH),
        ({}, "dataflow.googleapis.com/job/data_watermark_age", {}, Kind.PERFORMANCE),
        ({}, "dataflow.googleapis.com/job/total_vcpu_time", {}, Kind.COST),
        ({}, "pubsub.googleapis.com/subscription/num_undelivered_messages", {}, Kind.PERFORMANCE),
        (
            {},
            "pubsub.googleapis.com/subscription/num_undelivered_messages",
            {"subscription_id": "dead-letter-sub"},
            Kind.QUALITY,
        ),
        ({}, "pubsub.googleapis.com/subscription/dead_letter_message_count", {}, Kind.QUALITY),
        ({}, "custom.googleapis.com/orders/error_rate", {}, Kind.QUALITY),
        ({}, "billing/budget", {}, Kind.COST),
        ({}, "compute.googleapis.com/instance/cpu/utilization", {}, Kind.OTHER),
    ],
)
def test_the_kind(labels: dict[str, str], metric: str, resource: dict[str, str], kind: Kind) -> None:
    found = alert(
        policy_user_labels=labels,
        metric={"type": metric},
        resource={"type": "some_resource", "labels": resource},
        condition={"conditionThreshold": {}},
    )
    assert found.kind is kind


def test_a_counter_of_invalid_events_is_quality() -> None:
    counter = "dataflow.googleapis.com/job/user_counter"
    invalid = alert(metric={"type": counter, "labels": {"metric_name": "click_invalid"}})
    received = alert(metric={"type": counter, "labels": {"metric_name": "click_received"}})
    assert (invalid.kind, received.kind) == (Kind.QUALITY, Kind.PERFORMANCE)


def test_runbooks_of_the_team_name_kinds_too() -> None:
    obj = notification(policy_user_labels={"runbook": "Night_Watch"})
    found = parse_monitoring(obj, NOW, {"night-watch": Kind.SECURITY})
    assert isinstance(found, Alert)
    assert found.kind is Kind.SECURITY


def test_a_job_whose_metrics_fall_silent_is_a_matter_of_health() -> None:
    absent = {"conditionAbsent": {"filter": FILTER, "duration": "300s"}}
    found = alert(condition=absent, metric=None, observed_value=None, threshold_value=None, state="CLOSED")
    assert (found.kind, found.metric_type) == (Kind.HEALTH, "dataflow.googleapis.com/job/system_lag")


def test_a_close_with_a_sentence_proves_no_recovery() -> None:
    words = "Incident cancelled because the alert policy condition was deleted or modified."
    found = alert(state="closed", observed_value=words, summary="Cancelled.")
    assert (found.observed, found.observed_text, found.proves_recovery) == (None, words, False)
    assert alert(state="closed", observed_value="12.5").proves_recovery


def test_the_close_of_a_log_alert_proves_no_recovery() -> None:
    condition = {"conditionMatchedLog": {"filter": 'resource.type="dataflow_step" severity>=ERROR'}}
    found = alert(
        state="closed", condition=condition, metric={"type": ""}, observed_value=None, threshold_value=None
    )
    assert found.log_alert
    assert found.metric_type == ""
    assert not found.proves_recovery


def test_the_shape_of_2021_has_its_values_in_the_summary() -> None:
    found = alert(observed_value=None, threshold_value=None, condition={})
    assert (found.observed, found.threshold) == (300.0, 60.0)
    back = alert(state="closed", observed_value=None, summary="It returned to normal with a value of 0.081.")
    assert (back.observed, back.proves_recovery) == (0.081, True)


@pytest.mark.parametrize(
    ("documentation", "content", "links"),
    [
        ("restart it", "restart it", ()),
        ({"content": "restart it", "subject": "s"}, "restart it", ()),
        ({"content": "", "subject": "Alert"}, "Alert", ()),
        (
            {"content": "c", "links": [{"displayName": "a", "url": "https://a.example/"}]},
            "c",
            (("a", "https://a.example/"),),
        ),
        (
            {"content": "c", "links": [{"DisplayName": "b", "URL": "https://b.example/"}, 5, {}]},
            "c",
            (("b", "https://b.example/"),),
        ),
        ([1, 2], "", ()),
    ],
)
def test_documentation_in_every_spelling(
    documentation: object, content: str, links: tuple[tuple[str, str], ...]
) -> None:
    found = alert(documentation=documentation)
    assert (found.documentation, found.links) == (content, links)


@pytest.mark.parametrize("value", ["NaN", "inf", "1e999", True, [], {}, "1_000", "٣", 10**400, "9" * 500])
def test_absurd_values_are_no_numbers(value: object) -> None:
    found = alert(observed_value=value, summary="x", state="closed")
    assert found.observed is None
    assert not found.proves_recovery


@pytest.mark.parametrize(("value", "number"), [("-3.5", -3.5), ("1e300", 1e300), (7, 7.0), (" 0.1 ", 0.1)])
def test_huge_and_negative_numbers_are_read(value: object, number: float) -> None:
    assert alert(observed_value=value).observed == number


@pytest.mark.parametrize(
    ("started_at", "begin", "noted"),
    [
        (NOW.timestamp() - 60, NOW - timedelta(minutes=1), False),
        (str(int(NOW.timestamp() - 60)), NOW - timedelta(minutes=1), False),
        ("2026-11-22T05:09:00+02:00", NOW - timedelta(minutes=1), False),
        (NOW.timestamp(), NOW, False),
        (NOW.timestamp() - 86_400, NOW - timedelta(hours=24), False),
        (NOW.timestamp() - 86_401, NOW, True),
        (NOW.timestamp() + 1, NOW, True),
        (1e300, NOW, True),
        (-5, NOW, True),
        (0, NOW, True),
        ("soon", NOW, True),
        ("9999-12-31T23:59:59-10:00", NOW, True),
        (True, NOW, True),
        (None, NOW, True),
    ],
)
def test_a_fact_begins_within_a_day_before_receipt_or_at_it(
    started_at: object, begin: datetime, noted: bool
) -> None:
    found, note = begins_at(alert(started_at=started_at), NOW)
    assert found == begin
    assert (note is not None) == noted


def test_how_old_a_begin_may_be_is_the_policys() -> None:
    two_hours_ago = alert(started_at=NOW.timestamp() - 7200)
    assert begins_at(two_hours_ago, NOW, timedelta(hours=3)) == (NOW - timedelta(hours=2), None)
    found, note = begins_at(two_hours_ago, NOW, timedelta(hours=1))
    assert found == NOW
    assert note is not None
    assert "over 1 h before receipt" in note


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ("text", "JSON object"),
        ({}, "`incident` is missing"),
        ({"version": "1.2", "incident": []}, "`incident` is a list"),
        ({"version": "2.0", "incident": {}}, "version '2.0'"),
        ({"version": True, "incident": {}}, "version 'true'"),
        (notification(incident_id=None), "incident_id"),
        (notification(incident_id="  "), "incident_id"),
        (notification(incident_id=True), "incident_id"),
        (notification(incident_id={"a": 1}), "incident_id"),
        (notification(incident_id="x" * 300), "incident_id"),
        (notification(incident_id="a\x00b"), "incident_id"),
        (notification(state=None), "state"),
        (notification(state="ajar"), "'ajar'"),
        (notification(state=1), "state"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(obj: object, reason: str) -> None:
    with pytest.raises(Unusable) as refused:
        parse_monitoring(obj, NOW)
    assert reason in refused.value.reason


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.17", 1, 1.2, None])
def test_every_version_1_is_accepted(version: object) -> None:
    found = parse_monitoring(notification() | {"version": version}, NOW)
    assert isinstance(found, Alert)


def test_the_test_button_is_no_alert_whatever_stands_beside_it() -> None:
    assert isinstance(parse_monitoring({"version": "test", "incident": []}, NOW), TestNotification)
    found = parse_monitoring({"version": "TEST", "incident": {"summary": "Test Incident"}}, NOW)
    assert isinstance(found, TestNotification)
    assert found.summary == "Test Incident"


def test_what_no_database_stores_is_dropped() -> None:
    found = alert(policy_name="a\x00b\ud800c", policy_user_labels={"a\x00": "\udfff"})
    assert found.title == "abc"
    assert found.labels == {"a": ""}
    json.dumps(to_dict(found), ensure_ascii=False).encode("utf-8")


def test_the_project_is_the_resources_own() -> None:
    assert alert(scoping_project_id="scope").project == "demo-project"
    bare: dict[str, Any] = {"type": "gce_instance", "labels": {}}
    assert alert(scoping_project_id="scope", resource=bare).project == "scope"
    assert alert(resource=bare, condition={}).project == "demo-project"  # from the console's address
    assert alert(resource=bare, condition={}, url="http://[x").project == ""


def test_an_alert_survives_its_json() -> None:
    found = alert(documentation={"links": [{"displayName": "a", "url": "https://a.example/"}]})
    assert from_dict(json.loads(json.dumps(to_dict(found)))) == found
    with pytest.raises(Unusable):
        from_dict({"source": "x"})


@needs_samples
@pytest.mark.parametrize(
    ("name", "state", "severity", "kind", "observed", "proves"),
    [
        ("01", "closed", "warning", "other", 0.081, True),
        ("02", "open", "warning", "other", 7679.0, False),
        ("04", "open", "warning", "other", 0.79, False),
        ("05", "closed", "warning", "other", 0.008, True),
        ("08", "closed", "warning", "other", 0.835, True),
        ("10", "open", "warning", "other", 0.109, False),
        ("12", "open", "warning", "other", 0.19, False),
        ("30", "open", "critical", "health", 1.0, False),
    ],
)
def test_real_notifications(
    name: str, state: str, severity: str, kind: str, observed: float, proves: bool
) -> None:
    found = parse_monitoring(sample(name), NOW)
    assert isinstance(found, Alert)
    assert (found.state, found.severity.value, found.kind.value) == (state, severity, kind)
    assert (found.observed, found.proves_recovery) == (observed, proves)
    assert found.title
    assert found.policy_id
    assert found.started_at is not None
    assert from_dict(json.loads(json.dumps(to_dict(found)))) == found


@needs_samples
def test_the_real_test_button() -> None:
    found = parse_monitoring(sample("06"), NOW)
    assert isinstance(found, TestNotification)
    assert found.summary == "Test Incident"


@pytest.mark.parametrize("stated", ["info", "warning", "critical", "", "sev2"])
def test_a_suspicion_of_a_security_incident_is_critical(stated: str) -> None:
    labels = {"kind": "security", **({"severity": stated} if stated else {})}
    found = parse_monitoring(notification(policy_user_labels=labels), NOW)
    assert isinstance(found, Alert)
    assert (found.kind, found.severity) == (Kind.SECURITY, Severity.CRITICAL)
