"""What the operations on the dead-letter queue share: look at it without costing anyone anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipeline.deadletters import Held
from pipeline.envelope import read
from pipeline.errors import PipelineError, Refused
from pipeline.operations.base import Context
from pipeline.report import Evidence, Finding, clock, duration, plural

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message, Subscription

_METRICS_S: Final = 15 * 60


def subscription_of(ctx: Context) -> str:
    """The dead-letter subscription; Refused when the pipeline has none."""
    name = ctx.pipeline.dead_letter_subscription
    if not name:
        raise Refused(
            f"{ctx.pipeline.name} has no dead-letter subscription in pipelines.yaml; "
            "add `dead_letter: {topic, subscription}` there."
        )
    return name


def described(ctx: Context) -> Subscription:
    """The dead-letter subscription as it is."""
    from pipeline.google import pubsub

    return pubsub.describe(ctx.clients, ctx.pipeline.project, subscription_of(ctx), ctx.deadline_s)


def guarded(ctx: Context) -> Subscription:
    """The same; Refused where looking into it costs delivery attempts."""
    found = described(ctx)
    if found.dead_letter_topic:
        raise Refused(
            f"{found.name} has a dead-letter policy of its own (to {found.dead_letter_topic}): each look would cost "
            "a delivery attempt and could push messages out of the queue. Remove the policy from the subscription, "
            "or look at that topic's subscription instead."
        )
    return found


@contextmanager
def sample(ctx: Context, limit: int, progress: Callable[[int], None] | None = None) -> Iterator[list[Held]]:
    """Up to ``limit`` dead letters, held while the block runs and given back after it."""
    from pipeline.google import pubsub

    found = guarded(ctx)
    project, name = ctx.pipeline.project, found.name
    messages = pubsub.take(ctx.clients, project, name, limit, budget_s=ctx.deadline_s, progress=progress)
    try:
        yield [held(message) for message in messages]
    finally:
        pubsub.release(ctx.clients, project, name, messages)


def held(message: Message) -> Held:
    return Held(id=message.id, published=message.published, letter=read(message.data, message.attributes))


def size_of_queue(ctx: Context, name: str) -> tuple[int | None, float | None, str]:
    """(messages, age of the oldest in s, why unknown) by Cloud Monitoring, the only one that counts."""
    from pipeline.google import metrics

    clients, project, now = ctx.clients, ctx.pipeline.project, ctx.now()

    def newest(metric: str) -> float | None:
        found = metrics.subscription_series(clients, project, [name], metric, now, _METRICS_S, ctx.deadline_s)
        return found[name].last.value if name in found else None

    try:
        count, age = newest("num_undelivered_messages"), newest("oldest_unacked_message_age")
    except PipelineError as error:
        return None, None, str(error)
    if count is None:
        return None, age, "Cloud Monitoring has no data for it"
    return int(count), age, ""


def queue_findings(ctx: Context, retention_s: float) -> tuple[list[Finding], int | None]:
    """How much is in the queue, how old it is, and when it begins to be deleted."""
    name = subscription_of(ctx)
    now = ctx.now()
    count, oldest_s, reason = size_of_queue(ctx, name)
    if count is None:
        return [Finding("unknown", "unknown", f"How many messages {name} holds is unknown: {reason}.")], None
    evidence = (Evidence(f"messages in {name}", count, "messages", now),)
    if not count:
        return [Finding("empty", "ok", f"{name} is empty.", evidence)], 0
    age = f", the oldest for {duration(oldest_s)}" if oldest_s is not None else ""
    findings = [Finding("dead_letters", "info", f"{plural(count, 'dead letter')} in {name}{age}.", evidence)]
    if oldest_s is not None:
        left = retention_s - oldest_s
        at = now + timedelta(seconds=left)
        text = f"{name} keeps messages for {duration(retention_s)}: data will start to be deleted at {clock(at, now)}."
        soon = left < ctx.pipeline.limits.deletion_warning_s
        findings.append(Finding("deletion_clock", "warning" if soon else "info", text))
    return findings, count
