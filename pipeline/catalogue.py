"""The pipelines on duty: the only reader of ``pipelines.yaml``.

All mistakes of the file are reported at once, each with its line, so that a person mends it in
one go.  The format is INTERFACE "Files in `runbooks/`".
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pipeline.errors import ConfigError, UsageError
from pipeline.thresholds import POLICY_FILE, SHIPPED, Thresholds
from pipeline.thresholds import load as load_thresholds

EVENT_TYPES: Final = ("click", "transaction", "stock")
_TEXTS: Final = (
    "name",
    "environment",
    "project",
    "region",
    "job_name",
    "template",
    "replay_template",
    "export",
)
_LISTS: Final = ("topics", "subscriptions", "budgets")
_SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "dead_letter": ("topic", "subscription"),
    "bigquery": ("dataset",),
    "bigtable": ("instance", "table"),
}
_KEYS: Final = (*_TEXTS, *_LISTS, *_SECTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline and the resources it claims; names are short ones, without ``projects/…``."""

    name: str
    environment: str = "production"
    project: str = ""
    region: str = ""
    job_name: str = ""
    template: str = ""
    replay_template: str = ""
    topics: tuple[str, ...] = ()
    topic_by_event: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    subscriptions: tuple[str, ...] = ()
    dead_letter_topic: str = ""
    dead_letter_subscription: str = ""
    dataset: str = ""
    bigtable_instance: str = ""
    bigtable_table: str = ""
    budgets: tuple[str, ...] = ()
    export: str | None = None
    limits: Thresholds = SHIPPED  # by which its measurements are judged; from the policy file

    @property
    def is_production(self) -> bool:
        """RULES "Operations at 03:10": production unless the file says otherwise."""
        return self.environment == "production"

    def topic_of(self, event_type: str) -> str | None:
        """The topic that events of this type go to, or None when the file names none."""
        if event_type in self.topic_by_event:
            return self.topic_by_event[event_type]
        if event_type not in EVENT_TYPES:
            return None
        return next((topic for topic in self.topics if topic.startswith(event_type)), None)

    def resources(self) -> frozenset[tuple[str, str]]:
        """What it claims, as (label, value) pairs of Cloud Monitoring's resource labels."""
        pairs = {("job_name", self.job_name), ("dataset_id", self.dataset)}
        pairs |= {("topic_id", topic) for topic in (*self.topics, self.dead_letter_topic)}
        pairs |= {("subscription_id", name) for name in (*self.subscriptions, self.dead_letter_subscription)}
        pairs |= {("instance", self.bigtable_instance), ("instance_id", self.bigtable_instance)}
        pairs |= {("table", self.bigtable_table), ("table_id", self.bigtable_table)}
        return frozenset(pair for pair in pairs if pair[1])


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All pipelines, in the order of the file."""

    pipelines: tuple[Pipeline, ...]

    def find(self, name: str | None = None) -> Pipeline:
        """The one of that name, or the only one; UsageError naming them all otherwise."""
        names = [pipeline.name for pipeline in self.pipelines]
        if name is None:
            if len(self.pipelines) == 1:
                return self.pipelines[0]
            raise UsageError(f"Which pipeline? Say --pipeline with one of: {', '.join(names)}.")
        for pipeline in self.pipelines:
            if pipeline.name == name:
                return pipeline
        close = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(f"There is no pipeline {name!r}.{hint} There are: {', '.join(names) or 'none'}.")


def default_path() -> Path:
    """``pipelines.yaml`` in RUNBOOKS_DIR, else in ``runbooks`` beside the working directory."""
    return Path(os.environ.get("RUNBOOKS_DIR", "runbooks")) / "pipelines.yaml"


def load(
    path: Path | None = None,
    default_project: str = "",
    default_region: str = "",
    limits: Thresholds | None = None,
) -> Catalogue:
    """Reads the file; ConfigError with every mistake and its line when it is not as it should be.

    ``limits`` judge what is measured of every pipeline; None: those of the policy file beside it.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    path = path or default_path()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path.name}: cannot be read ({error.strerror}); set RUNBOOKS_DIR or create it"
        ) from None
    try:
        # The round-trip loader is the one that keeps line numbers.
        raw = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path.name}:{line}: not YAML: {error.problem}") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{path.name}: not YAML: {error}") from None
    reader = _Reader(path.name, default_project, default_region)
    pipelines = reader.read(raw)
    try:
        limits = load_thresholds(path.with_name(POLICY_FILE)) if limits is None else limits
    except ConfigError as error:
        reader.mistakes += error.mistakes
    if reader.mistakes or limits is None:
        raise ConfigError(reader.mistakes)
    return Catalogue(tuple(replace(one, limits=limits) for one in pipelines))


class _Reader:
    """Goes through the parsed file once and collects what is wrong with it."""

    def __init__(self, name: str, default_project: str, default_region: str) -> None:
        self.file = name
        self.project = default_project
        self.region = default_region
        self.mistakes: list[str] = []

    def wrong(self, line: int, text: str) -> None:
        self.mistakes.append(f"{self.file}:{line}: {text}")

    def read(self, raw: object) -> tuple[Pipeline, ...]:
        if not isinstance(raw, dict) or not isinstance(raw.get("pipelines"), list) or not raw["pipelines"]:
            self.wrong(1, "needs a list `pipelines:` with at least one pipeline")
            return ()
        for key in raw:
            if key != "pipelines":
                self.wrong(_line(raw, key), f"unknown key `{key}`{_hint(str(key), ('pipelines',))}")
        found: list[Pipeline] = []
        for index, item in enumerate(raw["pipelines"]):
            line = raw["pipelines"].lc.item(index)[0] + 1
            if not isinstance(item, dict):
                self.wrong(line, "a pipeline is a mapping that begins with `name:`")
                continue
            before = len(self.mistakes)
            fields = self.fields(item, line)
            if len(self.mistakes) == before:
                found.append(Pipeline(**fields))
        self.check_unique(found, raw["pipelines"])
        return tuple(found)

    def fields(self, item: Any, line: int) -> dict[str, Any]:
        for key in item:
            if key not in _KEYS:
                self.wrong(_line(item, key), f"unknown key `{key}`{_hint(str(key), _KEYS)}")
        out: dict[str, Any] = {key: self.text(item, key) for key in _TEXTS if item.get(key) is not None}
        topics = item.get("topics")
        if isinstance(topics, dict):
            out["topic_by_event"] = MappingProxyType(self.topic_mapping(item, topics))
            out["topics"] = tuple(dict.fromkeys(out["topic_by_event"].values()))
        elif topics is not None:
            out["topics"] = self.names(item, "topics")
        for key in ("subscriptions", "budgets"):
            if item.get(key) is not None:
                out[key] = self.names(item, key)
        out |= self.sections(item)
        out["project"] = out.get("project") or self.project
        out["region"] = out.get("region") or self.region
        # A job is usually named after its pipeline; the file says so only where it is not.
        out["job_name"] = out.get("job_name") or out.get("name", "")
        for key in ("name", "project", "region"):
            if not out.get(key):
                at = _line(item, key) if key in item else line
                self.wrong(at, f"pipeline {item.get('name', '')!s}: `{key}` is needed".replace("  ", " "))
        return out

    def sections(self, item: Any) -> dict[str, str]:
        renamed = {
            ("dead_letter", "topic"): "dead_letter_topic",
            ("dead_letter", "subscription"): "dead_letter_subscription",
            ("bigquery", "dataset"): "dataset",
            ("bigtable", "instance"): "bigtable_instance",
            ("bigtable", "table"): "bigtable_table",
        }
        out: dict[str, str] = {}
        for section, keys in _SECTIONS.items():
            part = item.get(section)
            if part is None:
                continue
            if not isinstance(part, dict):
                self.wrong(_line(item, section), f"`{section}` is a mapping with {', '.join(keys)}")
                continue
            for key in part:
                if key not in keys:
                    self.wrong(_line(part, key), f"unknown key `{section}.{key}`{_hint(str(key), keys)}")
                elif part[key] is not None:
                    out[renamed[section, key]] = self.text(part, key)
        return out

    def topic_mapping(self, item: Any, topics: Any) -> dict[str, str]:
        out: dict[str, str] = {}
        for event_type in topics:
            if event_type not in EVENT_TYPES:
                hint = _hint(str(event_type), EVENT_TYPES)
                self.wrong(_line(topics, event_type), f"unknown event type `{event_type}` in `topics`{hint}")
            else:
                out[event_type] = self.text(topics, event_type)
        return out

    def text(self, item: Any, key: str) -> str:
        value = item[key]
        if not isinstance(value, str) or not value.strip():
            self.wrong(_line(item, key), f"`{key}` is a text, not {value!r}")
            return ""
        return str(value).strip()

    def names(self, item: Any, key: str) -> tuple[str, ...]:
        value = item[key]
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            self.wrong(_line(item, key), f"`{key}` is a list of names, not {value!r}")
            return ()
        return tuple(str(one).strip() for one in value)

    def check_unique(self, pipelines: Sequence[Pipeline], raw: Any) -> None:
        """Two pipelines of one name, or claiming one resource, would make an alert ambiguous."""
        lines = {
            str(item.get("name")): raw.lc.item(i)[0] + 1
            for i, item in enumerate(raw)
            if isinstance(item, dict)
        }
        names: set[str] = set()
        owners: dict[tuple[str, str, str], str] = {}
        for pipeline in pipelines:
            if pipeline.name in names:
                self.wrong(lines[pipeline.name], f"two pipelines are named {pipeline.name}")
            names.add(pipeline.name)
            for label, value in sorted(pipeline.resources()):
                if label in ("dataset_id", "instance", "instance_id", "table", "table_id"):
                    continue  # stores may be shared; jobs, topics and subscriptions may not
                owner = owners.setdefault((pipeline.project, label, value), pipeline.name)
                if owner != pipeline.name:
                    self.wrong(
                        lines[pipeline.name], f"{label} {value} is claimed by {owner} and {pipeline.name}"
                    )


def _line(item: Any, key: object) -> int:
    return int(item.lc.key(key)[0]) + 1


def _hint(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean `{close[0]}`?" if close else f"; known: {', '.join(known)}"
