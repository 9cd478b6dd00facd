"""E-commerce events: good ones, broken ones, the check that tells them apart, the dead letter's envelope.

The check is written on its own, so that the pipeline's validator and this one can be caught disagreeing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from sandbox.google.timeline import parse_instant, rfc3339

CODE_VERSION = "2026.11.3"
PAGE_TYPES = ("product", "category", "search", "home")
PAYMENT_METHODS = ("credit_card", "paypal", "apple_pay", "google_pay")
REASONS = ("restock", "sale", "return", "adjustment", "damaged", "transfer")
LARGE_CHANGE_REASONS = ("restock", "adjustment")
NEGATIVE_REASONS = ("sale", "damaged", "return", "adjustment", "transfer")
TEXT_FIELDS = {
    "click": ("product_id", "user_id", "session_id"),
    "transaction": ("transaction_id", "product_id", "user_id", "store_id"),
    "stock": ("product_id", "warehouse_id"),
}

ROOT_CAUSES = ("schema_change", "new_required_field", "invalid_format", "rule_violation")

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the field, the rule's short name and the value that broke it."""

    field: str
    rule: str
    value: Any = None

    def as_json(self) -> dict[str, Any]:
        """The form inside a dead-letter envelope."""
        return {"field": self.field, "rule": self.rule, "value": self.value}


def violations_of(data: bytes) -> tuple[str, list[Violation]]:
    """(event type or "unknown", what is wrong) of a message; an empty list for a valid event."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return "unknown", [Violation("", "json", data[:40].decode("utf-8", "replace"))]
    kind = event.get("event_type") if isinstance(event, dict) else None
    if not isinstance(event, dict) or kind not in TEXT_FIELDS:
        return "unknown", [Violation("event_type", "choice", kind if isinstance(kind, str) else None)]
    found = [
        problem
        for name in (*TEXT_FIELDS[kind], "timestamp")
        if (problem := _text_problem(event, name)) is not None
    ]
    return str(kind), found + _RULES[kind](event)


def root_cause(data: bytes, found: list[Violation]) -> str:
    """Which of the four root causes what is wrong with a message points to, the most structural first."""
    rules = {violation.rule for violation in found}
    if "json" in rules:
        return "invalid_format"
    if "type" in rules or any(v.field == "event_type" for v in found):
        return "schema_change"
    if "required" in rules:
        event = json.loads(data)
        known = good_event(str(event["event_type"]), 0.0, Random(0))
        return "schema_change" if set(event) - set(known) - {"event_id"} else "new_required_field"
    return "invalid_format" if rules & {"format", "empty"} else "rule_violation"


def _text_problem(event: Event, name: str) -> Violation | None:
    value = event.get(name)
    if value is None:
        return Violation(name, "required")
    if not isinstance(value, str):
        return Violation(name, "type", value)
    if not value:
        return Violation(name, "empty", value)
    if name == "timestamp":
        try:
            parse_instant(value)
        except ValueError:
            return Violation(name, "format", value)
    return None


def _number(event: Event, name: str, low: float, high: float, *, whole: bool) -> Violation | None:
    value = event.get(name)
    if value is None:
        return Violation(name, "required")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return Violation(name, "type", value)
    return None if low <= value <= high else Violation(name, "range", value)


def _choice(event: Event, name: str, allowed: tuple[str, ...]) -> Violation | None:
    value = event.get(name)
    if value is None:
        return Violation(name, "required")
    return None if value in allowed else Violation(name, "choice", value)


def _click(event: Event) -> list[Violation]:
    return [v for v in (_choice(event, "page_type", PAGE_TYPES),) if v]


def _transaction(event: Event) -> list[Violation]:
    found = [
        _number(event, "quantity", 1, 1000, whole=True),
        _number(event, "unit_price", 0.01, 10_000, whole=False),
        _number(event, "total_amount", 0, 1e9, whole=False),
        _choice(event, "payment_method", PAYMENT_METHODS),
    ]
    currency = event.get("currency")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()):
        found.append(Violation("currency", "format" if currency is not None else "required", currency))
    if not any(found[:3]) and abs(event["total_amount"] - event["quantity"] * event["unit_price"]) > 0.0101:
        found.append(Violation("total_amount", "total", event["total_amount"]))
    return [v for v in found if v]


def _stock(event: Event) -> list[Violation]:
    found = [
        _number(event, "quantity_change", -10_000, 10_000, whole=True),
        _choice(event, "reason", REASONS),
    ]
    if not any(found):
        change, reason = event["quantity_change"], event["reason"]
        if change == 0:
            found.append(Violation("quantity_change", "zero", 0))
        elif abs(change) > 1000 and reason not in LARGE_CHANGE_REASONS:
            found.append(Violation("reason", "bulk_reason", reason))
        elif change < 0 and reason not in NEGATIVE_REASONS:
            found.append(Violation("reason", "loss_reason", reason))
    return [v for v in found if v]


_RULES: Mapping[str, Callable[[Event], list[Violation]]] = {
    "click": _click,
    "transaction": _transaction,
    "stock": _stock,
}


def good_event(kind: str, at: float, rng: Random) -> Event:
    """A valid event of that type that happened at `at` (epoch seconds)."""
    product = f"P{rng.randrange(1, 400):05d}"
    if kind == "transaction":
        quantity, price = rng.randrange(1, 6), rng.randrange(199, 24_999) / 100
        return {
            "event_type": "transaction",
            "transaction_id": f"T{rng.getrandbits(40):010x}",
            "product_id": product,
            "user_id": f"U{rng.randrange(1, 90_000):06d}",
            "store_id": f"S{rng.randrange(1, 40):03d}",
            "timestamp": rfc3339(at),
            "quantity": quantity,
            "unit_price": price,
            "total_amount": round(quantity * price, 2),
            "currency": "EUR",
            "payment_method": rng.choice(PAYMENT_METHODS),
        }
    if kind == "stock":
        reason = rng.choice(("restock", "sale", "return"))
        return {
            "event_type": "stock",
            "product_id": product,
            "warehouse_id": f"W{rng.randrange(1, 9):02d}",
            "timestamp": rfc3339(at),
            "quantity_change": rng.randrange(1, 40) * (-1 if reason == "sale" else 1),
            "reason": reason,
        }
    return {
        "event_type": "click",
        "event_id": f"C{rng.getrandbits(48):012x}",
        "product_id": product,
        "user_id": f"U{rng.randrange(1, 90_000):06d}",
        "timestamp": rfc3339(at),
        "session_id": f"sess-{rng.getrandbits(32):08x}",
        "page_type": rng.choice(PAGE_TYPES),
    }


def broken_event(fault: str, kind: str, at: float, rng: Random) -> Event:
    """An invalid event as that fault of the source makes it (the four root causes of the runbook)."""
    event = good_event(kind, at, rng)
    if fault == "schema_change":
        # The source renamed its field: a required one is missing and an unknown one has appeared.
        event["productId"] = event.pop("product_id")
        event["schema_version"] = 2
    elif fault == "new_required_field":
        event.pop({"click": "session_id", "transaction": "store_id"}.get(kind, "warehouse_id"))
    elif fault == "invalid_format":
        event["timestamp"] = rfc3339(at).replace("T", " ").rstrip("Z").replace("-", "/")
    elif kind == "click":
        event["page_type"] = "checkout"
    elif kind == "transaction":
        event["total_amount"] = round(event["total_amount"] + rng.randrange(1, 50), 2)
    else:
        event["quantity_change"], event["reason"] = rng.randrange(1_500, 9_000), "return"
    return event


def envelope(
    data: bytes,
    attributes: Mapping[str, str],
    *,
    at: float,
    stage: str,
    event_type: str,
    violations: list[Violation],
    error: str = "",
) -> dict[str, Any]:
    """The dead letter of an original message, with nothing lost: bytes, attributes, reasons, stage, time.

    An original that was replayed carries `replay_count`, the number of that replay, and keeps it.
    """
    text = error or "; ".join(f"{v.field or 'payload'}: {v.rule}" for v in violations)
    count = attributes.get("replay_count", "")
    body: dict[str, Any] = {
        "event_type": event_type,
        "error": text,
        "attributes": dict(attributes),
        "violations": [violation.as_json() for violation in violations],
        "stage": stage,
        "code_version": CODE_VERSION,
        "first_failed_at": attributes.get("first_failed_at") or rfc3339(at),
        "replay_count": int(count) if count.isascii() and count.isdigit() else int("replay_of" in attributes),
    }
    try:
        body["payload"] = data.decode("utf-8")
    except UnicodeDecodeError:
        body["payload_base64"] = base64.b64encode(data).decode("ascii")
    return body


def dead_letter_for(fault: str, kind: str, at: float, rng: Random) -> dict[str, Any]:
    """One dead letter of a faulty time. About one in five holds an event that would pass today's rules:
    the code that refused it asked for more than the schema does.
    """
    kind = kind if kind in TEXT_FIELDS else "click"
    replayable = rng.random() < (0.75 if fault == "job_failed" else 0.2)
    event = good_event(kind, at, rng) if replayable else broken_event(fault, kind, at, rng)
    data = json.dumps(event).encode()
    if fault == "job_failed":
        error = "TypeError: unsupported operand type(s) for +: 'NoneType' and 'str' in EnrichProduct"
        found = violations_of(data)[1]
        return envelope(
            data, {}, at=at, stage="parse", event_type=kind, violations=found, error="" if found else error
        )
    found = violations_of(data)[1] or [_former_rule(fault, kind)]
    return envelope(data, {}, at=at, stage="validate", event_type=kind, violations=found)


def _former_rule(fault: str, kind: str) -> Violation:
    """What a stricter earlier release complained of in an event that is valid by today's schema."""
    return {
        "schema_change": Violation("schema_version", "type", None),
        "new_required_field": Violation("event_id" if kind == "click" else "loyalty_id", "required"),
        "invalid_format": Violation("timestamp", "format", "fraction of a second"),
    }.get(fault, Violation("product_id", "known_product", "not in the catalogue"))


def decode_data(item: Mapping[str, Any]) -> bytes:
    """The bytes of `{data}` (text, or any JSON value) or `{data_base64}`. Raises ValueError."""
    if "data_base64" in item:
        try:
            return base64.b64decode(str(item["data_base64"]), validate=True)
        except binascii.Error as error:
            raise ValueError(f"data_base64 is not base64: {error}") from error
    data = item.get("data", "")
    return data.encode() if isinstance(data, str) else json.dumps(data).encode()
