"""Each way in which the world can break is named in the first sentence, and in a healthy world none is.

Asked as a person asks: the terminal's own entry, Google's official clients, the sandbox's services.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pipeline.__main__ import main

from .conftest import Stand

Asked = Callable[[str], tuple[str, int]]

# world, minutes in it -> operation and the words of its first sentence that name the cause
WORLDS = [
    ("schema_change", 8, "health", "data issue, schema change"),
    ("schema_change", 8, "quality", "root cause: schema change"),
    ("new_required_field", 8, "health", "data issue, required field missing"),
    ("new_required_field", 8, "quality", "root cause: required field missing"),
    ("invalid_format", 8, "health", "data issue, invalid format"),
    ("invalid_format", 8, "quality", "root cause: invalid format"),
    ("rule_violation", 8, "health", "data issue, business rule violation"),
    ("rule_violation", 8, "quality", "root cause: business rule violation"),
    ("cost_spike", 5, "cost report", "went from 2 to 6 workers within a day"),
    ("cost_spike", 5, "cost leaks", "went from 2 to 6 workers within a day"),
    ("doubled_job", 3, "cost report", "2 living jobs of one pipeline are paid for at once"),
    ("doubled_job", 3, "cost leaks", "2 living jobs of one pipeline are paid for at once"),
    ("doubled_job", 3, "health", "2 living jobs read the same subscriptions"),
    ("hot_key", 20, "perf", "held back by a hot key: one key gets so many events that step ViewsByProduct"),
    ("hot_key", 20, "health", "held back by a hot key: one key gets so many events that step ViewsByProduct"),
    ("slow_sink", 14, "perf", "held back by a slow sink: WriteToBigQuery"),
    ("slow_sink", 14, "health", "held back by a slow sink: WriteToBigQuery"),
    ("silent_source", 12, "health", "the source of clicks is silent: nothing was published for 10 min"),
    ("silent_source", 12, "quality", "the source of clicks is silent: nothing was published for 10 min"),
    ("job_failed", 5, "health", "job ecommerce-streaming failed at"),
    ("job_stuck", 16, "health", "RUNNING but has moved nothing"),
]
NAMES = {
    operation: sorted({words for _, _, asked, words in WORLDS if asked == operation})
    for operation in sorted({operation for _, _, operation, _ in WORLDS})
}


@pytest.fixture
def ask(stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The terminal, set to this world."""
    monkeypatch.setenv("GOOGLE_API_ENDPOINT", stand.address)
    monkeypatch.setenv("RUNBOOKS_DIR", str(stand.catalogue_file.parent))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{stand.catalogue_file.parent / 'history.db'}")
    for name in ("PUBSUB_EMULATOR_HOST", "GOOGLE_REST_ENDPOINT", "BIGQUERY_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)

    def first_sentence(operation: str) -> tuple[str, int]:
        now = stand.clock.now().timestamp()
        monkeypatch.setenv("STREAMWATCH_CLOCK", f"{now},{now},0")
        code = main([*operation.split(), "--json"])
        verdict: str = json.loads(capsys.readouterr().out)["verdict"]
        return verdict.partition(". ")[0], code

    return first_sentence


@pytest.mark.parametrize(("world", "minutes", "operation", "words"), WORLDS)
def test_the_cause_is_in_the_first_sentence(
    stand: Stand, ask: Asked, world: str, minutes: int, operation: str, words: str
) -> None:
    stand.happen({}, minutes=3)
    stand.happen({"scenario": world}, minutes=minutes)
    first, code = ask(operation)
    assert words in first
    assert code == 1
    # ... and no other cause is named beside it
    assert [name for name in NAMES[operation] if name in first] == [words]


@pytest.mark.parametrize("operation", list(NAMES))
def test_a_healthy_world_names_no_cause(stand: Stand, ask: Asked, operation: str) -> None:
    stand.happen({}, minutes=12)
    first, code = ask(operation)
    assert not [name for names in NAMES.values() for name in names if name in first]
    assert code in (0, 2), "the spend alone may be unknown"
