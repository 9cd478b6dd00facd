"""How an event, or a window's total, becomes a row of one of the pipeline's tables.  Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.events import Click, Event, Stock, Transaction, Valid, event_type_of
from pipeline.streaming.messages import Message, Row, digest, identity
from pipeline.tables import RAW, SUMMARY_OF, TABLES


def raw_row(
    valid: Valid,
    message: Message,
    *,
    published: datetime | None,
    late: bool,
    missed: bool,
    code_version: str,
) -> Row:
    """The event with what is known besides it; insert id = the event's identity (its own id, made a digest)."""
    event = valid.event
    values: dict[str, Any] = {
        name: getattr(event, name) for name, _, _ in TABLES[RAW].fields if hasattr(event, name)
    }
    key = identity(event)
    values |= {
        "event_time": text(event.timestamp),
        "event_key": key,
        "event_type": event_type_of(event),
        "published_at": text(published) if published else None,
        "delay_s": round((published - event.timestamp).total_seconds(), 3) if published else None,
        "late": late,
        "missed_window": missed,
        "replay_id": message.attributes.get("replay_id"),
        "warnings": ", ".join(f"{w.field}:{w.rule}" for w in valid.warnings) or None,
        "code_version": code_version,
    }
    return Row(RAW, key, values, valid.event_type, message)


def measured(event: Event) -> tuple[tuple[str, str], tuple[int, int, int, int]]:
    """What an event adds to its window: ((product, currency or warehouse), four whole numbers).

    Whole numbers add up the same in any order; money is in cents.
    """
    if isinstance(event, Click):
        return (event.product_id, ""), (1, int(event.page_type == "product"), 0, 0)
    if isinstance(event, Transaction):
        return (event.product_id, event.currency), (1, event.quantity, round(event.total_amount * 100), 0)
    assert isinstance(event, Stock)
    change = event.quantity_change
    return (event.product_id, event.warehouse_id), (1, change, max(change, 0), max(-change, 0))


def summary_row(
    event_type: str,
    key: tuple[str, str],
    sums: tuple[int, int, int, int],
    *,
    start: datetime,
    end: datetime,
    pane: int,
    late: bool,
) -> Row:
    """One window's total so far; a later pane of the same window replaces an earlier one."""
    product, second = key
    values: dict[str, Any] = {"window_start": text(start), "window_end": text(end), "product_id": product}
    if event_type == "click":
        values |= {"view_count": sums[0], "product_page_views": sums[1]}
    elif event_type == "transaction":
        values |= {
            "currency": second,
            "transaction_count": sums[0],
            "quantity": sums[1],
            "revenue": cents(sums[2]),
        }
    else:
        values |= {
            "warehouse_id": second,
            "movement_count": sums[0],
            "quantity_change": sums[1],
            "units_in": sums[2],
            "units_out": sums[3],
        }
    table = SUMMARY_OF[event_type]
    values |= {"pane": pane, "late": late}
    return Row(table, digest(table, text(start), str(pane), product, second), values, event_type)


def cents(amount: int) -> str:
    """Cents as a decimal text: 1999 is "19.99"."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def text(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
