"""What `POST /sim/world` may say, checked whole before anything of it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Any, get_args

from sandbox.google.billing import billing_day
from sandbox.google.errors import Code, Refused
from sandbox.google.events import decode_data
from sandbox.google.jobs import STATES
from sandbox.google.pubsub import check_message
from sandbox.google.timeline import parse_instant

DATA_FAULTS = ("schema_change", "new_required_field", "invalid_format", "rule_violation")
SLOW = ("hot_key", "slow_sink")
SCENARIOS = (
    "healthy", "job_failed", "job_stuck", *DATA_FAULTS, "silent_source", "cost_spike", "doubled_job", *SLOW
)  # fmt: skip
CAUSES = ("exception", "quota", "permission")
PAST_S = 8 * 86_400.0
FIELDS = (
    "scenario",
    "at",
    "pipeline",
    "jobs",
    "dead_letters",
    "backlog",
    "spend",
    "errors",
    "restart",
    "cause",
    "start_seconds",
    "service_events",
)
RELEVANCE = ("UNKNOWN", "NOT_IMPACTED", "PARTIALLY_RELATED", "RELATED", "IMPACTED")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """A job to put into the world, or to force into a state."""

    name: str
    state: str
    id: str = ""
    age_s: float = 3600.0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """`count` calls of a method ("*": any; a full or a short name) are answered with `code`."""

    method: str
    code: Code
    count: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """A disruption that Google reports of one of its own products; empty texts get something fitting."""

    product: str
    location: str = ""
    title: str = ""
    symptom: str = ""
    workaround: str = ""
    state: str = "ACTIVE"
    relevance: str = "RELATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One understood request. `at` is epoch seconds; None means now."""

    scenario: str = ""
    at: float | None = None
    pipeline: str = ""
    jobs: tuple[JobEntry, ...] = ()
    dead_letters: tuple[tuple[bytes, Mapping[str, str]], ...] = ()
    backlog: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    spend: tuple[tuple[date, str, float], ...] = ()
    errors: tuple[Injection, ...] = ()
    restart: str = ""
    cause: str = ""
    start_s: float | None = None
    service_events: tuple[ServiceEvent, ...] = ()


def parse(body: object, *, now: float, pipelines: list[str], subscriptions: set[str]) -> Change:
    """Understand a request body at `now` (epoch seconds). Raises ValueError naming the first thing wrong."""
    if not isinstance(body, dict):
        raise ValueError("the world takes a JSON object")
    for key in body:
        if key not in FIELDS:
            raise ValueError(f"unknown field {key!r}{_hint(str(key), FIELDS)}; known: {', '.join(FIELDS)}")
    return Change(
        scenario=_one_of(body, "scenario", SCENARIOS),
        at=_begin(body.get("at"), now),
        pipeline=_one_of(body, "pipeline", pipelines),
        jobs=tuple(_job(item, index, now) for index, item in _items(body, "jobs")),
        dead_letters=tuple(_dead_letter(item, index) for index, item in _items(body, "dead_letters")),
        backlog=_backlog(body.get("backlog") or {}, subscriptions),
        spend=tuple(_spend(item, index, now) for index, item in _items(body, "spend")),
        errors=tuple(_injection(item, index) for index, item in _items(body, "errors")),
        restart=_one_of(body, "restart", ("ok", "fails")),
        cause=_one_of(body, "cause", CAUSES),
        start_s=None if body.get("start_seconds") is None else _number(body, "start_seconds", "", 0, 86_400),
        service_events=tuple(_service_event(item, index) for index, item in _items(body, "service_events")),
    )


def _hint(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _one_of(body: Mapping[str, Any], key: str, known: tuple[str, ...] | list[str]) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if value not in known:
        raise ValueError(f"unknown {key} {value!r}{_hint(str(value), known)}; known: {', '.join(known)}")
    return str(value)


def _items(body: Mapping[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    items = body.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{key} must be a list of objects")
    return list(enumerate(items))


def _only(item: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
    for key in item:
        if key not in known:
            raise ValueError(f"{where}: unknown field {key!r}; known: {', '.join(known)}")


def _number(item: Mapping[str, Any], key: str, where: str, low: float, high: float) -> float:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{where}{': ' if where else ''}{key} must be a number from {low:g} to {high:g}")
    return float(value)


def _moment(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11:
        return float(value)
    try:
        return parse_instant(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"at must be an RFC 3339 time with a zone or epoch seconds: {value!r}") from error


def _begin(value: object, now: float) -> float | None:
    at = _moment(value)
    if at is not None and now - at > PAST_S:
        raise ValueError("at must not lie more than 8 days back: the world remembers no further")
    return at


def _strings(item: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    value = item.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError(f"{where}: {key} must be an object of strings")
    return dict(value)


def _job(item: dict[str, Any], index: int, now: float) -> JobEntry:
    where = f"jobs[{index}]"
    _only(item, where, ("name", "state", "current_state", "id", "created", "create_time", "labels"))
    state = (
        str(item.get("state") or item.get("current_state") or "RUNNING").upper().removeprefix("JOB_STATE_")
    )
    if state not in STATES:
        raise ValueError(f"{where}: unknown state {state!r}; known: {', '.join(sorted(STATES))}")
    name = item.get("name", "")
    if not isinstance(name, str):
        raise ValueError(f"{where}: name must be text")
    created = _moment(item.get("created") or item.get("create_time"))
    age = 3600.0 if created is None else max(0.0, now - created)
    return JobEntry(
        name=name, state=state, id=str(item.get("id", "")), age_s=age, labels=_strings(item, "labels", where)
    )


def _dead_letter(item: dict[str, Any], index: int) -> tuple[bytes, Mapping[str, str]]:
    where = f"dead_letters[{index}]"
    _only(item, where, ("data", "data_base64", "attributes"))
    data, attributes = decode_data(item), _strings(item, "attributes", where)
    try:
        check_message(data, attributes)
    except Refused as refusal:
        raise ValueError(f"{where}: {refusal.message}") from refusal
    return data, attributes


def _backlog(value: object, subscriptions: set[str]) -> dict[str, tuple[float, float]]:
    if not isinstance(value, dict):
        raise ValueError("backlog must be an object of subscription -> {count, oldest_s}")
    out: dict[str, tuple[float, float]] = {}
    for name, item in value.items():
        short = str(name).rsplit("/", 1)[-1]
        if short not in subscriptions:
            raise ValueError(
                f"backlog: no subscription {short!r}{_hint(short, sorted(subscriptions))}; "
                f"known: {', '.join(sorted(subscriptions))}"
            )
        if not isinstance(item, dict):
            raise ValueError(f"backlog[{short}] must be an object with count and oldest_s")
        where = f"backlog[{short}]"
        _only(item, where, ("count", "oldest_s"))
        oldest = _number(item, "oldest_s", where, 0, 31 * 86_400) if "oldest_s" in item else 60.0
        out[short] = (_number(item, "count", where, 0, 1e12), oldest)
    return out


def _spend(item: dict[str, Any], index: int, now: float) -> tuple[date, str, float]:
    where = f"spend[{index}]"
    _only(item, where, ("day", "service", "amount"))
    day = item.get("day", "today")
    try:
        when = (
            billing_day(now) + timedelta(days=0 if day == "today" else -1)
            if day in ("today", "yesterday")
            else date.fromisoformat(str(day))
        )
    except ValueError as error:
        raise ValueError(f"{where}: day must be YYYY-MM-DD, today or yesterday: {day!r}") from error
    service = item.get("service") or "Cloud Dataflow"
    return when, str(service), _number(item, "amount", where, -1e9, 1e9)


def _injection(item: dict[str, Any], index: int) -> Injection:
    where = f"errors[{index}]"
    _only(item, where, ("method", "code", "count", "message"))
    code = str(item.get("code", "UNAVAILABLE")).upper()
    known: tuple[Code, ...] = get_args(Code)
    found = next((entry for entry in known if entry == code), None)
    if found is None:
        raise ValueError(f"{where}: unknown code {code!r}{_hint(code, known)}; known: {', '.join(known)}")
    count = int(_number(item, "count", where, 1, 1_000_000)) if "count" in item else 1
    method = str(item.get("method", "*"))
    message = str(item.get("message") or f"injected {code}")
    return Injection(method=method, code=found, count=count, message=message)


def _service_event(item: dict[str, Any], index: int) -> ServiceEvent:
    where = f"service_events[{index}]"
    known = ("product", "location", "title", "symptom", "workaround", "state", "relevance")
    _only(item, where, known)
    given = {key: item[key] for key in known if item.get(key) is not None}
    if not all(isinstance(value, str) for value in given.values()) or not given.get("product"):
        raise ValueError(f"{where} needs a product, such as 'Google Cloud Dataflow'; every field is text")
    for key, values in (("state", ("ACTIVE", "CLOSED")), ("relevance", RELEVANCE)):
        if key in given and given[key] not in values:
            raise ValueError(f"{where}: unknown {key} {given[key]!r}; known: {', '.join(values)}")
    return ServiceEvent(**given)
