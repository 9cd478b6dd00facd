"""A stand whose world has BigQuery and Bigtable too, and its sinks read by their official clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.catalogue import load
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.history import History
from pipeline.operations import Context
from sandbox.google.server import GoogleServer
from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Rest, running_rest

from .conftest import Stand

STORES = "    bigquery: {dataset: ecommerce}\n    bigtable: {instance: ecommerce, table: product_stats}\n"
TABLE = f"projects/{PROJECT}/instances/ecommerce/tables/product_stats"


@contextmanager
def standing(folder: Path, more: str = STORES) -> Iterator[tuple[Stand, Rest]]:
    """The stand, and the HTTP side of its world."""
    with running_rest(folder, more) as rest:
        server = GoogleServer(rest.world)
        address = f"127.0.0.1:{server.start()}"
        clients = Clients(GoogleSettings(project=PROJECT, endpoint=address, rest=rest.base_url))
        history = History.open(f"sqlite:///{folder / 'history.db'}")
        file = folder / "pipelines.yaml"
        pipeline = load(file).find()
        ctx = Context(
            pipeline=pipeline,
            clients=clients,
            history=history,
            now=rest.clock.now,
            sleep=lambda seconds: rest.clock.go(max(seconds, 1.0) * 3),
            deadline_s=10.0,
            catalogue=(pipeline,),
            facts={"down": False},
            requested_by="alice",
        )
        try:
            yield Stand(rest.clock, rest.world, ctx, address, file), rest
        finally:
            clients.close()
            history.close()
            server.stop()


def sale(product: str, *, pane: int = 0, quantity: int = 3) -> dict[str, Any]:
    """A row of the sales summary."""
    return {
        "window_start": "2026-11-20T09:00:00Z",
        "window_end": "2026-11-20T09:05:00Z",
        "product_id": product,
        "currency": "EUR",
        "transaction_count": 2,
        "quantity": quantity,
        "revenue": "19.99",
        "pane": pane,
        "late": False,
    }


def letter(sink: str, values: Mapping[str, Any] | None, *, id_: str = "") -> tuple[bytes, dict[str, str]]:
    """A dead letter as a sink's failure makes it."""
    body: dict[str, Any] = {
        "event_type": "transaction",
        "error": "Unreachable: BigQuery is not reachable",
        "payload": json.dumps(values),
        "attributes": {},
        "violations": [],
        "stage": f"{sink}:sales_summary",
        "code_version": "1.0",
        "first_failed_at": "2026-11-20T09:50:00Z",
        "replay_count": 0,
    }
    if values is not None:
        body["row"] = {"table": "sales_summary", "id": id_ or f"id-{values['product_id']}", "values": values}
    return json.dumps(body).encode(), {"event_type": "transaction", "stage": f"{sink}:sales_summary"}


def stored(stand: Stand, product: str) -> dict[str, list[int]]:
    """A product's numbers in Bigtable by column, the newest first."""
    newest: dict[str, list[int]] = {}
    for answer in stand.ctx.clients.bigtable.read_rows(
        request={"table_name": TABLE, "rows": {"row_keys": [product.encode()]}}
    ):
        for chunk in answer.chunks:
            column = chunk.qualifier.decode()
            newest.setdefault(column, []).append(int.from_bytes(chunk.value, "big", signed=True))
    return newest
