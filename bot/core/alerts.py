"""From a Cloud Monitoring notification to an alert (Rules: From notification to alert).

The body is one JSON object of version 1.x, by webhook or Pub/Sub alike. Real ones
differ: older ones lack fields, values are texts, a value can be a sentence, documentation a text or an
object, the console's test button writes in capitals. All is either understood or `Unusable`, with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from bot.core.alert_model import (
    Alert,
    Family,
    Kind,
    Severity,
    State,
    TestNotification,
    Unusable,
    from_dict,
    to_dict,
)
from bot.core.alert_rules import RUNBOOK_KINDS, kind_of, measured_severity, stated_severity
from bot.core.policy import Thresholds, format_duration
from bot.core.reading import NAME_MAX, read_moment, read_number, read_text

__all__ = [
    "RUNBOOK_KINDS",
    "SOURCE",
    "Alert",
    "Family",
    "Kind",
    "Severity",
    "State",
    "TestNotification",
    "Unusable",
    "begins_at",
    "from_dict",
    "parse_monitoring",
    "to_dict",
]

SOURCE = "cloud-monitoring"
SHIPPED = Thresholds()
TEXT_MAX = 16_000
KEY_MAX = 256
LABELS_MAX = 64

_STATES: Mapping[str, State] = {"open": "open", "acknowledged": "open", "closed": "closed"}
_POLICY = re.compile(r"^projects/([^/]+)/alertPolicies/([^/]+)(/|$)")
# Google's own end of a summary; in the shape of 2021 the only place that holds the values.
_SUMMARY_VALUE = re.compile(r" with a value of ([-+.0-9eE]{0,39}[0-9])\.?$")
_SUMMARY_THRESHOLD = re.compile(
    r" (?:above|below) the threshold of ([-+.0-9eE]{1,40}) with a value of [^ ]+$"
)
_FILTER_TYPE = {
    name: re.compile(rf'\b{name}\.type\s*=\s*"([^"]{{1,300}})"') for name in ("metric", "resource")
}
_Json = Mapping[str, object]


def parse_monitoring(
    obj: object,
    received_at: datetime,
    runbook_kinds: Mapping[str, Kind] = RUNBOOK_KINDS,
    limits: Thresholds = SHIPPED,
) -> Alert | TestNotification:
    """The alert in a decoded notification `obj`, or a TestNotification for the console's test button.

    `received_at` is aware. `runbook_kinds` maps stems of runbook files to kinds (policy label `runbook`); `limits`
    are the thresholds of the team's policy.
    Raises Unusable, and nothing else, if `obj` is no notification or lacks what an alert cannot do without:
    an incident with an id and a state.
    """
    if received_at.tzinfo is None:
        raise Unusable("the time of receipt has no zone")
    if not isinstance(obj, Mapping):
        raise Unusable(f"the body must be a JSON object, not {_sort(obj)}")
    version = read_text(obj.get("version")).casefold()
    incident = obj.get("incident")
    if version == "test":
        return _test(incident if isinstance(incident, Mapping) else {})
    if version and not re.fullmatch(r"1(\.[0-9]{1,5})*", version):
        raise Unusable(f"version {version[:40]!r} is not known; versions 1.x are")
    if not isinstance(incident, Mapping):
        raise Unusable("`incident` is missing" if incident is None else f"`incident` is {_sort(incident)}")
    return _alert(incident, _key(incident), _state(incident), runbook_kinds, limits)


def begins_at(
    alert: Alert, received_at: datetime, oldest: timedelta = SHIPPED.sample_age
) -> tuple[datetime, str | None]:
    """When the fact of `alert` begins (aware UTC), and a note for the timeline where that is the receipt.

    Rules: From notification to alert. The source's begin counts if it lies 0 to 24 h (`oldest`) before receipt.
    """
    receipt = received_at.astimezone(UTC)
    begin = alert.started_at
    if begin is None:
        return receipt, "The source gave no usable begin; counted from receipt."
    if begin > receipt:
        return receipt, f"The source says it began at {begin:%Y-%m-%d %H:%M:%S} UTC, after its receipt."
    if receipt - begin > oldest:
        said = f"The source says it began at {begin:%Y-%m-%d %H:%M} UTC"
        return receipt, f"{said}, over {format_duration(oldest)} before receipt."
    return begin, None


def _alert(
    incident: _Json, key: str, state: State, runbook_kinds: Mapping[str, Kind], limits: Thresholds
) -> Alert:
    condition, metric, resource = (_object(incident, name) for name in ("condition", "metric", "resource"))
    labels = _labels(incident.get("policy_user_labels"))
    resource_labels, metric_labels = _labels(resource.get("labels")), _labels(metric.get("labels"))
    log_alert = "conditionMatchedLog" in condition
    metric_type = read_text(metric.get("type")) or ("" if log_alert else _from_filter(condition, "metric"))
    resource_type = read_text(resource.get("type")) or _from_filter(condition, "resource")
    condition_name = read_text(incident.get("condition_name")) or read_text(condition.get("displayName"))
    observed, threshold = _observed(incident), _threshold(incident, condition)
    stated = stated_severity(labels.get("severity", ""), read_text(incident.get("severity")))
    names = (condition_name, read_text(metric.get("displayName")))
    comparison = read_text(_object(condition, "conditionThreshold").get("comparison"))
    measured = measured_severity(metric_type, names, observed, threshold, comparison, limits)
    kind = kind_of(
        labels,
        metric_type,
        resource_type=resource_type,
        resource_labels=resource_labels,
        metric_labels=metric_labels,
        absent="conditionAbsent" in condition,
        runbook_kinds=runbook_kinds,
    )
    project, policy_id = _project(incident, condition, resource_labels), _policy(incident, condition)[1]
    documentation, links = _documentation(incident.get("documentation"))
    return Alert(
        source=SOURCE,
        key=key,
        state=state,
        title=_title(incident, condition_name, key),
        summary=read_text(incident.get("summary"), TEXT_MAX),
        stated=stated,
        severity=_severity(kind, stated, measured),
        kind=kind,
        project=project,
        resource_type=resource_type,
        resource_labels=resource_labels,
        resource_name=read_text(incident.get("resource_display_name")),
        metric_type=metric_type,
        metric_labels=metric_labels,
        observed=observed,
        observed_text=read_text(incident.get("observed_value")),
        threshold=threshold,
        started_at=read_moment(incident.get("started_at")),
        ended_at=read_moment(incident.get("ended_at")),
        url=read_text(incident.get("url"), 4_000),
        policy_id=policy_id,
        policy_name=read_text(incident.get("policy_name")),
        condition_name=condition_name,
        labels=labels,
        documentation=documentation,
        links=links,
        log_alert=log_alert,
        proves_recovery=state == "closed" and observed is not None and not log_alert,
    )


def _test(incident: _Json) -> TestNotification:
    return TestNotification(
        source=SOURCE,
        summary=read_text(incident.get("summary"), TEXT_MAX) or "Test notification",
        project=read_text(incident.get("scoping_project_id")),
        policy_name=read_text(incident.get("policy_name")),
    )


def _key(incident: _Json) -> str:
    """The id is the alert's identity, so it is never cut or mended: two ids must not become one."""
    value = incident.get("incident_id")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise Unusable(
            "`incident.incident_id` is missing" if value in (None, "") else "`incident_id` is no text"
        )
    key = value.strip()
    if len(key) > KEY_MAX or key != read_text(key) or not key.isprintable():
        raise Unusable(f"`incident.incident_id` is over {KEY_MAX} characters or holds unprintable ones")
    return key


def _state(incident: _Json) -> State:
    word = read_text(incident.get("state")).casefold()
    if word not in _STATES:
        said = f"is {word[:40]!r}" if word else "is missing"
        raise Unusable(f"`incident.state` {said}; it must be open or closed")
    return _STATES[word]


def _severity(kind: Kind, stated: Severity, measured: Severity | None) -> Severity:
    """The higher of what is stated and measured; a security incident is critical on suspicion (document: "When to
    Escalate", immediately)."""
    if kind is Kind.SECURITY:
        return Severity.CRITICAL
    return max(stated, measured) if measured else stated


def _title(incident: _Json, condition_name: str, key: str) -> str:
    policy = read_text(incident.get("policy_name"))
    if _POLICY.match(policy):  # a resource name instead of a display name says nothing to a person
        policy = ""
    resource = read_text(incident.get("resource_type_display_name"))
    return policy or condition_name or read_text(incident.get("summary")) or resource or f"Alert {key}"


def _policy(incident: _Json, condition: _Json) -> tuple[str, str]:
    """(project, policy id), from the condition's resource name; empty where none tells."""
    for value in (condition.get("name"), incident.get("policy_name")):
        found = _POLICY.match(read_text(value))
        if found:
            return found[1], found[2]
    return "", ""


def _project(incident: _Json, condition: _Json, resource_labels: Mapping[str, str]) -> str:
    """The project of the resource: a scoping project may watch many others."""
    for value in (resource_labels.get("project_id"), incident.get("scoping_project_id")):
        project = read_text(value)
        if project:
            return project
    try:
        query = parse_qs(urlsplit(read_text(incident.get("url"), 4_000)).query, max_num_fields=50)
    except ValueError:
        query = {}
    return _policy(incident, condition)[0] or query.get("project", [""])[0]


def _observed(incident: _Json) -> float | None:
    if incident.get("observed_value") is not None:
        return read_number(incident["observed_value"])
    found = _SUMMARY_VALUE.search(read_text(incident.get("summary"), TEXT_MAX)[-200:])
    return read_number(found[1]) if found else None


def _threshold(incident: _Json, condition: _Json) -> float | None:
    for value in (
        incident.get("threshold_value"),
        _object(condition, "conditionThreshold").get("thresholdValue"),
    ):
        number = read_number(value)
        if number is not None:
            return number
    found = _SUMMARY_THRESHOLD.search(read_text(incident.get("summary"), TEXT_MAX)[-200:])
    return read_number(found[1]) if found else None


def _from_filter(condition: _Json, name: str) -> str:
    for part in condition.values():
        if isinstance(part, Mapping):
            found = _FILTER_TYPE[name].search(read_text(part.get("filter"), TEXT_MAX))
            if found:
                return found[1]
    return ""


def _documentation(value: object) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(text, links); Google writes the links' keys in two ways."""
    if not isinstance(value, Mapping):
        return read_text(value, TEXT_MAX), ()
    links: list[tuple[str, str]] = []
    listed = value.get("links")
    for item in (listed if isinstance(listed, list) else [])[:20]:
        if isinstance(item, Mapping):
            url = read_text(item.get("url"), 4_000) or read_text(item.get("URL"), 4_000)
            label = read_text(item.get("displayName")) or read_text(item.get("DisplayName"))
            if url:
                links.append((label or url[:NAME_MAX], url))
    return read_text(value.get("content"), TEXT_MAX) or read_text(value.get("subject")), tuple(links)


def _object(holder: _Json, name: str) -> _Json:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    pairs = ((read_text(name), read_text(text)) for name, text in list(value.items())[:LABELS_MAX])
    return {name: text for name, text in pairs if name}


def _sort(value: object) -> str:
    names = {bool: "a boolean", str: "a text", list: "a list", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), "something else")
