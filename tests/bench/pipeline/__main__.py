"""``python -m tests.bench.pipeline``: validation, replay and transforms as ratios, in one table.

Compare within one run only.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench.house import House
from tests.bench.pipeline import replay, transforms, validation
from tests.bench.table import Figure, lines, load


def measured(home: Path) -> list[Figure]:
    """All three in a sandbox of their own; Beam last, because its many objects slow down what comes after it."""
    folder = home / "pipeline"
    folder.mkdir()
    found = validation.figures()
    with House(folder) as house:
        found += replay.figures(house)
    return [*found, *transforms.figures()]


def main() -> int:
    """Print the table. A figure is no failure; what was lost or added up wrong ends the run by itself."""
    busy = load()
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as home:
        found = measured(Path(home))
    print("\n".join(lines(found, busy)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
