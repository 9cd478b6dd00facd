"""Whatever a file holds, it is read or its mistakes are told, with lines that the file has. Nothing crashes."""

import json
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.policy import Policy, parse_duration
from bot.core.runbook import Known
from bot.documents import (
    DocumentErrors,
    Mistake,
    Surroundings,
    load_policy,
    load_rehearsal,
    load_roster,
    load_runbooks,
)

FOLDER = Path(__file__).parents[3] / "runbooks"
SHIPPED = {
    path.name: path.read_text(encoding="utf-8")
    for pattern in ("*.md", "escalation.yaml", "roster.yaml", "rehearsals/*.yaml")
    for path in sorted(FOLDER.glob(pattern))
}
OPERATIONS = Surroundings(
    operations={
        name: Known(risk=risk)
        for name, risk in {"pipeline.health": "read", "pipeline.restart": "change"}.items()
    }
)
LOADERS: dict[str, Callable[[Path], object]] = {
    "policy": load_policy,
    "roster": load_roster,
    "rehearsal": load_rehearsal,
    "runbook": lambda path: load_runbooks(path.parent, OPERATIONS),
}

signs = st.sampled_from(
    [*"\n\n  :-[]{}#&*!|>'\"%@`~,?\t+0a\u2028\x85\x00\x07é", "```step\n", "---\n", "## A\n", "- "]
)
rubbish = st.lists(signs | st.text(max_size=3), max_size=60).map("".join)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped document with a few places overwritten."""
    text = draw(st.sampled_from(sorted(SHIPPED.values())))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(rubbish) + text[start + draw(st.integers(0, 40)) :]
    return text


def _read(kind: str, raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.md"
        path.write_bytes(raw)
        lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
        try:
            LOADERS[kind](path)
        except DocumentErrors as errors:
            told = errors.mistakes
        else:
            return
    assert told
    for mistake in told:
        assert 0 <= mistake.line <= lines
        assert mistake.text
        assert mistake.remedy


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(LOADERS)), text=mutated() | rubbish)
@example(kind="policy", text="[" * 3000)
@example(kind="policy", text="{a: " * 400)
@example(kind="roster", text="&a [*a, *a]")
@example(kind="roster", text="people: &a {x: *a}")
@example(kind="rehearsal", text="start: 9999-12-31T23:59:59-14:00\nevents: [{at: +30d, ack: a}]")
@example(kind="rehearsal", text="start: 9999-12-31T23:59:59Z\nevents: [{at: +30d, alert: {a: 1}, for: 30d}]")
@example(kind="policy", text="%YAML 9.9\n--- a")
@example(kind="policy", text="%TAG ! x\n--- !<> a")
@example(kind="policy", text="? [a]\n: b")
@example(kind="runbook", text="---\nkind: health\n---\n" + "> " * 200 + "# A")
@example(kind="runbook", text="---")
@example(kind="runbook", text="---\n---\n---\n")
def test_any_text_is_read_or_its_mistakes_are_told(kind: str, text: str) -> None:
    _read(kind, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(LOADERS)), raw=st.binary(max_size=200))
def test_any_bytes_are_read_or_their_mistakes_are_told(kind: str, raw: bytes) -> None:
    _read(kind, raw)


@settings(max_examples=60, deadline=None)
@given(number=st.text("0123456789_.eExob-+", min_size=1, max_size=40))
def test_parameters_of_steps_are_always_json(number: str) -> None:
    block = f"run: pipeline.health\nwith: {{a: {number}, b: .inf, c: .nan}}\n"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.md").write_text(f"---\nkind: other\n---\n## A\n\n```step\n{block}```\n")
        told: tuple[Mistake, ...] = ()
        params: list[object] = []
        try:
            params = [step.params for step in load_runbooks(Path(folder), OPERATIONS)[0].steps]
        except DocumentErrors as errors:
            told = errors.mistakes
    assert told or json.loads(json.dumps(params, allow_nan=False)) == params


@pytest.mark.parametrize("name", sorted(name for name in SHIPPED if name.endswith(".md")))
def test_the_shipped_runbooks_are_due_for_review_at_least_quarterly(name: str) -> None:
    front = dict(line.split(": ", 1) for line in SHIPPED[name].split("---")[1].splitlines() if ": " in line)
    last, following = date.fromisoformat(front["last_reviewed"]), date.fromisoformat(front["next_review"])
    assert 0 < (following - last).days <= 92


@settings(max_examples=40, deadline=None)
@given(seconds=st.integers(1, 2_592_000))
def test_a_timer_of_the_file_is_the_timer_of_the_policy(seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "escalation.yaml"
        path.write_text(f"repeat: {seconds}s\n")
        policy = load_policy(path)
    assert policy == Policy(repeat=parse_duration(f"{seconds}s"))
