"""Dead letters in numbers: grouped, masked, and sorted by what a replay would do with them.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pipeline.catalogue import Pipeline
from pipeline.envelope import DeadLetter, cause, revalidate
from pipeline.events import Valid
from pipeline.masking import mask_payload, mask_text
from pipeline.quality import rule_key
from pipeline.report import Table, duration, number

REPLAY_CAP: Final = 3
# Windows close this long after their end; what is older is valid, but misses its window.
ALLOWED_LATENESS: Final = timedelta(hours=1)

Fate = Literal["replay", "rewrite", "invalid", "sink", "capped", "no topic", "other rule", "came back"]

FATES: Final[dict[Fate, str]] = {
    "replay": "would go back",
    "rewrite": "would be written again to the sink that refused it",
    "invalid": "would fail again",
    "sink": "failed in a sink and cannot be written again there; stays (never sent to the topic)",
    "capped": f"was replayed {REPLAY_CAP} times already; stays",
    "no topic": "has no topic to go to; stays",
    "other rule": "is not meant by --rule; stays",
    "came back": "was sent by this replay and failed again; stays",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A dead letter with its place in the queue."""

    id: str
    published: datetime
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Decision:
    """What a replay does with one dead letter; ``reasons`` names the rules of what fails again."""

    fate: Fate
    topic: str = ""
    sink: str = ""  # "bigquery:TABLE" or "bigtable:TABLE", of what is written again
    reasons: tuple[str, ...] = ()
    event_time: datetime | None = None


@dataclass(slots=True)
class Preview:
    """Sums of decisions."""

    fates: Counter[Fate] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    sinks: Counter[str] = field(default_factory=Counter)
    failing_rules: Counter[str] = field(default_factory=Counter)
    late: int = 0
    late_days: Counter[str] = field(default_factory=Counter)

    @property
    def going(self) -> int:
        """How many leave the queue: back to a topic, or into the sink that refused them."""
        return self.fates["replay"] + self.fates["rewrite"]

    def add(self, decision: Decision, now: datetime) -> None:
        self.fates[decision.fate] += 1
        self.failing_rules.update(decision.reasons)
        if decision.sink:
            self.sinks[decision.sink] += 1
        if decision.fate != "replay":
            return
        self.topics[decision.topic] += 1
        if decision.event_time is not None and now - decision.event_time > ALLOWED_LATENESS:
            self.late += 1
            self.late_days[_partition(decision.event_time)] += 1


def decide(letter: DeadLetter, pipeline: Pipeline, rule: str | None) -> Decision:
    """RULES "Operations at 03:10", Replay: only what passes the pipeline's own validator goes back.

    What a sink refused was valid and is counted: its row goes to that sink and nowhere else.
    """
    if rule and not letter.breaks(rule):
        return Decision("other rule")
    if letter.of_sink:
        known = _has_sink(pipeline, letter.sink)
        return Decision("rewrite", sink=letter.sink) if known else Decision("sink")
    if letter.replay_count >= REPLAY_CAP:
        return Decision("capped")
    outcome = revalidate(letter)
    if not isinstance(outcome, Valid):
        return Decision("invalid", reasons=tuple(sorted({rule_key(v) for v in outcome.violations})))
    topic = pipeline.topic_of(outcome.event_type)
    if topic is None:
        return Decision("no topic")
    return Decision("replay", topic=topic, event_time=outcome.event.timestamp)


def _partition(at: datetime) -> str:
    """The day under which BigQuery keeps an event; its days are UTC."""
    try:
        return at.astimezone(UTC).date().isoformat()
    except OverflowError:  # within hours of the first or the last day that there is
        return at.date().isoformat()


def _has_sink(pipeline: Pipeline, sink: str) -> bool:
    if sink.startswith("bigquery:"):
        return bool(pipeline.dataset)
    return bool(sink and pipeline.bigtable_instance and pipeline.bigtable_table)


def groups(held: Sequence[Held], now: datetime) -> Table:
    """How many of each kind, with one masked example; the most frequent first."""
    found: dict[tuple[str, str, str], list[Held]] = {}
    for one in held:
        key = (one.letter.event_type, one.letter.stage, mask_text(one.letter.group))
        found.setdefault(key, []).append(one)
    rows = []
    for (event_type, stage, group), members in sorted(
        found.items(), key=lambda item: (-len(item[1]), item[0])
    ):
        oldest = min(member.published for member in members)
        rows.append(
            (
                number(len(members)),
                event_type,
                stage,
                group,
                cause(members[0].letter),
                duration(max(0.0, (now - oldest).total_seconds())),
                mask_payload(members[0].letter.payload, 240),
            )
        )
    return Table(
        "By error",
        ("count", "type", "stage", "error", "root cause", "oldest", "example (masked)"),
        tuple(rows),
    )


def kinds(held: Sequence[Held], now: datetime) -> Table:
    """How many of each kind, without examples: `dlq peek` shows them."""
    found = groups(held, now)
    return Table(found.title, found.columns[:-1], tuple(row[:-1] for row in found.rows))


def causes(held: Iterable[Held]) -> Counter[str]:
    """How many dead letters each root cause has."""
    return Counter(cause(one.letter) for one in held)


def recent_groups(held: Iterable[Held], now: datetime, within: timedelta = timedelta(minutes=10)) -> set[str]:
    """The kinds of dead letters that still arrive."""
    return {one.letter.group for one in held if now - one.published <= within}
