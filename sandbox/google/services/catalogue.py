"""Cloud Billing's catalogue: services and their list prices. The prices are examples, in the shape of Google's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.cloud import billing_v1

from sandbox.google.billing import CURRENCY
from sandbox.google.errors import not_found
from sandbox.google.services.base import Method, Service, page
from sandbox.google.world import World

NOTE = "Sandbox example price, not Google's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sku:
    """`price` in CURRENCY for one `unit`; what is below `free` units costs nothing."""

    name: str
    unit: str
    price: float
    free: float = 0.0
    family: str = "Compute"


CATALOGUE: dict[str, tuple[Sku, ...]] = {
    "Cloud Dataflow": (
        Sku(name="vCPU Time Streaming", unit="h", price=0.069),
        Sku(name="RAM Time Streaming", unit="GiBy.h", price=0.003557),
        Sku(name="vCPU Time Batch", unit="h", price=0.056),
        Sku(name="RAM Time Batch", unit="GiBy.h", price=0.003557),
        Sku(name="Local Disk Time PD Standard Streaming", unit="GiBy.h", price=0.000054, family="Storage"),
        Sku(name="Local Disk Time PD SSD Streaming", unit="GiBy.h", price=0.000298, family="Storage"),
        Sku(name="Streaming data processed for Streaming Engine", unit="GiBy", price=0.018),
    ),
    "Cloud Bigtable": (
        Sku(name="Server Node", unit="h", price=0.65),
        Sku(name="SSD Storage Capacity", unit="GiBy.mo", price=0.17, family="Storage"),
    ),
    "BigQuery": (
        Sku(name="Analysis", unit="TiBy", price=6.25, free=1.0, family="ApplicationServices"),
        Sku(name="Streaming Insert", unit="MiBy", price=0.00005, family="ApplicationServices"),
        Sku(name="Active Logical Storage", unit="GiBy.mo", price=0.02, free=10.0, family="Storage"),
    ),
    "Cloud Pub/Sub": (
        Sku(
            name="Message Delivery Basic",
            unit="TiBy",
            price=40.0,
            free=0.009765625,
            family="ApplicationServices",
        ),
    ),
}


def service_name(display_name: str) -> str:
    """The resource name of a service of the catalogue."""
    return f"services/SANDBOX-{display_name.upper().removeprefix('CLOUD ').replace('/', '')}"


def service(world: World) -> Service:
    """CloudCatalog on that world."""
    types = billing_v1.types
    return Service(
        "google.cloud.billing.v1.CloudCatalog",
        {
            "ListServices": Method(types.ListServicesRequest, types.ListServicesResponse, _services),
            "ListSkus": Method(types.ListSkusRequest, types.ListSkusResponse, lambda r: _skus(world, r)),
        },
    )


def _services(request: Any) -> Any:
    types = billing_v1.types
    found = [
        types.Service(name=service_name(name), service_id=service_name(name).split("/")[1], display_name=name)
        for name in CATALOGUE
    ]
    shown, token = page(found, request.page_size, request.page_token, default=5000, maximum=5000)
    return types.ListServicesResponse(services=list(shown), next_page_token=token)


def _skus(world: World, request: Any) -> Any:
    named = next((name for name in CATALOGUE if service_name(name) == request.parent), None)
    if named is None:
        raise not_found(request.parent)
    skus = [
        _proto(named, sku, region)
        for region in sorted({spec.region for spec in world.specs})
        for sku in CATALOGUE[named]
    ]
    shown, token = page(skus, request.page_size, request.page_token, default=5000, maximum=5000)
    return billing_v1.types.ListSkusResponse(skus=list(shown), next_page_token=token)


def _proto(service_display_name: str, sku: Sku, region: str) -> Any:
    types = billing_v1.types
    tiers = [(0.0, 0.0), (sku.free, sku.price)] if sku.free else [(0.0, sku.price)]
    rates = [
        types.PricingExpression.TierRate(start_usage_amount=start, unit_price=_money(price))
        for start, price in tiers
    ]
    expression = types.PricingExpression(
        usage_unit=sku.unit, display_quantity=1, base_unit=sku.unit, tiered_rates=rates
    )
    sku_id = f"{sku.name} {region}".upper().replace(" ", "-")
    return types.Sku(
        name=f"{service_name(service_display_name)}/skus/{sku_id}",
        sku_id=sku_id,
        description=f"{sku.name} {region}",
        category=types.Category(
            service_display_name=service_display_name, resource_family=sku.family, usage_type="OnDemand"
        ),
        service_regions=[region],
        service_provider_name="Google",
        pricing_info=[
            types.PricingInfo(pricing_expression=expression, currency_conversion_rate=1.0, summary=NOTE)
        ],
    )


def _money(price: float) -> dict[str, object]:
    units = int(price)
    return {"currency_code": CURRENCY, "units": units, "nanos": round((price - units) * 1e9)}
