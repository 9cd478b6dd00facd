"""The Report: one shape of answer for every operation.

Slack blocks, terminal, Markdown and HTML are rendered from it, each by one renderer, so that the
same question gets the same answer everywhere.  Times are aware UTC datetimes throughout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

Severity = Literal["ok", "info", "warning", "critical", "unknown"]

# How much attention each asks for.  Unknown is never fine, but a measured problem outranks it.
_RANK: Final[dict[Severity, int]] = {"ok": 0, "info": 1, "unknown": 2, "warning": 3, "critical": 4}

# INTERFACE: exit 0 fine or info; 1 warning or critical found; 2 unknown.
EXIT_CODES: Final[dict[Severity, int]] = {"ok": 0, "info": 0, "warning": 1, "critical": 1, "unknown": 2}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured thing: what was looked at and what it was, when."""

    what: str
    value: str | float | int | None
    unit: str = ""
    at: datetime | None = None

    @property
    def shown(self) -> str:
        """The value for people: a count that was measured as 935.0 is 935."""
        if self.value is None:
            return "unknown"
        if isinstance(self.value, float) and self.value.is_integer():
            return str(int(self.value))
        return str(self.value)

    @property
    def measured(self) -> str:
        """The value with its unit: "1,412 events", "16.7 %" for a ratio."""
        if isinstance(self.value, str) or self.value is None:
            return f"{self.shown} {self.unit}".strip()
        if self.unit == "ratio":
            return percent(self.value)
        whole = float(self.value).is_integer()
        return f"{number(self.value) if whole else self.value} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about the pipeline, with what it rests on."""

    id: str
    severity: Severity
    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; every cell is a string already made for people."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next: a label for a person and the operation behind it."""

    label: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact for rules (RULES "Facts"): true, false, or None when nobody could measure it.

    ``since`` is when the measured condition began, as far as the operation can tell; None leaves
    that to whoever keeps the history of facts.
    """

    id: str
    on: bool | None
    text: str
    value: float | None = None
    unit: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an operation found or did; ``verdict`` is one sentence and comes first everywhere."""

    operation: str
    pipeline: str
    verdict: str
    severity: Severity
    as_of: datetime
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    next: tuple[NextStep, ...] = ()
    facts: tuple[Fact, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""

    def fact(self, fact_id: str) -> Fact | None:
        """The fact of that id, or None when the operation did not report it."""
        return next((fact for fact in self.facts if fact.id == fact_id), None)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able mapping (INTERFACE "Report as JSON"; extras: facts, data, title)."""
        return {
            "operation": self.operation,
            "pipeline": self.pipeline,
            "verdict": self.verdict,
            "severity": self.severity,
            "findings": [
                {
                    "id": f.id,
                    "severity": f.severity,
                    "text": f.text,
                    "evidence": [_evidence(e) for e in f.evidence],
                }
                for f in self.findings
            ],
            "tables": [
                {"title": t.title, "columns": list(t.columns), "rows": [list(r) for r in t.rows]}
                for t in self.tables
            ],
            "next": [
                {"label": n.label, "operation": n.operation, "params": dict(n.params)} for n in self.next
            ],
            "as_of": _time_out(self.as_of),
            "facts": [
                {
                    "id": f.id,
                    "on": f.on,
                    "text": f.text,
                    "value": f.value,
                    "unit": f.unit,
                    "since": _time_out(f.since),
                }
                for f in self.facts
            ],
            "data": dict(self.data),
            "title": self.title,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Report:
        """The report that ``to_json`` wrote; KeyError or ValueError for anything else."""
        severity = raw["severity"]
        if severity not in _RANK:
            raise ValueError(f"no such severity: {severity!r}")
        as_of = _time_in(raw["as_of"])
        if as_of is None:
            raise ValueError("a report without as_of")
        return cls(
            operation=raw["operation"],
            pipeline=raw["pipeline"],
            verdict=raw["verdict"],
            severity=cast(Severity, severity),
            as_of=as_of,
            findings=tuple(_finding_in(f) for f in raw["findings"]),
            tables=tuple(
                Table(t["title"], tuple(t["columns"]), tuple(tuple(r) for r in t["rows"]))
                for t in raw["tables"]
            ),
            next=tuple(NextStep(n["label"], n["operation"], dict(n.get("params", {}))) for n in raw["next"]),
            facts=tuple(
                Fact(f["id"], f["on"], f["text"], f.get("value"), f.get("unit", ""), _time_in(f.get("since")))
                for f in raw.get("facts", ())
            ),
            data=dict(raw.get("data", {})),
            title=raw.get("title", ""),
        )

    def dumps(self, *, indent: int | None = None) -> str:
        """The JSON text of :meth:`to_json`, non-ASCII characters kept as they are."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=indent)


def worst(severities: Iterable[Severity]) -> Severity:
    """The one that asks for most attention; "ok" for none.  Order: ok, info, unknown, warning, critical."""
    return max(severities, key=_RANK.__getitem__, default="ok")


def _evidence(item: Evidence) -> dict[str, Any]:
    return {"what": item.what, "value": item.value, "unit": item.unit, "at": _time_out(item.at)}


def _finding_in(raw: Mapping[str, Any]) -> Finding:
    evidence = tuple(
        Evidence(e["what"], e["value"], e.get("unit", ""), _time_in(e.get("at")))
        for e in raw.get("evidence", ())
    )
    return Finding(raw["id"], raw["severity"], raw["text"], evidence)


def _time_out(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time_in(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


# --- numbers in words, the same in every renderer --------------------------------------------


def age(since: datetime, now: datetime) -> str:
    """How long something lasts, in words; two clocks that disagree a little never make it negative."""
    return duration(max(0.0, (now - since).total_seconds()))


def duration(seconds: float) -> str:
    """Seconds in words, two units at most: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    total = round(abs(seconds))
    sign = "-" if seconds < 0 and total else ""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for index, (name, size) in enumerate(units):
        if total >= size:
            first, rest = divmod(total, size)
            if index + 1 < len(units):
                second = rest // units[index + 1][1]
                if second:
                    return f"{sign}{first} {name} {second} {units[index + 1][0]}"
            return f"{sign}{first} {name}"
    return "0 s"


def number(value: float, digits: int = 0) -> str:
    """A number with thousands separated by commas: "12,480"."""
    return f"{value:,.{digits}f}"


def percent(ratio: float) -> str:
    """A ratio as per cent: 0.306 -> "30.6 %"; small ones keep two digits."""
    value = ratio * 100
    if value == 0:
        return "0 %"
    return f"{value:.2f} %" if 0 < abs(value) < 1 else f"{value:.1f} %"


def size(count: float) -> str:
    """Bytes in words: "1.5 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def plural(count: int, one: str, many: str = "") -> str:
    """ "1 message", "2 messages", "1,200 messages"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def clock(at: datetime, now: datetime | None = None) -> str:
    """A moment for people, in UTC: "05:40 UTC", with its date when that is not today's."""
    at = at.astimezone(UTC)
    if now is not None and at.date() == now.astimezone(UTC).date():
        return at.strftime("%H:%M UTC")
    return at.strftime("%Y-%m-%d %H:%M UTC")
