"""Notifications that nobody sent us yet: odd, legal, and partly meant to do harm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.alerts import alert

Json = dict[str, Any]

SCRIPTS = {
    "german": "Größenänderungsüberschreitungswarnung für Straßenbahn-Ölförderpumpen — ",
    "japanese": "注文パイプラインのデータフロージョブが停止しました。至急確認してください。",
    "arabic": "توقف خط أنابيب الطلبات عن معالجة الأحداث منذ عشر دقائق ",
    "hindi": "ऑर्डर पाइपलाइन बंद हो गई है, कृपया तुरंत जाँच करें ",
    "emoji": "🔥🚨 pipeline 👩‍👩‍👧‍👦 down ",
    "combining": "Z̷͉̔a̸͎͋l̶̰̚g̷̬̈o̴̗͐ ̵̤́p̶̙͗i̷͙͝p̷̤̈e̴͖̾ ",
}
HARM = (
    "<!channel> <!here|x> <@U05ERIN> <#C01GENERAL> <https://evil.example|click> & `code` ```fence``` *bold* ~s~ "
    "\u202egnp.exe\u202c \u200b\u2066\u2069 </section> {{7*7}} %s \\u0000"
)


def long_name(script: str) -> str:
    """Exactly 200 characters of a script."""
    text = SCRIPTS[script]
    return (text * (200 // len(text) + 1))[:200]


def _condition(name: str, inner: Mapping[str, Any]) -> Json:
    return {"name": "projects/demo-project/alertPolicies/77/conditions/88", "displayName": "odd", name: inner}


def _resource(kind: str, **labels: str) -> Json:
    return {"type": kind, "labels": {"project_id": "demo-project", **labels}}


def usable() -> dict[str, Json]:
    """Name -> notification; each of a pipeline of its own, so that each makes an incident of its own."""
    found = {
        f"200 characters, {name}": alert(
            f"0.script-{name}", pipeline=f"script-{name}", policy_name=long_name(name)
        )
        for name in SCRIPTS
    }
    found["harm in every text"] = _harm_everywhere()
    found["huge numbers"] = alert(
        "0.huge",
        pipeline="huge",
        value="1" * 300,
        threshold_value="9" * 300,
        started_at=10**30,
        scoping_project_number=10**35,
    )
    found["only what is needed"] = {"incident": {"incident_id": "0.bare", "state": "open"}}
    nulls = (
        "condition metric resource metadata documentation summary url severity policy_name policy_user_labels "
        "observed_value threshold_value started_at"
    )
    known = {"incident_id": "0.nulls", "state": "open", "resource_display_name": "nulls"}
    found["nothing but nulls beside it"] = {
        "version": "1.2",
        "incident": {**dict.fromkeys(nulls.split()), **known},
    }
    found["a log alert"] = alert(
        "0.log", value="", observed_value=None, threshold_value=None,
        condition=_condition("conditionMatchedLog", {"filter": 'severity>=ERROR AND resource.type="dataflow_step"'}),
        metric={"type": "", "displayName": "", "labels": {}},
        resource=_resource("dataflow_step", job_name="logged"),
        summary="Log match condition fired for Dataflow Step with {job_name=logged}.",
    )  # fmt: skip
    queries = {
        "mql": (
            "conditionMonitoringQueryLanguage",
            "query",
            "fetch dataflow_job | condition val() > 1 '<!here>'",
        ),
        "promql": (
            "conditionPrometheusQueryLanguage",
            "query",
            'rate(errors{job="x"}[5m]) > 0.5 # `<!channel>`',
        ),
        "absent": ("conditionAbsent", "filter", 'metric.type = "dataflow.googleapis.com/job/is_failed"'),
    }
    for name, (sort, key, text) in queries.items():
        condition = _condition(sort, {key: text, "duration": "300s"})
        found[sort] = alert(f"0.{name}", pipeline=name, metric=None, observed_value=None, condition=condition)
    found["upper case"] = alert("0.upper", state="OPEN", pipeline="upper", value="1.000")
    found["acknowledged already"] = alert("0.acked", state="ACKNOWLEDGED", pipeline="acked", value="1.000")
    found["version 1.3 with unknown keys"] = {
        **alert("0.newer", pipeline="newer", new_object={"a": [1, {"b": None}]}, severity_level=9),
        "version": "1.3",
        "signature": {"kid": "x"},
    }
    found["a numeric id and a numeric value"] = alert(
        "0.x", pipeline="numbers", incident_id=918273645, observed_value=0.97, threshold_value=0.5
    )
    found["documentation as text, an unsafe link"] = alert(
        "0.doc",
        pipeline="documented",
        documentation="Call +1-555. <!everyone> <javascript:alert(1)|here>",
        url="javascript:alert(1)",
    )
    found["labels of other types"] = alert(
        "0.labels",
        pipeline="labelled",
        policy_user_labels={"severity": 3, "kind": ["health"], "runbook": {"x": 1}, "": "empty"},
    )
    found["an id with a space and a quote"] = alert('0.it\'s "odd" <!here>', pipeline="quoted")
    return found


def _harm_everywhere() -> Json:
    return alert(
        "0.harm",
        policy_name=HARM,
        condition_name=HARM,
        summary=HARM,
        observed_value=HARM,
        documentation={
            "content": HARM,
            "subject": HARM,
            "links": [{"displayName": HARM, "url": f"https://e.example/{HARM}"}],
        },
        policy_user_labels={"severity": "critical", "kind": "health", HARM[:30]: HARM},
        metric={"type": HARM, "displayName": HARM, "labels": {HARM[:20]: HARM}},
        resource=_resource("dataflow_job", job_name=HARM, region=HARM),
        resource_display_name=HARM,
        url=f"https://console.example/<!channel>?{HARM}",
    )


def unusable() -> dict[str, bytes]:
    """Name -> body that must be refused with a reason."""
    return {
        "not JSON": b"{'state': 'open'}",
        "empty": b"",
        "cut off": b'{"version": "1.2", "incident": {"incident_id": "0.cut", "sta',
        "an array": b"[]",
        "a text": b'"open"',
        "nested too deeply": b"[" * 100_000 + b"]" * 100_000,
        "no incident": b'{"version": "1.2"}',
        "incident is a list": b'{"version": "1.2", "incident": []}',
        "no id": b'{"version": "1.2", "incident": {"state": "open"}}',
        "an empty id": b'{"version": "1.2", "incident": {"incident_id": "  ", "state": "open"}}',
        "an id that is too long": b'{"version": "1.2", "incident": {"incident_id": "'
        + b"9" * 5000
        + b'", "state": "open"}}',
        "an id that is an object": b'{"version": "1.2", "incident": {"incident_id": {}, "state": "open"}}',
        "an unknown state": b'{"version": "1.2", "incident": {"incident_id": "0.what", "state": "snoozed"}}',
        "no state": b'{"version": "1.2", "incident": {"incident_id": "0.what"}}',
        "version 2": b'{"version": "2.0", "incident": {"incident_id": "0.two", "state": "open"}}',
        "not UTF-8": b'{"version": "1.2", "incident": {"incident_id": "\xff\xfe", "state": "open"}}',
    }
