"""A chart as a PNG, which Slack shows, drawn by matplotlib in a child process that ends with it.

matplotlib and what it loads are 70 MB, and the second or two of its start would hold up whoever imports it; a child
gives both back. It gets the chart and nothing of the environment, so no secret is in its reach.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any, Final

from pipeline.chart import Chart
from pipeline.errors import PipelineError

DEADLINE_S: Final = 60.0
_MOST_BYTES: Final = 5_000_000
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_ROOT: Final = Path(__file__).resolve().parents[1]
_NOBODY: Final = "nobody waits for it any more"
# Where a system keeps its libraries in places of its own, numpy is not found without these.
_KEPT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class NotDrawn(PipelineError):
    """The picture could not be made; the words of the chart are there all the same."""


def draw(chart: Chart, *, python: str = sys.executable, deadline_s: float = DEADLINE_S) -> bytes:
    """The chart as PNG, the same bytes for the same chart. Blocks for a second or two, at most `deadline_s`
    seconds. Raises NotDrawn."""
    drawing = _Drawing(chart, python, deadline_s)
    try:
        return drawing.wait(deadline_s)
    finally:
        drawing.close()


class Studio:
    """Draws for a process that lives on, and asks again: what is not ready in the time that it has for this goes on,
    `longest_s` seconds at most, and is there when it is asked for again. `close` ends all of it. Safe for threads."""

    def __init__(self, *, python: str = sys.executable, longest_s: float = DEADLINE_S) -> None:
        self._python, self._longest_s = python, longest_s
        self._going: dict[Chart, _Drawing] = {}
        self._hand = threading.Lock()
        self._closed = False

    def __call__(self, chart: Chart, *, deadline_s: float) -> bytes:
        """As ``draw``; also what is still being drawn after `deadline_s` seconds raises NotDrawn."""
        with self._hand:
            if self._closed:
                raise NotDrawn(_NOBODY)
            drawing = self._going.get(chart)
            if drawing is None:
                drawing = self._going[chart] = _Drawing(chart, self._python, self._longest_s)
        try:
            return drawing.wait(deadline_s)
        finally:
            self._forget()

    def close(self) -> None:
        """Nobody asks any more."""
        with self._hand:
            self._closed = True
            for drawing in self._going.values():
                drawing.close()
            self._going.clear()

    def _forget(self) -> None:
        """What was given out, and what nobody came back for."""
        with self._hand:
            for chart, drawing in list(self._going.items()):
                if drawing.over:
                    drawing.close()
                    del self._going[chart]


class _Drawing:
    """One picture in the making. Raises NotDrawn."""

    def __init__(self, chart: Chart, python: str, longest_s: float) -> None:
        self._longest_s = longest_s
        self._end = time.monotonic() + longest_s
        self._hand = threading.Lock()
        self._told: bytes | NotDrawn | None = None
        try:
            with contextlib.ExitStack() as stack:
                self._folder = tempfile.TemporaryDirectory(prefix="streamwatch-chart-")
                stack.callback(self._folder.cleanup)
                self._process = self._start(chart, python)
                stack.pop_all()
        except OSError as error:
            raise NotDrawn(f"the drawing program did not start: {error.strerror or error}") from error

    def _start(self, chart: Chart, python: str) -> subprocess.Popen[bytes]:
        # Its caches (the list of fonts) go to a folder of its own: there may be no home, or one that is not writable.
        folder = self._folder.name
        (Path(folder) / "chart").write_text(json.dumps(chart.to_json()), encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if name in _KEPT}
        with (
            self._file("chart", "rb") as given,
            self._file("png", "wb") as made,
            self._file("said", "wb") as said,
        ):
            return subprocess.Popen(
                [python, "-P", "-m", "pipeline.painter"],
                env={**kept, "PYTHONPATH": str(_ROOT), "HOME": folder, "MPLCONFIGDIR": folder},
                cwd=folder, stdin=given, stdout=made, stderr=said,
            )  # fmt: skip

    def _file(self, name: str, mode: str) -> IO[Any]:
        return (Path(self._folder.name) / name).open(mode)

    @property
    def over(self) -> bool:
        """Whether it was told, or took longer than it may."""
        return self._told is not None or time.monotonic() >= self._end

    def wait(self, seconds: float) -> bytes:
        """The picture, waited for so long."""
        left = max(self._end - time.monotonic(), 0.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(min(seconds, left))
        with self._hand:
            if self._told is None:
                if self._process.poll() is None and seconds < left:
                    raise NotDrawn(f"it is not ready after {seconds:g} s")
                self._told = self._ended()
            told = self._told
        if isinstance(told, NotDrawn):
            raise told
        return told

    def _ended(self) -> bytes | NotDrawn:
        code = self._process.poll()
        if code is None:
            self._kill()
            return NotDrawn(f"drawing took longer than {self._longest_s:g} s")
        if code:
            said = self._read("said").decode(errors="replace").strip().splitlines()
            return NotDrawn(f"the drawing program ended with {code}: {said[-1][:200] if said else '-'}")
        made = self._read("png")
        if not made.startswith(_SIGNATURE) or len(made) > _MOST_BYTES:
            return NotDrawn("the drawing program made no picture")
        return made

    def _read(self, name: str) -> bytes:
        with self._file(name, "rb") as file:
            return bytes(file.read(_MOST_BYTES + 1))

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, and leave nothing behind; whoever waits for it is told so."""
        with self._hand:
            if self._told is None:
                self._kill()
                self._told = NotDrawn(_NOBODY)
            self._folder.cleanup()
