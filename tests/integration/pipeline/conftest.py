"""A world under a hand-driven clock, and the operations' context on it through the official clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue import Pipeline, load
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.history import History
from pipeline.operations import ChangeOperation, Context, Plan, ReadOperation, get
from pipeline.report import Report
from sandbox.google.server import GoogleServer
from sandbox.google.world import World
from tests.integration.sandbox_google.google import PIPELINES, PROJECT, HandClock
from tests.integration.sandbox_google.rest import Rest, running_rest

STORES = """\
    bigquery: {dataset: ecommerce}
    bigtable: {instance: ecommerce, table: product_stats}
"""


@dataclass(frozen=True)
class Stand:
    """One test's world with everything an operation needs."""

    clock: HandClock
    world: World
    ctx: Context
    address: str
    catalogue_file: Path

    def read(self, name: str, **params: Any) -> Report:
        operation = get(name)
        assert isinstance(operation, ReadOperation)
        return operation.read(self.ctx, params)

    def plan(self, name: str, **params: Any) -> Plan:
        operation = get(name)
        assert isinstance(operation, ChangeOperation)
        return operation.plan(self.ctx, params)

    def run(self, plan: Plan) -> Report:
        operation = get(plan.operation)
        assert isinstance(operation, ChangeOperation)
        return operation.run(self.ctx, plan, lambda progress: None)

    def verify(self, plan: Plan) -> Report:
        operation = get(plan.operation)
        assert isinstance(operation, ChangeOperation)
        return operation.verify(self.ctx, plan)

    def knowing(self, **facts: Any) -> Stand:
        """The same, where the caller knows something already."""
        return replace(self, ctx=replace(self.ctx, facts=facts))

    def happen(self, body: Mapping[str, Any], minutes: float = 0) -> None:
        """Changes the world and lets time pass, a minute at a time, as sampled metrics do."""
        self.world.apply(dict(body))
        for _ in range(int(minutes)):
            self.clock.go(60)
            self.world.describe()

    def dead_letters(self, *items: tuple[bytes, Mapping[str, str]]) -> None:
        """Puts messages into the dead-letter queue."""
        entries = [{"data": data.decode(), "attributes": dict(attributes)} for data, attributes in items]
        self.world.apply({"dead_letters": entries})


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A healthy world, served, ready to be asked."""
    file = tmp_path / "pipelines.yaml"
    file.write_text(PIPELINES, encoding="utf-8")
    clock = HandClock()
    world = World(clock, file)
    server = GoogleServer(world)
    address = f"127.0.0.1:{server.start()}"
    pipeline: Pipeline = load(file).find()
    lock = threading.Lock()

    def sleep(seconds: float) -> None:
        # time passes only by waiting: the longest wait is over in no time
        with lock:
            clock.go(max(seconds, 1.0) * 3)

    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    clients = Clients(GoogleSettings(project="demo-project", region="europe-west1", endpoint=address))
    try:
        yield Stand(
            clock,
            world,
            Context(
                pipeline=pipeline,
                clients=clients,
                history=history,
                now=clock.now,
                sleep=sleep,
                deadline_s=10.0,
                catalogue=(pipeline,),
            ),
            address,
            file,
        )
    finally:
        clients.close()
        history.close()
        server.stop()


@dataclass(frozen=True)
class Served:
    """A world whose every service is served, gRPC and HTTP, of a pipeline with both its stores."""

    rest: Rest
    ctx: Context

    def after(self, minutes: int = 6, **change: Any) -> Served:
        """The same after a change and some minutes."""
        self.rest.world.apply(change)
        for _ in range(minutes):
            self.rest.clock.go(60)
            self.rest.world.describe()
        return self

    def read(self, name: str, **params: Any) -> Report:
        operation = get(name)
        assert isinstance(operation, ReadOperation)
        return operation.read(self.ctx, params)


@pytest.fixture(scope="module")
def served_all_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("world")
    with running_rest(folder, STORES) as rest:
        server = GoogleServer(rest.world)
        address = f"127.0.0.1:{server.start()}"
        clients = Clients(GoogleSettings(project=PROJECT, endpoint=address, rest=rest.base_url))
        ctx = Context(
            pipeline=load(folder / "pipelines.yaml").find(),
            clients=clients,
            history=None,
            now=rest.clock.now,
            sleep=lambda _: None,
        )
        yield Served(rest, ctx)
        clients.close()
        server.stop()


@pytest.fixture
def served(served_all_module: Served) -> Served:
    """A fresh world; its servers are those of the whole module."""
    served_all_module.rest.world.reset()
    return served_all_module
