"""What is stored comes back; what cannot be said is made sayable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.clock import Clock, ManualClock
from bot.core.errors import ConfigError, StorageBusy
from bot.core.policy import Level, Policy
from bot.store.codec import dumps, loads, loads_any, storable
from bot.store.fairness import FairLock
from bot.store.schema import from_micros, to_micros

_any_text = st.text(st.characters(categories=("L", "N", "P", "S", "Z", "C", "Cs")))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _any_text,
    lambda inner: st.lists(inner) | st.dictionaries(_any_text, inner),
    max_leaves=15,
)


@given(_any_text)
def test_storable_text_is_taken_by_both_databases(text: str) -> None:
    """UTF-8, no NUL; text that was fine is untouched."""
    kept = storable(text)
    kept.encode("utf-8")
    assert "\0" not in kept
    assert storable(kept) == kept
    if not any(0xD800 <= ord(c) <= 0xDFFF for c in text) and "\0" not in text:
        assert kept == text


@given(_json)
def test_any_json_becomes_valid_json(value: Any) -> None:
    """NaN, surrogates and huge integers included; a second round changes nothing."""
    text = dumps(value)
    json.loads(text)
    assert "\0" not in text
    once = loads_any(text)
    assert loads_any(dumps(once)) == once


def test_policy_survives() -> None:
    """Enums as keys, durations, nested tuples."""
    policy = Policy(ladder={Level.L2: timedelta(seconds=90)})
    assert loads(dumps(policy), Policy) == policy


def test_other_versions_are_understood() -> None:
    """Unknown fields are ignored, missing ones take their defaults."""

    @dataclass(frozen=True)
    class Thing:
        a: int
        b: str = "default"

    assert loads('{"a": 1, "z": [1]}', Thing) == Thing(1)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_kept_to_the_microsecond(moment: datetime) -> None:
    """From year 1 to 9999."""
    assert from_micros(to_micros(moment)) == moment


def test_naive_time_is_refused() -> None:
    """Nobody knows what it means."""
    with pytest.raises(ValueError, match="aware"):
        to_micros(datetime(2026, 1, 1))


def test_fair_lock_gives_up_and_goes_on() -> None:
    """Who waits too long is told; the lock is whole afterwards."""
    lock = FairLock(0.01)
    with lock, pytest.raises(StorageBusy), lock:
        raise AssertionError("held by two")
    with lock:
        entered = True
    assert entered


@pytest.mark.parametrize("text", ["x", "1,2", "1,2,3,4", "1,2,0", "1,2,-1", "nan,1,1", "1,inf,1"])
def test_clock_refuses_rubbish(text: str) -> None:
    """With the name of the setting."""
    with pytest.raises(ConfigError, match="STREAMWATCH_CLOCK"):
        Clock.from_env({"STREAMWATCH_CLOCK": text})


def test_clock_runs_as_it_is_told() -> None:
    """700 domain seconds a real second; real time without the setting."""
    fast = Clock.from_env({"STREAMWATCH_CLOCK": "1000,5000,700"})
    assert fast.domain_of(from_micros(1_010_000_000)) == from_micros(12_000_000_000)
    assert fast.speed == 700
    real = Clock.from_env({})
    assert abs(real.now() - real.wall()) < timedelta(seconds=5)


def test_manual_clock_stands_until_advanced() -> None:
    """Set back, the wall goes back and the monotonic time does not."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.wall() == datetime(2026, 1, 1, tzinfo=UTC)
    clock.advance(90)
    clock.advance(timedelta(hours=-1))
    assert (clock.now().hour, clock.monotonic()) == (23, 90.0)
