"""Dead letters: what a message of the dead-letter queue holds.  Pure.

Three forms are understood: the pipeline's own envelope, the older one of three keys, and messages
that Pub/Sub's own dead-letter policy forwarded (data is the original then).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pipeline.events import Invalid, Valid, Violation, validate
from pipeline.masking import shape
from pipeline.quality import VALID_TODAY, cause_of_event, rule_key

FORWARDED_PREFIX: Final = "CloudPubSubDeadLetter"
# Stages before the sinks: their dead letters were never counted valid. Anything else failed in a sink.
_SOURCE_STAGES: Final = frozenset({"", "validate", "parse", "deduplicate", "enrich"})


# Of these, what fails behind the memory of duplicates: its event is remembered, and its replay no copy of anything.
REMEMBERED_STAGES: Final = frozenset({"deduplicate", "enrich"})
REPLAY_STAGE: Final = (
    "replay_stage"  # the attribute of a replayed message that says where its first try failed
)

# The sinks whose dead letters can be written again, by the word that begins their stage.
_SINKS: Final = frozenset({"bigquery", "bigtable"})


@dataclass(frozen=True, slots=True)
class SinkRow:
    """The row that a sink refused; ``id`` is the insert id under which it is written again."""

    table: str
    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter; ``payload`` and ``attributes`` are the original message's."""

    payload: bytes
    attributes: Mapping[str, str]
    event_type: str
    error: str
    stage: str = "validate"
    violations: tuple[Violation, ...] = ()
    first_failed_at: datetime | None = None
    replay_count: int = 0
    code_version: str = ""
    row: SinkRow | None = None

    @property
    def of_sink(self) -> bool:
        """It failed in a sink: the topic is the wrong place for it (RULES "Operations at 03:10")."""
        return self.stage.partition(":")[0] not in _SOURCE_STAGES

    @property
    def sink(self) -> str:
        """Where its row is to be written again, "bigquery:TABLE" or "bigtable:TABLE"; empty when nowhere."""
        kind, _, table = self.stage.partition(":")
        return self.stage if kind in _SINKS and self.row is not None and self.row.table == table else ""

    @property
    def group(self) -> str:
        """What it has in common with its like: the broken rules, else the shape of the error."""
        if self.violations:
            return ", ".join(sorted({rule_key(violation) for violation in self.violations}))
        return shape(self.error) or "no error text"

    def breaks(self, rule: str) -> bool:
        """Whether ``--rule`` means this one: a rule, a field, "field:rule", or its group."""
        names = {self.group}
        for violation in self.violations:
            names |= {violation.rule, violation.field, rule_key(violation)}
        return rule in names


def read(data: bytes, attributes: Mapping[str, str]) -> DeadLetter:
    """Understands a message of the dead-letter queue; raises nothing, whatever it holds."""
    envelope = _envelope(data)
    if envelope is None:
        return _forwarded(data, attributes)
    payload = _payload(envelope)
    if payload is None:
        return _forwarded(data, attributes)
    inner = envelope.get("attributes")
    original = {str(k): str(v) for k, v in inner.items()} if isinstance(inner, dict) else dict(attributes)
    return DeadLetter(
        payload=payload,
        attributes=_own(original),
        event_type=_event_type(envelope.get("event_type"), payload),
        error=str(envelope.get("error") or ""),
        stage=str(envelope.get("stage") or "validate"),
        violations=_violations(envelope.get("violations")),
        first_failed_at=_time(envelope.get("first_failed_at")),
        replay_count=max(_count(envelope.get("replay_count")), _count(original.get("replay_count"))),
        code_version=str(envelope.get("code_version") or ""),
        row=_row(envelope.get("row")),
    )


def revalidate(letter: DeadLetter) -> Valid | Invalid:
    """What the pipeline's own validator says of the original today."""
    return validate(letter.payload, letter.attributes)


def cause(letter: DeadLetter) -> str:
    """Its root cause, by the envelope's violations, else by validating again."""
    outcome = revalidate(letter)
    if isinstance(outcome, Invalid):
        return cause_of_event(outcome.violations, outcome.unknown_fields)
    return cause_of_event(letter.violations) if letter.violations else VALID_TODAY


def _envelope(data: bytes) -> dict[str, Any] | None:
    try:
        raw = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        # The quick reader is also the stricter one: it knows neither NaN nor lone surrogates.
        try:
            raw = json.loads(data)
        except (ValueError, RecursionError):
            return None
    if not isinstance(raw, dict) or not {"payload", "payload_base64"} & raw.keys():
        return None
    return raw if {"error", "event_type", "stage"} & raw.keys() else None


def _payload(envelope: Mapping[str, Any]) -> bytes | None:
    encoded = envelope.get("payload_base64")
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return None
    payload = envelope.get("payload")
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogatepass")
    # Some writers put the event itself where its text belongs.
    return None if payload is None else json.dumps(payload, ensure_ascii=False).encode()


def _forwarded(data: bytes, attributes: Mapping[str, str]) -> DeadLetter:
    source = attributes.get(f"{FORWARDED_PREFIX}SourceSubscription", "")
    attempts = attributes.get(f"{FORWARDED_PREFIX}SourceDeliveryCount", "")
    outcome = validate(data, attributes)
    if source:
        error = f"forwarded by Pub/Sub from {source} after {attempts or 'several'} deliveries"
    else:
        error = "not a dead-letter envelope"
    return DeadLetter(
        payload=data,
        attributes=_own(attributes),
        event_type=_event_type(outcome.event_type, data),
        error=error,
        violations=outcome.violations if isinstance(outcome, Invalid) else (),
        replay_count=_count(attributes.get("replay_count")),
    )


def _own(attributes: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in attributes.items() if not key.startswith(FORWARDED_PREFIX)}


def _event_type(stated: object, payload: bytes) -> str:
    if isinstance(stated, str) and stated in ("click", "transaction", "stock"):
        return stated
    outcome = validate(payload)
    return outcome.event_type


def _violations(raw: object) -> tuple[Violation, ...]:
    if not isinstance(raw, list):
        return ()
    return tuple(
        Violation(str(one.get("field") or ""), str(one.get("rule") or "unknown"), one.get("value"))
        for one in raw
        if isinstance(one, dict)
    )


def _row(raw: object) -> SinkRow | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("values"), dict):
        return None
    table, id_ = raw.get("table"), raw.get("id")
    if not (isinstance(table, str) and table and isinstance(id_, str) and id_):
        return None
    return SinkRow(table, id_, raw["values"])


def _count(raw: object) -> int:
    try:
        return max(0, int(str(raw)))
    except ValueError:
        return 0


def _time(raw: object) -> datetime | None:
    if not isinstance(raw, str):
        return None
    try:
        at = datetime.fromisoformat(raw)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
