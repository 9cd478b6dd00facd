"""What the pipeline can be told, checked in one go.  Pure: no Beam, so that a launch can check first.

The names are those of the command line, of the flex template's parameters and of
``template/metadata.json``; a test holds the three together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from pipeline.catalogue import EVENT_TYPES, Pipeline
from pipeline.errors import ConfigError

_PROJECT: Final = r"[a-z][a-z0-9.:-]{4,61}[a-z0-9]"
_RESOURCE: Final = r"[A-Za-z][A-Za-z0-9._~%+-]{2,254}"
_SUBSCRIPTION: Final = re.compile(rf"^projects/{_PROJECT}/subscriptions/{_RESOURCE}$")
_TOPIC: Final = re.compile(rf"^projects/{_PROJECT}/topics/{_RESOURCE}$")
_DATASET: Final = re.compile(rf"^{_PROJECT}\.\w{{1,1024}}$")
_TABLE: Final = re.compile(rf"^{_PROJECT}/[a-z][a-z0-9-]{{4,31}}[a-z0-9]/[A-Za-z0-9_.-]{{1,50}}$")
FORMATS: Final = ("jsonl", "parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One pipeline's settings.  Names are full ones; empty means: not there.

    ``dataset`` is PROJECT.DATASET, ``bigtable`` PROJECT/INSTANCE/TABLE.  Without ``dataset`` rows go
    to files below ``output_dir``.  Windows, lateness and the memory of duplicates are in seconds.
    """

    click_subscription: str = ""
    transaction_subscription: str = ""
    stock_subscription: str = ""
    dead_letter_topic: str = ""
    dataset: str = ""
    bigtable: str = ""
    output_dir: str = ""
    output_format: str = "jsonl"
    click_window_s: int = 60
    transaction_window_s: int = 300
    stock_window_s: int = 300
    allowed_lateness_s: int = 3600
    late_pane_s: int = 0
    dedup_s: int = 86_400
    sink_patience_s: int = 60
    code_version: str = "unversioned"

    def subscription(self, event_type: str) -> str:
        return str(getattr(self, f"{event_type}_subscription"))

    def window_s(self, event_type: str) -> int:
        return int(getattr(self, f"{event_type}_window_s"))


_RANGES: Final = {
    "click_window_s": (1, 86_400),
    "transaction_window_s": (1, 86_400),
    "stock_window_s": (1, 86_400),
    "allowed_lateness_s": (0, 7 * 86_400),
    "late_pane_s": (0, 3600),
    "dedup_s": (60, 7 * 86_400),
    "sink_patience_s": (1, 3600),
}
DEFAULTS: Final[dict[str, str | int]] = {one.name: getattr(Settings(), one.name) for one in fields(Settings)}


def read(given: Mapping[str, object], *, need_sources: bool = True) -> Settings:
    """Settings from texts or numbers; ConfigError with every mistake.  None counts as not given.

    ``need_sources`` False: the events come from elsewhere (a batch run, a test).
    """
    mistakes = [_unknown(name) for name in given if name not in DEFAULTS]
    values: dict[str, str | int] = {}
    for name, default in DEFAULTS.items():
        raw = given.get(name)
        if raw is None:
            values[name] = default
        elif isinstance(default, int):
            values[name] = _whole(name, raw, mistakes)
        else:
            values[name] = str(raw).strip()
    settings = Settings(**values)  # type: ignore[arg-type]
    mistakes += _mistakes(settings, need_sources)
    if mistakes:
        raise ConfigError(mistakes)
    return settings


def template_parameters(pipeline: Pipeline) -> dict[str, str]:
    """What ``pipelines.yaml`` tells the template about a pipeline; :func:`read` says what is missing.

    A subscription belongs to the event type that its name starts with, as a topic does.
    """
    project = pipeline.project
    out: dict[str, str] = {}
    for event_type in EVENT_TYPES:
        name = next((one for one in pipeline.subscriptions if one.startswith(event_type)), None)
        if name is not None:
            out[f"{event_type}_subscription"] = f"projects/{project}/subscriptions/{name}"
    if pipeline.dead_letter_topic:
        out["dead_letter_topic"] = f"projects/{project}/topics/{pipeline.dead_letter_topic}"
    if pipeline.dataset:
        out["dataset"] = f"{project}.{pipeline.dataset}"
    if pipeline.bigtable_instance and pipeline.bigtable_table:
        out["bigtable"] = f"{project}/{pipeline.bigtable_instance}/{pipeline.bigtable_table}"
    return out


def _mistakes(settings: Settings, need_sources: bool) -> list[str]:
    found: list[str] = []
    named: dict[str, str] = {}
    for event_type in EVENT_TYPES:
        name = f"{event_type}_subscription"
        value = settings.subscription(event_type)
        if not value and not need_sources:
            continue
        if not _SUBSCRIPTION.match(value):
            found.append(f"{name} is projects/PROJECT/subscriptions/NAME, not {value!r}")
        elif value in named:
            found.append(
                f"{name} and {named[value]} are the same subscription; each message goes to one only"
            )
        named.setdefault(value, name)
    if (settings.dead_letter_topic or need_sources) and not _TOPIC.match(settings.dead_letter_topic):
        found.append(f"dead_letter_topic is projects/PROJECT/topics/NAME, not {settings.dead_letter_topic!r}")
    if settings.dataset and not _DATASET.match(settings.dataset):
        found.append(f"dataset is PROJECT.DATASET, not {settings.dataset!r}")
    if settings.bigtable and not _TABLE.match(settings.bigtable):
        found.append(f"bigtable is PROJECT/INSTANCE/TABLE, not {settings.bigtable!r}")
    if need_sources and not settings.dataset and not settings.output_dir:
        found.append("dataset or output_dir is needed: valid events must go somewhere")
    if settings.output_format not in FORMATS:
        found.append(f"output_format is one of {', '.join(FORMATS)}, not {settings.output_format!r}")
    for name, (low, high) in _RANGES.items():
        if not low <= getattr(settings, name) <= high:
            found.append(f"{name} is from {low} to {high} seconds, not {getattr(settings, name)}")
    return found


def _whole(name: str, raw: object, mistakes: list[str]) -> int:
    try:
        return int(str(raw))
    except ValueError:
        mistakes.append(f"{name} is a whole number of seconds, not {raw!r}")
        return int(DEFAULTS[name])


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, DEFAULTS, 1)
    return f"unknown option {name!r}" + (f"; did you mean {close[0]}?" if close else "")
