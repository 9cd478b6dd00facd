"""Events as a shop sends them: seven clicks in ten, two transactions, one stock movement; the same in every run."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

_BEGIN = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
_PAGES = ("product", "category", "search", "home")
_METHODS = ("credit_card", "paypal", "apple_pay", "google_pay")
_CURRENCIES = ("EUR", "EUR", "USD", "GBP", "CHF")
_REASONS = ("sale", "sale", "sale", "restock", "return", "transfer")
_BROKEN: tuple[dict[str, Any], ...] = ({"product_id": ""}, {"timestamp": "noon"}, {"event_type": "refund"})


def events(count: int, *, broken: float = 0.0, seed: int = 7) -> list[bytes]:
    """JSON; ``broken`` is the share that keeps a rule not."""
    chance = random.Random(seed)
    return [_event(chance, number, broken) for number in range(count)]


def _event(chance: random.Random, number: int, broken: float) -> bytes:
    dice = chance.random()
    make = _click if dice < 0.7 else _transaction if dice < 0.9 else _stock
    event = make(chance)
    event["timestamp"] = (_BEGIN + timedelta(milliseconds=37 * number)).isoformat().replace("+00:00", "Z")
    event["product_id"] = f"prod-{chance.randrange(20_000):06}"
    event["event_id"] = _id(chance)
    if chance.random() < broken:
        event |= chance.choice(_BROKEN)
    return json.dumps(event).encode()


def _click(chance: random.Random) -> dict[str, Any]:
    return {
        "event_type": "click",
        "user_id": f"user-{chance.randrange(500_000):07}",
        "session_id": _id(chance),
        "page_type": chance.choice(_PAGES),
    }


def _transaction(chance: random.Random) -> dict[str, Any]:
    quantity, cents = chance.randint(1, 5), chance.randint(199, 15_000)
    return {
        "event_type": "transaction",
        "transaction_id": _id(chance),
        "user_id": f"user-{chance.randrange(500_000):07}",
        "store_id": f"store-{chance.randrange(300):03}",
        "quantity": quantity,
        "unit_price": cents / 100,
        "total_amount": quantity * cents / 100,
        "currency": chance.choice(_CURRENCIES),
        "payment_method": chance.choice(_METHODS),
    }


def _stock(chance: random.Random) -> dict[str, Any]:
    reason = chance.choice(_REASONS)
    amount = chance.randint(1, 40)
    return {
        "event_type": "stock",
        "warehouse_id": f"warehouse-{chance.randrange(12):02}",
        "quantity_change": amount if reason in ("restock", "return") else -amount,
        "reason": reason,
    }


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
