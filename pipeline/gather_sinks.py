"""Measures the stores behind a pipeline: what they take and how busy they are; all questions at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from pipeline.alerting import of_job
from pipeline.catalogue import EVENT_TYPES, Pipeline
from pipeline.errors import PipelineError
from pipeline.gaps import Gap
from pipeline.patience import Together
from pipeline.sinks import Queries, Rate, Sinks

if TYPE_CHECKING:
    from pipeline.google.clients import Clients
    from pipeline.google.metrics import Series

_HOUR: Final = timedelta(hours=1)
_LATE_S: Final = 240.0
_BIGTABLE: Final = "bigtable.googleapis.com/"

T = TypeVar("T")


def sinks(clients: Clients, pipeline: Pipeline, now: datetime, deadline_s: float, *, closely: bool) -> Sinks:
    """One look; what does not answer becomes a gap.  ``closely``: also the queries of BigQuery, which cost a little."""
    look = _Look(clients, pipeline, now, deadline_s)
    with Together(max_workers=8, thread_name_prefix="sinks") as pool:
        rows = pool.submit(look.rate, look.rows) if pipeline.dataset else None
        bigtable = bool(pipeline.bigtable_instance)
        requests = pool.submit(look.rate, look.requests) if bigtable else None
        errors = pool.submit(look.errors) if bigtable else None
        load = pool.submit(look.load) if bigtable and closely else None
        queries = pool.submit(look.queries) if pipeline.dataset and closely else None
    cpu, hottest, nodes = (None, None, None) if load is None else load.result()
    return Sinks(
        rows=_result(rows),
        requests=_result(requests),
        errors=_result(errors),
        cpu=cpu,
        hottest=hottest,
        nodes=None if nodes is None else int(nodes),
        queries=_result(queries),
        gaps=tuple(look.gaps),
    )


def _result(future: Future[T | None] | None) -> T | None:
    return None if future is None else future.result()


class _Look:
    def __init__(self, clients: Clients, pipeline: Pipeline, now: datetime, deadline_s: float) -> None:
        self.gaps: list[Gap] = []
        self._clients, self._pipeline, self._now, self._deadline_s = clients, pipeline, now, deadline_s
        self._span_s = pipeline.limits.rate_s

    def rate(self, of: Callable[[datetime], float | None]) -> Rate | None:
        """A second's share, now and an hour before."""
        now = of(self._now)
        # Who does not answer for now is not waited for a second time.
        return None if now is None else Rate(now, of(self._now - _HOUR))

    def rows(self, at: datetime) -> float | None:
        """Events that the pipeline's jobs have stored in BigQuery, a second, by the pipeline's own counters.

        BigQuery's count of rows comes hours late, and Dataflow's knows those of Beam's own writer alone.
        """
        from pipeline.google import metrics

        names = " OR ".join(
            f"metric.labels.metric_name={metrics.quoted(f'{kind}_settled')}" for kind in EVENT_TYPES
        )
        filter_ = f"{of_job(self._pipeline, 'user_counter')} AND ({names})"
        found = self._asked(
            "rows into BigQuery",
            lambda: metrics.series(
                self._clients, self._pipeline.project, filter_, at, self._span_s + _LATE_S, self._deadline_s
            ),
        )
        begin = at - timedelta(seconds=self._span_s)
        seconds = metrics.covered_s(found or (), begin)
        return sum(_grown(one, begin) for one in found or ()) / seconds if seconds > 0 else None

    def requests(self, at: datetime) -> float | None:
        """Requests to the instance of Bigtable, a second."""
        return self._per_second(
            "requests to Bigtable", at, lambda: self._bigtable("server/request_count", "bigtable_table", at)
        )

    def errors(self) -> float | None:
        """Errors of the instance in the window."""
        return self._asked(
            "errors of Bigtable",
            lambda: _sum(self._bigtable("server/error_count", "bigtable_table", self._now)),
        )

    def load(self) -> tuple[float | None, float | None, float | None]:
        """CPU of the busiest cluster, of its hottest node, and all nodes."""
        cpu = self._cluster("cluster/cpu_load")
        if cpu is None:
            return None, None, None
        hottest, nodes = self._cluster("cluster/cpu_load_hottest_node"), self._cluster("cluster/node_count")
        return _worst(cpu), _worst(hottest), sum(one.last.value for one in nodes) if nodes else None

    def _cluster(self, name: str) -> tuple[Series, ...] | None:
        return self._asked("load of Bigtable", lambda: self._bigtable(name, "bigtable_cluster", self._now))

    def queries(self) -> Queries | None:
        """The project's queries of the last hour."""
        from pipeline.google.bigquery_load import queries_since

        def ask() -> Queries:
            return queries_since(
                self._clients, self._pipeline, self._now - _HOUR, self._now, self._deadline_s
            )

        return self._asked("queries of BigQuery", ask)

    def _per_second(self, what: str, at: datetime, ask: Callable[[], tuple[Series, ...]]) -> float | None:
        from pipeline.google import metrics

        found = self._asked(what, ask) or ()
        seconds = metrics.covered_s(found, at - timedelta(seconds=self._span_s))
        return _sum(found) / seconds if seconds > 0 else None

    def _bigtable(self, name: str, resource: str, at: datetime) -> tuple[Series, ...]:
        from pipeline.google import metrics

        instance = metrics.quoted(self._pipeline.bigtable_instance)
        filter_ = (
            f'metric.type="{_BIGTABLE}{name}" AND resource.type="{resource}" '
            f"AND resource.labels.instance={instance}"
        )
        span_s = self._span_s + (0.0 if resource == "bigtable_table" else _LATE_S)
        return metrics.series(self._clients, self._pipeline.project, filter_, at, span_s, self._deadline_s)

    def _asked(self, what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except PipelineError as error:
            gap = Gap(what, str(error))
            if gap not in self.gaps:
                self.gaps.append(gap)
            return None


def _grown(one: Series, begin: datetime) -> float:
    """How much a counter grew; of one that is first seen later, since then."""
    return max(0.0, one.last.value - (one.at(begin) or one.points[0]).value)


def _sum(found: tuple[Series, ...]) -> float:
    return sum(point.value for one in found for point in one.points)


def _worst(found: tuple[Series, ...] | None) -> float | None:
    return max((one.last.value for one in found or ()), default=None)
