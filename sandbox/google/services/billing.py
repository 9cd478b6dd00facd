"""Cloud Billing: which account pays for a project, and the list prices. No method tells what is spent."""

from __future__ import annotations

from typing import Any

from google.cloud import billing_v1

from sandbox.google.billing import ACCOUNT, CURRENCY
from sandbox.google.errors import Refused, not_found
from sandbox.google.services.base import Method, Service, page
from sandbox.google.world import World

# The sandbox's own price list, in the shape of Google's: an hour of a vCPU, of a GB.
PRICES = (("vCPU Time Streaming", "h", 0.069), ("RAM Time Streaming", "GiBy.h", 0.003557))
DATAFLOW_SERVICE = "services/SANDBOX-DATAFLOW"


def catalog(world: World) -> Service:
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
    found = types.Service(
        name=DATAFLOW_SERVICE, service_id=DATAFLOW_SERVICE.split("/")[1], display_name="Cloud Dataflow"
    )
    return types.ListServicesResponse(services=[found])


def _skus(world: World, request: Any) -> Any:
    types = billing_v1.types
    if request.parent != DATAFLOW_SERVICE:
        raise not_found(request.parent)
    skus = []
    for region in sorted({spec.region for spec in world.specs}):
        for name, unit, price in PRICES:
            rate = types.PricingExpression.TierRate(
                unit_price={"currency_code": CURRENCY, "nanos": round(price * 1e9)}
            )
            pricing = types.PricingInfo(
                pricing_expression=types.PricingExpression(usage_unit=unit, tiered_rates=[rate])
            )
            skus.append(
                types.Sku(
                    description=f"{name} {region}",
                    category=types.Category(service_display_name="Cloud Dataflow", usage_type="OnDemand"),
                    service_regions=[region],
                    pricing_info=[pricing],
                )
            )
    shown, token = page(skus, request.page_size, request.page_token, default=5000, maximum=5000)
    return types.ListSkusResponse(skus=list(shown), next_page_token=token)


def service(world: World) -> Service:
    """CloudBilling on that world."""
    types = billing_v1.types
    return Service(
        "google.cloud.billing.v1.CloudBilling",
        {
            "GetProjectBillingInfo": Method(
                types.GetProjectBillingInfoRequest, types.ProjectBillingInfo, lambda r: _info(world, r.name)
            ),
            "ListProjectBillingInfo": Method(
                types.ListProjectBillingInfoRequest,
                types.ListProjectBillingInfoResponse,
                lambda r: _projects(world, r),
            ),
            "GetBillingAccount": Method(types.GetBillingAccountRequest, types.BillingAccount, _account),
            "ListBillingAccounts": Method(
                types.ListBillingAccountsRequest, types.ListBillingAccountsResponse, _accounts
            ),
        },
    )


def _info(world: World, name: str) -> Any:
    project = name.removeprefix("projects/").removesuffix("/billingInfo")
    if project not in {spec.project for spec in world.specs}:
        # Billing does not tell a stranger whether a project exists.
        raise Refused("PERMISSION_DENIED", f"The caller does not have permission on {name}.")
    with world.turn():
        enabled = world.billing.enabled
    return billing_v1.types.ProjectBillingInfo(
        name=f"projects/{project}/billingInfo",
        project_id=project,
        billing_account_name=ACCOUNT if enabled else "",
        billing_enabled=enabled,
    )


def _projects(world: World, request: Any) -> Any:
    if request.name != ACCOUNT:
        raise not_found(request.name)
    names = sorted({spec.project for spec in world.specs})
    shown, token = page(names, request.page_size, request.page_token, default=100, maximum=100)
    return billing_v1.types.ListProjectBillingInfoResponse(
        project_billing_info=[_info(world, f"projects/{name}") for name in shown], next_page_token=token
    )


def _account(request: Any) -> Any:
    if request.name != ACCOUNT:
        raise not_found(request.name)
    return billing_v1.types.BillingAccount(
        name=ACCOUNT, open_=True, display_name="Sandbox", currency_code=CURRENCY
    )


def _accounts(request: Any) -> Any:
    account = billing_v1.types.GetBillingAccountRequest(name=ACCOUNT)
    return billing_v1.types.ListBillingAccountsResponse(billing_accounts=[_account(account)])
