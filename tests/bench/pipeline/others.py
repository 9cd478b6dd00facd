"""The same schema in what others would use: bare msgspec, pydantic, jsonschema.

Bare msgspec knows types and choices only. pydantic knows every rule. jsonschema knows every rule of one field,
and is told the type beforehand; the rules over several fields are left out in its favour.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import jsonschema
import msgspec
import pydantic
from pydantic import AwareDatetime, ConfigDict, Field

from pipeline.events import PAGE_TYPES, PAYMENT_METHODS, REASONS, PageType, PaymentMethod, Reason


class _BareClick(msgspec.Struct, tag_field="event_type", tag="click"):
    product_id: str
    user_id: str
    timestamp: datetime
    session_id: str
    page_type: PageType
    event_id: str | None = None


class _BareTransaction(msgspec.Struct, tag_field="event_type", tag="transaction"):
    transaction_id: str
    product_id: str
    user_id: str
    store_id: str
    timestamp: datetime
    quantity: int
    unit_price: float
    total_amount: float
    currency: str
    payment_method: PaymentMethod
    event_id: str | None = None


class _BareStock(msgspec.Struct, tag_field="event_type", tag="stock"):
    product_id: str
    warehouse_id: str
    timestamp: datetime
    quantity_change: int
    reason: Reason
    event_id: str | None = None


bare: Final = msgspec.json.Decoder(_BareClick | _BareTransaction | _BareStock).decode

_Text = Annotated[str, Field(min_length=1)]


class _Model(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True)
    product_id: _Text
    timestamp: AwareDatetime
    event_id: str | None = None


class _Click(_Model):
    event_type: Literal["click"]
    user_id: _Text
    session_id: _Text
    page_type: PageType


class _Transaction(_Model):
    event_type: Literal["transaction"]
    transaction_id: _Text
    user_id: _Text
    store_id: _Text
    quantity: Annotated[int, Field(ge=1, le=1000)]
    unit_price: Annotated[float, Field(ge=0.01, le=10000)]
    total_amount: float
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    payment_method: PaymentMethod

    @pydantic.model_validator(mode="after")
    def _total(self) -> _Transaction:
        if abs(self.quantity * self.unit_price - self.total_amount) > 0.01 + 1e-9:
            raise ValueError("total_amount is not quantity * unit_price")
        return self


class _Stock(_Model):
    event_type: Literal["stock"]
    warehouse_id: _Text
    quantity_change: Annotated[int, Field(ge=-10000, le=10000)]
    reason: Reason

    @pydantic.model_validator(mode="after")
    def _fits(self) -> _Stock:
        change, reason = self.quantity_change, self.reason
        if not change or (abs(change) > 1000 and reason not in ("restock", "adjustment")):
            raise ValueError("quantity_change does not fit its reason")
        if change < 0 and reason == "restock":
            raise ValueError("a restock takes nothing away")
        return self


_adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(
    Annotated[_Click | _Transaction | _Stock, Field(discriminator="event_type")]
)
by_pydantic: Final = _adapter.validate_json


def _object(**properties: dict[str, Any]) -> jsonschema.Draft202012Validator:
    text = {"type": "string", "minLength": 1}
    every = {"product_id": text, "timestamp": {"type": "string", "format": "date-time"}}
    schema = {
        "type": "object",
        "properties": {**every, **properties, "event_id": {"type": ["string", "null"]}},
        "required": [*every, *properties],
    }
    return jsonschema.Draft202012Validator(schema, format_checker=_FORMATS)


_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _aware(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
_SCHEMAS: Final = {
    "click": _object(user_id=_TEXT, session_id=_TEXT, page_type={"enum": list(PAGE_TYPES)}),
    "transaction": _object(
        transaction_id=_TEXT,
        user_id=_TEXT,
        store_id=_TEXT,
        quantity={"type": "integer", "minimum": 1, "maximum": 1000},
        unit_price={"type": "number", "minimum": 0.01, "maximum": 10000},
        total_amount={"type": "number"},
        currency={"type": "string", "pattern": r"^[A-Z]{3}$"},
        payment_method={"enum": list(PAYMENT_METHODS)},
    ),
    "stock": _object(
        warehouse_id=_TEXT,
        quantity_change={"type": "integer", "minimum": -10000, "maximum": 10000},
        reason={"enum": list(REASONS)},
    ),
}


def by_jsonschema(data: bytes) -> dict[str, Any]:
    """The event. Raises jsonschema.ValidationError with the first violation, KeyError for an unknown type."""
    event: dict[str, Any] = json.loads(data)
    _SCHEMAS[event["event_type"]].validate(event)
    return event
