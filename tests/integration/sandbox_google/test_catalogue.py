"""The price list and the projects, through the official clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import billing_v1, resourcemanager_v3
from google.cloud.billing_v1.services.cloud_catalog.transports import CloudCatalogGrpcTransport
from google.cloud.resourcemanager_v3.services.projects.transports import ProjectsGrpcTransport

from tests.integration.sandbox_google.google import PROJECT, REGION
from tests.integration.sandbox_google.rest import channel_to, world_of


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Any]:
    with channel_to(world_of(tmp_path)) as opened:
        yield opened


def test_every_service_of_the_price_list_has_skus_of_the_region(channel: Any) -> None:
    catalog = billing_v1.CloudCatalogClient(transport=CloudCatalogGrpcTransport(channel=channel))
    services = {one.display_name: one.name for one in catalog.list_services()}
    assert set(services) == {"Cloud Dataflow", "Cloud Bigtable", "BigQuery", "Cloud Pub/Sub"}
    for name in services.values():
        skus = list(catalog.list_skus(request={"parent": name, "page_size": 2}))
        assert skus
        assert all(REGION in sku.service_regions for sku in skus)
        assert all("example" in sku.pricing_info[0].summary for sku in skus)
    with pytest.raises(exceptions.NotFound):
        list(catalog.list_skus(parent="services/none"))


def test_the_price_of_a_streaming_worker_is_there_exactly_once(channel: Any) -> None:
    catalog = billing_v1.CloudCatalogClient(transport=CloudCatalogGrpcTransport(channel=channel))
    (dataflow,) = [one.name for one in catalog.list_services() if one.display_name == "Cloud Dataflow"]
    found = {sku.description: sku for sku in catalog.list_skus(parent=dataflow)}
    (vcpu,) = [sku for name, sku in found.items() if name.startswith("vCPU Time Streaming")]
    price = vcpu.pricing_info[0].pricing_expression.tiered_rates[-1].unit_price
    assert (price.currency_code, price.units + price.nanos / 1e9) == ("USD", 0.069)
    assert vcpu.pricing_info[0].pricing_expression.usage_unit == "h"


def test_what_is_free_at_first_is_a_tier_of_its_own(channel: Any) -> None:
    catalog = billing_v1.CloudCatalogClient(transport=CloudCatalogGrpcTransport(channel=channel))
    (bigquery,) = [one.name for one in catalog.list_services() if one.display_name == "BigQuery"]
    (analysis,) = [
        sku for sku in catalog.list_skus(parent=bigquery) if sku.description.startswith("Analysis")
    ]
    rates = analysis.pricing_info[0].pricing_expression.tiered_rates
    assert [(rate.start_usage_amount, rate.unit_price.units) for rate in rates] == [(0.0, 0), (1.0, 6)]


def test_a_project_is_found_and_a_strange_one_is_not_told_of(channel: Any) -> None:
    client = resourcemanager_v3.ProjectsClient(transport=ProjectsGrpcTransport(channel=channel))
    project = client.get_project(name=f"projects/{PROJECT}")
    assert (project.project_id, project.state.name) == (PROJECT, "ACTIVE")
    assert client.get_project(name=project.name) == project
    assert [one.project_id for one in client.search_projects()] == [PROJECT]
    wanted = ["dataflow.jobs.create"]
    answer = client.test_iam_permissions(resource=f"projects/{PROJECT}", permissions=wanted)
    assert list(answer.permissions) == wanted
    with pytest.raises(exceptions.PermissionDenied, match="may not exist"):
        client.get_project(name="projects/none")
