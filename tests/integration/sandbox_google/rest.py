"""A world under a hand-driven clock, served over HTTP with BigQuery's official client on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from sandbox.app import running
from sandbox.google.server import GoogleServer
from sandbox.google.world import World
from tests.integration.sandbox_google.google import PIPELINES, PROJECT, HandClock


@dataclass(frozen=True)
class Rest:
    """World, clock, address and client of one test."""

    clock: HandClock
    world: World
    base_url: str
    bigquery: Any

    def rows(self, query: str, *parameters: Any, **options: Any) -> list[dict[str, Any]]:
        """The rows of a query, through jobs.insert and getQueryResults."""
        config = bigquery.QueryJobConfig(query_parameters=list(parameters), **options)
        return [dict(row) for row in self.bigquery.query(query, job_config=config).result()]


@dataclass(frozen=True)
class Http:
    """Plain calls with JSON in and out."""

    session: Any
    base_url: str

    def call(self, method: str, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
        """The answer's JSON; its status must be `status`."""
        answer = self.session.request(method, self.base_url + path, json=body, timeout=20)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def running_rest(folder: Path, more: str = "") -> Iterator[Rest]:
    """A fresh world, served on a free port until the end of the block; `more` goes behind the pipeline's lines."""
    file = folder / "pipelines.yaml"
    file.write_text(PIPELINES + more, encoding="utf-8")
    clock = HandClock()
    world = World(clock, file)
    with running(lambda _: world) as hub:
        base_url = hub.workspace.base_url
        client = bigquery.Client(
            project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": base_url}
        )
        try:
            yield Rest(clock=clock, world=world, base_url=base_url, bigquery=client)
        finally:
            client.close()


@contextmanager
def channel_to(world: World) -> Iterator[Any]:
    """A gRPC channel to a world that is served until the end of the block."""
    server = GoogleServer(world)
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        try:
            yield channel
        finally:
            server.stop()


def world_of(folder: Path) -> World:
    """A fresh world under a hand-driven clock."""
    file = folder / "pipelines.yaml"
    file.write_text(PIPELINES, encoding="utf-8")
    return World(HandClock(), file)
