"""The numbers of the rules come out of the policy file; what is no number is told by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.documents.loading import load_limits
from bot.documents.mistakes import DocumentErrors
from pipeline.catalogue import load as load_pipelines
from pipeline.errors import ConfigError
from pipeline.thresholds import SHIPPED, Thresholds, load

PIPELINES = "pipelines:\n  - {name: orders, project: demo-project, region: europe-west1}\n"
POLICY = """\
ladder: {L2: 2h}
facts:
  error_rate: {warning: 40%, critical: 0.9, received: 7, window: 1m30s}
  degraded: {lag: 2h}
  data_loss:
    warning: 1d
"""
READ = Thresholds(
    error_warning=0.4,
    error_critical=0.9,
    least_received=7,
    rate_s=90,
    system_lag_s=7200,
    deletion_warning_s=86_400,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "escalation.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_the_file_says_counts_and_the_rest_is_as_shipped(tmp_path: Path) -> None:
    path = write(tmp_path, POLICY)
    assert load(path) == READ
    assert load_limits(path) == READ, "the bot reads the same out of it"


@pytest.mark.parametrize("text", ["", "ladder: {L2: 2h}\n", "facts:\n", "facts: {sample_age: 2h}\n"])
def test_a_silent_file_leaves_the_shipped_numbers(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, text)) == SHIPPED


def test_without_a_file_the_shipped_numbers_hold(tmp_path: Path) -> None:
    assert load(tmp_path / "escalation.yaml") == SHIPPED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "facts:\n  error_rate:\n    warning: often\n",
            "escalation.yaml:3: facts.error_rate.warning: “often”",
        ),
        ("facts:\n  error_rate: {received: 0}\n", "a whole number"),
        ("facts:\n  down: {stalled: 10}\n", "a duration from 1s to 30d"),
        ("facts:\n  degraded: {lag: 31d}\n", "a duration from 1s to 30d"),
        ("facts: {error_rate: {warning: 0%}}\n", "a share"),
        ("facts: [\n", "not YAML"),
    ],
)
def test_a_value_that_is_none_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    with pytest.raises(DocumentErrors):
        load_limits(path)


def test_every_mistake_of_both_files_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "facts: {error_rate: {warning: often, received: none}}\n")
    pipelines = tmp_path / "pipelines.yaml"
    pipelines.write_text(PIPELINES.replace("region", "regin"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_pipelines(pipelines)
    assert len([one for one in caught.value.mistakes if "escalation.yaml" in one]) == 2
    assert any("pipelines.yaml" in one for one in caught.value.mistakes)


def test_a_pipeline_carries_the_thresholds_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path, POLICY)
    pipelines = tmp_path / "pipelines.yaml"
    pipelines.write_text(PIPELINES, encoding="utf-8")
    assert load_pipelines(pipelines).find().limits == READ
    assert load_pipelines(pipelines, limits=SHIPPED).find().limits == SHIPPED
