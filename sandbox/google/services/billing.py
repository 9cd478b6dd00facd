"""Cloud Billing: which account pays for a project. No method tells what is spent."""

from __future__ import annotations

from typing import Any

from google.cloud import billing_v1

from sandbox.google.billing import ACCOUNT, CURRENCY
from sandbox.google.errors import Refused, not_found
from sandbox.google.services.base import Method, Service, page
from sandbox.google.world import World


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
