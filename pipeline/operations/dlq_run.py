"""The replay itself: pull, publish, wait for the answer, only then acknowledge."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline.deadletters import Decision, Fate, decide
from pipeline.envelope import DeadLetter
from pipeline.errors import Refused
from pipeline.operations.base import Context, Plan, Progress, ProgressSink
from pipeline.operations.dlq import guarded, held
from pipeline.report import number

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message

_BATCH: Final = 500
_BATCH_BYTES: Final = 5_000_000  # Pub/Sub takes 10 MB in one request; attributes come on top
# Longer than a publish may take (20 s), short enough that a killed run can soon be run again.
_LEASE_S: Final = 30
_RENEW_S: Final = 8.0  # leases run on wall time, whatever clock the rules run on
_EMPTY: Final = 2


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    sent: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    stayed: Counter[Fate] = field(default_factory=Counter)
    refused: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Item:
    message: Message
    letter: DeadLetter
    decision: Decision


def replay(ctx: Context, plan: Plan, progress: ProgressSink) -> Outcome:
    """Runs the plan; whatever is not sent goes back to the queue, also when it fails midway."""
    from pipeline.google import pubsub

    name = guarded(ctx).name
    project = ctx.pipeline.project
    want, limit = int(plan.data["going"]), int(plan.params["limit"])
    outcome = Outcome()
    keep: dict[str, Message] = {}
    open_: dict[str, Message] = {}
    empty, renewed = 0, time.monotonic()
    try:
        while outcome.sent < want and len(keep) + outcome.sent < limit and empty < _EMPTY:
            batch = pubsub.pull(ctx.clients, project, name, min(_BATCH, limit - outcome.sent - len(keep)))
            open_ = {message.id: message for message in batch}
            pubsub.lease(ctx.clients, project, name, batch, _LEASE_S)
            fresh = [message for message in open_.values() if message.id not in keep]
            # A redelivery brings a newer ack id; only the newest can be given back.
            keep.update((id_, message) for id_, message in open_.items() if id_ in keep)
            empty = 0 if fresh else empty + 1
            going = _sort(ctx, plan, fresh, want - outcome.sent, keep, outcome)
            for item in _send(ctx, plan, name, going, outcome, progress, want):
                keep[item.message.id] = item.message
            open_ = {}
            if time.monotonic() - renewed > _RENEW_S:
                pubsub.lease(ctx.clients, project, name, keep.values(), _LEASE_S)
                renewed = time.monotonic()
    finally:
        pubsub.release(ctx.clients, project, name, (keep | open_).values())
    return outcome


def _sort(
    ctx: Context, plan: Plan, fresh: Sequence[Message], room: int, keep: dict[str, Message], outcome: Outcome
) -> list[_Item]:
    """Those to send, at most ``room``; the others are kept under their leases and counted."""
    items = [_item(ctx, plan, message) for message in fresh]
    going = [item for item in items if item.decision.fate == "replay"][:room]
    chosen = {item.message.id for item in going}
    for item in items:
        if item.message.id not in chosen:
            keep[item.message.id] = item.message
            if item.decision.fate != "replay":
                outcome.stayed[item.decision.fate] += 1
    return going


def _item(ctx: Context, plan: Plan, message: Message) -> _Item:
    letter = held(message).letter
    return _Item(message, letter, decide(letter, ctx.pipeline, plan.params["rule"]))


def _send(
    ctx: Context,
    plan: Plan,
    name: str,
    items: Sequence[_Item],
    outcome: Outcome,
    progress: ProgressSink,
    want: int,
) -> list[_Item]:
    """Publishes and then acknowledges, a chunk at a time; returns those that Pub/Sub would not take."""
    from pipeline.google import pubsub

    refused: list[_Item] = []
    for topic, chunk in _chunks(items):
        sent = chunk
        try:
            pubsub.publish(
                ctx.clients, ctx.pipeline.project, topic, [_original(plan, item) for item in chunk]
            )
        except Refused:
            sent = _one_by_one(ctx, plan, topic, chunk, outcome)
            refused += [item for item in chunk if item not in sent]
        # Between this line and the next a kill leaves the chunk both published and queued.
        progress(Progress(f"{number(len(sent))} stored in {topic}, acknowledging", outcome.sent, want))
        pubsub.acknowledge(ctx.clients, ctx.pipeline.project, name, [item.message for item in sent])
        outcome.sent += len(sent)
        outcome.topics[topic] += len(sent)
        progress(Progress(f"{number(outcome.sent)} of {number(want)} sent back", outcome.sent, want))
    return refused


def _one_by_one(
    ctx: Context, plan: Plan, topic: str, items: Sequence[_Item], outcome: Outcome
) -> list[_Item]:
    """One message that is not allowed must not hold up the others."""
    from pipeline.google import pubsub

    sent = []
    for item in items:
        try:
            pubsub.publish(ctx.clients, ctx.pipeline.project, topic, [_original(plan, item)])
        except Refused as error:
            outcome.refused += 1
            outcome.refusal = error.reason
        else:
            sent.append(item)
    return sent


def _original(plan: Plan, item: _Item) -> tuple[bytes, dict[str, str]]:
    """The original bytes and attributes, stamped so that a copy can be told."""
    return item.letter.payload, {
        **item.letter.attributes,
        "replay_of": item.message.id,
        "replay_id": plan.id,
        "replay_count": str(item.letter.replay_count + 1),
    }


def _chunks(items: Sequence[_Item]) -> list[tuple[str, list[_Item]]]:
    """By topic, and small enough for one request."""
    chunks: list[tuple[str, list[_Item]]] = []
    by_topic: dict[str, list[_Item]] = {}
    for item in items:
        by_topic.setdefault(item.decision.topic, []).append(item)
    for topic, members in by_topic.items():
        chunk: list[_Item] = []
        size: Any = 0
        for item in members:
            length = len(item.letter.payload) + 1000
            if chunk and size + length > _BATCH_BYTES:
                chunks.append((topic, chunk))
                chunk, size = [], 0
            chunk.append(item)
            size += length
        chunks.append((topic, chunk))
    return chunks
