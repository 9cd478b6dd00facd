"""What the operations on cost share of the billing export: where it leads, and plainly why it is not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.errors import PipelineError
from pipeline.operations.base import Context
from pipeline.report import Finding, number
from pipeline.spend import Outlook, billing_day, exported_outlook

if TYPE_CHECKING:
    from pipeline.google.billing_export import BillingExport, DaySpend, JobSpend, ServiceSpend

NOT_CONFIGURED: Final = (
    "Cost by day and by service is not known: no billing export. To make it known, turn on the BigQuery "
    "export in the billing account (Billing, Billing export) and set `export: PROJECT.DATASET.TABLE` in "
    "pipelines.yaml."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What the export told: an outlook for each currency, and findings for what it did not tell."""

    outlooks: tuple[Outlook, ...] = ()
    days: tuple[DaySpend, ...] = ()
    services: tuple[ServiceSpend, ...] = ()
    jobs: tuple[JobSpend, ...] = ()
    gaps: tuple[Finding, ...] = ()
    today: date | None = None

    def mostly(self, one: Outlook) -> str:
        """ ", mostly Cloud Dataflow (26.10 USD, normal 2.90 USD)" of a spike in the export, else nothing."""
        if one not in self.outlooks or self.today is None:
            return ""
        newest = (self.today, self.today - timedelta(days=1))
        found = culprit([day for day in self.days if day.currency == one.currency], one, newest)
        if found is None:
            return ""
        service, amount, normal = found
        return f", mostly {service} ({number(amount, 2)} {one.currency}, normal {number(normal, 2)} {one.currency})"


def read_export(ctx: Context, *, services: bool = False, jobs: bool = False) -> Exported:
    """The billing export of the pipeline's project; without it a finding says how to make it known."""
    if not ctx.pipeline.export:
        return Exported(gaps=(Finding("export", "info", NOT_CONFIGURED),))
    from pipeline.google.billing_export import BillingExport

    project, now = ctx.pipeline.project, ctx.now()
    try:
        export = BillingExport(ctx.clients, ctx.pipeline.export, project, billing_day(now), ctx.deadline_s)
        return _read(ctx, export, services=services, jobs=jobs)
    except PipelineError as error:
        text = f"The billing export is not known: {str(error).rstrip('.')}."
        return Exported(gaps=(Finding("export", "unknown", text),))


def _read(ctx: Context, export: BillingExport, *, services: bool, jobs: bool) -> Exported:
    project = ctx.pipeline.project
    found = export.by_day()
    if found.as_of is None:
        text = (
            f"{export.table} holds nothing of {project} in this month yet. A new export takes hours to fill; "
            "if it stays so, compare the project and the billing account."
        )
        return Exported(gaps=(Finding("export", "unknown", text),))
    currencies = sorted({day.currency for day in found.days})
    outlooks = []
    for currency in currencies:
        name = f"Project {project}" if len(currencies) == 1 else f"Project {project} in {currency}"
        sums = by_day(day for day in found.days if day.currency == currency)
        outlooks.append(exported_outlook(name, currency, sums, found.as_of, ctx.now(), ctx.pipeline.limits))
    return Exported(
        outlooks=tuple(outlooks),
        days=found.days,
        services=export.by_service() if services else (),
        jobs=export.by_job() if jobs else (),
        today=billing_day(ctx.now()),
    )


def by_day(days: Iterable[DaySpend]) -> dict[date, float]:
    """The sum of each day; the caller hands in one currency."""
    out: dict[date, float] = {}
    for one in days:
        out[one.day] = out.get(one.day, 0.0) + one.net
    return out


def culprit(
    days: Sequence[DaySpend], one: Outlook, candidates: Iterable[date]
) -> tuple[str, float, float] | None:
    """(service, its cost, its normal) that rose most on the dearest of these days; None where none rose."""
    sums = by_day(days)
    among = [day for day in set(candidates) if day in sums]
    if not among or not one.days:
        return None
    worst = max(among, key=lambda day: sums[day])
    complete = {day.day for day in one.days}
    best: tuple[str, float, float] | None = None
    for service in sorted({day.service for day in days}):
        amount = sum(day.net for day in days if day.service == service and day.day == worst)
        before = sum(day.net for day in days if day.service == service and day.day in complete)
        normal = before / len(complete)
        if amount > normal and (best is None or amount - normal > best[1] - best[2]):
            best = (service, amount, normal)
    return best
