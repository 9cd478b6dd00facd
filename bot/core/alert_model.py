"""What an alert is: the one normalised form of every notification, whatever its source.

Pure data and its JSON form. How a notification becomes an alert is said in `bot.core.alerts`
(Cloud Monitoring) and `bot.core.budget` (billing budgets).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

State = Literal["open", "closed"]


class Unusable(ValueError):
    """A notification that cannot become an alert. `reason` is a sentence for the sender and the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Severity(StrEnum):
    """Document: "Severity Levels". Ordered by weight (info < warning < critical), not by spelling."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        """0 for info, 1 for warning, 2 for critical."""
        return _WEIGHTS[self.value]

    @classmethod
    def highest(cls, severities: Iterable[Severity]) -> Severity | None:
        """The gravest of `severities`; None if there are none."""
        return max(severities, key=lambda severity: severity.weight, default=None)

    def __lt__(self, other: str) -> bool:
        return self.weight < Severity(other).weight

    def __le__(self, other: str) -> bool:
        return self.weight <= Severity(other).weight

    def __gt__(self, other: str) -> bool:
        return self.weight > Severity(other).weight

    def __ge__(self, other: str) -> bool:
        return self.weight >= Severity(other).weight


_WEIGHTS = {"info": 0, "warning": 1, "critical": 2}


class Kind(StrEnum):
    """What sort of trouble it is; it chooses the runbook (Rules: From notification to alert)."""

    HEALTH = "health"
    QUALITY = "quality"
    COST = "cost"
    PERFORMANCE = "performance"
    SECURITY = "security"
    OTHER = "other"


class Family(StrEnum):
    """Which kinds share one incident (Rules: From alert to incident)."""

    STREAM = "stream"
    COST = "cost"
    SECURITY = "security"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One (source, key), open or closed. Texts are as the source wrote them: clean them before showing.

    Times are aware UTC. `observed` is None where the source gave a sentence or nothing; `observed_text`
    keeps its words. `severity` is what counts; `stated` what the source or the policy label said.
    """

    source: str
    key: str
    state: State
    title: str
    summary: str = ""
    stated: Severity = Severity.WARNING
    severity: Severity = Severity.WARNING
    kind: Kind = Kind.OTHER
    project: str = ""
    resource_type: str = ""
    resource_labels: Mapping[str, str] = field(default_factory=dict)
    resource_name: str = ""
    metric_type: str = ""
    metric_labels: Mapping[str, str] = field(default_factory=dict)
    observed: float | None = None
    observed_text: str = ""
    threshold: float | None = None
    started_at: datetime | None = None  # what the source says; see `bot.core.alerts.begins_at`
    ended_at: datetime | None = None
    url: str = ""
    policy_id: str = ""
    policy_name: str = ""
    condition_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # the policy's user labels
    documentation: str = ""
    links: tuple[tuple[str, str], ...] = ()  # (label, address) from the policy's documentation
    log_alert: bool = False
    proves_recovery: bool = False  # a close with a measured value; a sentence proves nothing
    family: Family | None = None  # only where a source knows better than its kind
    facts: tuple[str, ...] = ()  # facts that this alert itself establishes, e.g. "budget_overrun"

    @property
    def is_open(self) -> bool:
        """True for an open alert, False for a closed one."""
        return self.state == "open"


def closed_as(opened: Alert, closed: Alert) -> Alert:
    """The alert as it opened, with the end that its close told."""
    return replace(
        opened,
        state="closed",
        ended_at=closed.ended_at,
        proves_recovery=closed.proves_recovery,
        observed_text=closed.observed_text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TestNotification:
    """The console's test button: shown as one line, opens nothing (Rules: From notification to alert)."""

    __test__ = False  # the name would make pytest collect it

    source: str
    summary: str
    project: str = ""
    policy_name: str = ""


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, e.g. 2026-11-22T03:10:00.000000Z. Raises ValueError if naive."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be written")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_rfc3339(text: str) -> datetime:
    """An RFC 3339 text as an aware UTC datetime. Raises ValueError if it is none or has no zone."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(f"a time without a zone: {text[:40]!r}")
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"a time out of range: {text[:40]!r}") from error


_TIMES = ("started_at", "ended_at")


def to_dict(alert: Alert) -> dict[str, Any]:
    """The alert as JSON types only; `from_dict` gives back an equal alert."""
    out: dict[str, Any] = {name: getattr(alert, name) for name in Alert.__dataclass_fields__}
    for name in _TIMES:
        out[name] = rfc3339(out[name]) if out[name] is not None else None
    for name in ("resource_labels", "metric_labels", "labels"):
        out[name] = dict(out[name])
    for name in ("stated", "severity", "kind"):
        out[name] = out[name].value
    out["family"] = alert.family.value if alert.family else None
    out["links"] = [list(link) for link in alert.links]
    out["facts"] = list(alert.facts)
    return out


def from_dict(data: Mapping[str, Any]) -> Alert:
    """The alert that `to_dict` wrote. Unknown keys (of a newer version) are ignored.

    Raises Unusable if it is not one of ours.
    """
    values = {name: data[name] for name in Alert.__dataclass_fields__ if name in data}
    try:
        for name in _TIMES:
            values[name] = read_rfc3339(values[name]) if values.get(name) else None
        values["stated"] = Severity(values["stated"])
        values["severity"] = Severity(values["severity"])
        values["kind"] = Kind(values["kind"])
        values["family"] = Family(values["family"]) if values.get("family") else None
        values["links"] = tuple((str(label), str(url)) for label, url in values.get("links", ()))
        values["facts"] = tuple(values.get("facts", ()))
        return Alert(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable(f"a stored alert that cannot be read: {error}") from error
