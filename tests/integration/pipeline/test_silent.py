"""A Google that takes every connection and never says a word: the answer comes, and names what is not known."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.google.clients import Clients, GoogleSettings
from pipeline.operations import Context, ReadOperation, get
from pipeline.report import Report
from tests.integration.pipeline.conftest import Stand
from tests.integration.sandbox_google.google import PROJECT

PATIENCE_S = 0.5


@pytest.fixture
def unanswered(stand: Stand) -> Iterator[Context]:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = GoogleSettings(
            project=PROJECT, region="europe-west1", endpoint=address, rest=f"http://{address}"
        )
        with Clients(settings) as clients:
            yield replace(stand.ctx, clients=clients, deadline_s=PATIENCE_S)


def _read(name: str, ctx: Context) -> Report:
    operation = get(name)
    assert isinstance(operation, ReadOperation)
    return operation.read(ctx, {})


def test_health_says_at_once_what_could_not_be_read(unanswered: Context) -> None:
    report = _read("pipeline.health", unanswered)
    assert report.severity == "unknown"
    assert "cannot be judged" in report.verdict
    assert "; not measured: jobs, living jobs, system lag and" in report.verdict
    silent = [finding.text for finding in report.findings if finding.text.startswith("Not measured")]
    assert [text for text in silent if "watermark" in text and "event counters" in text], (
        "one reason, told once"
    )


def test_validate_makes_every_check_though_none_is_answered(unanswered: Context) -> None:
    report = _read("pipeline.validate", unanswered)
    assert report.severity == "unknown"
    results = {str(row[0]): row[1] for row in report.tables[0].rows}
    assert {name for name, result in results.items() if result == "pass"} == {"credentials"}
    assert report.data["failed"] == 0
    assert {"template", "Dataflow API", "Monitoring API", "Logging API"} <= results.keys()
