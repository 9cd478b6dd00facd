"""What BigQuery holds in a fresh world: the pipeline's tables, and the billing export where spend was told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from sandbox.google.bigquery import BigQuery
from sandbox.google.bigquery_types import Field, parse_fields
from sandbox.google.billing import ACCOUNT, CURRENCY, PACIFIC_S, Billing, billing_day
from sandbox.google.jobs import Job
from sandbox.google.pipelines import PipelineSpec
from sandbox.google.timeline import instant, seconds

if TYPE_CHECKING:
    from sandbox.google.world import World

Json = dict[str, Any]
BILLING_DATASET = "billing"
EXPORT_TABLE = "gcp_billing_export_v1_" + ACCOUNT.split("/")[1].replace("-", "_")
# The share of a service's cost that each of its SKUs has.
SKUS = {
    "Cloud Dataflow": (("vCPU Time Streaming", "hour", 0.72), ("RAM Time Streaming", "gibibyte hour", 0.28)),
    "BigQuery": (("Streaming Insert", "mebibyte", 1.0),),
    "Cloud Bigtable": (("Server Node", "hour", 1.0),),
    "Cloud Pub/Sub": (("Message Delivery Basic", "tebibyte", 1.0),),
    "Cloud Logging": (("Log Storage cost", "gibibyte", 1.0),),
}
EXPORT_LAG_S = 2 * 3600.0
_PACIFIC = timezone(-timedelta(seconds=PACIFIC_S))


def _columns(text: str) -> tuple[Field, ...]:
    """Fields of "name TYPE" pairs; a ! after the type makes the column required."""
    items = [part.split() for part in text.split(",")]
    return parse_fields(
        [
            {"name": name, "type": kind.rstrip("!"), "mode": "REQUIRED" if kind.endswith("!") else "NULLABLE"}
            for name, kind in items
        ]
    )


_WINDOW = "window_start TIMESTAMP!, window_end TIMESTAMP!, product_id STRING!, "
_PANE = ", pane INT64!, late BOOL!"
TABLES: dict[str, tuple[tuple[Field, ...], str, list[str]]] = {
    "raw_events": (
        _columns(
            "event_time TIMESTAMP!, event_key STRING!, event_type STRING!, product_id STRING!, event_id STRING, "
            "user_id STRING, session_id STRING, page_type STRING, transaction_id STRING, store_id STRING, "
            "quantity INT64, unit_price FLOAT64, total_amount FLOAT64, currency STRING, payment_method STRING, "
            "warehouse_id STRING, quantity_change INT64, reason STRING, published_at TIMESTAMP, delay_s FLOAT64, "
            "late BOOL!, missed_window BOOL!, replay_id STRING, warnings STRING, code_version STRING!"
        ),
        "event_time",
        ["product_id", "event_type"],
    ),
    "product_views_summary": (
        _columns(_WINDOW + "view_count INT64!, product_page_views INT64!" + _PANE),
        "window_start",
        ["product_id"],
    ),
    "sales_summary": (
        _columns(
            _WINDOW + "currency STRING!, transaction_count INT64!, quantity INT64!, revenue NUMERIC!" + _PANE
        ),
        "window_start",
        ["product_id"],
    ),
    "inventory_summary": (
        _columns(
            _WINDOW + "warehouse_id STRING!, movement_count INT64!, quantity_change INT64!, units_in INT64!, "
            "units_out INT64!" + _PANE
        ),
        "window_start",
        ["product_id"],
    ),
}


def _record(name: str, text: str, mode: str = "NULLABLE") -> Field:
    return Field(name=name, type="RECORD", mode=mode, fields=_columns(text))


EXPORT_FIELDS = (
    *_columns("billing_account_id STRING"),
    _record("service", "id STRING, description STRING"),
    _record("sku", "id STRING, description STRING"),
    *_columns("usage_start_time TIMESTAMP, usage_end_time TIMESTAMP"),
    _record("project", "id STRING, number STRING, name STRING"),
    _record("labels", "key STRING, value STRING", "REPEATED"),
    _record("system_labels", "key STRING, value STRING", "REPEATED"),
    _record("location", "location STRING, country STRING, region STRING, zone STRING"),
    *_columns("export_time TIMESTAMP, cost FLOAT64, currency STRING, currency_conversion_rate FLOAT64"),
    _record("usage", "amount FLOAT64, unit STRING, amount_in_pricing_units FLOAT64, pricing_unit STRING"),
    _record("credits", "name STRING, amount FLOAT64, full_name STRING, id STRING, type STRING", "REPEATED"),
    _record("invoice", "month STRING"),
    *_columns("cost_type STRING, cost_at_list FLOAT64"),
)


def seed(store: BigQuery, specs: tuple[PipelineSpec, ...], now: float) -> None:
    """The dataset of every pipeline, with its empty tables, made at `now` (epoch seconds)."""
    for spec in specs:
        if (spec.project, spec.dataset) in store.datasets:
            continue
        store.add_dataset(spec.project, spec.dataset, {}, now)
        for name, (fields, partition, clustering) in TABLES.items():
            meta = {
                "timePartitioning": {"type": "DAY", "field": partition},
                "clustering": {"fields": clustering},
            }
            store.add_table(spec.project, spec.dataset, name, fields, meta, now)


def refresh(world: World, now: float) -> None:
    """The billing export as it stands, once a pipeline names one or the world is told of spend. Inside a turn."""
    billing, store = world.billing, world.bigquery
    told = billing.given or billing.spike_from is not None
    if not told and not any(spec.exported for spec in world.specs):
        return
    jobs = world.jobs()
    key = (tuple(sorted(billing.given.items())), billing.spike_from, billing.spike_to, now // 3600, len(jobs))
    if key != store.export_key:
        put_export(store, billing, jobs, world.specs[0], now)
        store.export_key = key


def put_export(store: BigQuery, billing: Billing, jobs: list[Job], spec: PipelineSpec, now: float) -> None:
    """The billing export of a project anew, from the first day of last month to the day of `now`."""
    if (spec.project, BILLING_DATASET) not in store.datasets:
        store.add_dataset(spec.project, BILLING_DATASET, {}, now)
    if EXPORT_TABLE in store.dataset(spec.project, BILLING_DATASET).tables:
        table = store.table(spec.project, BILLING_DATASET, EXPORT_TABLE)
        store.clear(table)
    else:
        meta = {"timePartitioning": {"type": "DAY"}}
        table = store.add_table(spec.project, BILLING_DATASET, EXPORT_TABLE, EXPORT_FIELDS, meta, now)
    store.load(table, _rows(billing, jobs, spec, now), now)


def _rows(billing: Billing, jobs: list[Job], spec: PipelineSpec, now: float) -> Iterator[Json]:
    today = billing_day(now)
    day = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    while day <= today:
        for service, amount in billing.on(day).items():
            given = (day, service) in billing.given
            for sku, unit, cost, job in _shares(service, amount, day, jobs):
                yield _row(day, service, sku, unit, cost, job=job, spec=spec, now=now, credit=not given)
        day += timedelta(days=1)


def _shares(
    service: str, amount: float, day: date, jobs: list[Job]
) -> Iterator[tuple[str, str, float, Job | None]]:
    """(SKU, unit, cost, job) that add up to the amount; Dataflow's are split among the day's jobs."""
    began = _day_start(day)
    payers: list[Job | None] = [None]
    if service == "Cloud Dataflow":
        there = [job for job in jobs if job.created < began + 86_400 and _lived_past(job, began)]
        payers = [*there[:10]] or [None]
    skus = SKUS.get(service, ((service, "requests", 1.0),))
    parts = [(sku, unit, share / len(payers), job) for job in payers for sku, unit, share in skus]
    left = amount
    for sku, unit, share, job in parts[:-1]:
        cost = round(amount * share, 2)
        left = round(left - cost, 6)
        yield sku, unit, cost, job
    yield parts[-1][0], parts[-1][1], left, parts[-1][3]


def _lived_past(job: Job, moment: float) -> bool:
    return job.active_at(moment) or job.created >= moment


def _day_start(day: date) -> float:
    return seconds(datetime(day.year, day.month, day.day, tzinfo=_PACIFIC))


def _row(
    day: date,
    service: str,
    sku: str,
    unit: str,
    cost: float,
    *,
    job: Job | None,
    spec: PipelineSpec,
    now: float,
    credit: bool,
) -> Json:
    began = _day_start(day)
    labels = {} if job is None else {"goog-dataflow-job-name": job.name, "goog-dataflow-job-id": job.id}
    # A little of BigQuery is free each month: a price list's figure and a credit that the net figure has off.
    free = round(cost * 0.1, 2) if credit and service == "BigQuery" else 0.0
    exported = min(now, max(began, min(began + 86_400 + 3 * 3600, now - EXPORT_LAG_S)))
    return {
        "billing_account_id": ACCOUNT.split("/")[1],
        "service": {"id": service.upper().replace(" ", "-").replace("/", ""), "description": service},
        "sku": {"id": sku.upper().replace(" ", "-"), "description": f"{sku} {spec.region}"},
        "usage_start_time": _stamp(began),
        "usage_end_time": _stamp(min(began + 86_400, max(began, now))),
        "project": {"id": spec.project, "number": "100000000001", "name": spec.project},
        "labels": [{"key": key, "value": value} for key, value in labels.items()],
        "location": {"location": spec.region, "region": spec.region},
        "export_time": _stamp(exported),
        "cost": round(cost + free, 6),
        "currency": CURRENCY,
        "currency_conversion_rate": 1.0,
        "usage": {"amount": round(cost * 20, 4), "unit": unit, "pricing_unit": unit},
        "credits": [{"name": "Free tier", "amount": -free, "type": "FREE_TIER"}] if free else [],
        "invoice": {"month": f"{day:%Y%m}"},
        "cost_type": "regular",
        "cost_at_list": round(cost + free, 6),
    }


def _stamp(at: float) -> str:
    return instant(at).isoformat()
