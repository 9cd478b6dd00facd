"""What Monitoring shows of BigQuery: the rows that the pipelines' jobs write, table by table.

They follow from the jobs' own counters, so a sink that is slow shows here as rows that do not come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.google.flow import whole_counters
from sandbox.google.history import WorldSample

if TYPE_CHECKING:
    from sandbox.google.world import World

RESOURCE = "bigquery_dataset"
ROWS, BYTES = (f"bigquery.googleapis.com/storage/uploaded_{what}" for what in ("row_count", "bytes"))
SUMMARIES = {"click": "product_views_summary", "transaction": "sales_summary", "stock": "inventory_summary"}
# A window's rows are fewer than its events: about so many events come to a row.
EVENTS_PER_SUMMARY_ROW = 3
BYTES_PER_ROW = 300

Labels = tuple[tuple[str, str], ...]


def read_datasets(
    world: World, metric: str, project: str, sample: WorldSample
) -> Iterator[tuple[tuple[Labels, Labels], float]]:
    """((metric labels, resource labels), running total) of every table that a pipeline of `project` writes."""
    each = BYTES_PER_ROW if metric == BYTES else 1
    for flow in world.flows.values():
        if flow.spec.project != project:
            continue
        written: dict[str, int] = {}
        for values in sample.flows[flow.spec.name].counters.values():
            for name, value in whole_counters(values).items():
                kind, _, result = name.partition("_")
                if result == "valid":
                    written["raw_events"] = written.get("raw_events", 0) + value
                    if kind in SUMMARIES:
                        rows = value // EVENTS_PER_SUMMARY_ROW
                        written[SUMMARIES[kind]] = written.get(SUMMARIES[kind], 0) + rows
        resource = (("dataset_id", flow.spec.dataset), ("project_id", project))
        for table, count in written.items():
            yield (((("api", "InsertAll"), ("table", table)), resource), float(count * each))
