"""The sandbox runs on the base install, without what only the development requirements bring."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# What only the development requirements bring.
ABSENT = (
    "google.cloud.resourcemanager_v3",
    "google.cloud.storage",
    "apache_beam",
)
PROGRAM = """
import json, sys, urllib.error, urllib.request
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(tuple(sys.argv[2].split(","))):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from sandbox.app import running
from sandbox.clock import Clock
from sandbox.google.server import GoogleServer
from sandbox.google.world import World

def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

world = World(Clock.from_env(), Path(sys.argv[1]))
google = GoogleServer(world)
port = google.start()
with running(lambda _: world) as hub:
    base = hub.workspace.base_url
    root = "/bigquery/v2/projects/demo-project"
    out = {
        "google": port > 0,
        "world": call("GET", "/sim/world")[0],
        "tables": len(call("GET", root + "/datasets/ecommerce/tables")[1]["tables"]),
        "query": call("POST", root + "/queries", {"query": "SELECT 1"}),
        "insert": call("POST", root + "/datasets/ecommerce/tables/raw_events/insertAll", {"rows": [{"json": {}}]}),
    }
google.stop()
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What a sandbox without the developer's packages answers."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, "runbooks/pipelines.yaml", ",".join(ABSENT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_services_tables_and_queries_are_all_there(found: dict[str, Any]) -> None:
    assert (found["google"], found["world"], found["tables"]) == (True, 200, 4)
    status, body = found["query"]
    assert (status, body["rows"]) == (200, [{"f": [{"v": "1"}]}])
    status, body = found["insert"]
    assert (status, body["insertErrors"][0]["index"]) == (200, 0)
