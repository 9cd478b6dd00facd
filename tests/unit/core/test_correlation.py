"""Rules: From alert to incident. One problem makes one incident, so its alerts must meet."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.alerts import Alert, Family, Kind
from bot.core.budget import parse_budget, to_alert
from bot.core.correlation import PipelineClaims, correlate, correlation_key, family

ORDERS = PipelineClaims(
    name="orders",
    project="demo-project",
    resources=frozenset(
        {
            ("job_name", "ecommerce-streaming"),
            ("topic_id", "clicks"),
            ("topic_id", "dead-letter"),
            ("subscription_id", "projects/demo-project/subscriptions/clicks-sub"),
            ("dataset_id", "demo-project:ecommerce"),
            ("instance", "ecommerce"),
            ("table", "product_stats"),
        }
    ),
    budgets=frozenset({"orders-monthly"}),
)
RETURNS = PipelineClaims(
    name="returns",
    project="demo-project",
    resources=frozenset({("job", "returns-streaming"), ("topic", "clicks"), ("dataset", "returns")}),
    budgets=frozenset({"b-2"}),
)
CLAIMS = (ORDERS, RETURNS)


def pipeline_of(alert: Alert, claims: Sequence[PipelineClaims]) -> tuple[str, bool]:
    found = correlate(alert, claims)
    return found.pipeline, found.claimed


def alert(project: str = "demo-project", **labels: str) -> Alert:
    return Alert(
        source="cloud-monitoring",
        key="k",
        state="open",
        title="t",
        project=project,
        resource_type="some_resource",
        resource_labels=labels,
    )


@pytest.mark.parametrize(
    ("labels", "pipeline"),
    [
        ({"job_name": "ecommerce-streaming", "region": "europe-west1"}, "orders"),
        ({"job_name": "returns-streaming"}, "returns"),
        ({"topic_id": "clicks"}, "orders"),
        ({"topic_id": "projects/demo-project/topics/dead-letter"}, "orders"),
        ({"subscription_id": "clicks-sub"}, "orders"),
        ({"subscription_id": "projects/demo-project/subscriptions/clicks-sub"}, "orders"),
        ({"dataset_id": "ecommerce"}, "orders"),
        ({"dataset_id": "returns"}, "returns"),
        ({"instance": "projects/demo-project/instances/ecommerce", "table": "product_stats"}, "orders"),
        ({"table_id": "product_stats"}, "orders"),
        ({"job_name": "returns-streaming", "topic_id": "dead-letter"}, "returns"),
    ],
)
def test_a_claimed_resource_belongs_to_its_pipeline(labels: dict[str, str], pipeline: str) -> None:
    assert pipeline_of(alert(**labels), CLAIMS) == (pipeline, True)


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"job_name": "other-job", "instance_id": "7"}, "other-job"),
        ({"subscription_id": "s", "topic_id": "t"}, "s"),
        ({"topic_id": "projects/demo-project/topics/t"}, "t"),
        ({"table_id": "product_stats", "dataset_id": "elsewhere"}, "product_stats"),
        ({"instance": "i", "instance_id": "7"}, "i"),
        ({"instance_id": "9149886609902380708", "zone": "us-east4-a"}, "9149886609902380708"),
        ({"database_id": "demo-project:wkingdb"}, "wkingdb"),
        ({"job_name": "  ", "topic_id": "t"}, "t"),
        ({}, "some_resource"),
    ],
)
def test_an_unclaimed_resource_is_a_pipeline_of_its_own_name(labels: dict[str, str], name: str) -> None:
    assert pipeline_of(alert(**labels), CLAIMS) == (name, False)


def test_without_labels_the_display_name_comes_before_the_type() -> None:
    bare = Alert(source="s", key="k", state="open", title="t", resource_name="gke-node", resource_type="gce")
    assert pipeline_of(bare, CLAIMS) == ("gke-node", False)
    assert pipeline_of(Alert(source="s", key="k", state="open", title="t"), ()) == ("unknown resource", False)


def test_a_namesake_in_another_project_is_another_pipeline() -> None:
    found = correlate(alert("elsewhere", job_name="ecommerce-streaming"), CLAIMS)
    assert (found.pipeline, found.claimed, found.project) == ("ecommerce-streaming", False, "elsewhere")


def test_an_alert_without_project_is_found_by_its_resource() -> None:
    found = correlate(alert("", job_name="ecommerce-streaming"), CLAIMS)
    assert (found.pipeline, found.claimed, found.project) == ("orders", True, "demo-project")


@pytest.mark.parametrize(
    ("name", "budget_id", "pipeline"), [("orders-monthly", "b-1", "orders"), ("Returns", "b-2", "returns")]
)
def test_a_budget_meets_the_other_cost_alerts_of_its_pipeline(
    name: str, budget_id: str, pipeline: str
) -> None:
    data = {
        "budgetDisplayName": name,
        "costAmount": 130,
        "budgetAmount": 100,
        "costIntervalStart": "2026-09-01T07:00:00Z",
        "alertThresholdExceeded": 1.0,
    }
    spent = to_alert(parse_budget({"budgetId": budget_id}, data), datetime(2026, 9, 20, tzinfo=UTC))
    assert spent is not None
    found = correlate(spent, CLAIMS)
    assert (found.pipeline, found.family) == (pipeline, Family.COST)
    assert found.key == correlation_key("demo-project", pipeline, "cost")


def test_families() -> None:
    assert {kind: family(kind) for kind in Kind} == {
        Kind.HEALTH: Family.STREAM,
        Kind.PERFORMANCE: Family.STREAM,
        Kind.QUALITY: Family.STREAM,
        Kind.COST: Family.COST,
        Kind.SECURITY: Family.SECURITY,
        Kind.OTHER: Family.OTHER,
    }


@given(st.text(), st.text(), st.text(), st.text())
def test_different_places_never_share_a_key(project: str, pipeline: str, other: str, name: str) -> None:
    same = correlation_key(project, pipeline, "stream") == correlation_key(other, name, "stream")
    assert same == ((project, pipeline) == (other, name))


def test_the_same_labels_in_any_order_make_the_same_key() -> None:
    labels = {"topic_id": "clicks", "instance": "ecommerce", "job_name": "returns-streaming"}
    keys = {correlate(alert(**dict(order)), CLAIMS).key for order in permutations(labels.items())}
    assert len(keys) == 1
