"""With STREAMWATCH_REQUIRE_ALL=1 a skip is a failure, unless tests/expected_skips.txt lists it with its reason.

Generated examples are the same in every run, so that a red run is about the change at hand; the long form
(STREAMWATCH_LONG=1, `make chaos`) draws new ones.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("searching" if os.environ.get("STREAMWATCH_LONG") == "1" else "repeatable")

EXPECTED = Path(__file__).parent / "expected_skips.txt"


def expected_skips(text: str) -> list[tuple[str, str]]:
    """(beginning of a node id, reason) for each line that is neither empty nor a comment."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.rpartition(": ") for line in lines if line and not line.startswith("#"))
    return [(start.strip(), reason.strip()) for start, _, reason in pairs]


def is_expected(node_id: str, reason: str, expected: list[tuple[str, str]]) -> bool:
    """Whether this skip is listed: the whole file or test it names, and exactly its reason."""
    return any(
        reason == wanted and (node_id == start or node_id.startswith((start + "::", start + "[")))
        for start, wanted in expected
    )


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("STREAMWATCH_REQUIRE_ALL") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = _reason(report)
    if is_expected(report.nodeid, reason, expected_skips(EXPECTED.read_text(encoding="utf-8"))):
        return
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid} was skipped ({reason}), STREAMWATCH_REQUIRE_ALL=1 is set, and "
        f"tests/{EXPECTED.name} does not list this skip"
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Every report of a test, after pytest's own plugins made a skip of it."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Files that skip themselves as a whole."""
    report = yield
    _judge(report)
    return report
