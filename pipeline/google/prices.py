"""List prices of Dataflow's workers and Bigtable's nodes, from the public Cloud Catalog.

They are list prices: without discounts, credits and taxes.  Whatever is not found exactly once is
not known; a price is never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from pipeline.google.calls import reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_MOST: Final = 20_000
_VCPU: Final = re.compile(r"^vCPU Time Streaming\b", re.IGNORECASE)
_RAM: Final = re.compile(r"^RAM Time Streaming\b", re.IGNORECASE)
_NODE: Final = re.compile(r"\bNode\b", re.IGNORECASE)
_MACHINE: Final = re.compile(r"(n1|n2|n2d|e2)-(standard|highmem)-(\d+)")
# Memory for each vCPU in GB (Compute Engine's machine families).
_GB: Final = {
    ("n1", "standard"): 3.75,
    ("n1", "highmem"): 6.5,
    ("n2", "standard"): 4.0,
    ("n2", "highmem"): 8.0,
    ("n2d", "standard"): 4.0,
    ("n2d", "highmem"): 8.0,
    ("e2", "standard"): 4.0,
    ("e2", "highmem"): 8.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPrices:
    """List prices of a streaming worker in one region."""

    vcpu_hour: float
    gb_hour: float
    currency: str

    def worker_hour(self, machine: str) -> float | None:
        """Of one worker of that machine type in an hour; None for a type whose shape is not known."""
        shape = shape_of(machine)
        return None if shape is None else shape[0] * self.vcpu_hour + shape[1] * self.gb_hour


def shape_of(machine: str) -> tuple[float, float] | None:
    """(vCPUs, GB of memory) of a predefined machine type; None for another."""
    found = _MACHINE.fullmatch(machine)
    if found is None:
        return None
    count = float(found.group(3))
    return count, count * _GB[found.group(1), found.group(2)]


def worker_prices(clients: Clients, region: str, deadline_s: float = 20.0) -> WorkerPrices | None:
    """What a streaming worker costs by list; None when the catalogue does not say it exactly once."""
    here = _skus(clients, "Cloud Dataflow", region, deadline_s)
    vcpu, ram = (_only([sku for sku in here if sign.match(sku.description)]) for sign in (_VCPU, _RAM))
    if vcpu is None or ram is None or vcpu[1] != ram[1]:
        return None
    return WorkerPrices(vcpu_hour=vcpu[0], gb_hour=ram[0], currency=vcpu[1])


def node_price(clients: Clients, region: str, deadline_s: float = 20.0) -> tuple[float, str] | None:
    """(price, currency) of a Bigtable node in an hour; None when the catalogue does not say it exactly once."""
    here = _skus(clients, "Cloud Bigtable", region, deadline_s)
    return _only([sku for sku in here if _NODE.search(sku.description)])


def _skus(clients: Clients, service: str, region: str, deadline_s: float) -> list[Any]:
    """What a service sells on demand in a region; nothing when the catalogue does not know the service."""
    with explained("Cloud Billing", f"reading the price list of {service}"):
        services = clients.catalog.list_services(request={"page_size": 5000}, **reading(deadline_s))
        name = next((one.name for one in islice(services, _MOST) if one.display_name == service), None)
        if name is None:
            return []
        request = {"parent": name, "page_size": 5000}
        skus = list(islice(clients.catalog.list_skus(request=request, **reading(deadline_s)), _MOST))
    return [sku for sku in skus if region in sku.service_regions and sku.category.usage_type == "OnDemand"]


def _only(skus: list[Any]) -> tuple[float, str] | None:
    """(price of a unit, currency) of the one SKU that fits; of its tiers the last, which is the usual one."""
    if len(skus) != 1 or not skus[0].pricing_info:
        return None
    rates = skus[0].pricing_info[-1].pricing_expression.tiered_rates
    if not rates:
        return None
    price = rates[-1].unit_price
    return float(price.units) + price.nanos / 1e9, str(price.currency_code)
