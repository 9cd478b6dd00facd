"""A chart as a PNG, which Slack shows, drawn by matplotlib in a child process that ends with it.

matplotlib and what it loads are 70 MB, and the second or two of its start would hold up whoever imports it; a child
gives both back. It gets the chart and nothing of the environment, so no secret is in its reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from pipeline.chart import Chart
from pipeline.errors import PipelineError

DEADLINE_S: Final = 30.0
_MOST_BYTES: Final = 5_000_000
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_ROOT: Final = Path(__file__).resolve().parents[1]
# Where a system keeps its libraries in places of its own, numpy is not found without these.
_KEPT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class NotDrawn(PipelineError):
    """The picture could not be made; the words of the chart are there all the same."""


def draw(chart: Chart, *, python: str = sys.executable, deadline_s: float = DEADLINE_S) -> bytes:
    """The chart as PNG, the same bytes for the same chart. Blocks for a second or two, at most `deadline_s`
    seconds. Raises NotDrawn."""
    # Its caches (the list of fonts) go to a folder of its own: there may be no home, or one that is not writable.
    try:
        with tempfile.TemporaryDirectory(prefix="streamwatch-chart-") as folder:
            kept = {name: value for name, value in os.environ.items() if name in _KEPT}
            done = subprocess.run(
                [python, "-P", "-m", "pipeline.painter"],
                input=json.dumps(chart.to_json()).encode(),
                env={**kept, "PYTHONPATH": str(_ROOT), "HOME": folder, "MPLCONFIGDIR": folder},
                cwd=folder,
                capture_output=True,
                timeout=deadline_s,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise NotDrawn(f"drawing took longer than {deadline_s:g} s") from None
    except OSError as error:
        raise NotDrawn(f"the drawing program did not start: {error.strerror or error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotDrawn(f"the drawing program ended with {done.returncode}: {said[-1][:200] if said else '-'}")
    if not done.stdout.startswith(_SIGNATURE) or len(done.stdout) > _MOST_BYTES:
        raise NotDrawn("the drawing program made no picture")
    return done.stdout
