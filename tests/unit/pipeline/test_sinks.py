"""What the sinks refuse, and a sink that takes nothing of what is valid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.google.quotas import Quota
from pipeline.operations.health import Beside, report
from pipeline.report import Finding, Severity
from pipeline.resources import constraint
from pipeline.sinks import Rate, Sinks, health_findings

from .test_rules import NOW, WELL, counters, job

FLOWING = Sinks(rows=Rate(3.0, 2.9), requests=Rate(3.0, 2.9), errors=0.0)


def quota(used: float, limit: float = 24) -> Quota:
    return Quota(name="compute.googleapis.com/cpus", limit_name="CPUS", used=used, limit=limit, at=NOW)


def found(sinks: Sinks, sink_failed: float = 0.0, valid: float = 1000) -> dict[str, Finding]:
    measured = replace(WELL, counters=replace(counters(valid), sink_failed=sink_failed))
    return {one.id: one for one in health_findings(measured, sinks)}


def test_what_flows_is_told_with_nothing_refused() -> None:
    told = found(FLOWING)
    assert set(told) == {"sinks"}
    assert told["sinks"].text == (
        "Sinks: 3.0 rows a second into BigQuery, 3.0 requests a second to Bigtable; nothing refused."
    )


@pytest.mark.parametrize(
    ("refused", "errors", "level"), [(3, 0, "info"), (0, 2, "info"), (90, 20, "warning")]
)
def test_refused_writes_count_by_their_share(refused: float, errors: float, level: Severity) -> None:
    told = found(replace(FLOWING, errors=errors), sink_failed=refused)
    assert told["sink_errors"].severity == level
    assert told["sink_errors"].evidence[0].value == refused + errors
    assert "nothing refused" not in told["sinks"].text


@pytest.mark.parametrize(
    ("rate", "valid", "stands"), [(0.0, 1000, True), (0.1, 1000, False), (0.0, 50, False)]
)
def test_a_sink_that_takes_nothing_of_much_stands(rate: float, valid: float, stands: bool) -> None:
    told = found(Sinks(rows=Rate(rate)), valid=valid)
    assert ("sink_stands" in told) is stands
    assert not stands or told["sink_stands"].severity == "warning"


def test_without_a_measurement_nothing_is_said() -> None:
    assert found(Sinks()) == {}


@pytest.mark.parametrize(
    ("quotas", "on"),
    [(None, None), ((), None), ((quota(4),), False), ((quota(22),), True), ((quota(24),), True)],
)
def test_a_resource_is_constrained_from_nine_tenths_of_its_quota(
    quotas: tuple[Quota, ...] | None, on: bool | None
) -> None:
    assert constraint(WELL, quotas).on is on


def test_a_full_quota_explains_a_stop_and_alarms_nobody_by_itself() -> None:
    full = Beside(quotas=(quota(24),))
    assert report("orders", WELL, full).severity == "ok"
    stopped = replace(WELL, jobs=(job("FAILED"),))
    assert "(resource issue, quota cpus)" in report("orders", stopped, full).verdict
