"""The billing export: there when the world was told of spend, and summed right by the queries one asks it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from sandbox.google.bigquery_seed import EXPORT_TABLE
from tests.integration.sandbox_google.google import JOB, PROJECT
from tests.integration.sandbox_google.rest import Rest

TABLE = f"{PROJECT}.billing.{EXPORT_TABLE}"
TODAY = date(2026, 11, 20)
NET = "cost + IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) AS c), 0)"
BY_SERVICE = f"""
SELECT service.description AS service,
       SUM(cost) AS gross,
       SUM(IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) AS c), 0)) AS credits,
       SUM(cost) + SUM(IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) AS c), 0)) AS net,
       SUM(IF(DATE(usage_start_time, 'America/Los_Angeles') = @today, {NET}, 0)) AS net_today,
       MAX(currency) AS currency, MAX(export_time) AS data_as_of
FROM `{TABLE}`
WHERE project.id = @project AND invoice.month = FORMAT_DATE('%Y%m', @today)
  AND _PARTITIONTIME >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 60 DAY)
GROUP BY 1 ORDER BY net DESC
"""
FORECAST = f"""
WITH d AS (
  SELECT DATE(usage_start_time, 'America/Los_Angeles') AS day, SUM({NET}) AS net
  FROM `{TABLE}` WHERE project.id = @project AND cost_type = 'regular'
    AND usage_start_time >= TIMESTAMP(DATE_SUB(DATE_TRUNC(@today, MONTH), INTERVAL 8 DAY), 'America/Los_Angeles')
  GROUP BY day),
m AS (SELECT SUM(IF(day >= DATE_TRUNC(@today, MONTH), net, 0)) AS mtd,
             AVG(IF(day BETWEEN DATE_SUB(@today, INTERVAL 8 DAY) AND DATE_SUB(@today, INTERVAL 2 DAY), net, NULL))
               AS daily7 FROM d)
SELECT mtd, daily7, DATE_DIFF(LAST_DAY(@today, MONTH), @today, DAY) AS days_left,
       mtd + daily7 * DATE_DIFF(LAST_DAY(@today, MONTH), @today, DAY) AS month_forecast FROM m
"""
BY_JOB = f"""
SELECT (SELECT l.value FROM UNNEST(labels) AS l WHERE l.key = 'goog-dataflow-job-name') AS job, SUM(cost) AS cost
FROM `{TABLE}` WHERE service.description = 'Cloud Dataflow' AND DATE(usage_start_time) = @today GROUP BY job
"""


def parameters() -> list[Any]:
    return [
        bigquery.ScalarQueryParameter("project", "STRING", PROJECT),
        bigquery.ScalarQueryParameter("today", "DATE", TODAY),
    ]


def test_there_is_no_export_until_the_world_is_told_of_spend(rest: Rest) -> None:
    with pytest.raises(exceptions.NotFound):
        rest.bigquery.get_table(TABLE)
    rest.world.apply({"spend": [{"day": "2026-11-20", "service": "Cloud Dataflow", "amount": 61.5}]})
    table = rest.bigquery.get_table(TABLE)
    assert table.num_rows > 100
    assert table.time_partitioning.field is None
    assert "_PARTITIONTIME" not in rest.rows(f"SELECT * FROM `{TABLE}` LIMIT 1")[0]


def test_the_spend_of_the_export_is_the_spend_of_the_world(rest: Rest) -> None:
    spend = [
        {"day": "2026-11-20", "service": "Cloud Dataflow", "amount": 61.57},
        {"day": "2026-11-03", "service": "Cloud Storage", "amount": 7.01},
    ]
    rest.world.apply({"spend": spend})
    found = {row["service"]: row for row in rest.rows(BY_SERVICE, *parameters())}
    days = [TODAY.replace(day=1) + timedelta(days=n) for n in range(20)]
    for service, row in found.items():
        expected = sum(rest.world.billing.on(day).get(service, 0.0) for day in days)
        assert row["net"] == pytest.approx(expected, abs=1e-6), service
        assert row["gross"] + row["credits"] == pytest.approx(row["net"], abs=1e-9)
        assert row["data_as_of"] <= rest.clock.now()
    assert set(found) == {"Cloud Storage", *rest.world.billing.on(TODAY)}
    assert found["Cloud Dataflow"]["net_today"] == pytest.approx(61.57)
    assert found["BigQuery"]["credits"] < 0
    total = sum(row["net"] for row in found.values())
    assert total == pytest.approx(rest.world.billing.month_to_date(rest.clock.now().timestamp()), abs=0.01)


def test_the_forecast_of_the_export_is_right(rest: Rest) -> None:
    rest.world.apply({"scenario": "cost_spike"})
    (row,) = rest.rows(FORECAST, *parameters())
    day = rest.world.billing.on
    mean = sum(sum(day(TODAY - timedelta(days=n)).values()) for n in range(2, 9)) / 7
    assert row["daily7"] == pytest.approx(mean, abs=1e-6)
    assert row["days_left"] == 10
    assert row["month_forecast"] == pytest.approx(row["mtd"] + 10 * mean, abs=1e-5)


def test_dataflows_cost_names_its_jobs_and_later_spend_is_seen(rest: Rest) -> None:
    rest.world.apply({"spend": [{"day": "2026-11-20", "service": "Cloud Dataflow", "amount": 30.0}]})
    assert [row["job"] for row in rest.rows(BY_JOB, *parameters()[1:])] == [JOB]
    rest.world.apply({"scenario": "doubled_job"})
    rest.world.apply({"spend": [{"day": "2026-11-20", "service": "Cloud Dataflow", "amount": 80.0}]})
    rows = rest.rows(BY_JOB, *parameters()[1:])
    assert len(rows) == 2
    assert sum(row["cost"] for row in rows) == pytest.approx(80.0)


def test_today_is_the_billing_day_in_the_night_between_utc_and_pacific_midnight(rest: Rest) -> None:
    rest.clock.go(17 * 3600)  # 03:00 UTC of the 21st is the evening of the 20th in California
    rest.world.apply({"spend": [{"day": "today", "service": "Cloud Dataflow", "amount": 61.5}]})
    found = {row["service"]: row["net_today"] for row in rest.rows(BY_SERVICE, *parameters())}
    assert found["Cloud Dataflow"] == pytest.approx(61.5)
