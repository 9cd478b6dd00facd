"""The tables that the pipeline writes, and the cells that a summary becomes.  Pure.

Tables are partitioned by day and clustered by product.  Times are RFC 3339 texts in UTC; money is a
text with two decimals, which BigQuery takes as NUMERIC without rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

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

FAMILY: Final = "stats"  # of the Bigtable table
_PANE_STEP: Final = timedelta(milliseconds=1)
_MOST: Final = 1 << 63
LONGEST_KEY: Final = 4096  # bytes of a Bigtable row key


@dataclass(frozen=True, slots=True)
class Cells:
    """Numbers of one row, all at one time: a cell of that column and time is replaced, never added to."""

    key: bytes
    at: datetime
    values: Mapping[str, int]


def cells(table: str, values: Mapping[str, Any]) -> Cells:
    """A summary's numbers as cells at the start of its window, each later pane a millisecond later.

    So the newest cell of a window is its newest pane, in whatever order they are written; and written
    twice they are the same.  Currency and warehouse are part of the column's name, since the row is the
    product.  KeyError or ValueError when the values are no row of that table.
    """
    if table == VIEWS:
        numbers = {"view_count": values["view_count"], "product_page_views": values["product_page_views"]}
    elif table == SALES:
        numbers = {
            f"quantity_sold:{values['currency']}": values["quantity"],
            f"revenue_cents:{values['currency']}": int(values["revenue"].replace(".", "")),
        }
    elif table == INVENTORY:
        numbers = {f"quantity_change:{values['warehouse_id']}": values["quantity_change"]}
    else:
        raise ValueError(f"{table} has no statistics")
    for name, number in numbers.items():
        if not isinstance(number, int) or not -_MOST <= number < _MOST:
            raise ValueError(f"{name} is not a whole number of 64 bits")
    start, end = (datetime.fromisoformat(values[name]) for name in ("window_start", "window_end"))
    longest = (end - start) // _PANE_STEP - 1
    at = start + max(0, min(int(values["pane"]), longest)) * _PANE_STEP
    return Cells(row_key(values), at, numbers)


def row_key(values: Mapping[str, Any]) -> bytes:
    """The Bigtable row of a summary: its product."""
    return str(values["product_id"]).encode("utf-8", "surrogatepass")
