"""The environment: what is there passes, what is missing fails with the command that mends it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from pipeline.checks import Failed, Probe, made
from pipeline.errors import Denied, Missing
from pipeline.google import environment

from .conftest import Stand


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
    assert found["quota"][0] == "unknown"
    assert found["quota"][2].startswith("gcloud compute regions describe europe-west1")


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


@contextmanager
def bigquery_with(datasets: dict[str, list[str]]) -> Iterator[Any]:
    """BigQuery's own client on a server that knows these tables of datasets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("/datasets/")[2].partition("?")[0]
            dataset, _, rest = name.partition("/")
            body: dict[str, Any]
            reference = {"projectId": "demo-project", "datasetId": dataset}
            if dataset not in datasets:
                status, body = 404, {"error": {"code": 404, "message": f"Not found: Dataset {dataset}"}}
            elif rest.startswith("tables"):
                tables = [{"tableReference": {**reference, "tableId": table}} for table in datasets[dataset]]
                status, body = 200, {"tables": tables, "totalItems": len(tables)}
            else:
                status, body = 200, {"datasetReference": reference}
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = bigquery.Client(
        project="demo-project",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
    )
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_dataset_is_looked_at_through_bigquerys_own_client(stand: Stand) -> None:
    pipeline = replace(stand.ctx.pipeline, dataset="ecommerce")
    with bigquery_with({"ecommerce": ["sales_summary", "events"], "empty": []}) as client:
        assert environment.tables(client, pipeline, 5.0) == "2 tables: events, sales_summary"
        with pytest.raises(Failed, match="no table"):
            environment.tables(client, replace(pipeline, dataset="empty"), 5.0)
        with pytest.raises(Missing):
            environment.tables(client, replace(pipeline, dataset="absent"), 5.0)


def test_an_api_that_is_off_in_the_world_is_named_with_its_command(stand: Stand) -> None:
    stand.world.usage.switch("logging.googleapis.com", on=False)
    report = stand.read("pipeline.validate")
    assert report.severity == "critical"
    assert "Logging API" in report.verdict
    result, text, command = rows(stand)["Logging API"]
    assert (result, text) == ("fail", "the API logging.googleapis.com is not enabled")
    assert command == "gcloud services enable logging.googleapis.com --project demo-project"
