"""Promise: bad input of any kind gets a clear error. No content of a notification raises anything else."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.core.alerts import Alert, Unusable, begins_at, from_dict, parse_monitoring, to_dict

NOW = datetime(2026, 11, 22, 3, 10, tzinfo=UTC)
SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "monitoring"
OWN: dict[str, Any] = {
    "version": "1.2",
    "incident": {
        "incident_id": "0.abc",
        "state": "closed",
        "started_at": 1763780000,
        "ended_at": 1763781000,
        "summary": "System lag returned to normal with a value of 3.000.",
        "policy_name": "lag",
        "policy_user_labels": {"severity": "critical", "runbook": "performance", "kind": "health"},
        "severity": "Error",
        "condition": {
            "name": "projects/demo-project/alertPolicies/1/conditions/2",
            "displayName": "error rate",
            "conditionThreshold": {"filter": 'metric.type="x"', "thresholdValue": 60, "comparison": "GT"},
        },
        "metric": {"type": "custom.googleapis.com/x/error_rate", "labels": {"metric_name": "click_invalid"}},
        "resource": {"type": "dataflow_job", "labels": {"job_name": "j", "project_id": "p"}},
        "resource_display_name": "j",
        "observed_value": "3.000",
        "threshold_value": "60",
        "documentation": {"content": "c", "links": [{"displayName": "a", "url": "https://a.example/"}]},
        "url": "https://console.cloud.google.com/x?project=p",
    },
}
# Where the folder of real samples is there, they are mutated too.
BASES = [OWN, *(json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json")))]
WORDS = [
    "open",
    "CLOSED",
    "1.2",
    "test",
    10**400,
    1e300,
    -1,
    "1e999",
    "NaN",
    "2026-11-22T03:10:00Z",
    "\ud800\x00",
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(WORDS)
)
RUBBISH = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from([*OWN["incident"], "labels", "type", "links", "url"]), inner, max_size=4
        ),
    ),
    max_leaves=8,
)


def understood_or_refused(obj: object) -> None:
    found: object
    try:
        found = parse_monitoring(obj, NOW)
    except Unusable as refused:
        found = refused.reason
    assert found  # an alert, a test, or a reason that is not empty
    if isinstance(found, Alert):
        begin, _ = begins_at(found, NOW)
        assert NOW - timedelta(hours=24) <= begin <= NOW
        stored = json.dumps(to_dict(found), allow_nan=False, ensure_ascii=False)
        assert from_dict(json.loads(stored)) == found
        stored.encode("utf-8")
        assert "\\u0000" not in stored


@given(RUBBISH, RUBBISH)
def test_rubbish_is_understood_or_refused(version: object, incident: object) -> None:
    understood_or_refused(incident)
    understood_or_refused({"version": "1.2", "incident": incident})
    understood_or_refused({"version": version, "incident": OWN["incident"]})


@given(st.data())
def test_a_notification_with_rubbish_anywhere_is_understood_or_refused(data: st.DataObject) -> None:
    obj = copy.deepcopy(data.draw(st.sampled_from(BASES)))
    spots: list[tuple[Any, Any]] = []
    todo: list[Any] = [obj]
    while todo:
        holder = todo.pop()
        for name in list(holder) if isinstance(holder, dict) else range(len(holder)):
            spots.append((holder, name))
            if isinstance(holder[name], dict | list):
                todo.append(holder[name])
    for holder, name in data.draw(st.lists(st.sampled_from(spots), min_size=1, max_size=4)):
        holder[name] = data.draw(RUBBISH)
    understood_or_refused(obj)
