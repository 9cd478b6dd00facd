"""pipelines.yaml: read as a person wrote it, wrong in all places at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalogue import Catalogue, load
from pipeline.errors import ConfigError, UsageError

GOOD = """\
pipelines:
  - name: orders
    region: europe-west1
    job_name: ecommerce-streaming
    topics: [clicks, transactions, stock]
    subscriptions: [clicks-sub]
    dead_letter: {topic: dead-letter, subscription: dead-letter-sub}
    bigquery: {dataset: ecommerce}
    bigtable: {instance: ecommerce, table: product_stats}
    budgets: [orders-monthly]
    export: null
  - name: trial
    environment: staging
    project: other
    region: us-east1
    job_name: trial
    topics: {click: web, stock: stores}
"""


def read(tmp_path: Path, text: str) -> Catalogue:
    file = tmp_path / "pipelines.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, "demo-project")


def test_a_good_file(tmp_path: Path) -> None:
    catalogue = read(tmp_path, GOOD)
    orders, trial = catalogue.pipelines
    assert orders.project == "demo-project"
    assert orders.is_production
    assert not trial.is_production
    assert trial.topics == ("web", "stores")
    assert trial.topic_of("click") == "web"
    assert trial.topic_of("transaction") is None
    assert orders.resources() >= {
        ("job_name", "ecommerce-streaming"),
        ("topic_id", "dead-letter"),
        ("subscription_id", "clicks-sub"),
        ("instance", "ecommerce"),
        ("dataset_id", "ecommerce"),
        ("table_id", "product_stats"),
    }
    assert catalogue.find("trial") is trial
    with pytest.raises(UsageError, match="orders, trial"):
        catalogue.find(None)
    with pytest.raises(UsageError, match="Did you mean orders"):
        catalogue.find("order")


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
pipelines:
  - name: orders
    regoin: x
    job_name: 5
    topics: {clik: a}
    dead_letter: {topc: x}
    budgets: one
  - just text
extra: 1
"""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    told = "\n".join(caught.value.mistakes)
    for line, said in (
        (3, "regoin"),
        (4, "job_name"),
        (5, "clik"),
        (6, "topc"),
        (7, "budgets"),
        (8, "mapping"),
        (9, "extra"),
    ):
        assert any(f":{line}: " in one and said in one for one in caught.value.mistakes), (line, said, told)
    assert "did you mean `region`" in told


@pytest.mark.parametrize("text", ["", "pipelines: []", "- a", "pipelines: [", "pipelines: 3"])
def test_what_is_no_catalogue_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        read(tmp_path, text)


def test_a_missing_file_and_a_doubled_claim(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RUNBOOKS_DIR"):
        load(tmp_path / "none.yaml")
    twice = GOOD + GOOD.removeprefix("pipelines:\n").replace("name: orders", "name: second").replace(
        "name: trial", "name: t"
    )
    with pytest.raises(ConfigError, match="claimed by orders and second"):
        read(tmp_path, twice)
