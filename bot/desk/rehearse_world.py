"""The world of a rehearsal: alerts as a source would send them, facts as a probe would measure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.core.alert_model import Alert, Kind, Severity
from bot.core.alerts import parse_monitoring
from bot.core.correlation import Correlation, family
from bot.core.facts import Measured
from bot.core.incident import Incident
from bot.core.policy import FACTS
from bot.desk.house import House
from pipeline.catalogue import Pipeline
from pipeline.report import Fact, Finding, Report
from pipeline.report import Severity as Gravity

SOURCE = "cloud-monitoring"
_KIND_OF_FACT = {
    "down": Kind.HEALTH,
    "data_loss": Kind.HEALTH,
    "security": Kind.SECURITY,
    "budget_overrun": Kind.COST,
    "cost": Kind.COST,
    "error_rate": Kind.QUALITY,
}
_CRITICAL = frozenset({"down", "data_loss", "security", "budget_overrun"})
_MINOR = frozenset({"persistent_minor", "resource_constraint", "degradation_trend"})
_FINDINGS = {"down": "stopped", "degraded": "degraded", "error_rate": "error_rate_high"}


@dataclass(slots=True)
class World:
    """What is true of every pipeline now, and under which keys its alerts run."""

    house: House
    about: str
    facts: dict[str, dict[str, tuple[bool, datetime]]] = field(default_factory=dict)
    _runs: dict[str, tuple[int, str]] = field(default_factory=dict)  # alert -> (how many, last state)

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of this name; one that no file claims is of the first one's project."""
        project = self.house.pipelines[0].project if self.house.pipelines else ""
        return self.house.pipeline(name) or Pipeline(name=name, project=project, job_name=name)

    def alert(self, said: Mapping[str, Any], at: datetime) -> Alert:
        """The alert that this entry of the file stands for. Open again after it closed, it is a new one."""
        if "incident" in said:
            notification = {"version": "1.2", "incident": said["incident"]}
            sent = parse_monitoring(notification, at, self.house.kinds(), self.house.policy.thresholds)
            if isinstance(sent, Alert):
                return sent
        name = str(said.get("pipeline") or self.about)
        pipeline = self.pipeline(name)
        # As with a declared incident: who names no kind means the pipeline's health.
        kind = Kind(str(said.get("kind", "health")))
        severity = Severity(str(said.get("severity", "warning")))
        state = "closed" if said.get("state") == "closed" else "open"
        title = str(said.get("title") or f"{name}: {kind}")
        value = said.get("value")
        return Alert(
            source=SOURCE,
            key=str(said.get("key") or self._key(f"{name}/{kind}/{title}", state)),
            state="closed" if state == "closed" else "open",
            title=title,
            summary=str(said.get("summary") or title),
            stated=severity,
            severity=severity,
            kind=kind,
            project=str(said.get("project") or pipeline.project),
            resource_type="dataflow_job",
            resource_labels={"job_name": pipeline.job_name or name},
            metric_type=str(said.get("metric") or ""),
            observed=float(value) if isinstance(value, int | float) else None,
            observed_text=str(value) if value is not None else "",
            started_at=at if state == "open" else None,
            ended_at=at if state == "closed" else None,
            proves_recovery=state == "closed" and said.get("proves", True) is not False,
            facts=tuple(fact for fact in _listed(said.get("facts")) if fact in FACTS),
        )

    def _key(self, name: str, state: str) -> str:
        """Cloud Monitoring gives every opening an id of its own; a close names the one that it closes."""
        count, last = self._runs.get(name, (0, ""))
        if state == "open" and last in ("", "done"):
            count += 1
        elif state == "closed" and last in ("", "done"):
            count, state = count + 1, "early"
        elif last == "early" or state == "closed":
            state = "done"
        self._runs[name] = (count, state)
        return f"{name}#{count}"

    def change(self, pipeline: str, fact: str, on: bool, at: datetime) -> None:
        """A fact becomes true or false."""
        self.facts.setdefault(pipeline, {})[fact] = (on, at)

    def stream(self, pipeline: str, standing: Incident | None) -> tuple[Measured, ...]:
        """What a probe measures. A fact that the file leaves to an alert holds while that alert is open."""
        said = self._of(pipeline, "stream")
        by_alert = {f for a in standing.open_alerts for f in a.facts} if standing else set()
        held = [f.id for f in standing.holding if f.id not in said] if standing else []
        return (
            *said.values(),
            *(Measured(id=fact, on=fact in by_alert) for fact in held if _family(fact) == "stream"),
        )

    def others(self, pipeline: str) -> tuple[Measured, ...]:
        """Facts that no probe of the stream measures: cost, budget, security."""
        return tuple(m for f in ("cost", "security") for m in self._of(pipeline, f).values())

    def _of(self, pipeline: str, wanted: str) -> dict[str, Measured]:
        return {
            fact: Measured(id=fact, on=on, since=at if on else None)
            for fact, (on, at) in self.facts.get(pipeline, {}).items()
            if _family(fact) == wanted
        }

    def report(self, pipeline: str, measured: tuple[Measured, ...], now: datetime) -> Report:
        """The health report that a probe of this world gives."""
        on = [m.id for m in measured if m.on]
        gravity = gravity_of(on)
        words = ", ".join(fact.replace("_", " ") for fact in on)
        healthy = Fact("healthy", not on, "")
        return Report(
            operation="pipeline.health",
            pipeline=pipeline,
            verdict=f"{pipeline}: {words}." if on else f"{pipeline} is healthy.",
            severity=gravity,
            as_of=now,
            findings=tuple(Finding(_FINDINGS.get(fact, fact), gravity, words) for fact in on),
            facts=(healthy, *(Fact(m.id, m.on, m.text, since=m.since) for m in measured)),
        )

    def where(self, pipeline: str, fact: str) -> Correlation:
        """To which incident a fact belongs."""
        found = self.pipeline(pipeline)
        claimed = self.house.pipeline(pipeline) is not None
        kin = family(kind_of(fact))
        return Correlation(project=found.project, pipeline=pipeline, claimed=claimed, family=kin)


def _listed(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value or "")]


def _family(fact: str) -> str:
    return str(family(kind_of(fact)))


def kind_of(fact: str) -> Kind:
    """The kind of an incident that nothing but this fact opens."""
    return _KIND_OF_FACT.get(fact, Kind.PERFORMANCE)


def gravity_of(on: list[str]) -> Gravity:
    """How grave these facts are together."""
    if not on:
        return "ok"
    if _CRITICAL & set(on):
        return "critical"
    return "info" if set(on) <= _MINOR else "warning"
