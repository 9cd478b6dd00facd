"""The sandbox's clocks: the wall, and the domain time that may go faster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.clock import Clock, ClockError


def test_domain_time_goes_at_its_own_speed() -> None:
    wall = [1000.0]
    clock = Clock(1000, 5000, 60, source=lambda: wall[0])
    assert clock.now() == datetime.fromtimestamp(5000, UTC)
    wall[0] += 2
    assert clock.now() == datetime.fromtimestamp(5120, UTC)
    assert clock.wall() == datetime.fromtimestamp(1002, UTC)


def test_without_a_setting_domain_time_is_real_time() -> None:
    clock = Clock.from_env({})
    assert abs(clock.now() - clock.wall()) < timedelta(seconds=1)
    assert clock.speed == 1


def test_setting_is_read() -> None:
    assert Clock.from_env({"STREAMWATCH_CLOCK": "10,20,3.5"}).speed == 3.5


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "1,2,0", "1,2,-1", "1,nan,1", "1,2,inf"])
def test_senseless_settings_are_refused(text: str) -> None:
    with pytest.raises(ClockError, match="STREAMWATCH_CLOCK"):
        Clock.from_env({"STREAMWATCH_CLOCK": text})
