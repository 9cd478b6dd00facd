"""What whoever asks the pipeline something has at hand: made once, in app.py, shared by the operator and the watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.desk.house import House
from bot.desk.ports import Store
from pipeline.catalogue import Pipeline
from pipeline.operations import Context, Operation


async def _nothing() -> None:
    """There are no groups to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """The bot's store and documents, the operations, and what these need; ``wake`` is called after a commit, and
    ``before_a_run`` asks Slack who is in the roster's groups."""

    store: Store
    house: Callable[[], House]
    registry: Mapping[str, Operation]
    clients: Any
    history: Any
    now: Callable[[], datetime]
    speed: float = 1.0
    wake: Callable[[], None] = field(default=lambda: None)
    before_a_run: Callable[[], Awaitable[None]] = field(default=_nothing)

    def context(
        self,
        pipeline: Pipeline,
        *,
        requested_by: str,
        sleep: Callable[[float], None],
        facts: Mapping[str, Any] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Context:
        """What one call of an operation gets."""
        return Context(
            pipeline=pipeline,
            clients=self.clients,
            history=self.history,
            now=self.now,
            sleep=sleep,
            facts=facts or {},
            requested_by=requested_by,
            catalogue=self.house().pipelines,
            stopping=stopping,
        )
