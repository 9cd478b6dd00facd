"""What a launch makes before it starts: the tables that are not there yet, each said in the plan first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.operations.base import Context

if TYPE_CHECKING:
    from pipeline.google.stores import Gap


def lacking(ctx: Context) -> tuple[list[Gap], str]:
    """What is not there; and why that is not known, or nothing."""
    from pipeline.google import stores

    try:
        return stores.gaps(ctx.clients, ctx.pipeline, ctx.deadline_s), ""
    except PipelineError as error:
        return [], str(error)


def make(ctx: Context, announced: Collection[str], tell: Callable[[str], None]) -> list[str]:
    """Makes those of the announced things that are still not there; what was made.

    PipelineError when one cannot be made; what was made before it stays, and a repetition goes on.
    """
    if not announced:
        return []
    from pipeline.google import stores

    made = []
    for gap in stores.gaps(ctx.clients, ctx.pipeline, ctx.deadline_s):
        if gap.what in announced:
            tell(f"Creating {gap.what}")
            gap.make()
            made.append(gap.what)
    return made
