"""``python -m tests.bench.pipeline``: validation, transforms and replay as ratios, in one table.

Compare within one run only.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench.house import House
from tests.bench.pipeline import replay, transforms, validation
from tests.bench.table import Figure, lines, load


def measured(house: House) -> list[Figure]:
    """All three, one after the other; the house needs no bot."""
    return [*validation.figures(), *transforms.figures(), *replay.figures(house)]


def main() -> int:
    """Print the table. A figure is no failure; what was lost or added up wrong ends the run by itself."""
    busy = load()
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder, House(Path(folder)) as house:
        found = measured(house)
    print("\n".join(lines(found, busy)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
