"""What an operation is: its name, words, parameters, risk, and how it is asked or done.

A reading answers at once; a change goes plan -> (a person confirms) -> run -> verify.  A plan is
plain data, so that it can be stored, shown, confirmed and run by another process; what was shown
is what runs, held together by ``Plan.digest``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pipeline.catalogue import Pipeline
from pipeline.errors import Interrupted, UsageError
from pipeline.report import Report

if TYPE_CHECKING:  # both are heavy to import; an operation that needs neither never pays for them
    from pipeline.google.clients import Clients
    from pipeline.history import History

ParamType = type[str] | type[int] | type[bool] | type[float]
ParamValue = str | int | bool | float | None


class Risk(StrEnum):
    """What an operation may do (DESIGN "Operations"); decides the gate in front of it."""

    READ = "read"
    CHANGE = "change"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter: ``--name`` in the terminal and in Slack (``_`` is written ``-``)."""

    name: str
    type: ParamType
    default: ParamValue
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


# Flags that every operation takes; the caller acts on them, the operation does not see them.
COMMON: Final[tuple[Param, ...]] = (
    Param(name="pipeline", type=str, default=None, help="which pipeline (default: the only one)"),
    Param(name="json", type=bool, default=False, help="print the report as JSON"),
    Param(name="help", type=bool, default=False, help="explain this operation"),
)
# ... and those that every change takes besides.
COMMON_CHANGE: Final[tuple[Param, ...]] = (
    Param(name="dry_run", type=bool, default=False, help="show the plan, change nothing"),
    Param(name="yes", type=bool, default=False, help="do not ask (production asks for --confirm NAME)"),
    Param(name="confirm", type=str, default=None, help="name of the production pipeline, to confirm"),
    Param(name="break_glass", type=str, default=None, help="reason to go without a second person"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change would do.  ``refusal`` set: it must not be run, and says why.

    ``id`` is the idempotency key: a confirmed plan runs once, and a replay stamps its messages
    with it.  ``data`` is JSON-able and carries what ``run`` needs.
    """

    id: str
    operation: str
    pipeline: str
    params: Mapping[str, Any]
    summary: str
    effects: tuple[str, ...]
    warnings: tuple[str, ...]
    refusal: str | None
    risk: Risk
    made_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of all that was shown and would be done: the plan that is run is the one that was shown."""
        text = json.dumps(
            self._body(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {**self._body(), "digest": self.digest}

    def _body(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "operation": self.operation,
            "pipeline": self.pipeline,
            "params": dict(self.params),
            "summary": self.summary,
            "effects": list(self.effects),
            "warnings": list(self.warnings),
            "refusal": self.refusal,
            "risk": self.risk.value,
            "made_at": self.made_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Plan:
        """The plan that ``to_json`` wrote; ValueError when its digest does not fit its content."""
        plan = cls(
            id=raw["id"],
            operation=raw["operation"],
            pipeline=raw["pipeline"],
            params=dict(raw["params"]),
            summary=raw["summary"],
            effects=tuple(raw["effects"]),
            warnings=tuple(raw["warnings"]),
            refusal=raw["refusal"],
            risk=Risk(raw["risk"]),
            made_at=datetime.fromisoformat(raw["made_at"]).astimezone(UTC),
            data=dict(raw["data"]),
        )
        if raw.get("digest", plan.digest) != plan.digest:
            raise ValueError("the plan was altered after it was made: its digest does not fit")
        return plan


def plan_id() -> str:
    """A fresh plan id; random, because two plans of the same content are two intentions."""
    return "plan-" + secrets.token_hex(6)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; ``total`` None when it cannot be known."""

    text: str
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that an operation gets from outside.

    ``facts`` is what the caller knows already, e.g. ``{"down": True}``.  ``deadline_s`` bounds a
    reading; ``sleep`` and ``now`` drive every wait.  ``catalogue`` holds all pipelines, for the
    operations that look at every one.  ``stopping`` says that the process ends; ``sleep`` may raise
    Interrupted then.
    """

    pipeline: Pipeline
    clients: Clients
    history: History | None
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    deadline_s: float = 20.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    requested_by: str = ""
    catalogue: tuple[Pipeline, ...] = ()
    stopping: Callable[[], bool] = lambda: False

    def may_stop_here(self) -> None:
        """Between two steps of something long: raises Interrupted when the process ends."""
        if self.stopping():
            raise Interrupted


ProgressSink = Callable[[Progress], None]


class Operation(ABC):
    """What every operation declares; it is a :class:`ReadOperation` or a :class:`ChangeOperation`."""

    name: ClassVar[str]  # "pipeline.health"
    words: ClassVar[tuple[str, ...]]  # ("health",), ("dlq", "replay")
    summary: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    risk: ClassVar[Risk] = Risk.READ
    resumable: ClassVar[bool] = True  # a killed run may be repeated without harm
    unmasked: ClassVar[bool] = False  # what it writes holds customers' data as it is
    every_pipeline: ClassVar[bool] = False  # looks at ctx.catalogue instead of ctx.pipeline

    @property
    def gate(self) -> Risk:
        """The risk by which a caller is judged: unmasked data needs the right to change, though nothing changes."""
        return Risk.CHANGE if self.unmasked and self.risk is Risk.READ else self.risk

    def bare(self, words: Sequence[str]) -> dict[str, Any]:
        """What words without a flag say, as parameters; they are the pipeline's name unless told otherwise.

        Raises UsageError for what is not understood.
        """
        if len(words) > 1:
            raise UsageError(f"{words[1]!r} is one word too many.")
        return {"pipeline": words[0]} if words else {}

    def instead(self, params: Mapping[str, Any]) -> str:
        """The name of the reading that answers these parameters, where they ask for no change; or ""."""
        return ""

    @property
    def command(self) -> str:
        """The Slack command's words: "/pipeline health", "/dlq replay"."""
        return "/" + self.name.replace(".", " ")


class ReadOperation(Operation):
    """Answers a question; changes nothing."""

    @abstractmethod
    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        """The answer; raises PipelineError when there is none."""


class ChangeOperation(Operation):
    """Does something: planned, confirmed by a person, run, verified."""

    risk: ClassVar[Risk] = Risk.CHANGE

    @abstractmethod
    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        """What would be done, without doing it; look at ``refusal`` before offering it."""

    @abstractmethod
    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        """Does it; raises Refused when the world no longer allows the plan."""

    @abstractmethod
    def verify(self, ctx: Context, plan: Plan) -> Report:
        """Looks whether it had the effect that was wanted."""
