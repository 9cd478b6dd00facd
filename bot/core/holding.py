"""When the alerts of a pipeline page nobody (rules: "From alert to incident", Maintenance).

A hold keeps alerts back: they are stored and counted, and no incident opens. Two things hold: a
maintenance that a person set, until it ends; and an operation that the bot runs on the pipeline,
until it fails or is 15 min over. Data loss and security break through.

All instants are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.core.alert_model import Alert, Kind
from bot.core.facts import Measured, established_by
from bot.core.policy import Thresholds, format_duration
from bot.core.text import counted

ALWAYS = "data_loss"


class Why(StrEnum):
    """What holds."""

    MAINTENANCE = "maintenance"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Alerts of ``pipeline`` are held from ``begin`` until before ``until``.

    ``name`` is unique for ever: "maintenance:3", "run:...". ``by`` is who set or confirmed it; ``reason``
    is a person's words, or the name of the operation.
    """

    name: str
    why: Why
    pipeline: str
    reason: str
    by: str
    begin: datetime
    until: datetime

    def holds(self, pipeline: str, now: datetime) -> bool:
        """Whether it holds alerts of this pipeline now."""
        return pipeline == self.pipeline and self.begin <= now < self.until

    @property
    def words(self) -> str:
        """What it is, in words: "the maintenance of orders"."""
        if self.why is Why.MAINTENANCE:
            return f"the maintenance of {self.pipeline}"
        return f"{self.reason} on {self.pipeline}"


def holding(
    holds: Iterable[Hold], pipeline: str, alert: Alert, now: datetime, limits: Thresholds
) -> Hold | None:
    """The hold that keeps this alert back; None where none does, or where the alert breaks through."""
    found = next((hold for hold in holds if hold.holds(pipeline, now)), None)
    return None if found is None or breaks_through(alert, limits) else found


def breaks_through(alert: Alert, limits: Thresholds) -> bool:
    """Data loss and security page at any time."""
    return alert.kind is Kind.SECURITY or ALWAYS in established_by(alert, limits)


def measured_meanwhile(measured: Sequence[Measured], known: Iterable[str]) -> tuple[Measured, ...]:
    """What a probe's measurements may still say while a hold stands: data loss, and of known facts all.

    A fact that a maintenance makes true begins when it is over, if it holds then.
    """
    kept = {ALWAYS, *known}
    return tuple(m for m in measured if not m.on or m.id in kept)


def counted_from(measured: Sequence[Measured], over: datetime | None) -> tuple[Measured, ...]:
    """The measurements with no fact but data loss beginning before the last hold was over."""
    if over is None:
        return tuple(measured)
    return tuple(
        m
        if m.since is None or m.since >= over or m.id == ALWAYS
        else Measured(id=m.id, on=m.on, text=m.text, since=over)
        for m in measured
    )


def operation_over(state: str, since: datetime, now: datetime, overrun: timedelta) -> str:
    """Why alerts held by an operation must page now, in words; "" while they may wait.

    ``state`` is the run's, ``since`` when it came into that state. One that went well is given the same
    time for its alerts to close by themselves.
    """
    late = now - since >= overrun
    if state in ("confirmed", "running"):
        return f"it runs for more than {format_duration(overrun)}" if late else ""
    if state == "done":
        return f"it was done {format_duration(overrun)} ago" if late else ""
    return "its outcome is unknown" if state == "unknown" else "it failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came during a hold: alerts, the notifications they came in, how many closed again."""

    alerts: int = 0
    notifications: int = 0
    closed: int = 0
    opened: tuple[str, ...] = ()  # the incidents that the others are in now


def summary(hold: Hold, tally: Tally, ended: datetime, because: str = "") -> str:
    """The line for everybody at a hold's end, with exact counts."""
    if hold.why is Why.MAINTENANCE:
        length = format_duration(ended - hold.begin)
        head = f"The maintenance of {hold.pipeline} ({hold.by}: {hold.reason}) is over after {length}."
    else:
        head = f"Alerts of {hold.pipeline} were held while {hold.reason} ran" + (
            f"; {because}." if because else "."
        )
    if not tally.alerts:
        return f"{head} No alert came."
    came = f"{counted(tally.alerts, 'alert')} came in {counted(tally.notifications, 'notification')}"
    still = tally.alerts - tally.closed
    if not still:
        return f"{head} {came}; all of them closed again."
    where = f" ({', '.join(tally.opened)})" if tally.opened else ""
    return f"{head} {came}: {tally.closed} closed again, {still} still open{where}."


def begun(hold: Hold) -> str:
    """The line for everybody when a maintenance begins."""
    return (
        f"{hold.pipeline} is in maintenance until {hold.until:%Y-%m-%d %H:%M} UTC ({hold.by}: {hold.reason}). "
        "Its alerts are stored and page nobody; data loss and security break through."
    )


def attached(hold: Hold, tally: Tally) -> str:
    """The line for everybody while an operation holds alerts."""
    return (
        f"{counted(tally.alerts, 'alert')} of {hold.pipeline} came while {hold.reason} runs on it "
        f"(by {hold.by}). Nobody is paged unless it fails or takes too long."
    )
