"""The tables, and how an event becomes a row of one.  Pure.

Tables are partitioned by day and clustered by product.  Times are RFC 3339 texts in UTC; money is a
text with two decimals, which BigQuery takes as NUMERIC without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.events import Click, Event, Stock, Transaction, Valid, event_type_of
from pipeline.streaming.messages import Message, Row, digest, identity

RAW: Final = "raw_events"
VIEWS: Final = "product_views_summary"
SALES: Final = "sales_summary"
INVENTORY: Final = "inventory_summary"
SUMMARY_OF: Final = {"click": VIEWS, "transaction": SALES, "stock": INVENTORY}


@dataclass(frozen=True, slots=True)
class Table:
    """``fields`` are (name, BigQuery type, required)."""

    name: str
    fields: tuple[tuple[str, str, bool], ...]
    partition: str
    clustering: tuple[str, ...]


_WINDOW: Final = (
    ("window_start", "TIMESTAMP", True),
    ("window_end", "TIMESTAMP", True),
    ("product_id", "STRING", True),
)
_PANE: Final = (("pane", "INT64", True), ("late", "BOOL", True))

TABLES: Final = {
    RAW: Table(
        RAW,
        (
            ("event_time", "TIMESTAMP", True),
            ("event_key", "STRING", True),
            ("event_type", "STRING", True),
            ("product_id", "STRING", True),
            ("event_id", "STRING", False),
            ("user_id", "STRING", False),
            ("session_id", "STRING", False),
            ("page_type", "STRING", False),
            ("transaction_id", "STRING", False),
            ("store_id", "STRING", False),
            ("quantity", "INT64", False),
            ("unit_price", "FLOAT64", False),
            ("total_amount", "FLOAT64", False),
            ("currency", "STRING", False),
            ("payment_method", "STRING", False),
            ("warehouse_id", "STRING", False),
            ("quantity_change", "INT64", False),
            ("reason", "STRING", False),
            ("published_at", "TIMESTAMP", False),
            ("delay_s", "FLOAT64", False),
            ("late", "BOOL", True),
            ("missed_window", "BOOL", True),
            ("replay_id", "STRING", False),
            ("warnings", "STRING", False),
            ("code_version", "STRING", True),
        ),
        "event_time",
        ("product_id", "event_type"),
    ),
    VIEWS: Table(
        VIEWS,
        (*_WINDOW, ("view_count", "INT64", True), ("product_page_views", "INT64", True), *_PANE),
        "window_start",
        ("product_id",),
    ),
    SALES: Table(
        SALES,
        (
            *_WINDOW,
            ("currency", "STRING", True),
            ("transaction_count", "INT64", True),
            ("quantity", "INT64", True),
            ("revenue", "NUMERIC", True),
            *_PANE,
        ),
        "window_start",
        ("product_id",),
    ),
    INVENTORY: Table(
        INVENTORY,
        (
            *_WINDOW,
            ("warehouse_id", "STRING", True),
            ("movement_count", "INT64", True),
            ("quantity_change", "INT64", True),
            ("units_in", "INT64", True),
            ("units_out", "INT64", True),
            *_PANE,
        ),
        "window_start",
        ("product_id",),
    ),
}


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
