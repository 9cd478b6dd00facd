"""The columns of the tables that a pipeline writes, as BigQuery has them now."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalogue import Pipeline
from pipeline.errors import Missing
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.google.rest import get_json
from pipeline.patience import Together
from pipeline.schema_changes import Columns
from pipeline.tables import TABLES


def schemas(clients: Clients, pipeline: Pipeline, deadline_s: float) -> Mapping[str, Columns]:
    """Table -> its columns and their types; a table that is not there is left out.  Raises PipelineError."""
    if not pipeline.dataset:
        return {}
    place = f"{clients.url('bigquery')}/bigquery/v2/projects/{pipeline.project}/datasets/{pipeline.dataset}/tables"

    def columns(table: str) -> Columns | None:
        try:
            with explained("BigQuery", f"looking at table {table}"):
                found = get_json(clients, f"{place}/{table}", {"fields": "schema"}, deadline_s)
        except Missing:
            return None
        fields = (found.get("schema") or {}).get("fields") or ()
        return {str(one.get("name")): str(one.get("type")) for one in fields}

    names = list(TABLES)
    with Together(max_workers=len(names), thread_name_prefix="schemas") as pool:
        return {
            name: has for name, has in zip(names, pool.map(columns, names), strict=True) if has is not None
        }
