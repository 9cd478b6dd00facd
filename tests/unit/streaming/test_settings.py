"""Options: every mistake at once, the same names everywhere, and nothing that loads Beam before it is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.catalogue import Pipeline, load
from pipeline.errors import ConfigError
from pipeline.streaming import run
from pipeline.streaming.options import StreamOptions, without_state_cache
from pipeline.streaming.settings import DEFAULTS, read, template_parameters

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "pipeline" / "streaming" / "template"
GOOD = {
    "click_subscription": "projects/demo-project/subscriptions/clicks-sub",
    "transaction_subscription": "projects/demo-project/subscriptions/transactions-sub",
    "stock_subscription": "projects/demo-project/subscriptions/stock-sub",
    "dead_letter_topic": "projects/demo-project/topics/dead-letter",
    "dataset": "demo-project.ecommerce",
}


def test_every_mistake_is_told_at_once() -> None:
    given = GOOD | {
        "click_subscription": "projects/demo-project/topics/clicks",
        "stock_subscription": GOOD["transaction_subscription"],
        "dataset": "ecommerce",
        "click_window_s": "soon",
        "dedup_s": "1",
        "outputs": "x",
    }
    with pytest.raises(ConfigError) as told:
        read(given)
    text = "\n".join(told.value.mistakes)
    for part in (
        "click_subscription is",
        "are the same subscription",
        "dataset is",
        "click_window_s is a whole",
    ):
        assert part in text
    assert "dedup_s is from 60" in text
    assert "unknown option 'outputs'; did you mean output_dir?" in text
    assert len(told.value.mistakes) == 6


def test_windows_are_the_documented_ones_unless_told_otherwise() -> None:
    settings = read(GOOD)
    assert [settings.window_s(one) for one in ("click", "transaction", "stock")] == [60, 300, 300]
    assert settings.allowed_lateness_s == 3600


def test_the_command_line_is_read_into_the_same_settings() -> None:
    words = [f"--{name}={value}" for name, value in GOOD.items()] + ["--click_window_s=30"]
    settings = StreamOptions(words).settings()
    assert settings == read(GOOD | {"click_window_s": 30})


def test_a_wrong_command_line_ends_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--dataset=nowhere", "--runner=DataflowRunner"]) == 2
    said = capsys.readouterr().err
    assert said.count("Error: ") == 5
    assert "dataset is PROJECT.DATASET" in said


def test_the_template_declares_exactly_the_settings() -> None:
    metadata = json.loads((TEMPLATE / "metadata.json").read_text())
    declared = {one["name"]: one for one in metadata["parameters"]}
    assert set(declared) == set(DEFAULTS)
    for name, value in GOOD.items():
        assert not declared[name]["isOptional"]
        assert re.fullmatch(declared[name]["regexes"][0], value)
    assert all(one["isOptional"] for name, one in declared.items() if name not in GOOD)


def test_the_image_starts_a_file_that_exists() -> None:
    text = (TEMPLATE / "Dockerfile").read_text()
    started = re.search(r"FLEX_TEMPLATE_PYTHON_PY_FILE=/template/(\S+)", text)
    assert started
    assert (ROOT / started.group(1)).is_file()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())


def test_the_shipped_pipelines_file_is_enough_for_a_launch() -> None:
    parameters = template_parameters(load(ROOT / "runbooks" / "pipelines.yaml").find())
    assert GOOD.items() <= parameters.items()
    assert read(parameters).bigtable == "demo-project/ecommerce/product_stats"


def test_a_pipeline_that_names_too_little_is_told_what_is_missing() -> None:
    with pytest.raises(ConfigError) as told:
        read(
            template_parameters(Pipeline(name="bare", project="demo-project", subscriptions=("clicks-sub",)))
        )
    assert {text.split()[0] for text in told.value.mistakes} == {
        "transaction_subscription",
        "stock_subscription",
        "dead_letter_topic",
        "dataset",
    }


def test_the_cache_of_state_is_off() -> None:
    options = without_state_cache(StreamOptions([]))
    assert options.get_all_options()["max_cache_memory_usage_mb"] == 0


@pytest.mark.parametrize("module", ["bot.app", "pipeline.__main__", "pipeline.streaming.launch"])
def test_beam_is_not_loaded_before_a_local_run(module: str) -> None:
    code = f"import sys, {module}; print('apache_beam' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
