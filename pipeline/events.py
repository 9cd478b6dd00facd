"""One schema of events, every rule, every violation named.  Pure.

msgspec decodes and checks in one step, and :func:`validate` adds the rules that a type cannot say;
that is the common way and the quick one.  Only what fails is looked at again by the hand rules
below, which name every violation as (field, rule, value).
Both must agree: a property test holds them together.

Times are aware (RFC 3339 with an offset); money is a number with two decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

PageType = Literal["product", "category", "search", "home"]
PaymentMethod = Literal["credit_card", "paypal", "apple_pay", "google_pay"]
Reason = Literal["restock", "sale", "return", "adjustment", "damaged", "transfer"]

PAGE_TYPES: Final = ("product", "category", "search", "home")
PAYMENT_METHODS: Final = ("credit_card", "paypal", "apple_pay", "google_pay")
REASONS: Final = ("restock", "sale", "return", "adjustment", "damaged", "transfer")
_REASONS_OF_LOSS: Final = frozenset({"sale", "damaged", "return", "adjustment", "transfer"})
_REASONS_OF_BULK: Final = frozenset({"restock", "adjustment"})
_BULK: Final = 1000
_CREDIT_CARD_ABOVE: Final = 1000
_CENT: Final = 0.01 + 1e-9  # a cent, and what floating point adds to it
_CURRENCY: Final = re.compile(r"[A-Z]{3}").fullmatch
# Looked up before the pattern is asked, which takes ten times as long; it decides nothing.
_USUAL_CURRENCIES: Final = frozenset(("CHF", "CNY", "DKK", "EUR", "GBP", "JPY", "NOK", "PLN", "SEK", "USD"))

_Text = Annotated[str, Meta(min_length=1)]
_Time = Annotated[datetime, Meta(tz=True)]


class Click(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="event_type", tag="click"):
    """A page was looked at."""

    product_id: _Text
    user_id: _Text
    timestamp: _Time
    session_id: _Text
    page_type: PageType
    event_id: str | None = None


class Transaction(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="event_type", tag="transaction"
):
    """Something was bought."""

    transaction_id: _Text
    product_id: _Text
    user_id: _Text
    store_id: _Text
    timestamp: _Time
    quantity: Annotated[int, Meta(ge=1, le=1000)]
    unit_price: Annotated[float, Meta(ge=0.01, le=10000)]
    total_amount: float
    currency: Annotated[str, Meta(min_length=3, max_length=3)]
    payment_method: PaymentMethod
    event_id: str | None = None


class Stock(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="event_type", tag="stock"):
    """A warehouse's stock of a product changed."""

    product_id: _Text
    warehouse_id: _Text
    timestamp: _Time
    quantity_change: Annotated[int, Meta(ge=-10000, le=10000)]
    reason: Reason
    event_id: str | None = None


Event = Click | Transaction | Stock


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one field breaks; ``value`` is what stood there, as JSON would have it."""

    field: str
    rule: str
    value: Any = None


class Valid(msgspec.Struct, frozen=True, gc=False):
    """An event that keeps every rule; warnings are worth telling and stop nothing.

    A Struct, because one is made for every event and costs a fifth of a frozen dataclass.
    """

    event: Event
    warnings: tuple[Violation, ...] = ()

    @property
    def event_type(self) -> str:
        return event_type_of(self.event)


@dataclass(frozen=True, slots=True)
class Invalid:
    """What is wrong, completely; ``event_type`` is "unknown" when it could not be told."""

    violations: tuple[Violation, ...]
    event_type: str
    unknown_fields: tuple[str, ...] = ()


# The warning about a purchase above 1,000 that is not paid by card.
_WITHOUT_CARD: Final = {
    method: (Violation("payment_method", "credit_card_above_1000", method),) for method in PAYMENT_METHODS
}
_decode: Final = msgspec.json.Decoder(Event).decode
_decode_any: Final = msgspec.json.Decoder().decode


def validate(data: bytes, attributes: Mapping[str, str] | None = None) -> Valid | Invalid:
    """Checks the bytes of one message; raises nothing.

    ``attributes`` are those of the message; an ``event_type`` among them only names the type of
    what cannot be read, never decides about what can.
    """
    try:
        event = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return explain(data, attributes)
    # Written out, and without isinstance, which is slow where the answer is no: every event comes through here.
    kind = type(event)
    if kind is Click:
        return Valid(event)
    if kind is Transaction:
        difference = event.quantity * event.unit_price - event.total_amount
        usual = event.currency in _USUAL_CURRENCIES or _CURRENCY(event.currency)
        if not usual or not -_CENT <= difference <= _CENT:
            return explain(data, attributes)
        if event.total_amount > _CREDIT_CARD_ABOVE and event.payment_method != "credit_card":
            return Valid(event, _WITHOUT_CARD[event.payment_method])
        return Valid(event)
    change = event.quantity_change
    if 0 < change <= _BULK or (-_BULK <= change < 0 and event.reason in _REASONS_OF_LOSS):
        return Valid(event)
    return explain(data, attributes) if _stock_rule(change, event.reason) else Valid(event)


def explain(data: bytes, attributes: Mapping[str, str] | None = None) -> Invalid:
    """Names every violation of bytes that the typed decoder refused."""
    stated = (attributes or {}).get("event_type", "")
    stated = stated if stated in _RULES else "unknown"
    try:
        raw = _decode_any(data)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError, ValueError) as error:
        rule = "encoding" if "utf-8" in str(error).lower() else "json"
        return Invalid((Violation("", rule, _cut(data.decode("utf-8", "replace"))),), stated)
    if not isinstance(raw, dict):
        return Invalid((Violation("", "object", _cut(raw)),), stated)
    event_type = raw.get("event_type")
    if not isinstance(event_type, str) or event_type not in _RULES:
        rule = "required" if event_type is None else "choice"
        return Invalid((Violation("event_type", rule, _cut(event_type)),), stated)
    violations = tuple(_violations(raw, event_type))
    known = {"event_type", "event_id", *_RULES[event_type]}
    unknown = tuple(sorted(str(key)[:100] for key in raw if key not in known))
    # Agreement of both ways is a tested promise; should it ever fail, nothing passes silently.
    return Invalid(violations or (Violation("", "schema", None),), event_type, unknown)


def event_type_of(event: Event) -> str:
    return {Click: "click", Transaction: "transaction", Stock: "stock"}[type(event)]


def duplicate_key(event: Event) -> tuple[str, ...]:
    """Two events of the same key are the same event."""
    if isinstance(event, Transaction):
        return ("transaction", event.transaction_id)
    at = event.timestamp.astimezone(UTC).isoformat()
    if isinstance(event, Click):
        return ("click", event.user_id, event.product_id, at)
    return ("stock", event.product_id, event.warehouse_id, at)


def total_fits(quantity: float, unit_price: float, total_amount: float) -> bool:
    """Whether total_amount = quantity * unit_price, to a cent."""
    return abs(quantity * unit_price - total_amount) <= _CENT


# --- hand rules: only to name what failed ------------------------------------------------------

_Check = Callable[[Any], str | None]  # the rule that is broken, or None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return "type"
    return None if value else "empty"


def _optional_text(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "type"


def _time(value: Any) -> str | None:
    if not isinstance(value, str):
        return "type"
    try:
        msgspec.convert(value, _Time)
    except (msgspec.ValidationError, ValueError):
        return "format"
    return None


def _choice(*choices: str) -> _Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "type"
        return None if value in choices else "choice"

    return check


def _whole(low: int, high: int) -> _Check:
    def check(value: Any) -> str | None:
        if not _is_whole(value):
            return "type"
        return None if low <= value <= high else "range"

    return check


def _number(low: float | None = None, high: float | None = None) -> _Check:
    def check(value: Any) -> str | None:
        if not _is_number(value):
            return "type"
        if (low is not None and value < low) or (high is not None and value > high):
            return "range"
        return None

    return check


def _currency(value: Any) -> str | None:
    if not isinstance(value, str):
        return "type"
    return None if _CURRENCY(value) else "format"


_RULES: Final[dict[str, dict[str, _Check]]] = {
    "click": {
        "product_id": _text,
        "user_id": _text,
        "timestamp": _time,
        "session_id": _text,
        "page_type": _choice(*PAGE_TYPES),
    },
    "transaction": {
        "transaction_id": _text,
        "product_id": _text,
        "user_id": _text,
        "store_id": _text,
        "timestamp": _time,
        "quantity": _whole(1, 1000),
        "unit_price": _number(0.01, 10000),
        "total_amount": _number(),
        "currency": _currency,
        "payment_method": _choice(*PAYMENT_METHODS),
    },
    "stock": {
        "product_id": _text,
        "warehouse_id": _text,
        "timestamp": _time,
        "quantity_change": _whole(-10000, 10000),
        "reason": _choice(*REASONS),
    },
}


def _violations(raw: Mapping[str, Any], event_type: str) -> list[Violation]:
    found: list[Violation] = []
    for field, check in _RULES[event_type].items():
        if field not in raw:
            found.append(Violation(field, "required"))
        elif rule := check(raw[field]):
            found.append(Violation(field, rule, _cut(raw[field])))
    if rule := _optional_text(raw.get("event_id")):
        found.append(Violation("event_id", rule, _cut(raw["event_id"])))
    found += _across(raw, event_type)
    return found


def _across(raw: Mapping[str, Any], event_type: str) -> list[Violation]:
    """Rules over several fields; each is asked only where its fields are of the right type."""
    if event_type == "transaction":
        parts: tuple[Any, Any, Any] = (raw.get("quantity"), raw.get("unit_price"), raw.get("total_amount"))
        if _is_whole(parts[0]) and all(_is_number(part) for part in parts[1:]) and not total_fits(*parts):
            return [Violation("total_amount", "total", _cut(parts[2]))]
    if event_type == "stock":
        change: Any = raw.get("quantity_change")
        reason = raw.get("reason")
        if (
            _is_whole(change)
            and isinstance(reason, str)
            and reason in REASONS
            and (rule := _stock_rule(change, reason))
        ):
            return [Violation("quantity_change" if rule == "zero" else "reason", rule, _cut(change))]
        if _is_whole(change) and change == 0:
            return [Violation("quantity_change", "zero", 0)]
    return []


def _stock_rule(change: float, reason: str) -> str | None:
    if change == 0:
        return "zero"
    if abs(change) > _BULK and reason not in _REASONS_OF_BULK:
        return "bulk_reason"
    if change < 0 and reason not in _REASONS_OF_LOSS:
        return "loss_reason"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _cut(value: Any) -> Any:
    """A value short enough to keep: what is quoted must not outgrow the event."""
    if isinstance(value, str):
        return value if len(value) <= 200 else value[:200] + "…"
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:200]
    return repr(value)[:200]
