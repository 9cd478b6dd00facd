"""``python -m tests.bench.intake``: the durable way in, beside what does less.

Ours commits every notification (SQLite, synchronous=FULL) before it answers; the bare route does nothing;
Alertmanager keeps alerts in memory. Rounds take turns, so that a slow minute of the machine hits all.
Compare within one run only: that is why ratios are printed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.intake.client import Measured, accepted_until_killed, measure
from tests.bench.intake.servers import ALERTMANAGER_NAME, Running, Subject, subjects
from tests.bench.table import Figure, at_least, below, lines, load, plain

ROUNDS, SECONDS, CONNECTIONS, KILL_AFTER = 7, 2, 32, 1000
RATE_AIM, CPU_AIM = 1.2, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Rounds, medians and losses by subject; the first is ours."""

    rounds: Mapping[str, Sequence[Measured]]
    medians: Mapping[str, Measured]
    losses: Mapping[str, str]

    @property
    def ours(self) -> str:
        """Its name."""
        return next(iter(self.medians))

    def _ratio(self, other: str, value: Callable[[Measured], float]) -> float:
        """The median of each round's own ratio: the two ran within seconds of each other."""
        pairs = zip(self.rounds[self.ours], self.rounds[other], strict=True)
        return statistics.median(value(mine) / max(value(its), 1e-9) for mine, its in pairs)

    def kept_all(self) -> bool:
        """Nothing was refused, nothing that was accepted is gone."""
        return not self.medians[self.ours].failed and self.losses[self.ours].startswith("0 of")

    def lines(self) -> list[str]:
        """Every subject's own figures."""
        out = [
            f"Single-alert posts, {CONNECTIONS} connections, medians of {ROUNDS} rounds of {SECONDS} s in turn;",
            "server and client on one core each where there are two.",
            "",
            f"{'':28}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU us':>8}{'failed':>8}  lost after kill -9",
        ]
        for name, m in self.medians.items():
            figures = f"{m.rate:8.0f}{m.p50:8.1f}{m.p99:8.1f}{m.cpu:8.0f}{m.failed:8d}"
            out.append(f"{name:28}{figures}  {self.losses[name]}")
        return out

    def figures(self) -> list[Figure]:
        """Ratios to the others; the aim is about Alertmanager with the same facts in its alert."""
        found = []
        for name in list(self.medians)[1:]:
            rate, cpu = self._ratio(name, lambda m: m.rate), self._ratio(name, lambda m: m.cpu)
            aimed = name == ALERTMANAGER_NAME
            said = f"durable intake / {name}: "
            found += [
                at_least(said + "rate", rate, RATE_AIM) if aimed else plain(said + "rate", f"{rate:.2f}"),
                below(said + "CPU", cpu, CPU_AIM, "", 2) if aimed else plain(said + "CPU", f"{cpu:.2f}"),
            ]
            best = max(m.rate for m in self.rounds[self.ours]) / max(m.rate for m in self.rounds[name])
            found.append(plain(said + "rate, best rounds", f"{best:.2f}"))
        if ALERTMANAGER_NAME not in self.medians:
            found.append(plain("Alertmanager", "not installed here, not measured"))
        lost = self.losses[self.ours]
        return [
            *found,
            Figure(what="accepted, then lost by kill -9", value=lost, aim="0", met=self.kept_all()),
        ]


def measured(home: Path) -> Intake:
    """Measure all in turn, several times; then kill each under load."""
    found = subjects()
    results: dict[str, list[Measured]] = {each.name: [] for each in found}
    for number in range(ROUNDS):
        for subject in found:
            server = Running(subject, home / f"{subject.name} {number}".replace(" ", "-"))
            try:
                results[subject.name].append(measure(server, CONNECTIONS, SECONDS))
            finally:
                server.kill()
    medians = {name: _median(rounds) for name, rounds in results.items()}
    return Intake(rounds=results, medians=medians, losses={each.name: _lost(home, each) for each in found})


def _median(rounds: list[Measured]) -> Measured:
    return Measured(
        rate=statistics.median(m.rate for m in rounds),
        p50=statistics.median(m.p50 for m in rounds),
        p99=statistics.median(m.p99 for m in rounds),
        cpu=statistics.median(m.cpu for m in rounds),
        failed=sum(m.failed for m in rounds),
    )


def _lost(home: Path, subject: Subject) -> str:
    """How many accepted notifications are gone after kill -9 and a restart."""
    if subject.kept is None:
        return "keeps none"
    place = home / f"killed {subject.name}".replace(" ", "-")
    server = Running(subject, place)
    try:
        accepted = asyncio.run(accepted_until_killed(server, CONNECTIONS, KILL_AFTER))
    finally:
        server.kill()
    again = Running(subject, place)
    try:
        kept = subject.kept(again.port, place)
    finally:
        again.kill()
    return f"{len(accepted - kept)} of {len(accepted)}"


def main() -> int:
    """Print the tables; 1 when something was refused or one of ours was lost."""
    busy = load()
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        found = measured(Path(folder))
    print("\n".join([*found.lines(), "", *lines(found.figures(), busy)]))
    return 0 if found.kept_all() else 1


if __name__ == "__main__":
    sys.exit(main())
