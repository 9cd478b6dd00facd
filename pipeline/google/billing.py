"""Cloud Billing: which account pays for a project.  No method of that service tells any spend."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.google.calls import reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained


@dataclass(frozen=True, slots=True)
class ProjectBilling:
    project: str
    enabled: bool
    account: str  # "012345-567890-ABCDEF", or empty


def project_billing(clients: Clients, project: str, deadline_s: float = 20.0) -> ProjectBilling:
    """Whether billing is on for a project, and on which account."""
    with explained("Cloud Billing", f"reading the billing account of {project}"):
        raw = clients.billing.get_project_billing_info(
            request={"name": f"projects/{project}"}, **reading(deadline_s)
        )
    return ProjectBilling(
        project, raw.billing_enabled, raw.billing_account_name.removeprefix("billingAccounts/")
    )
