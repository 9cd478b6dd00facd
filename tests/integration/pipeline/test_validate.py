"""The environment: what is there passes, what is missing fails with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.cloud import bigquery

from pipeline.checks import Probe, made
from pipeline.errors import Denied
from tests.integration.sandbox_google.google import PROJECT
from tests.integration.sandbox_google.rest import Rest

from .conftest import Stand
from .stores import TABLE, standing


def rows(stand: Stand) -> dict[str, tuple[str, str, str]]:
    report = stand.read("pipeline.validate")
    (table,) = report.tables
    assert len(table.columns) <= 5
    return {row[0]: (row[1], row[2], row[3]) for row in table.rows}


def test_a_healthy_environment_passes_and_names_what_cannot_be_seen(stand: Stand) -> None:
    report = stand.read("pipeline.validate")
    assert report.severity == "ok", report.verdict
    assert report.verdict.startswith("orders has what it needs")
    assert report.data["failed"] == 0
    found = rows(stand)
    for name in ("credentials", "project demo-project", "topic clicks", "topic dead-letter", "template"):
        assert found[name][0] == "pass", found[name]
    for name in ("subscription stock-sub", "subscription dead-letter-sub", "permission on dead-letter-sub"):
        assert found[name][0] == "pass", found[name]
    assert found["quota"][:2] == ("pass", "4 of 24 compute.googleapis.com/cpus used in europe-west1")
    assert found["enabled APIs"][0] == "unknown"
    assert "set GOOGLE_REST_ENDPOINT" in found["enabled APIs"][1]


def test_what_is_missing_is_named_first_with_its_command(stand: Stand) -> None:
    stand.ctx.clients.publisher.delete_topic(request={"topic": "projects/demo-project/topics/clicks"})
    report = stand.read("pipeline.validate")
    assert report.severity == "critical"
    assert "topic clicks" in report.verdict
    assert "subscription clicks-sub" in report.verdict
    found = rows(stand)
    assert found["topic clicks"][0] == "fail"
    assert found["topic clicks"][2] == "gcloud pubsub topics create clicks --project demo-project"
    assert "its topic was deleted" in found["subscription clicks-sub"][1]
    assert found["topic stock"][0] == "pass"


def test_a_subscription_on_the_wrong_topic_fails(stand: Stand) -> None:
    subscriber = stand.ctx.clients.subscriber
    path = "projects/demo-project/subscriptions/stock-sub"
    subscriber.delete_subscription(request={"subscription": path})
    subscriber.create_subscription(
        request={"name": path, "topic": "projects/demo-project/topics/dead-letter"}
    )
    assert "hangs on topic dead-letter" in rows(stand)["subscription stock-sub"][1]


def test_a_queue_of_dead_letters_that_google_may_delete_is_told(stand: Stand) -> None:
    subscriber = stand.ctx.clients.subscriber
    path = "projects/demo-project/subscriptions/dead-letter-sub"
    subscriber.delete_subscription(request={"subscription": path})
    assert rows(stand)["subscription dead-letter-sub"][2] == (
        "gcloud pubsub subscriptions create dead-letter-sub --topic dead-letter --expiration-period=never "
        "--project demo-project"
    )
    subscriber.create_subscription(
        request={"name": path, "topic": "projects/demo-project/topics/dead-letter"}
    )
    assert stand.read("pipeline.validate").severity == "warning"
    result, text, command = rows(stand)["expiry of dead-letter-sub"]
    assert (result, text) == (
        "fail",
        "Google deletes it when nobody reads it for 31 d; dead letters would have nowhere to wait",
    )
    assert command == (
        "gcloud pubsub subscriptions update dead-letter-sub --expiration-period=never --project demo-project"
    )
    subscriber.update_subscription(
        request={
            "subscription": {"name": path, "expiration_policy": {}},
            "update_mask": {"paths": ["expiration_policy"]},
        }
    )
    assert rows(stand)["expiry of dead-letter-sub"][:2] == ("pass", "never")


def test_a_template_that_is_not_there_fails_and_launches_nothing(stand: Stand) -> None:
    elsewhere = replace(stand.ctx.pipeline, template="gs://demo-project-templates/other.json")
    moved = replace(stand, ctx=replace(stand.ctx, pipeline=elsewhere))
    before = stand.read("pipeline.jobs").data["jobs"]
    assert rows(moved)["template"][0] == "fail"
    assert stand.read("pipeline.jobs").data["jobs"] == before


def test_permission_denied_is_a_fail_and_unreachable_is_unknown(stand: Stand) -> None:
    stand.happen({"errors": [{"method": "LaunchFlexTemplate", "code": "PERMISSION_DENIED", "count": 1}]})
    assert rows(stand)["template"][0] == "fail"
    stand.happen({"errors": [{"method": "GetTopic", "code": "RESOURCE_EXHAUSTED", "count": 1}]})
    report = stand.read("pipeline.validate")
    assert report.severity == "unknown"
    assert report.verdict.startswith("Whether orders has all it needs is not known: topic ")


def test_an_api_that_is_off_is_told_with_the_command_that_enables_it() -> None:
    def off() -> str:
        raise Denied("Pub/Sub API has not been used in project demo-project before or it is disabled")

    check = made(Probe(name="x", look=off, mend="no", api="pubsub.googleapis.com", project="demo-project"))
    assert check.result == "fail"
    assert check.command == "gcloud services enable pubsub.googleapis.com --project demo-project"


def test_an_api_that_is_off_in_the_world_is_named_with_its_command(stand: Stand) -> None:
    stand.world.usage.switch("logging.googleapis.com", on=False)
    report = stand.read("pipeline.validate")
    assert report.severity == "critical"
    assert "Logging API" in report.verdict
    result, text, command = rows(stand)["Logging API"]
    assert (result, text) == ("fail", "the API logging.googleapis.com is not enabled")
    assert command == "gcloud services enable logging.googleapis.com --project demo-project"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Stand, Rest]]:
    with standing(tmp_path) as made:
        yield made


def test_a_whole_environment_leaves_nothing_unknown(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    stand.happen({}, minutes=2)
    report = stand.read("pipeline.validate")
    assert (report.severity, report.data["failed"], report.data["unknown"]) == ("ok", 0, 0), report.verdict
    found = rows(stand)
    assert (
        found["table raw_events"][1]
        == "25 columns, by day of event_time, clustered by product_id, event_type"
    )
    assert (
        "dataflow-workers@demo-project.iam.gserviceaccount.com has the roles"
        in found["permissions of the workers"][1]
    )


def test_missing_stores_are_told_with_the_commands_that_make_them(both: tuple[Stand, Rest]) -> None:
    stand, rest = both
    rest.bigquery.delete_table(f"{PROJECT}.ecommerce.sales_summary")
    rest.bigquery.delete_table(f"{PROJECT}.ecommerce.inventory_summary")
    narrow = [bigquery.SchemaField("window_start", "TIMESTAMP")]
    rest.bigquery.create_table(bigquery.Table(f"{PROJECT}.ecommerce.inventory_summary", schema=narrow))
    next(iter(stand.world.bigtable.instances.values())).tables.pop(TABLE)
    report = stand.read("pipeline.validate")
    assert report.severity == "warning"
    found = rows(stand)
    result, _, command = found["table sales_summary"]
    assert result == "fail"
    assert (
        "CREATE TABLE IF NOT EXISTS `demo-project.ecommerce.sales_summary` (window_start TIMESTAMP NOT NULL"
        in command
    )
    assert command.endswith("PARTITION BY DATE(window_start) CLUSTER BY product_id'")
    result, text, command = found["table inventory_summary"]
    assert result == "fail"
    assert text.startswith("it lacks window_end, product_id, warehouse_id")
    assert "ADD COLUMN IF NOT EXISTS warehouse_id STRING" in command
    assert found["Bigtable table product_stats"][2] == (
        "cbt -project demo-project -instance ecommerce createtable product_stats families=stats:maxage=90d"
    )
    assert found["Bigtable ecommerce"][0] == "pass"


def test_what_the_account_in_use_lacks_is_named_with_the_role(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    stand.world.iam.lacking |= {
        "dataflow.jobs.create",
        "bigquery.tables.updateData",
        "bigtable.tables.mutateRows",
    }
    found = rows(stand)
    own = found["permissions of roles/dataflow.developer"]
    assert own[:2] == ("fail", "the account in use lacks dataflow.jobs.create")
    assert own[2].endswith("--role roles/dataflow.developer")
    assert found["permission on raw_events"][:2] == (
        "fail",
        "the account in use lacks bigquery.tables.updateData",
    )
    assert found["permission on product_stats"][0] == "fail"


def test_workers_without_their_role_fail_and_without_another_are_not_sure(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    stand.world.iam.roles.discard("roles/bigtable.user")
    result, text, command = rows(stand)["permissions of the workers"]
    assert (result, "roles/bigtable.user" in text) == ("unknown", True)
    assert command.endswith(
        "dataflow-workers@demo-project.iam.gserviceaccount.com --role roles/bigtable.user"
    )
    stand.world.iam.roles.discard("roles/dataflow.worker")
    assert rows(stand)["permissions of the workers"][0] == "fail"
    stand.world.iam.roles.add("roles/editor")
    assert rows(stand)["permissions of the workers"][0] == "pass"


def test_apis_that_are_off_are_enabled_by_one_command(both: tuple[Stand, Rest]) -> None:
    stand, _ = both
    for name in ("storage.googleapis.com", "bigtable.googleapis.com"):
        stand.world.usage.switch(name, on=False)
    result, _, command = rows(stand)["enabled APIs"]
    assert result == "fail"
    assert command == (
        "gcloud services enable bigtable.googleapis.com storage.googleapis.com --project demo-project"
    )


def test_a_quota_that_is_used_up_fails_with_the_request_for_more(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed", "cause": "quota"}, minutes=1)
    result, text, command = rows(stand)["quota"]
    assert (result, text) == ("fail", "24 of 24 compute.googleapis.com/cpus used in europe-west1")
    assert "--quota-id=CPUS-per-project-region --preferred-value=48" in command
