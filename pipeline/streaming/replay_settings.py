"""What a replay on Dataflow is told: the parameters of its template, and back again.  Pure: no Beam.

The names are those of the command line, of the template's parameters and of ``template/replay_metadata.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.catalogue import EVENT_TYPES, Pipeline
from pipeline.errors import ConfigError

REQUIRED: Final = ("project_id", "dead_letter_subscription", "topics", "replay_id")
OPTIONAL: Final = ("name", "watched_region", "watched_job", "dataset", "bigtable", "rule", "rate", "shards")
MOST_SHARDS: Final = 64
_MOST_RATE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """``rate`` is for all shards together, messages a second, 0 without a cap."""

    pipeline: Pipeline
    replay_id: str
    rule: str | None = None
    rate: int = 0
    shards: int = 1


def parameters(
    pipeline: Pipeline, replay_id: str, rule: str | None, rate: int, shards: int
) -> dict[str, str]:
    """What the template is given; empty ones are left out."""
    topics = {kind: pipeline.topic_of(kind) for kind in EVENT_TYPES}
    given = {
        "name": pipeline.name,
        "project_id": pipeline.project,
        "watched_region": pipeline.region,
        "watched_job": pipeline.job_name,
        "dead_letter_subscription": pipeline.dead_letter_subscription,
        "topics": ",".join(f"{kind}={topic}" for kind, topic in topics.items() if topic),
        "dataset": pipeline.dataset,
        "bigtable": f"{pipeline.bigtable_instance}/{pipeline.bigtable_table}"
        if pipeline.bigtable_table
        else "",
        "replay_id": replay_id,
        "rule": rule or "",
        "rate": str(rate),
        "shards": str(shards),
    }
    return {name: value for name, value in given.items() if value}


def read(given: Mapping[str, str | None]) -> ReplaySettings:
    """Settings from texts; ConfigError with every mistake.  None and "" count as not given."""
    values = {name: str(value).strip() for name, value in given.items() if value}
    mistakes = [f"{name} is needed" for name in REQUIRED if not values.get(name)]
    mistakes += [f"unknown option {name!r}" for name in values if name not in (*REQUIRED, *OPTIONAL)]
    topics: dict[str, str] = {}
    for pair in filter(None, values.get("topics", "").split(",")):
        kind, _, topic = pair.partition("=")
        if kind not in EVENT_TYPES or not topic:
            mistakes.append(f"topics is TYPE=TOPIC, with a type of {', '.join(EVENT_TYPES)}, not {pair!r}")
        topics[kind] = topic
    instance, slash, table = values.get("bigtable", "").partition("/")
    if bool(instance) != bool(slash and table):
        mistakes.append(f"bigtable is INSTANCE/TABLE, not {values['bigtable']!r}")
    rate = _whole("rate", values.get("rate", "0"), 0, _MOST_RATE, mistakes)
    shards = _whole("shards", values.get("shards", "1"), 1, MOST_SHARDS, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    pipeline = Pipeline(
        name=values.get("name", "replay"),
        project=values["project_id"],
        region=values.get("watched_region", ""),
        job_name=values.get("watched_job", ""),
        topics=tuple(topics.values()),
        topic_by_event=topics,
        dead_letter_subscription=values["dead_letter_subscription"],
        dataset=values.get("dataset", ""),
        bigtable_instance=instance,
        bigtable_table=table,
    )
    return ReplaySettings(
        pipeline=pipeline,
        replay_id=values["replay_id"],
        rule=values.get("rule"),
        rate=rate,
        shards=shards,
    )


def _whole(name: str, text: str, least: int, most: int, mistakes: list[str]) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    mistakes.append(f"{name} is a whole number from {least} to {most}, not {text!r}")
    return least
