"""pipeline.maintenance: for a time that a person names, alerts of the pipeline page nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import Refused, UsageError
from pipeline.operations.base import (
    ChangeOperation,
    Context,
    Param,
    Plan,
    Progress,
    ProgressSink,
    Risk,
    plan_id,
)
from pipeline.report import Finding, NextStep, Report, duration

if TYPE_CHECKING:
    from pipeline.history import History
    from pipeline.maintenances import Maintenance as Window

LONGEST_S: Final = 8 * 3600
SHORTEST_S: Final = 60
_DURATION: Final = re.compile(r"(?=\d)(?:(\d{1,3})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
_HOW: Final = "Write `maintenance NAME 2h REASON`, or `maintenance end NAME`."


class Maintenance(ChangeOperation):
    """Begins a maintenance, or ends one early.  Alerts are stored and counted meanwhile."""

    name = "pipeline.maintenance"
    words = ("maintenance",)
    summary = "Page nobody for alerts of a pipeline for a time: NAME 2h REASON, or end NAME"
    params = (
        Param(name="for", type=str, default=None, help="how long, e.g. 90m or 2h; at most 8 h"),
        Param(name="reason", type=str, default=None, help="why; people read it"),
        Param(name="end", type=bool, default=False, help="end the maintenance that runs"),
    )
    risk = Risk.CHANGE
    resumable = True

    def bare(self, words: Sequence[str]) -> dict[str, Any]:
        """``orders 2h the new schema``, ``2h the new schema``, ``end orders``, ``orders``."""
        rest = list(words)
        if rest and rest[0].lower() == "end":
            return {**super().bare(rest[1:]), "end": True}
        said: dict[str, Any] = {}
        if rest and seconds_of(rest[0]) is None:
            said["pipeline"] = rest.pop(0)
        if not rest:
            return said
        if rest[0].lower() == "end" and len(rest) == 1:
            return {**said, "end": True}
        if seconds_of(rest[0]) is None:
            raise UsageError(f"{rest[0]!r} is no duration such as 90m or 2h. {_HOW}")
        said["for"] = rest.pop(0)
        return {**said, "reason": " ".join(rest)} if rest else said

    def instead(self, params: Mapping[str, Any]) -> str:
        asked = params.get("for") or params.get("end") or params.get("reason")
        return "" if asked else "pipeline.windows"

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        running = _running(ctx)
        ends = bool(params.get("end"))
        reason = str(params.get("reason") or "").strip()
        seconds = seconds_of(str(params.get("for") or ""))
        refusal = _no_end(ctx, running) if ends else _no_begin(ctx, running, seconds, reason)
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=ctx.pipeline.name,
            params={"for": params.get("for"), "reason": reason, "end": ends},
            summary=_summary(ctx, running, seconds or 0, reason, ends=ends),
            effects=() if refusal else _effects(ends=ends),
            warnings=() if ends or refusal else _WARNINGS,
            refusal=refusal,
            risk=Risk.CHANGE,
            made_at=ctx.now(),
            data={"seconds": seconds, "window": running.id if running and ends else None},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        if plan.refusal:
            raise Refused(plan.refusal)
        now, history = ctx.now(), _history(ctx)
        if plan.params["end"]:
            history.end_maintenance(int(plan.data["window"]), now)
            text = f"The maintenance of {plan.pipeline} is over; its alerts page again."
            return _report(ctx, plan, Finding("ended", "ok", text))
        begun = history.begin_maintenance(
            plan=plan.id,
            pipeline=plan.pipeline,
            reason=str(plan.params["reason"]),
            by=ctx.requested_by or "somebody",
            begin=now,
            until=now + timedelta(seconds=int(plan.data["seconds"])),
        )
        progress(Progress(f"Maintenance until {begun.until:%H:%M} UTC"))
        text = f"{plan.pipeline} is in maintenance until {begun.until:%Y-%m-%d %H:%M} UTC; its alerts page nobody."
        return _report(ctx, plan, Finding("begun", "ok", text))

    def verify(self, ctx: Context, plan: Plan) -> Report:
        running = _running(ctx)
        if (running is None) == bool(plan.params["end"]):
            state = f"lasts until {running.until:%H:%M} UTC" if running else "is over"
            return _report(ctx, plan, Finding("verified", "ok", f"Verified: the maintenance {state}."))
        state = "still stands" if running else "was not stored"
        return _report(ctx, plan, Finding("verified", "warning", f"Not verified: the maintenance {state}."))


_WARNINGS: Final = (
    "An incident that is open already goes on, its escalation too; `/incident snooze` quiets that one.",
)


def seconds_of(text: str) -> int | None:
    """Seconds of a duration such as 90m, 2h or 1h30m; None for what is none."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _effects(*, ends: bool) -> tuple[str, ...]:
    if ends:
        return ("Alerts page again. A summary is posted; alerts that are still open open an incident.",)
    return (
        "Alerts are stored and counted; no incident opens and nobody is paged.",
        "Data loss and security break through.",
        "At its end a summary is posted, and alerts that are still open open an incident.",
    )


def _summary(ctx: Context, running: Window | None, seconds: int, reason: str, *, ends: bool) -> str:
    name = ctx.pipeline.name
    if ends:
        why = f" ({running.by}: {running.reason})" if running else ""
        return f"End the maintenance of {name}{why} now."
    return f"Maintenance of {name} for {duration(seconds)}, counted from the confirmation: {reason}"


def _no_end(ctx: Context, running: Window | None) -> str | None:
    return None if running else f"{ctx.pipeline.name} is not in maintenance; there is nothing to end."


def _no_begin(ctx: Context, running: Window | None, seconds: int | None, reason: str) -> str | None:
    longest = int(ctx.facts.get("maintenance_max_s") or LONGEST_S)
    if running is not None:
        return (
            f"{ctx.pipeline.name} is in maintenance until {running.until:%H:%M} UTC already "
            f"({running.by}: {running.reason}). End that one first: `maintenance end {ctx.pipeline.name}`."
        )
    if seconds is None:
        return f"How long? {_HOW}"
    if not SHORTEST_S <= seconds <= longest:
        return f"A maintenance lasts from {duration(SHORTEST_S)} to {duration(longest)}, not {duration(seconds)}."
    if not reason:
        return f"A maintenance needs a reason; others will ask. {_HOW}"
    return None


def _history(ctx: Context) -> History:
    if ctx.history is None:
        raise Refused("There is no database to keep a maintenance in; set DATABASE_URL to the bot's.")
    return ctx.history


def _running(ctx: Context) -> Window | None:
    now = ctx.now()
    found = _history(ctx).maintenances(ctx.pipeline.name)
    return next((one for one in found if one.running(now)), None)


def _report(ctx: Context, plan: Plan, finding: Finding) -> Report:
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Maintenance of {plan.pipeline}",
        verdict=finding.text,
        severity=finding.severity,
        as_of=ctx.now(),
        findings=(finding,),
        next=(NextStep("Show maintenances", "pipeline.windows"),),
        data={"window": plan.data["window"]},
    )
