"""The pipelines that run in the world, read from the same pipelines.yaml that the bot reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

EVENT_TYPES = ("click", "transaction", "stock")
DEFAULT_PROJECT = "demo-project"
DEFAULT_REGION = "europe-west1"
DEFAULT_DATASET = "ecommerce"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSpec:
    """One event type's way into a pipeline: topic and subscription are short names."""

    event_type: str
    topic: str
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """What of a pipeline the world has to play."""

    name: str
    project: str
    region: str
    job_name: str
    template: str
    replay_template: str
    lanes: tuple[LaneSpec, ...]
    dead_letter_topic: str
    dead_letter_subscription: str
    budgets: tuple[str, ...]
    dataset: str = DEFAULT_DATASET
    bigtable_instance: str = ""
    bigtable_table: str = ""
    exported: bool = False


def default_file() -> Path:
    """pipelines.yaml under RUNBOOKS_DIR, or under ./runbooks."""
    return Path(os.environ.get("RUNBOOKS_DIR") or "runbooks") / "pipelines.yaml"


def load(path: Path) -> tuple[PipelineSpec, ...]:
    """Read the file. Raises ValueError with the file's name when it cannot be understood."""
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError) as error:
        raise ValueError(f"{path}: {error}") from error
    entries = document.get("pipelines") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list under 'pipelines'")
    return tuple(_pipeline(entry, f"{path}: pipeline {number}") for number, entry in enumerate(entries, 1))


def _pipeline(entry: Any, where: str) -> PipelineSpec:
    if not isinstance(entry, dict) or not entry.get("name"):
        raise ValueError(f"{where}: expected a mapping with a name")
    name = str(entry["name"])
    dead_letter = entry.get("dead_letter") or {}
    bigquery = entry.get("bigquery") or {}
    bigtable = entry.get("bigtable") or {}
    return PipelineSpec(
        name=name,
        project=str(entry.get("project") or DEFAULT_PROJECT),
        region=str(entry.get("region") or DEFAULT_REGION),
        job_name=str(entry.get("job_name") or name),
        template=str(entry.get("template") or ""),
        replay_template=str(entry.get("replay_template") or ""),
        lanes=_lanes(entry.get("topics") or [], [str(s) for s in entry.get("subscriptions") or []]),
        dead_letter_topic=str(dead_letter.get("topic") or "dead-letter"),
        dead_letter_subscription=str(dead_letter.get("subscription") or "dead-letter-sub"),
        budgets=tuple(str(budget) for budget in entry.get("budgets") or ()),
        dataset=str(bigquery.get("dataset") or DEFAULT_DATASET),
        bigtable_instance=str(bigtable.get("instance") or ""),
        bigtable_table=str(bigtable.get("table") or ""),
        exported=bool(entry.get("export")),
    )


def _lanes(topics: Any, subscriptions: list[str]) -> tuple[LaneSpec, ...]:
    named = (
        [(str(kind), str(topic)) for kind, topic in topics.items()]
        if isinstance(topics, Mapping)
        else [(_event_type(str(topic)), str(topic)) for topic in topics]
    )
    return tuple(
        LaneSpec(event_type=kind, topic=topic, subscription=_subscription(topic, index, subscriptions))
        for index, (kind, topic) in enumerate(named)
    )


def _event_type(topic: str) -> str:
    return next((kind for kind in EVENT_TYPES if topic.startswith(kind)), topic)


def _subscription(topic: str, index: int, subscriptions: list[str]) -> str:
    matching = [name for name in subscriptions if name.startswith(topic)]
    if matching:
        return matching[0]
    return subscriptions[index] if index < len(subscriptions) else f"{topic}-sub"
