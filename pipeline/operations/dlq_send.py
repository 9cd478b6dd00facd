"""Where a replay sends dead letters: a topic, or the sink that refused their row.

Either way what was taken is known before anything is acknowledged, and what was not is named with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline.deadletters import Decision
from pipeline.envelope import REPLAY_STAGE, DeadLetter, SinkRow
from pipeline.errors import PipelineError, Refused
from pipeline.operations.base import Context, Plan
from pipeline.tables import LONGEST_KEY, cells, row_key

if TYPE_CHECKING:
    from pipeline.google.bigquery import Inserter
    from pipeline.google.bigtable import StatsTable
    from pipeline.google.pubsub import Message

_BATCH_BYTES: Final = 5_000_000  # Pub/Sub and BigQuery take 10 MB in one request; the rest comes on top
_PATIENCE_S: Final = 10.0  # of a sink; the messages are held for longer


@dataclass(frozen=True, slots=True)
class Item:
    """A dead letter that is held, and what becomes of it."""

    message: Message
    letter: DeadLetter
    decision: Decision

    @property
    def target(self) -> str:
        """A topic, or "bigquery:TABLE" or "bigtable:TABLE"."""
        return self.decision.sink or self.decision.topic


class Sender:
    """Sends for one run; a sink that is away is not asked again by it."""

    def __init__(self, ctx: Context, plan: Plan) -> None:
        self._ctx, self._plan = ctx, plan
        self._away: dict[str, str] = {}
        self._bigquery: Inserter | None = None
        self._bigtable: StatsTable | None = None

    def send(self, items: Sequence[Item]) -> dict[str, str]:
        """Sends items of one target; those that it would not take, message id -> reason.

        PipelineError when a topic cannot be reached: nothing is known of any of them then.
        """
        if not items:
            return {}
        if items[0].decision.sink:
            return self._rewrite(items[0].decision.sink, items)
        try:
            self._publish(items)
        except Refused:
            return self._one_by_one(items)
        return {}

    def _publish(self, items: Sequence[Item]) -> None:
        from pipeline.google import pubsub

        originals = [original(self._plan.id, item) for item in items]
        pubsub.publish(self._ctx.clients, self._ctx.pipeline.project, items[0].decision.topic, originals)

    def _one_by_one(self, items: Sequence[Item]) -> dict[str, str]:
        """One message that is not allowed must not hold up the others."""
        refused = {}
        for item in items:
            try:
                self._publish([item])
            except Refused as error:
                refused[item.message.id] = error.reason
        return refused

    def _rewrite(self, sink: str, items: Sequence[Item]) -> dict[str, str]:
        """Writes rows again under their own ids: a row that is there already is not written twice."""
        if sink not in self._away:
            rows = [item.letter.row for item in items if item.letter.row is not None]
            try:
                refused = self._write(sink, rows)
            except PipelineError as error:
                self._away[sink] = str(error)
            else:
                return {items[place].message.id: reason for place, reason in refused.items()}
        return dict.fromkeys((item.message.id for item in items), self._away[sink])

    def _write(self, sink: str, rows: Sequence[SinkRow]) -> dict[int, str]:
        clients, pipeline = self._ctx.clients, self._ctx.pipeline
        kind, _, table = sink.partition(":")
        if kind == "bigquery":
            from pipeline.google.bigquery import Inserter

            if self._bigquery is None:
                dataset = f"{pipeline.project}.{pipeline.dataset}"
                self._bigquery = Inserter(dataset, _PATIENCE_S, clients.bigquery)
            return self._bigquery.insert(table, [(row.id, row.values) for row in rows])
        from pipeline.google.bigtable import StatsTable

        if self._bigtable is None:
            name = f"{pipeline.project}/{pipeline.bigtable_instance}/{pipeline.bigtable_table}"
            self._bigtable = StatsTable(name, _PATIENCE_S, clients.bigtable)
        return _write_cells(self._bigtable, table, rows)


def _write_cells(into: StatsTable, table: str, rows: Sequence[SinkRow]) -> dict[int, str]:
    made, places, refused = [], [], {}
    for place, row in enumerate(rows):
        try:
            one = cells(table, row.values)
            if len(row_key(row.values)) > LONGEST_KEY:
                raise ValueError(f"a row key has at most {LONGEST_KEY} bytes")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            refused[place] = f"its row is not one of {table}: {error}"
            continue
        made.append(one)
        places.append(place)
    failed = into.write(made) if made else {}
    return refused | {places[place]: reason for place, reason in failed.items()}


def original(replay: str, item: Item) -> tuple[bytes, Mapping[str, str]]:
    """The original bytes and attributes, stamped so that a copy can be told."""
    return item.letter.payload, stamped(item.letter, replay, item.message.id)


def stamped(letter: DeadLetter, replay: str, message: str) -> dict[str, str]:
    """The attributes of a dead letter's original on its way back; ``message`` is its id in the queue."""
    return {
        **letter.attributes,
        "replay_of": message,
        "replay_id": replay,
        "replay_count": str(letter.replay_count + 1),
        REPLAY_STAGE: letter.stage,
    }


def chunks(items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    """By target, and small enough for one request."""
    found: list[tuple[str, list[Item]]] = []
    by_target: dict[str, list[Item]] = {}
    for item in items:
        by_target.setdefault(item.target, []).append(item)
    for target, members in by_target.items():
        chunk: list[Item] = []
        size = 0
        for item in members:
            length = _size(item)
            if chunk and size + length > _BATCH_BYTES:
                found.append((target, chunk))
                chunk, size = [], 0
            chunk.append(item)
            size += length
        found.append((target, chunk))
    return found


def _size(item: Item) -> int:
    """What it adds to a request, at least."""
    body: Any = item.message.data if item.decision.sink else item.letter.payload
    return len(body) + 1000
