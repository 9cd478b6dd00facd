"""The numbers of the rules: what a team's policy file says of facts, and the shipped ones where it is silent.

Read from the same ``escalation.yaml`` that the bot reads for everything else in it (Rules: Facts).  Only the
keys of ``KEYS`` are looked at here; the bot checks the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pipeline.errors import ConfigError

POLICY_FILE: Final = "escalation.yaml"
_LONGEST_S: Final = 30 * 86_400
_MOST: Final = 1_000_000
_RATIO: Final = re.compile(r"(\d{1,4}(?:\.\d{1,6})?) *(%?)")
_DURATION: Final = re.compile(r"(?:(\d{1,7})d)?(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,7})s)?")

Unit = Literal["ratio", "duration", "count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Every number of the rules; ratios are 0 to 1 (or above), times in seconds."""

    error_warning: float = 0.10
    error_escalates: float = 0.25
    error_critical: float = 0.50
    least_received: float = 100
    rate_s: float = 300  # the error rate is one of so long
    still_s: float = 600  # neither watermark nor output for so long, with a backlog: down
    settled_s: float = 120  # RUNNING and moving for so long: no longer down
    moving_s: float = 180  # metrics come every 60 s and late
    system_lag_s: float = 300
    watermark_age_s: float = 600
    oldest_s: float = 600
    books_s: float = 600  # in = valid + dead-lettered + duplicates, so long after it came in
    deletion_warning_s: float = 24 * 3600
    quota: float = 0.90  # of a quota in use: room for no more
    store_cpu: float = 0.70  # of Bigtable's nodes: Google's own advice for one cluster
    cost_spike: float = 0.50  # so much above normal
    cost_days: float = 7
    cost_days_needed: float = 3
    budget_overrun: float = 1.20


class Key(NamedTuple):
    """Where a key of the file goes, and how its value is written: 25% or 0.25, 15m, 100."""

    attribute: str
    unit: Unit


SHIPPED: Final = Thresholds()
KEYS: Final[Mapping[str, Key]] = {
    "facts.error_rate.warning": Key("error_warning", "ratio"),
    "facts.error_rate.escalate": Key("error_escalates", "ratio"),
    "facts.error_rate.critical": Key("error_critical", "ratio"),
    "facts.error_rate.received": Key("least_received", "count"),
    "facts.error_rate.window": Key("rate_s", "duration"),
    "facts.down.stalled": Key("still_s", "duration"),
    "facts.down.running": Key("settled_s", "duration"),
    "facts.down.moving": Key("moving_s", "duration"),
    "facts.degraded.lag": Key("system_lag_s", "duration"),
    "facts.degraded.freshness": Key("watermark_age_s", "duration"),
    "facts.degraded.oldest": Key("oldest_s", "duration"),
    "facts.data_loss.imbalance": Key("books_s", "duration"),
    "facts.data_loss.warning": Key("deletion_warning_s", "duration"),
    "facts.resources.quota": Key("quota", "ratio"),
    "facts.resources.cpu": Key("store_cpu", "ratio"),
    "facts.cost.spike": Key("cost_spike", "ratio"),
    "facts.cost.days": Key("cost_days", "count"),
    "facts.cost.days_needed": Key("cost_days_needed", "count"),
    "facts.budget.overrun": Key("budget_overrun", "ratio"),
}


def load(path: Path) -> Thresholds:
    """The thresholds of a policy file; the shipped ones where it, or a key, is absent.

    Raises ConfigError with every value that is none, each with its line.
    """
    if not path.is_file():
        return SHIPPED
    raw = _parsed(path)
    found: dict[str, float] = {}
    mistakes: list[str] = []
    for name, key in KEYS.items():
        value, line = _at(raw, name.split("."))
        if value is None:
            continue
        number = _number(str(value), key.unit)
        if number is None:
            mistakes.append(f"{path.name}:{line}: {name}: {_shown(value)} is not {_WANTED[key.unit]}")
        else:
            found[key.attribute] = number
    if mistakes:
        raise ConfigError(mistakes)
    return Thresholds(**found)


_WANTED: Final[Mapping[Unit, str]] = {
    "ratio": "a share; write it like 25% or 0.25",
    "duration": "a duration from 1s to 30d; write it like 90s, 15m, 1h30m",
    "count": f"a whole number, 1 to {_MOST}",
}


def _number(text: str, unit: Unit) -> float | None:
    text = text.strip().lower()
    if unit == "count":
        return float(text) if text.isdecimal() and 1 <= int(text) <= _MOST else None
    if unit == "ratio":
        share = _RATIO.fullmatch(text)
        value = float(share[1]) / (100 if share[2] else 1) if share else 0.0
        return value if 0 < value <= 100 else None
    match = _DURATION.fullmatch(text.replace(" ", ""))
    parts = [int(part or 0) for part in match.groups()] if match else [0] * 4
    seconds = sum(part * size for part, size in zip(parts, (86_400, 3600, 60, 1), strict=True))
    return float(seconds) if 1 <= seconds <= _LONGEST_S else None


def _parsed(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        # The round-trip loader is the one that keeps line numbers.
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read ({error.strerror})") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path.name}:{line}: not YAML: {error.problem}") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{path.name}: not YAML: {error}") from None


def _at(raw: Any, path: list[str]) -> tuple[Any, int]:
    """The value below a path and its line; None where the file does not go so deep."""
    line = 1
    for key in path:
        if not isinstance(raw, dict) or key not in raw:
            return None, line
        line = _line(raw, key)
        raw = raw[key]
    return raw, line


def _line(item: Any, key: str) -> int:
    return int(item.lc.key(key)[0]) + 1


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return f"“{text[:40]}”"
