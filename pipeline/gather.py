"""Measures a pipeline: every question at once, in threads; what cannot be answered becomes a gap.

One unreachable service must not hide what the others know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.catalogue import EVENT_TYPES, Pipeline
from pipeline.errors import PipelineError
from pipeline.gaps import Gap
from pipeline.jobs import Job
from pipeline.measurements import Counters, LogError, Measurements, Queue
from pipeline.patience import Together
from pipeline.quality import CAUSES
from pipeline.thresholds import Thresholds

if TYPE_CHECKING:
    from pipeline.google.clients import Clients
    from pipeline.google.logs import LogLine
    from pipeline.google.metrics import Series
    from pipeline.google.pubsub import Subscription

_LATE_S: Final = 5 * 60  # samples come late by so much
_FRESH_S: Final = 5 * 60  # a gauge older than this says nothing about now
_LOGS: Final = 200
_LINE: Final = 400  # characters of a log line that are kept
_ACCOUNTS: Final = ("received", "valid", "invalid", "dead_lettered", "duplicates")
_KINDS: Final = (*EVENT_TYPES, "unknown")  # a type that the pipeline does not know is counted too

T = TypeVar("T")


class _Asked:
    """Questions under way; an answer that is an error of ours becomes a gap."""

    def __init__(self, pool: Together) -> None:
        self._pool = pool
        self.gaps: list[Gap] = []
        self._count = 0

    @property
    def all_in_vain(self) -> bool:
        """Nobody answered anything."""
        return len(self.gaps) == self._count

    def ask(self, question: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        self._count += 1
        return self._pool.submit(question, *args, **kwargs)

    def answer(self, what: str, future: Future[T]) -> T | None:
        try:
            return future.result()
        except PipelineError as error:
            self.gaps.append(Gap(what, str(error)))
            return None


def measure(
    clients: Clients, pipeline: Pipeline, now: datetime, deadline_s: float, *, with_logs: bool = True
) -> Measurements:
    """One look at a pipeline; raises nothing for a service that does not answer."""
    from pipeline.google import dataflow, metrics, pubsub

    subscriptions, limits = _subscriptions(pipeline), pipeline.limits
    window_s = max(limits.still_s, limits.books_s, limits.rate_s) + _LATE_S
    with Together(max_workers=16, thread_name_prefix="measure") as pool:
        asked = _Asked(pool)

        def job_series(metric: str) -> Future[tuple[Series, ...]]:
            return asked.ask(
                metrics.job_series,
                clients,
                pipeline.project,
                pipeline.job_name,
                metric,
                now,
                window_s,
                deadline_s,
            )

        def queue_series(metric: str) -> Future[dict[str, Series]]:
            return asked.ask(
                metrics.subscription_series,
                clients,
                pipeline.project,
                subscriptions,
                metric,
                now,
                window_s,
                deadline_s,
            )

        jobs = asked.ask(dataflow.jobs_of, clients, pipeline, deadline_s)
        counts, ages = queue_series("num_undelivered_messages"), queue_series("oldest_unacked_message_age")
        lag, watermark, user = (
            job_series("system_lag"),
            job_series("data_watermark_age"),
            job_series("user_counter"),
        )
        active = asked.ask(dataflow.active_jobs, clients, pipeline, named=False, deadline_s=deadline_s)
        described = {
            name: asked.ask(pubsub.describe, clients, pipeline.project, name, deadline_s)
            for name in subscriptions
        }
        found_jobs = asked.answer("jobs", jobs)
        ids = _living(found_jobs)
        measured = dict(
            now=now,
            limits=limits,
            job_name=pipeline.job_name,
            jobs=found_jobs,
            active=asked.answer("living jobs", active),
            system_lag_s=_gauge(asked.answer("system lag", lag), ids, now),
            **_watermark(asked.answer("watermark", watermark), ids, now),
            **_counted(asked.answer("event counters", user), ids, now, limits),
            queues=_queues(pipeline, asked, counts, ages, described),
        )
    # Where nothing answers, the logs would only make a person wait for one more silence.
    ask_logs = with_logs and _trouble(measured) and not asked.all_in_vain
    lines = _errors(clients, pipeline, now, asked.gaps) if ask_logs else ()
    return Measurements(**measured, errors=lines, gaps=tuple(asked.gaps))


def error_groups(lines: Iterable[LogLine]) -> tuple[LogError, ...]:
    """Log lines grouped by the shape of their message, the most frequent first."""
    from pipeline.masking import mask_text, shape

    groups: dict[str, list[LogLine]] = {}
    for line in lines:
        groups.setdefault(mask_text(shape(line.text)), []).append(line)
    found = [
        LogError(
            shape=key,
            count=len(group),
            example=_cut(mask_text(" ".join(max(group, key=lambda line: line.at).text.split()))),
            last=max(line.at for line in group),
            source=group[0].source,
        )
        for key, group in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: (-group.count, group.shape)))


def _cut(text: str) -> str:
    """A long line's begin; of a long traceback its end too, where the exception stands."""
    if len(text) <= _LINE:
        return text
    if "Traceback (most recent call last)" in text:
        return f"{text[: _LINE // 4]} … {text[-_LINE * 3 // 4 :]}"
    return text[:_LINE]


def _subscriptions(pipeline: Pipeline) -> list[str]:
    names = [*pipeline.subscriptions, pipeline.dead_letter_subscription]
    return [name for name in dict.fromkeys(names) if name]


def _living(jobs: Sequence[Job] | None) -> set[str]:
    """Ids of the jobs whose metrics speak for now; all of them when the jobs are not known."""
    return {job.id for job in jobs or () if not job.ended}


def _of(found: Iterable[Series] | None, ids: set[str]) -> list[Series]:
    return [one for one in found or () if not ids or one.labels.get("job_id", "") in ids]


def _gauge(found: Iterable[Series] | None, ids: set[str], now: datetime) -> float | None:
    """The newest value, the worst of several jobs; None when it is too old to speak for now."""
    values = [s.last.value for s in _of(found, ids) if (now - s.last.at).total_seconds() <= _FRESH_S]
    return max(values) if values else None


def _watermark(found: Iterable[Series] | None, ids: set[str], now: datetime) -> dict[str, Any]:
    still: float | None = None
    for one in _of(found, ids):
        if (now - one.last.at).total_seconds() > _FRESH_S:
            continue
        mark = one.last.at - timedelta(seconds=one.last.value)
        since = one.last.at
        for point in reversed(one.points):
            moved = (mark - (point.at - timedelta(seconds=point.value))).total_seconds()
            if abs(moved) > 5:  # sampled watermarks jitter by a moment
                break
            since = point.at
        this = (now - since).total_seconds()
        still = this if still is None else max(still, this)
    return {"watermark_age_s": _gauge(found, ids, now), "watermark_still_s": still}


def _counted(
    found: Iterable[Series] | None, ids: set[str], now: datetime, limits: Thresholds
) -> dict[str, Any]:
    """The counters over the window, and for how long nothing valid came out."""
    by_name: dict[str, list[Series]] = {}
    for one in _of(found, ids):
        by_name.setdefault(one.labels.get("metric_name", ""), []).append(one)
    kinds_ = [kind for kind in _KINDS if kind in EVENT_TYPES or f"{kind}_received" in by_name]
    received = {kind: by_name.get(f"{kind}_received", []) for kind in kinds_}
    if not any(received.values()):
        return {"counters": None, "output_still_s": None}

    def sums(suffix: str, value: Callable[[Series], float]) -> float:
        return sum(value(one) for kind in kinds_ for one in by_name.get(f"{kind}_{suffix}", ()))

    def recent(one: Series) -> float:
        return _increase(one, now, limits.rate_s)

    def kinds(kind: str) -> tuple[float, float]:
        return sum(map(recent, received[kind])), sum(map(recent, by_name.get(f"{kind}_invalid", ())))

    before = now - timedelta(seconds=limits.books_s)
    old_enough = all(one.at(before) for group in by_name.values() for one in group)
    accounted = ("valid", "dead_lettered", "duplicates")
    counters = Counters(
        received=sums("received", recent),
        invalid=sums("invalid", recent),
        valid=sums("valid", recent),
        dead_lettered=sums("dead_lettered", recent),
        by_type={kind: kinds(kind) for kind in kinds_},
        totals={name: sums(name, _newest) for name in (*_ACCOUNTS, *CAUSES)},
        jobs=tuple(sorted({one.labels.get("job_id", "") for group in by_name.values() for one in group})),
        sink_failed=sums("sink_failed", recent),
        causes={cause: count for cause in CAUSES if (count := sums(cause, recent)) > 0},
        received_total=sums("received", _newest),
        accounted_total=sum(sums(name, _newest) for name in accounted),
        received_before=sums("received", lambda one: _value_at(one, before)) if old_enough else None,
        accounted_before=sum(sums(name, lambda one: _value_at(one, before)) for name in accounted)
        if old_enough
        else None,
    )
    valid = [one for kind in kinds_ for one in by_name.get(f"{kind}_valid", ())]
    return {"counters": counters, "output_still_s": min((_still(one, now) for one in valid), default=None)}


def _newest(one: Series) -> float:
    return one.last.value


def _value_at(one: Series, when: datetime) -> float:
    point = one.at(when)
    return point.value if point else 0.0


def _increase(one: Series, now: datetime, window_s: float) -> float:
    """How much a counter grew; one that begins inside the window belongs to a new job and began at 0."""
    return max(0.0, one.last.value - _value_at(one, now - timedelta(seconds=window_s)))


def _still(one: Series, now: datetime) -> float:
    since = one.last.at
    for point in reversed(one.points):
        if point.value != one.last.value:
            break
        since = point.at
    return (now - since).total_seconds()


def _queues(
    pipeline: Pipeline,
    asked: _Asked,
    counts: Future[dict[str, Series]],
    ages: Future[dict[str, Series]],
    described: dict[str, Future[Subscription]],
) -> tuple[Queue, ...]:
    count_of = asked.answer("backlog", counts) or {}
    age_of = asked.answer("age of the backlog", ages) or {}
    queues = []
    for name, future in described.items():
        subscription = asked.answer(f"subscription {name}", future)
        count, age = count_of.get(name), age_of.get(name)
        queues.append(
            Queue(
                name=name,
                dead_letters=name == pipeline.dead_letter_subscription,
                count=int(count.last.value) if count else None,
                oldest_s=age.last.value if age else None,
                retention_s=subscription.retention_s if subscription else None,
            )
        )
    return tuple(queues)


def _trouble(measured: dict[str, Any]) -> bool:
    """Whether the logs are worth reading: they cost quota, and a healthy pipeline has no question."""
    jobs: tuple[Job, ...] | None = measured["jobs"]
    counters: Counters | None = measured["counters"]
    still: float | None = measured["watermark_still_s"]
    if jobs is None or not any(job.running for job in jobs):
        return True
    if counters is None or (counters.received > 0 and counters.invalid / counters.received > 0.05):
        return True
    limits: Thresholds = measured["limits"]
    return still is None or still > limits.moving_s or (measured["system_lag_s"] or 0.0) > limits.system_lag_s


def _errors(clients: Clients, pipeline: Pipeline, now: datetime, gaps: list[Gap]) -> tuple[LogError, ...]:
    from pipeline.google.logs import log_lines

    try:
        lines = log_lines(clients, pipeline, since=now - timedelta(hours=2), until=now, limit=_LOGS)
    except PipelineError as error:
        gaps.append(Gap("logs", str(error)))
        return ()
    return error_groups(lines)
