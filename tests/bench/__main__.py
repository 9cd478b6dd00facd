"""``python -m tests.bench`` (``make bench``): everything in one run, as ratios, beside the aims.

The figures of one run belong together; another run met another load of the machine. Exit 1 only for what
may never be: a notification that was refused, or accepted and then lost.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.bench import footprint, paging, storm, timers
from tests.bench.house import House
from tests.bench.intake.__main__ import measured
from tests.bench.pipeline.__main__ import measured as pipeline_measured
from tests.bench.table import Figure, lines, load


def main() -> int:
    """Measure, and print as it goes; the table comes last."""
    began, busy = time.monotonic(), load()
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        home = Path(folder)
        intake = measured(home)
        print("\n".join([*intake.lines(), "", "Starting, remembering, a storm ..."]), flush=True)
        figures = [*intake.figures(), *_house(home)]
        print("Timers on both databases ...", flush=True)
        figures += timers.figures(home)
        print("Validation, replay, transforms ...", flush=True)
        figures += pipeline_measured(home)
    print("\n" + "\n".join(lines(figures, busy)))
    print(f"The run took {time.monotonic() - began:.0f} s.")
    return 0 if intake.kept_all() else 1


def _house(home: Path) -> list[Figure]:
    with House(home) as house:
        found = footprint.starts(house)
        found += footprint.memory(house)
        found += footprint.terminal(house)
        calm = storm.quiet(house)
        found += storm.figures(calm, storm.storm(house))
        found += paging.figures(house)
    return found


if __name__ == "__main__":
    sys.exit(main())
