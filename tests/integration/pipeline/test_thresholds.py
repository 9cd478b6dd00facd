"""The team's policy file decides how grave a measurement is, in the terminal and in the bot."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import furnish
from bot.settings import ConfigError, Settings
from pipeline.catalogue import load
from pipeline.charts import charts
from pipeline.operations import Plan
from pipeline.report import Severity
from tests.unit.pipeline.test_events import CLICK

from .conftest import Stand
from .test_dead_letters import envelope


@pytest.mark.parametrize(
    ("facts", "severity", "finding"),
    [
        ("{}", "warning", "error_rate_high"),
        ("{error_rate: {warning: 40%}}", "ok", "few_errors"),
        ("{error_rate: {critical: 20%}}", "critical", "error_rate_critical"),
        ("{error_rate: {received: 100000}}", "info", "few_events"),
    ],
)
def test_the_policy_file_decides_how_grave_an_error_rate_is(
    stand: Stand, facts: str, severity: Severity, finding: str
) -> None:
    stand.happen({"scenario": "rule_violation"}, minutes=8)
    (stand.catalogue_file.parent / "escalation.yaml").write_text(f"facts: {facts}\n", encoding="utf-8")
    desk = replace(stand, ctx=replace(stand.ctx, pipeline=load(stand.catalogue_file).find()))
    for operation in ("pipeline.health", "pipeline.quality"):
        report = desk.read(operation)
        found = next(one for one in report.findings if one.id == finding)
        assert found.severity == severity, report.verdict


def test_the_policy_file_decides_what_is_slow_and_how_long_a_rate_is(stand: Stand) -> None:
    stand.happen({"scenario": "slow_sink"}, minutes=5)
    assert stand.read("pipeline.health").severity == "info"
    text = "facts: {degraded: {lag: 1m}, error_rate: {window: 2m}}\n"
    (stand.catalogue_file.parent / "escalation.yaml").write_text(text, encoding="utf-8")
    desk = replace(stand, ctx=replace(stand.ctx, pipeline=load(stand.catalogue_file).find()))
    report = desk.read("pipeline.health")
    assert report.severity == "warning"
    assert any("events in 2 min are invalid" in one.text for one in report.findings)


def test_plans_queues_and_charts_take_their_numbers_from_the_policy_file(stand: Stand) -> None:
    stand.happen({}, minutes=10)
    stand.dead_letters(envelope(CLICK | {"page_type": "x"}))
    stand.happen({}, minutes=2)
    shipped = received(stand.plan("pipeline.loadtest"))
    text = "facts: {error_rate: {window: 2m}, data_loss: {warning: 8d}, resources: {cpu: 50%}}\n"
    (stand.catalogue_file.parent / "escalation.yaml").write_text(text, encoding="utf-8")
    desk = replace(stand, ctx=replace(stand.ctx, pipeline=load(stand.catalogue_file).find()))
    assert 0.8 * shipped < received(desk.plan("pipeline.loadtest")) < 1.2 * shipped
    assert "during the last 2 min" in " ".join(desk.plan("pipeline.cancel").effects)
    (clock,) = (one for one in desk.read("dlq.stats").findings if one.id == "deletion_clock")
    assert clock.severity == "warning"
    drawn = {
        title: lines for title, _, lines in charts(replace(desk.ctx.pipeline, bigtable_instance="ecommerce"))
    }
    assert "Error rate: invalid by received, 2 min" in drawn
    assert drawn["Bigtable: load of the nodes"] == [0.5]


def received(plan: Plan) -> float:
    """What a load test's plan says that the pipeline gets now, a second."""
    return float(plan.summary.partition("it receives ")[2].partition(" ")[0].replace(",", ""))


def test_the_bot_judges_by_its_policy_file(tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    shutil.copytree("runbooks", folder)
    policy = folder / "escalation.yaml"
    policy.write_text(policy.read_text().replace("{warning: 10%,", "{warning: 40%,"), encoding="utf-8")
    settings = Settings(slack_bot_token="xoxb-1", slack_signing_secret="s", runbooks_dir=folder)
    house = furnish(settings)
    assert [one.limits.error_warning for one in house.pipelines] == [0.4]
    assert house.policy.thresholds.error_rate_warning == 0.4


def test_a_wrong_number_is_told_once_by_the_bot(tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    shutil.copytree("runbooks", folder)
    policy = folder / "escalation.yaml"
    policy.write_text(policy.read_text().replace("{warning: 10%,", "{warning: often,"), encoding="utf-8")
    settings = Settings(slack_bot_token="xoxb-1", slack_signing_secret="s", runbooks_dir=folder)
    with pytest.raises(ConfigError) as caught:
        furnish(settings)
    assert str(caught.value).count("often") == 1
