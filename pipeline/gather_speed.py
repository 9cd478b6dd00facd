"""Measures where the time goes: lag by stage, workers, warnings of the service; all questions at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.bottleneck import Speed, Stage
from pipeline.catalogue import Pipeline
from pipeline.catching_up import WINDOW_S, Looks, catching_up
from pipeline.errors import PipelineError
from pipeline.gaps import Gap
from pipeline.gather import error_groups
from pipeline.measurements import LogError, Measurements
from pipeline.patience import Together

if TYPE_CHECKING:
    from pipeline.google.clients import Clients
    from pipeline.google.metrics import Series

FRESH_S: Final = 300.0
_HOUR_S: Final = 3600.0
_WINDOW_S: Final = 75 * 60.0
_USUAL_S: Final = 30.0
_LOGS: Final = 200


class SpeedGauge:
    """The questions to Monitoring and Logging about one pipeline; what does not answer becomes a gap."""

    def __init__(
        self, clients: Clients, pipeline: Pipeline, measured: Measurements, deadline_s: float
    ) -> None:
        self.gaps: list[Gap] = []
        self._clients, self._pipeline, self._deadline_s = clients, pipeline, deadline_s
        self._now = measured.now
        self._ids = {job.id for job in measured.jobs or () if not job.ended}
        self._backlog = measured.backlog
        self._began = measured.job.since if measured.job is not None and measured.job.running else None

    def speed(self) -> Speed:
        """Lag by stage with what explains it."""
        with Together(max_workers=6, thread_name_prefix="speed") as pool:
            queues = pool.submit(self._queues)
            stages = pool.submit(self.series, "per_stage_system_lag")
            busy = pool.submit(self._newest, "aggregated_worker_utilization")
            workers = pool.submit(self._newest, "active_worker_instances")
            most = pool.submit(self._newest, "max_worker_instances_limit")
            warnings = pool.submit(self._warnings)
        return Speed(
            now=self._now,
            stages=tuple(_stages(stages.result(), self._now)),
            utilisation=busy.result(),
            workers=_whole(workers.result()),
            most_workers=_whole(most.result()),
            backlog=self._backlog,
            warnings=warnings.result(),
            began=self._began,
            catching_up=catching_up(queues.result(), self._now),
        )

    def series(self, metric: str, window_s: float = _WINDOW_S) -> tuple[Series, ...]:
        """One metric of the living jobs; nothing, and a gap, where it cannot be read."""
        from pipeline.google import metrics

        try:
            found = metrics.job_series(
                self._clients,
                self._pipeline.project,
                self._pipeline.job_name,
                metric,
                self._now,
                window_s,
                self._deadline_s,
            )
        except PipelineError as error:
            self.gaps.append(Gap(metric.replace("_", " "), str(error)))
            return ()
        return tuple(one for one in found if not self._ids or one.labels.get("job_id", "") in self._ids)

    def _queues(self) -> dict[str, Looks]:
        """What waited in each subscription lately; nothing where it cannot be read: the backlog's gap is told."""
        from pipeline.google import metrics

        try:
            found = metrics.subscription_series(
                self._clients,
                self._pipeline.project,
                self._pipeline.subscriptions,
                "num_undelivered_messages",
                self._now,
                WINDOW_S,
                self._deadline_s,
            )
        except PipelineError:
            return {}
        return {name: [(point.at, point.value) for point in one.points] for name, one in found.items()}

    def _newest(self, metric: str) -> float | None:
        fresh = [
            s.last.value
            for s in self.series(metric, FRESH_S)
            if (self._now - s.last.at).total_seconds() <= FRESH_S
        ]
        return max(fresh) if fresh else None

    def _warnings(self) -> tuple[LogError, ...]:
        from pipeline.google.logs import log_lines

        since = self._now - timedelta(minutes=30)
        try:
            lines = log_lines(
                self._clients, self._pipeline, since=since, until=self._now, limit=_LOGS, severity="WARNING"
            )
        except PipelineError as error:
            self.gaps.append(Gap("logs", str(error)))
            return ()
        return error_groups(lines)


def _stages(found: Iterable[Series], now: datetime) -> Iterable[Stage]:
    for one in found:
        if (now - one.last.at).total_seconds() > FRESH_S:
            continue
        before = one.at(now - timedelta(seconds=_HOUR_S))
        yield Stage(
            name=one.labels.get("stage", "unnamed"),
            lag_s=one.last.value,
            before_s=before.value if before else None,
            since=_since(one),
        )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _since(one: Series) -> datetime | None:
    """Since when the stage has been behind more than usual, without a break."""
    since = None
    for point in reversed(one.points):
        if point.value < _USUAL_S:
            break
        since = point.at
    return since
