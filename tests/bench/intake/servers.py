"""Starting, watching and killing what is measured; loopback only, each on one core where that can be said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from bot.clock import Clock
from bot.store.database import Database
from tests.bench.intake.server import TOKEN

ROOT = Path(__file__).parents[3]
ALERTMANAGER = "prometheus-alertmanager"
ALERTMANAGER_NAME = "Alertmanager, same facts"

_CONFIG = "route: {receiver: nobody, group_by: [alertname], group_wait: 1h}\nreceivers: [{name: nobody}]\n"

_SUMMARY = "Dataflow job ecommerce-streaming is failed: above the threshold of 0 with a value of 1.000."
NOTIFICATION = json.dumps(
    {
        "version": "1.2",
        "incident": {
            "incident_id": "%ID%",
            "scoping_project_id": "demo-project",
            "scoping_project_number": 123456789,
            "url": "https://console.cloud.google.com/monitoring/alerting/alerts/0.abc?project=demo-project",
            "started_at": 1795400000,
            "ended_at": None,
            "state": "open",
            "summary": _SUMMARY,
            "resource": {
                "type": "dataflow_job",
                "labels": {
                    "job_name": "ecommerce-streaming",
                    "project_id": "demo-project",
                    "region": "europe-west1",
                },
            },
            "resource_type_display_name": "Dataflow Job",
            "resource_name": "demo-project ecommerce-streaming",
            "metric": {
                "type": "dataflow.googleapis.com/job/is_failed",
                "displayName": "Failed",
                "labels": {},
            },
            "policy_name": "Dataflow job failed",
            "policy_user_labels": {"severity": "critical", "runbook": "pipeline-health"},
            "condition_name": "Job failed",
            "condition": {
                "name": "projects/demo-project/alertPolicies/12/conditions/34",
                "displayName": "Job failed",
            },
            "observed_value": "1.000",
            "threshold_value": "0",
        },
    }
)
# The same facts in Alertmanager's own form, as a bridge from Cloud Monitoring would write them.
ALERT = json.dumps(
    [
        {
            "labels": {
                "alertname": "DataflowJobFailed",
                "id": "%ID%",
                "severity": "critical",
                "runbook": "pipeline-health",
                "project_id": "demo-project",
                "job_name": "ecommerce-streaming",
                "region": "europe-west1",
                "resource_type": "dataflow_job",
                "metric_type": "dataflow.googleapis.com/job/is_failed",
                "condition": "Job failed",
            },
            "annotations": {
                "summary": _SUMMARY,
                "policy_name": "Dataflow job failed",
                "condition_name": "projects/demo-project/alertPolicies/12/conditions/34",
                "resource_name": "demo-project ecommerce-streaming",
                "resource_type_display_name": "Dataflow Job",
                "metric": "Failed",
                "project_number": "123456789",
                "observed_value": "1.000",
                "threshold_value": "0",
            },
            "generatorURL": "https://console.cloud.google.com/monitoring/alerting/alerts/0.abc?project=demo-project",
        }
    ]
)
# What it takes at its best: hardly more than an id.
SHORT_ALERT = json.dumps(
    [{"labels": {"alertname": "DataflowJobFailed", "id": "%ID%", "severity": "critical"}}]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server that is measured."""

    name: str
    command: Callable[[int, Path], list[str]]
    path: str
    body: str
    kept: Callable[[int, Path], set[str]] | None


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core, if there are two and the tool for it."""
    cores = sorted(os.sched_getaffinity(0))
    if shutil.which("taskset") is None or len(cores) < 2:
        return command
    return ["taskset", "-c", str(cores[core]), *command]


def _ours(kind: str) -> Callable[[int, Path], list[str]]:
    return lambda port, home: [
        *(sys.executable, "-m", "tests.bench.intake.server", kind, str(port), str(home / "bench.db"))
    ]


def _alertmanager(port: int, home: Path) -> list[str]:
    (home / "alertmanager.yml").write_text(_CONFIG)
    return [
        ALERTMANAGER,
        f"--config.file={home / 'alertmanager.yml'}",
        f"--storage.path={home}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]


def _kept_by_us(_: int, home: Path) -> set[str]:
    with Database(f"sqlite:///{home / 'bench.db'}", Clock(), create=False) as database:
        rows = database.read(lambda tx: tx.inbox_batch(1_000_000))
    return {row.delivery_key.split(":")[0] for row in rows}


def _kept_by_alertmanager(port: int, _: Path) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/alerts", timeout=20) as answer:
        return {alert["labels"].get("id", "") for alert in json.load(answer)}


def subjects() -> list[Subject]:
    """What is measured here, in turn: ours, Alertmanager where it is installed, the bare route."""
    path = f"/webhooks/cloud-monitoring?auth_token={TOKEN}"
    found = [
        Subject(
            name="durable intake", command=_ours("durable"), path=path, body=NOTIFICATION, kept=_kept_by_us
        ),
    ]
    if shutil.which(ALERTMANAGER):
        found += [
            Subject(
                name=name,
                command=_alertmanager,
                path="/api/v2/alerts",
                body=body,
                kept=_kept_by_alertmanager,
            )
            for name, body in ((ALERTMANAGER_NAME, ALERT), ("Alertmanager, id only", SHORT_ALERT))
        ]
    bare = Subject(
        name="bare Starlette route", command=_ours("bare"), path=path, body=NOTIFICATION, kept=None
    )
    return [*found, bare]


class Running:
    """A subject that runs on the first core, on a free port, with a folder of its own."""

    def __init__(self, subject: Subject, home: Path) -> None:
        home.mkdir(exist_ok=True)
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.subject, self.home = subject, home
        self._process = subprocess.Popen(
            pinned(0, subject.command(self.port, home)),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SystemExit(f"{self.subject.name} ended at once")
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                return
            time.sleep(0.05)
        raise SystemExit(f"{self.subject.name} did not start within 20 s")

    def cpu_seconds(self) -> float:
        """Processor time used until now, all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """kill -9."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(20)
