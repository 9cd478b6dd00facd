"""Budgets over HTTP, as the budget API's first version speaks it."""

from __future__ import annotations

import json

from sandbox.google.billing import ACCOUNT
from tests.integration.sandbox_google.google import PROJECT, Google
from tests.integration.sandbox_google.rest import Http

PATH = f"/v1/{ACCOUNT}/budgets"


def test_the_pipelines_budget_is_listed_with_its_amount_and_thresholds(http: Http) -> None:
    (budget,) = http.call("GET", PATH)["budgets"]
    assert budget["displayName"] == "orders-monthly"
    assert budget["amount"]["specifiedAmount"] == {"currencyCode": "USD", "units": "200"}
    assert [rule["thresholdPercent"] for rule in budget["thresholdRules"]] == [0.9, 1.0, 1.2]
    assert http.call("GET", f"/v1/{budget['name']}") == budget
    assert http.call("GET", f"{PATH}?scope=projects/{PROJECT}")["budgets"] == [budget]
    assert http.call("GET", f"{PATH}?scope=projects/other")["budgets"] == []


def test_a_notification_is_of_the_budget_that_is_listed(http: Http, google: Google) -> None:
    (budget,) = http.call("GET", PATH)["budgets"]
    subscription = f"projects/{PROJECT}/subscriptions/streamwatch-budgets"
    message = google.pull(subscription)[0].message
    assert message.attributes["budgetId"] == budget["name"].rsplit("/", 1)[-1]
    assert json.loads(message.data)["budgetDisplayName"] == budget["displayName"]


def test_a_strange_account_and_a_strange_budget_are_refused(http: Http) -> None:
    assert (
        http.call("GET", "/v1/billingAccounts/000000-000000-000000/budgets", status=403)["error"]["code"]
        == 403
    )
    assert http.call("GET", f"{PATH}/none", status=404)["error"]["status"] == "NOT_FOUND"
