"""Everything that can be asked of, or done to, a pipeline.

``registry`` knows the operations, ``get`` finds one by name, ``parse`` reads flags: the same words
and flags in the terminal and in Slack.  A module of an operation is imported when it is first
asked for, so that the terminal starts quickly and knows only what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Final

from pipeline.errors import UsageError
from pipeline.operations.base import (
    COMMON,
    COMMON_CHANGE,
    ChangeOperation,
    Context,
    Operation,
    Param,
    Plan,
    Progress,
    ProgressSink,
    ReadOperation,
    Risk,
    plan_id,
)
from pipeline.operations.words import complete_word, flags, own, parse, usage

__all__ = [
    "COMMON",
    "COMMON_CHANGE",
    "ChangeOperation",
    "Context",
    "Operation",
    "Param",
    "Plan",
    "Progress",
    "ProgressSink",
    "ReadOperation",
    "Risk",
    "complete_word",
    "flags",
    "get",
    "own",
    "parse",
    "plan_id",
    "registry",
    "usage",
]

# name -> module and class; the order is the order of help.
_WHERE: Final[dict[str, tuple[str, str]]] = {
    "pipeline.health": ("health", "Health"),
    "pipeline.status": ("status", "Status"),
    "pipeline.quality": ("quality", "Quality"),
    "pipeline.trends": ("trends", "Trends"),
    "pipeline.jobs": ("jobs", "Jobs"),
    "pipeline.logs": ("logs", "Logs"),
    "pipeline.perf": ("perf", "Perf"),
    "pipeline.validate": ("validate", "Validate"),
    "pipeline.restart": ("restart", "Restart"),
    "pipeline.workers": ("workers", "WorkersNow"),
    "pipeline.scale": ("scale", "Scale"),
    "pipeline.drain": ("drain", "Drain"),
    "pipeline.cancel": ("cancel", "Cancel"),
    "pipeline.maintenance": ("maintenance", "Maintenance"),
    "pipeline.windows": ("windows", "Windows"),
    "pipeline.loadtest": ("loadtest", "LoadTest"),
    "pipeline.dashboard": ("dashboard", "Dashboard"),
    "dlq.stats": ("dlq_stats", "DlqStats"),
    "dlq.peek": ("dlq_peek", "DlqPeek"),
    "dlq.replay": ("dlq_replay", "DlqReplay"),
    "dlq.export": ("dlq_export", "DlqExport"),
    "dlq.ack": ("dlq_ack", "DlqAck"),
    "cost.report": ("cost_report", "CostReport"),
    "cost.forecast": ("cost_forecast", "CostForecast"),
    "cost.leaks": ("cost_leaks", "CostLeaks"),
    "cost.drivers": ("cost_drivers", "CostDrivers"),
}


class _Registry(Mapping[str, Operation]):
    """A mapping whose values are imported when they are first looked at."""

    def __getitem__(self, name: str) -> Operation:
        return _make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_WHERE)

    def __len__(self) -> int:
        return len(_WHERE)


@cache
def _make(name: str) -> Operation:
    module, attribute = _WHERE[name]
    operation = getattr(import_module(f"pipeline.operations.{module}"), attribute)()
    assert isinstance(operation, Operation)
    return operation


def registry() -> Mapping[str, Operation]:
    """Every operation by its name, e.g. "dlq.replay"; iterating over names imports nothing."""
    return _Registry()


def get(name: str) -> Operation:
    """The operation of that name; UsageError with a suggestion when there is none.

    "health" and "pipeline health" are understood as "pipeline.health".
    """
    wanted = ".".join(name.lower().split())
    for candidate in (wanted, f"pipeline.{wanted}"):
        if candidate in _WHERE:
            return _make(candidate)
    guess = complete_word(wanted, _WHERE) or complete_word(f"pipeline.{wanted}", _WHERE)
    hint = f" Did you mean {guess}?" if guess else ""
    raise UsageError(f"There is no operation {name!r}.{hint} There are: {', '.join(_WHERE)}.")


def by_words(words: Sequence[str]) -> tuple[Operation, list[str]]:
    """The operation that the terminal's words begin with, and the words that are left."""
    for length in (2, 1):
        for prefix in ("", "pipeline."):
            name = prefix + ".".join(words[:length])
            if len(words) >= length and name in _WHERE:
                return _make(name), list(words[length:])
    known = sorted({name.removeprefix("pipeline.").replace(".", " ") for name in _WHERE})
    family = [name.removeprefix(f"{words[0]} ") for name in known if name.startswith(f"{words[0]} ")]
    if family and (len(words) == 1 or words[1].startswith("-")):
        # Nothing is guessed here: one of them deletes.
        raise UsageError(f"`{words[0]}` is followed by {', '.join(family[:-1])} or {family[-1]}.")
    first = " ".join(words[: 2 if family else 1])
    guess = complete_word(first, known)
    hint = f" Did you mean {guess}?" if guess else ""
    raise UsageError(f"There is no operation {first!r}.{hint} There are: {', '.join(known)}.")
