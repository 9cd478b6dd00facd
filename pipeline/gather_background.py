"""Measures the same hour of other days and the changes of a day; all questions at once, in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from pipeline.background import DAYS, SPAN_S, Background, Compared
from pipeline.catalogue import Pipeline
from pipeline.errors import PipelineError
from pipeline.patience import Together

if TYPE_CHECKING:
    from pipeline.google.clients import Clients
    from pipeline.google.metrics import Series

_DAY: Final = timedelta(days=1)
_GAUGE_S: Final = 300.0
_TOPIC: Final = "pubsub.googleapis.com/topic/send_message_operation_count"

T = TypeVar("T")


def background(clients: Clients, pipeline: Pipeline, now: datetime, deadline_s: float) -> Background:
    """One look at the past; what does not answer is left out and named in ``gaps``."""
    moments = [now, *(now - day * _DAY for day in DAYS)]
    gaps: list[str] = []
    with Together(max_workers=8, thread_name_prefix="background") as pool:

        def all_of(look: Callable[[datetime], T]) -> list[T | None]:
            return list(pool.map(lambda moment: _quiet(look, moment, gaps), moments))

        published = all_of(lambda at: _published(clients, pipeline, at, deadline_s))
        waiting = all_of(lambda at: _waiting(clients, pipeline, at, deadline_s))
        lags = all_of(lambda at: _lag(clients, pipeline, at, deadline_s))
        most = [
            _quiet(lambda at: _most(clients, pipeline, at, deadline_s), moment, gaps)
            for moment in moments[:2]
        ]
    return Background(
        published={topic: _topic(published, topic) for topic in pipeline.topics},
        backlog=Compared(now=waiting[0], days=tuple(waiting[1:])),
        lag_s=Compared(now=lags[0], days=tuple(lags[1:])),
        most_workers=Compared(now=most[0], days=(most[1],)),
        gaps=tuple(dict.fromkeys(gaps)),
    )


def published(clients: Clients, pipeline: Pipeline, now: datetime, deadline_s: float) -> dict[str, Compared]:
    """What came in by topic in ten minutes, now and on other days; empty topics where Monitoring does not answer."""
    moments = [now, *(now - day * _DAY for day in DAYS)]
    with Together(max_workers=4, thread_name_prefix="published") as pool:
        found = list(
            pool.map(
                lambda at: _quiet(lambda t: _published(clients, pipeline, t, deadline_s), at, []), moments
            )
        )
    return {topic: _topic(found, topic) for topic in pipeline.topics}


def _quiet(look: Callable[[datetime], T], moment: datetime, gaps: list[str]) -> T | None:
    try:
        return look(moment)
    except PipelineError as error:
        gaps.append(str(error))
        return None


def _topic(published: Sequence[dict[str, float] | None], topic: str) -> Compared:
    """No series now is silence only where other days have one."""
    days = tuple(None if one is None else one.get(topic) for one in published[1:])
    now = None if published[0] is None else published[0].get(topic)
    if now is None and published[0] is not None and any(day is not None for day in days):
        now = 0.0
    return Compared(now=now, days=days)


def _published(clients: Clients, pipeline: Pipeline, at: datetime, deadline_s: float) -> dict[str, float]:
    """Messages published to each topic in the ten minutes before ``at``; by those whose samples are there."""
    from pipeline.google import metrics

    if not pipeline.topics:
        return {}
    wanted = " OR ".join(f"resource.labels.topic_id={metrics.quoted(name)}" for name in pipeline.topics)
    filter_ = f'metric.type="{_TOPIC}" AND resource.type="pubsub_topic" AND ({wanted})'
    found = metrics.series(clients, pipeline.project, filter_, at, SPAN_S, deadline_s)
    seconds = metrics.covered_s(found, at - timedelta(seconds=SPAN_S))
    share = SPAN_S / seconds if seconds > 0 else 1.0
    out: dict[str, float] = {}
    for one in found:
        topic = one.labels.get("topic_id", "")
        out[topic] = out.get(topic, 0.0) + share * sum(point.value for point in one.points)
    return out


def _waiting(clients: Clients, pipeline: Pipeline, at: datetime, deadline_s: float) -> float | None:
    from pipeline.google import metrics

    found = metrics.subscription_series(
        clients,
        pipeline.project,
        pipeline.subscriptions,
        "num_undelivered_messages",
        at,
        _GAUGE_S,
        deadline_s,
    )
    return sum(one.last.value for one in found.values()) if found else None


def _lag(clients: Clients, pipeline: Pipeline, at: datetime, deadline_s: float) -> float | None:
    return _worst(_job(clients, pipeline, "system_lag", at, _GAUGE_S, deadline_s))


def _most(clients: Clients, pipeline: Pipeline, at: datetime, deadline_s: float) -> float | None:
    return _worst(_job(clients, pipeline, "max_worker_instances_limit", at, _GAUGE_S, deadline_s))


def _job(
    clients: Clients, pipeline: Pipeline, metric: str, at: datetime, window_s: float, deadline_s: float
) -> tuple[Series, ...]:
    from pipeline.google import metrics

    return metrics.job_series(clients, pipeline.project, pipeline.job_name, metric, at, window_s, deadline_s)


def _worst(found: tuple[Series, ...]) -> float | None:
    return max((one.last.value for one in found), default=None)
