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
from pathlib import Path

from tests.bench.intake.client import Measured, accepted_until_killed, measure
from tests.bench.intake.servers import Running, Subject, subjects

ROUNDS, SECONDS, CONNECTIONS, KILL_AFTER = 3, 3, 32, 1000


def rounds(home: Path, found: list[Subject]) -> dict[str, list[Measured]]:
    """Measure all in turn, several times."""
    results: dict[str, list[Measured]] = {each.name: [] for each in found}
    for number in range(ROUNDS):
        for subject in found:
            server = Running(subject, home / f"{subject.name} {number}".replace(" ", "-"))
            try:
                results[subject.name].append(measure(server, CONNECTIONS, SECONDS))
            finally:
                server.kill()
    return results


def lost(home: Path, subject: Subject) -> str:
    """How many accepted notifications are gone after kill -9 and a restart."""
    if subject.kept is None:
        return "keeps none"
    place = home / f"killed {subject.name}".replace(" ", "-")
    server = Running(subject, place)
    accepted = asyncio.run(accepted_until_killed(server, CONNECTIONS, KILL_AFTER))
    again = Running(subject, place)
    try:
        kept = subject.kept(again.port, place)
    finally:
        again.kill()
    return f"{len(accepted - kept)} of {len(accepted)}"


def main() -> int:
    """Print the table; 1 when something was refused or one of ours was lost."""
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        home, found = Path(folder), subjects()
        results = rounds(home, found)
        losses = {each.name: lost(home, each) for each in found}
    median = {
        name: Measured(
            rate=statistics.median(m.rate for m in each),
            p50=statistics.median(m.p50 for m in each),
            p99=statistics.median(m.p99 for m in each),
            cpu=statistics.median(m.cpu for m in each),
            failed=sum(m.failed for m in each),
        )
        for name, each in results.items()
    }
    ours = median[found[0].name]
    print(f"Single-alert posts, {CONNECTIONS} connections, medians of {ROUNDS} rounds of {SECONDS} s;")
    print("server and client on one core each where there are two.\n")
    print(f"{'':22}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU us':>8}{'failed':>8}  lost after kill -9")
    for name, m in median.items():
        print(f"{name:22}{m.rate:8.0f}{m.p50:8.1f}{m.p99:8.1f}{m.cpu:8.0f}{m.failed:8d}  {losses[name]}")
    print()
    for name, m in list(median.items())[1:]:
        print(
            f"durable intake / {name}: {ours.rate / m.rate:.2f} of its rate, "
            f"{ours.cpu / max(m.cpu, 1e-9):.2f} of its CPU a request"
        )
    if len(found) < 3:
        print("Alertmanager: not installed here, not measured")
    return 1 if ours.failed or not losses[found[0].name].startswith("0 of") else 0


if __name__ == "__main__":
    sys.exit(main())
