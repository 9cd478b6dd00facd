"""``python -m tests.faults.chaos --minutes 10`` (``make chaos``): two replicas of the bot's engine on each database,
under random kills, freezes, a failing Slack and a database that is restarted or locked, and then the figures.

Exit 1 when a page was lost, came twice, or was decided late without a reason. Late means: later than a tick after it
was due, not counting the time in which both replicas were dead or one was frozen, or the database was away: then
nobody can do better than to do it at once afterwards. Beside it stands what the machine gave: of the late ones, those
"with a free machine" were late though hardly anybody waited for a processor, and only these speak about the product.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.demo_postgres import Postgres, find_postgres
from tests.faults.engine import LEVELS
from tests.faults.field import SPEED, Field, Replica
from tests.faults.machine import STARVED, Machine

# The tick is once a second at most; this machine may have to run everything on two cores.
TICK_S = 2.0
# What a frozen or restarted server held is free again after this.
AFTERWARDS_S = 2.0
SETTLE_S = 120.0
NAMES = ("a", "b")


@dataclass(slots=True)
class Chaos:
    """The storm on one database. ``away`` are the times (epoch seconds) in which nobody could be expected to act."""

    place: Field
    postgres: Postgres | None
    chance: random.Random
    did: Counter[str] = field(default_factory=Counter)
    away: list[tuple[float, float]] = field(default_factory=list)
    # Every attack with its times, and every late page in words: for whoever has to find out why.
    attacks: list[tuple[float, float, str]] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    posted: int = 0
    machine: Machine = field(default_factory=Machine)

    def run(self, seconds: float) -> None:
        """Attack for a time, then let everything come to rest."""
        with self.machine:
            self._storm(seconds)
            self._rest()

    def _storm(self, seconds: float) -> None:
        for name in NAMES:
            self.place.start(name)
        posting = threading.Thread(target=self._post, daemon=True)
        posting.start()
        end = time.monotonic() + seconds
        attacks: list[tuple[int, Callable[[], None]]] = [
            (6, self._kill_one), (2, self._kill_both), (3, self._freeze), (3, self._slack), (2, self._database)
        ]  # fmt: skip
        while time.monotonic() < end:
            time.sleep(self.chance.uniform(0.1, 0.8))
            self._revive()
            attack = self.chance.choices([do for _, do in attacks], [weight for weight, _ in attacks])[0]
            began = time.time()
            attack()
            self.attacks.append((began, time.time(), attack.__name__.strip("_").replace("_", " ")))
        self.over.set()
        posting.join(60)

    def _revive(self) -> None:
        """Whoever ended by itself is started again, as a platform does it."""
        for name in NAMES:
            if not self.place.replicas[name].alive:
                self.did["ended by itself"] += 1
                self.place.start(name)

    # --- what befalls them --------------------------------------------------------------------------------

    def _kill_one(self) -> None:
        name = self.chance.choice(NAMES)
        self.did["kill -9"] += 1
        self.place.replicas[name].kill()
        self.place.start(name)

    def _kill_both(self) -> None:
        with self._nobody():
            for name in NAMES:
                self.did["kill -9"] += 1
                self.place.replicas[name].kill()
            time.sleep(self.chance.uniform(0.0, 2.0))
            self.place.start(self.chance.choice(NAMES))
        for name in NAMES:
            if not self.place.replicas[name].alive:
                self.place.start(name)

    def _freeze(self) -> None:
        """For longer than a lease, most of the time."""
        replica = self.place.replicas[self.chance.choice(NAMES)]
        self.did["freeze"] += 1
        with self._nobody():
            replica.send(signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.3, 3.0))
            replica.send(signal.SIGCONT)

    def _slack(self) -> None:
        slack = self.place.slack
        slack.trouble = self.chance.choice([0.0, 0.1, 0.3])
        if self.chance.random() < 0.4:
            self.did["Slack away"] += 1
            slack.down = True
            time.sleep(self.chance.uniform(0.2, 2.0))
            slack.down = False

    def _database(self) -> None:
        with self._nobody():
            if self.postgres is not None:
                self.did["database restarted"] += 1
                self.chance.choice([self.postgres.restart, self._power_cut])()
                return
            self.did["database locked"] += 1
            file = self.place.url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                time.sleep(self.chance.uniform(0.2, 2.0))
                other.execute("ROLLBACK")

    def _power_cut(self) -> None:
        if self.postgres is not None:
            self.postgres.kill()
            self.postgres.start()

    @contextlib.contextmanager
    def _nobody(self) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.away.append((began, time.time() + AFTERWARDS_S))

    # --- the source ---------------------------------------------------------------------------------------

    def _post(self) -> None:
        """An alert and its copies, each until somebody says that it is stored."""
        while not self.over.is_set():
            key = f"{self.posted}"
            self.posted += 1
            for _ in range(self.chance.choice([1, 1, 2, 3])):
                while not self._try(self.place.replicas[self.chance.choice(NAMES)], key):
                    time.sleep(0.05)
            time.sleep(self.chance.uniform(0.1, 0.6))

    def _try(self, replica: Replica, key: str) -> bool:
        try:
            return self.place.post(replica, key)
        except AssertionError:
            return False

    # --- afterwards ---------------------------------------------------------------------------------------

    def _rest(self) -> None:
        slack = self.place.slack
        slack.trouble, slack.down = 0.0, False
        for name in NAMES:
            self.place.replicas[name].send(signal.SIGCONT)
        end = time.monotonic() + SETTLE_S
        while not self._quiet():
            self._revive()
            if time.monotonic() > end:
                print(f"It did not come to rest within {SETTLE_S:.0f} s.")
                print(self.place.waiting(), self.place.logs(), sep="\n")
                return
            time.sleep(1.0)

    def _quiet(self) -> bool:
        rows = self.place.rows()
        if rows["pending"] or rows["sending"]:
            return False
        return all({str(p.level) for p in i.pages.values()} >= LEVELS for i, _ in self.place.stories())

    def _excused(self, due: float, at: float) -> float:
        """How much of the time between two moments nobody could act; overlapping times count once."""
        total, until = 0.0, due
        for began, ended in sorted(self.away):
            start, end = max(began, until), min(ended, at)
            if end > start:
                total += end - start
                until = end
        return total

    def figures(self) -> dict[str, float]:
        """What came of it. Times are real seconds."""
        stories = self.place.stories()
        stands = self.place.slack.pages()
        late, free, sent_late, wanted = [], 0, [], set()
        for _, events in stories:
            for event in (e for e in events if e.type == "paged"):
                key = f"page:{event.data['page']}:dm"
                wanted.add(key)
                due = self._real(datetime.fromisoformat(event.data["due_at"]))
                at = self._real(event.at)
                late.append(at - due - self._excused(due, at))
                if late[-1] > TICK_S:
                    free += self.machine.waited(due, at) < STARVED
                    self.late.append(self._lateness(key, due, at, late[-1]))
                if key in self.place.slack.came:
                    sent_late.append(self.place.slack.came[key][0] - due)
        sent_late.sort()
        unpaged = [i for i, _ in stories if not {str(p.level) for p in i.pages.values()} >= LEVELS]
        incidents = Counter(i.pipeline for i, _ in stories)
        known = {f"line-{key}" for key in self.place.accepted}
        return {
            "alerts accepted": len(self.place.accepted),
            "alerts lost": len(known - set(incidents)),
            "incidents twice": sum(times - 1 for times in incidents.values()),
            "pages wanted": len(wanted),
            "pages lost": len(wanted - set(stands)) + len(unpaged),
            "messages twice": len(self.place.slack.twice()),
            "repeats that say so": len(self.place.slack.marked),
            "pages late": sum(1 for seconds in late if seconds > TICK_S),
            "with a free machine": free,
            "latest decision": round(max(late, default=0.0), 2),
            "due to Slack p50": round(sent_late[len(sent_late) // 2], 2) if sent_late else 0.0,
            "due to Slack p99": round(sent_late[len(sent_late) * 99 // 100], 2) if sent_late else 0.0,
            "Slack faults": self.place.slack.faults,
            "deadlocks": self.postgres.log.read_text(errors="replace").count("deadlock detected")
            if self.postgres
            else 0,
            **self.machine.figures(),
            **self.did,
        }

    def _lateness(self, key: str, due: float, at: float, late: float) -> str:
        began = self.place.began
        near = [
            f"{what} {a - began:.2f} to {b - began:.2f}"
            for a, b, what in self.attacks
            if a < at and b > due - 5
        ]
        return f"{key} due at {due - began:.2f}, decided at {at - began:.2f}, late by {late:.2f} s; {'; '.join(near)}"

    def _real(self, at: datetime) -> float:
        began = self.place.began
        return began + (at.timestamp() - began) / SPEED


BAD = ("alerts lost", "incidents twice", "pages lost", "messages twice", "pages late", "deadlocks")


def doubts(chaos: Chaos) -> list[str]:
    """What stands twice, when each came, and the freezes and restarts around it, in seconds since the begin."""
    began = chaos.place.began
    found = []
    for key in chaos.place.slack.twice():
        came = chaos.place.slack.came[key]
        near = [(a, b) for a, b in chaos.away if a < came[-1] and b > came[0] - 5]
        times = ", ".join(f"{at - began:.2f}" for at in came)
        around = "; ".join(f"{a - began:.2f} to {b - began - AFTERWARDS_S:.2f}" for a, b in near)
        found.append(f"{key} came at {times}; nobody was there from {around}")
    return found


def attack(name: str, seconds: float, seed: int) -> dict[str, float]:
    """The figures of one database, "sqlite" or "postgresql"."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamwatch-chaos-")))
        binaries = find_postgres()
        postgres = None
        url = f"sqlite:///{folder / 'streamwatch.db'}"
        if name == "postgresql" and binaries is not None:
            postgres = Postgres(binaries)
            # Before it is started: whoever is told to stop in that moment leaves no server behind either.
            stack.callback(postgres.close)
            postgres.start()
            url = postgres.url
        place = Field(url, folder, seed=seed)
        stack.callback(place.close)
        chaos = Chaos(place, postgres, random.Random(seed))
        chaos.run(seconds)
        figures = chaos.figures()
        for line in [*doubts(chaos), *chaos.late]:
            print(f"  {line}")
        return figures


def main() -> int:
    """Both databases, one after the other; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos")
    parser.add_argument("--minutes", type=float, default=2.0, help="for each database")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="only this one")
    args = parser.parse_args()
    names = [args.database] if args.database else ["sqlite", "postgresql"]
    if "postgresql" in names and find_postgres() is None:
        print("PostgreSQL is not installed here: only SQLite is attacked.")
        names.remove("postgresql")
    # Ended by exceptions, so that whatever was started is ended on the way out; in a shell's background, too, where
    # SIGINT is ignored until somebody wants it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    broken = False
    for name in names:
        print(f"{name}: two replicas, {args.minutes:g} minutes, seed {args.seed} ...", flush=True)
        figures = attack(name, args.minutes * 60, args.seed)
        for what, figure in figures.items():
            mark = "  <- broken" if what in BAD and figure else ""
            print(f"  {what:<22}{figure:>10g}{mark}", flush=True)
        broken = broken or any(figures[what] for what in BAD)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
