"""A field for attacks: one database, one Slack, and replicas as processes that are killed, frozen and started again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.core.incident import Event, Incident
from bot.store.database import Database
from bot.store.engines import open_engines
from bot.store.migrate import migrate
from tests.e2e.alerts import alert
from tests.faults.engine import LEVELS, FastClock
from tests.faults.slack import PAGES, Workspace

SPEED = 10.0
# PostgreSQL ends the transaction of a frozen client after 10 s, and whoever waits for its rows tries for longer.
DEADLINE_S = 120.0


class Replica:
    """One engine process. What it says is read by a thread, so that nothing ever waits for its pipe."""

    def __init__(self, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.said: list[str] = []
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                env={**os.environ, **env},
            )
        self._ears = threading.Thread(target=self._listen, daemon=True)
        self._ears.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())

    @property
    def alive(self) -> bool:
        """False once it was killed."""
        return self.process.poll() is None

    @property
    def frozen(self) -> bool:
        """Whether SIGSTOP holds it."""
        with contextlib.suppress(OSError):  # it may be killed at any moment
            return ") T " in Path(f"/proc/{self.process.pid}/stat").read_text()
        return False

    def tell(self, line: str) -> None:
        """A notification; nobody may be there to hear it."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            return

    def send(self, number: signal.Signals) -> None:
        """Any signal."""
        if self.alive:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._ears.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()


class Field:
    """The place. ``accepted`` are the alerts whose commit was told; each has a pipeline of its own."""

    def __init__(self, url: str, folder: Path, *, seed: int = 0, trouble: float = 0.0) -> None:
        migrate(url)
        self.url = url
        self.folder = folder
        self.slack = Workspace(random.Random(seed), trouble)
        self.began = time.time()
        self.moved = folder / "clock"
        self.replicas: dict[str, Replica] = {}
        self.accepted: set[str] = set()
        self._server = _Server(self.slack)
        self.clock = FastClock(self.began, SPEED, self.moved)

    def close(self) -> None:
        """End every process, by its id."""
        for replica in self.replicas.values():
            replica.send(signal.SIGCONT)
            replica.kill()
        self._server.close()

    def start(self, name: str, **env: str) -> Replica:
        """Start a replica (again) and wait until it is ready."""
        if name in self.replicas:
            self.replicas[name].kill()
        command = [sys.executable, "-m", "tests.faults.engine", self.url, str(self._server.port)]
        command += [f"{self.began}", f"{SPEED}", str(self.moved)]
        replica = Replica(command, env, self.folder / f"{name}.log")
        self.replicas[name] = replica
        self.until(lambda: "ready" in replica.said or not replica.alive, f"{name} did not start")
        return replica

    def post(self, replica: Replica, key: str, state: str = "open") -> bool:
        """One notification to one replica; whether it was accepted. A source repeats what was not."""
        heard = len(replica.said)
        replica.tell(json.dumps(alert(key, pipeline=f"line-{key}", state=state)))

        def answers() -> set[str]:
            return {key, f"503 {key}"} & set(replica.said[heard:])

        self.until(lambda: answers() or not replica.alive or replica.frozen, f"no answer to {key}")
        if key in answers():
            self.accepted.add(key)
        return key in answers()

    def until(self, good: Callable[[], Any], trouble: str, seconds: float = DEADLINE_S) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < end, f"{trouble}\n{self.logs()}"
            time.sleep(0.02)

    def logs(self) -> str:
        """The end of what the replicas wrote."""
        wrote = [f"--- {p.name}\n{p.read_text()[-1500:]}" for p in self.folder.glob("*.log")]
        said = [
            f"--- {name} (exit code {r.process.poll()}) said\n" + "\n".join(r.said[-30:])
            for name, r in self.replicas.items()
        ]
        return "\n".join([*wrote, *said])

    # --- what must hold -----------------------------------------------------------------------------------

    def stories(self) -> list[tuple[Incident, list[Event]]]:
        """Every incident with its timeline, read by nobody's replica."""
        with Database(self.url, self.clock, create=False) as database:
            return database.read(lambda tx: [(i, list(tx.events(i.id))) for i in tx.incidents(limit=5000)])

    def rows(self) -> Counter[str]:
        """How many rows of the outbox are in each unfinished state."""
        with Database(self.url, self.clock, create=False) as database:
            return Counter(database.read(lambda tx: tx.outbox_counts()))

    def waiting(self) -> str:
        """What is not out yet, how often it was tried at most, and why it was put back: for whoever asks why."""
        query = """SELECT kind, state, ambiguous, reason, COUNT(*), MAX(attempts) FROM outbox
                   WHERE state IN ('pending', 'sending') GROUP BY kind, state, ambiguous, reason"""
        engines = open_engines(self.url)
        try:
            with engines.reader.connect() as connection:
                rows = [tuple(row) for row in connection.exec_driver_sql(query)]
        finally:
            engines.dispose()
        return "\n".join(
            f"{number} {kind} {state}{' in doubt' if doubt else ''}, tried up to {most} times: {why or 'new'}"
            for kind, state, doubt, why, number, most in rows
        )

    def until_told(self, seconds: float = DEADLINE_S) -> None:
        """Until every accepted alert paged every level and nothing waits to be sent."""

        def done() -> bool:
            told = {
                i.pipeline for i, _ in self.stories() if {str(p.level) for p in i.pages.values()} >= LEVELS
            }
            return {f"line-{key}" for key in self.accepted} <= told and not self.rows()["pending"]

        self.until(done, "not every level was paged", seconds)
        self.until(lambda: not self.rows()["sending"], "something is still leased", seconds)

    def wanted(self) -> set[str]:
        """The outbox keys of the direct messages of all pages that were decided."""
        return {
            f"page:{event.data['page']}:dm"
            for _, events in self.stories()
            for event in events
            if event.type == "paged"
        }

    def judge(self) -> None:
        """Nothing lost, nothing twice, each timer once, every chain intact."""
        stories = self.stories()
        assert Counter(i.pipeline for i, _ in stories) == {f"line-{key}": 1 for key in self.accepted}
        pages = self.slack.pages()
        assert self.wanted() - set(pages) == set(), "lost"
        assert self.slack.twice() == [], "twice"
        for incident, events in stories:
            steps = Counter(s for e in events if e.type == "timer_fired" for s in e.data["steps"])
            assert [s for s, times in steps.items() if times > 1] == [], (
                f"{incident.name}: a timer fired twice"
            )
        with Database(self.url, self.clock, create=False) as database:
            assert database.read(lambda tx: tx.verify()) is None, "a chain is broken"


class _Server:
    """The workspace on a port of this machine."""

    def __init__(self, workspace: Workspace) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline()
                if not line:
                    return
                until, method, *words = json.loads(line)
                # Whoever asked has hung up by then, and a server notices that.
                if time.time() < until:
                    self.wfile.write(json.dumps(getattr(workspace, method)(*words)).encode() + b"\n")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """Whoever asked was killed."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def field(url: str, folder: Path, **options: Any) -> Iterator[Field]:
    """A field whose processes end with the block."""
    place = Field(url, folder, **options)
    try:
        yield place
    finally:
        place.close()


__all__ = ["PAGES", "Field", "Replica", "field"]
