"""A chart becomes a PNG in a process of its own, the same one each time, or says why not."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.delivery import DRAWING, LEASE, MARGIN, Kind, Outbound, Priority, longest
from pipeline.chart import Chart, bar
from pipeline.painter import MOST, WIDTH, paint, size
from pipeline.picture import NotDrawn, Studio, draw

ROOT = Path(__file__).resolve().parents[3]
CHART = Chart(
    name="events-orders",
    title="Events a day of $orders_{x}",
    note="by month, <the newest> first",
    rows=(
        ("2026-12", 31944.0, "31,944 events"),
        ("2026-11, a name that is longer than the room for names", 0.0, "0 events"),
        ("2026-10 \\frac{$", -3.0, "-3 events"),
    ),
)


def pixels(png: bytes) -> tuple[tuple[int, int], list[bytes]]:
    """((width, height), the rows as RGBA): read by PNG's own rules, so every checksum is checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, {b"IDAT": b""}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        found[kind] = found.get(kind, b"") + body
        at += 12 + length
    width, height, depth, color = struct.unpack(">IIBB", found[b"IHDR"][:10])
    assert (depth, color) == (8, 6)
    assert b"IEND" in found
    raw = zlib.decompress(found[b"IDAT"])
    assert len(raw) == height * (1 + 4 * width)
    return (width, height), [raw[row * (1 + 4 * width) :][: 1 + 4 * width] for row in range(height)]


def test_a_chart_becomes_the_same_png_each_time_wherever_it_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = draw(CHART)
    (width, height), rows = pixels(picture)
    assert (width, height) == size(CHART)
    assert width == WIDTH
    assert picture == paint(CHART), "another process, another folder, another list of fonts"
    assert len(set(rows)) > 50, "words and bars"
    assert list(tmp_path.iterdir()) == []


def test_whoever_draws_does_not_load_matplotlib() -> None:
    code = "import sys, bot.app, pipeline.drawn; print({'matplotlib', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_long_chart_says_how_much_more_its_words_have() -> None:
    many = replace(CHART, rows=tuple((f"service {n}", float(n), f"{n} USD") for n in range(MOST + 5)))
    longest_drawn = replace(many, rows=many.rows[:MOST])
    assert size(many)[1] > size(longest_drawn)[1]
    assert size(many) == size(replace(many, rows=many.rows * 3))
    assert pixels(paint(many))[0] == size(many)
    assert paint(many) != paint(replace(many, rows=many.rows[: MOST + 4])), "and 5 more, and 4 more"
    assert "service 24: 24 USD" in many.words
    assert "service 24: 24 USD" in many.text


def script(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.stderr.write('Traceback\\nno fonts'); sys.exit(3)", "ended with 3: no fonts"),
        ("print('hello')", "made no picture"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended with -9: -"),
    ],
)
def test_a_drawing_program_that_fails_says_why(tmp_path: Path, program: str, reason: str) -> None:
    with pytest.raises(NotDrawn, match=reason):
        draw(CHART, python=script(tmp_path, program))


def test_one_that_hangs_is_ended_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    hanging = script(
        tmp_path,
        f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)",
    )
    with pytest.raises(NotDrawn, match="longer than 2 s"):
        draw(CHART, python=hanging, deadline_s=2)
    if (tmp_path / "pid").exists():  # a busy machine may not have begun it
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
    with pytest.raises(NotDrawn, match="did not start: No such file"):
        draw(CHART, python=str(tmp_path / "nothing"))


def test_the_drawing_program_gets_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    told = "import os, sys; sys.stderr.write(' '.join(sorted(os.environ))); sys.exit(1)"
    with pytest.raises(NotDrawn) as caught:
        draw(CHART, python=script(tmp_path, told))
    assert "MPLCONFIGDIR" in str(caught.value)
    assert "SLACK" not in str(caught.value)


@pytest.mark.parametrize("rows", [[["a", "many", "x"]], [["a", 1.0]], [["a", float("nan"), "x"]], 7])
def test_what_is_no_chart_is_not_drawn(rows: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Chart.from_json({"name": "n", "title": "t", "note": "", "rows": rows})


def test_a_chart_survives_the_outbox_and_fits_into_its_lease() -> None:
    file = CHART.as_file()
    assert Chart.from_json(file["chart"]) == CHART
    assert file["filename"] == "events-orders.png"
    for _, _, words in CHART.rows:
        assert words in file["comment"]
        assert words in file["alt"]
    row = Outbound(key="k", kind=Kind.FILE, lane="l", priority=Priority.NEWS, data=file)
    assert DRAWING < longest(row) <= LEASE - 2 * MARGIN
    assert longest(replace(row, data={"content": "x"})) < longest(row)


def test_bars_of_text_have_their_share() -> None:
    assert bar(0.25).endswith(" 25 %")
    assert bar(7).endswith(" 700 %")


SLOW = """import os, sys, time
while not os.path.exists({mark!r}):
    time.sleep(0.01)
sys.stdout.buffer.write(b"\\x89PNG\\r\\n\\x1a\\n" + str(os.getpid()).encode())"""


def test_what_takes_longer_than_whoever_asks_can_wait_goes_on_and_is_there_the_next_time(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "now"
    studio = Studio(python=script(tmp_path, SLOW.format(mark=str(mark))))
    with pytest.raises(NotDrawn, match=r"not ready after 0\.2 s"):
        studio(CHART, deadline_s=0.2)
    with pytest.raises(NotDrawn, match="not ready"):
        studio(Chart.from_json(CHART.to_json()), deadline_s=0.2)
    mark.touch()
    first = studio(CHART, deadline_s=40)
    assert first.startswith(b"\x89PNG")
    assert studio(CHART, deadline_s=40) != first, "what was given out is not kept"
    studio.close()


def test_a_studio_ends_what_takes_too_long_and_what_nobody_waits_for(tmp_path: Path) -> None:
    python = script(tmp_path, "import time; time.sleep(600)")
    studio = Studio(python=python, longest_s=0.5)
    with pytest.raises(NotDrawn, match=r"longer than 0\.5 s"):
        studio(CHART, deadline_s=40)
    other = Studio(python=python)
    with pytest.raises(NotDrawn, match="not ready"):
        other(CHART, deadline_s=0.2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other, CHART, deadline_s=40)
        other.close()
        with pytest.raises(NotDrawn, match=r"nobody waits|-9"):
            waiting.result(40)
