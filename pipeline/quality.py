"""Data quality: how many events are valid, and which rules the others break.  Pure.

The runbook's four root causes (runbook "Data Quality Issues", "Identify Root Cause") are told
apart by the rule that was broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pipeline.events import Invalid, Valid, Violation, validate

SCHEMA_CHANGE: Final = "schema change"
MISSING_FIELD: Final = "required field missing"
INVALID_FORMAT: Final = "invalid format"
BUSINESS_RULE: Final = "business rule violation"
VALID_TODAY: Final = "valid today"

# How findings name them; runbooks branch on these ids.
CAUSE_IDS: Final = {
    SCHEMA_CHANGE: "schema_change",
    MISSING_FIELD: "new_required_field",
    INVALID_FORMAT: "invalid_format",
    BUSINESS_RULE: "rule_violation",
    VALID_TODAY: "valid_today",
}

# The four of the runbook, as the pipeline's counters name them.
CAUSES: Final = tuple(name for cause, name in CAUSE_IDS.items() if cause != VALID_TODAY)
CAUSE_WORDS: Final = {name: cause for cause, name in CAUSE_IDS.items()}

_CAUSES: Final = {
    "required": MISSING_FIELD,
    "type": SCHEMA_CHANGE,
    "schema": SCHEMA_CHANGE,
    "object": SCHEMA_CHANGE,
    "json": INVALID_FORMAT,
    "encoding": INVALID_FORMAT,
    "format": INVALID_FORMAT,
    "empty": INVALID_FORMAT,
}


def cause_of(violation: Violation) -> str:
    """The root cause that one violation points to."""
    if violation.field == "event_type" and violation.rule == "choice":
        return SCHEMA_CHANGE
    return _CAUSES.get(violation.rule, BUSINESS_RULE)


def main_cause(causes: Mapping[str, int]) -> str | None:
    """The cause behind most events; a renamed field is one schema change, not a missing one."""
    if not causes:
        return None
    return max(sorted(causes), key=lambda cause: causes[cause])


def cause_of_event(violations: Iterable[Violation], unknown_fields: Iterable[str] = ()) -> str:
    """The one cause of one refused event, the most structural first.

    A required field that is missing while an unknown one appears is a schema that changed; alone
    it is a missing field.
    """
    causes = {cause_of(violation) for violation in violations}
    if SCHEMA_CHANGE in causes or (MISSING_FIELD in causes and any(unknown_fields)):
        return SCHEMA_CHANGE
    for cause in (INVALID_FORMAT, MISSING_FIELD):
        if cause in causes and "" in {v.field for v in violations if cause_of(v) == cause}:
            return cause
    for cause in (MISSING_FIELD, INVALID_FORMAT):
        if cause in causes:
            return cause
    return BUSINESS_RULE


@dataclass(slots=True)
class Metrics:
    """Running totals; ``total_events`` = ``valid_events`` + ``invalid_events``."""

    total_events: int = 0
    valid_events: int = 0
    invalid_events: int = 0
    warnings: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    by_field: Counter[str] = field(default_factory=Counter)
    by_cause: Counter[str] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)

    @property
    def error_rate(self) -> float:
        """Invalid by total, as a ratio; 0 for no events."""
        return self.invalid_events / self.total_events if self.total_events else 0.0


class DataQualityValidator:
    """Validates events and keeps count."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def validate(
        self, event: bytes | str | Mapping[str, Any], attributes: Mapping[str, str] | None = None
    ) -> Valid | Invalid:
        """Checks one event (JSON as bytes or text, or already a mapping) and counts it."""
        if isinstance(event, Mapping):
            data = msgspec.json.encode(dict(event))
        else:
            data = event.encode("utf-8", "surrogatepass") if isinstance(event, str) else event
        outcome = validate(data, attributes)
        self.count(outcome)
        return outcome

    def count(self, outcome: Valid | Invalid) -> None:
        """Counts an outcome that was found elsewhere."""
        metrics = self.metrics
        metrics.total_events += 1
        if isinstance(outcome, Valid):
            metrics.valid_events += 1
            metrics.warnings += len(outcome.warnings)
            return
        metrics.invalid_events += 1
        metrics.by_rule.update(rule_key(violation) for violation in outcome.violations)
        metrics.by_field.update({violation.field for violation in outcome.violations})
        metrics.by_cause[cause_of_event(outcome.violations, outcome.unknown_fields)] += 1
        metrics.unknown_fields.update(outcome.unknown_fields)


def rule_key(violation: Violation) -> str:
    """How a rule is named to people and in ``--rule``: "quantity:range", "json"."""
    return f"{violation.field}:{violation.rule}" if violation.field else violation.rule
