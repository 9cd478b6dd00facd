"""The first step: messages are validated by the one schema; what breaks a rule is a dead letter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage

from pipeline.events import Invalid, Valid, Violation, validate
from pipeline.quality import CAUSE_IDS, cause_of_event, rule_key
from pipeline.streaming.counting import KINDS
from pipeline.streaming.messages import Message, identity, stated
from pipeline.streaming.steps import DEAD, VALID, Frame, Step


class _Validate(Step):
    """PubsubMessage -> (identity, Message), or a dead letter with every violation."""

    stage = "validate"

    def __init__(self, frame: Frame, source_type: str) -> None:
        super().__init__(frame)
        self.source_type = source_type

    def process(self, element: PubsubMessage) -> Iterable[Any]:
        data, attributes = bytes(element.data), dict(element.attributes or {})
        try:
            outcome: Valid | Invalid = validate(data, stated(attributes, self.source_type))
            kind = outcome.event_type
            message = Message(data, attributes, kind if kind in KINDS else "unknown")
            key = identity(outcome.event) if isinstance(outcome, Valid) else ""
        except Exception as error:  # noqa: BLE001 - a fault of the validator must not lose the event
            message = Message(data, attributes, self.source_type or "unknown")
            self.tally.add(message.event_type, "received")
            return (self.refused(message, error, "parse"),)
        self.tally.add(message.event_type, "received")
        if isinstance(outcome, Valid):
            return ((key, message),)
        self.tally.add(message.event_type, "invalid")
        self.tally.add(message.event_type, "dead_lettered")
        root = cause_of_event(outcome.violations, outcome.unknown_fields)
        self.tally.add(message.event_type, CAUSE_IDS[root])
        error_text = summary(outcome.violations)
        return (self.dead(message, error_text, stage=self.stage, violations=outcome.violations),)


class ParseAndValidate(beam.PTransform):  # type: ignore[misc]
    """PubsubMessages in; out: ``valid`` (identity, Message) and ``dead`` Letters.

    ``source_type`` is the event type of the subscription they came from: it names the type of what
    cannot be read, and decides nothing about what can.
    """

    def __init__(self, frame: Frame, source_type: str = "") -> None:
        super().__init__()
        self.frame = frame
        self.source_type = source_type

    def expand(self, messages: Any) -> Any:
        step = beam.ParDo(_Validate(self.frame, self.source_type))
        return messages | "Validate" >> step.with_outputs(DEAD, main=VALID)


def summary(violations: tuple[Violation, ...]) -> str:
    """Every broken rule in one short line, without any value of the event."""
    names = [rule_key(violation) for violation in violations]
    return "breaks " + ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
