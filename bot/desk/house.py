"""What the use cases know besides the database: the team's documents and the pipelines on duty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.core.alert_model import Kind
from bot.core.alert_rules import stem
from bot.core.correlation import PipelineClaims
from bot.core.holding import Hold
from bot.core.periods import USUAL, Calendar
from bot.core.policy import Policy
from bot.core.roster import Roster
from bot.core.runbook import INCIDENT_KINDS, Runbook, for_kind
from bot.core.storm import Tally
from pipeline.catalogue import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Read once at start-up; replaced as a whole when the documents change.

    live: the roster has the overrides that hold in one transaction (``bot.desk.live``).
    """

    roster: Roster
    policy: Policy
    runbooks: tuple[Runbook, ...]
    pipelines: tuple[Pipeline, ...]
    operations: Mapping[str, str]  # name -> risk
    base_url: str = ""
    claims: tuple[PipelineClaims, ...] = field(default=())
    warnings: tuple[
        str, ...
    ] = ()  # of the documents: what should be looked at, and keeps nobody from starting
    faults: tuple[str, ...] = ()  # of the documents: they fail a check, and keep nobody from starting either
    live: bool = False
    # Maintenances whose end was not told yet, running or over; looked up before each use.
    maintenances: tuple[Hold, ...] = ()
    # Where a batch of notifications counts the incidents that it changes.
    tally: Tally | None = None
    calendar: Calendar = USUAL

    def pipeline(self, name: str) -> Pipeline | None:
        """The pipeline of this name, or None for one that no file claims."""
        return next((p for p in self.pipelines if p.name == name), None)

    def kinds(self) -> dict[str, Kind]:
        """Runbook -> the kind of incident that it is for: alerts may name a runbook instead of a kind."""
        return {book.name: Kind(book.kind) for book in self.runbooks if book.kind in INCIDENT_KINDS}

    def runbook_names(self) -> dict[str, str]:
        """Kind of incident -> name of its runbook; a kind without one is absent."""
        kinds = {book.kind for book in self.runbooks} & set(INCIDENT_KINDS)
        return {kind: book.name for kind in kinds if (book := for_kind(self.runbooks, kind)) is not None}

    def runbook_named(self, label: str, kind: str) -> str:
        """The runbook of this kind that an alert's policy names in its label `runbook`; "" where there is none."""
        found = next((b for b in self.runbooks if label and stem(b.name) == stem(label)), None)
        return found.name if found is not None and found.kind == kind else ""


def claims_of(pipelines: tuple[Pipeline, ...]) -> tuple[PipelineClaims, ...]:
    """What the pipelines call their own, in the form that correlation reads."""
    return tuple(
        PipelineClaims(name=p.name, project=p.project, resources=p.resources(), budgets=frozenset(p.budgets))
        for p in pipelines
    )
