"""``run direct``: the whole pipeline in this process, against emulators or the sandbox, rows into files.

Beam's own streaming runner, named directly (``BundleBasedDirectRunner``): the default would first try to fetch
another one from the internet.  Messages are acknowledged when their rows are written (``feed``), so
a run that is killed may be started again.  Windows and the memory of duplicates live in this process: it is
for trying out and for tests, not for production.  An ordinary end (``--duration``, Ctrl-C) first lets what was
read come to its end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pipeline.catalogue import EVENT_TYPES
from pipeline.streaming.counting import close_board, in_flight, open_board
from pipeline.streaming.settings import Settings

if TYPE_CHECKING:
    from pipeline.google.clients import Clients

RUNNER: Final = "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
_SETTLED_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The counters of a local run, and the events that are read and not yet accounted for."""

    at: datetime
    job_name: str
    state: str
    counters: Mapping[str, int]

    @property
    def in_flight(self) -> int:
        return in_flight(self.counters)

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "job_name": self.job_name,
            "state": self.state,
            "in_flight": self.in_flight,
            "counters": dict(sorted(self.counters.items())),
        }


class DirectRun:
    """A running local pipeline; ``stop`` ends it."""

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        *,
        job_name: str,
        project: str,
        now: Callable[[], datetime],
    ) -> None:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions

        from pipeline.streaming.cloud import build
        from pipeline.streaming.feed import Feed

        self.job_name = job_name
        self._now = now
        self._board_name = f"direct-{uuid4().hex}"
        self._board = open_board(self._board_name)
        options = PipelineOptions(flags=[])
        options.view_as(StandardOptions).streaming = True
        options.view_as(GoogleCloudOptions).project = project
        pipeline = beam.Pipeline(RUNNER, options=options)
        subscriptions = {one: settings.subscription(one) for one in EVENT_TYPES}
        self._feed = Feed(clients, project, subscriptions, self._board, now)
        sources = pipeline | self._feed.source()
        build(pipeline, settings, sources=sources, local=True, board=self._board_name)
        self._result = pipeline.run()

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(
            at=self._now(), job_name=self.job_name, state=str(self._result.state), counters=self._board.read()
        )

    @property
    def alive(self) -> bool:
        return str(self._result.state) == "RUNNING"

    def failure(self) -> str:
        """Why it ended by itself; empty while it runs."""
        if self.alive:
            return ""
        try:
            self._result.wait_until_finish(duration=1)
        except Exception as error:  # noqa: BLE001 - whatever ended the run is what is asked for
            return f"{type(error).__name__}: {error}"
        return f"it ended as {self._result.state}"

    def settle(self, wait: Callable[[float], object] = time.sleep) -> Heartbeat:
        """Waits, for a while, until no event is between two steps: books are only even in between bundles."""
        end = time.monotonic() + _SETTLED_S
        last = self.heartbeat()
        while last.in_flight and self.alive and time.monotonic() < end:
            wait(0.1)
            last = self.heartbeat()
        return last

    def stop(self, patience_s: float = 60.0) -> None:
        """Ends the run, which may keep Beam's thread for ``patience_s`` at most."""
        self._feed.stop()
        if self.alive:
            ending = Thread(target=self._result.cancel, daemon=True)
            ending.start()
            ending.join(patience_s)
        close_board(self._board_name)


def watch(
    run: DirectRun,
    tell: Callable[[Heartbeat], None],
    *,
    every_s: float,
    until: Callable[[], bool],
    wait: Callable[[float], object] = time.sleep,
) -> Heartbeat:
    """Tells a heartbeat every ``every_s`` until ``until`` says so or the run dies; gives the last."""
    while not until() and run.alive:
        tell(run.heartbeat())
        wait(every_s)
    return run.heartbeat()


def publisher(clients: Any, project: str, topic: str, folder: str) -> Callable[[Heartbeat], None]:
    """Writes each heartbeat to ``heartbeat.json`` of the folder, and to the topic where one is named."""
    from pipeline.errors import PipelineError
    from pipeline.google import pubsub

    file = Path(folder) / "heartbeat.json"
    file.parent.mkdir(parents=True, exist_ok=True)

    def tell(heartbeat: Heartbeat) -> None:
        data = json.dumps(heartbeat.to_json())
        part = file.with_suffix(".tmp")
        part.write_text(data + "\n", encoding="utf-8")
        part.replace(file)
        if topic:
            try:
                pubsub.publish(clients, project, topic, [(data.encode(), {"kind": "heartbeat"})])
            except PipelineError as error:
                # A heartbeat that cannot be sent is itself the news: its absence is what watchers see.
                print(f"The heartbeat was not published: {error}", file=sys.stderr, flush=True)

    return tell


def ends(
    stopped: Event, duration_s: float, clock: Callable[[], float] = time.monotonic
) -> Callable[[], bool]:
    """Whether a person, or the duration (0: none), has ended the run."""
    end = clock() + duration_s if duration_s else None
    return lambda: stopped.is_set() or (end is not None and clock() >= end)
