"""Due times in the reader's zone: Slack's own in the blocks, the roster's in the text."""

import json

import pytest

from bot.slack.render_incident import render_timers
from bot.slack.words import moment_in

DUE = "2026-03-02T03:10:00+00:00"


def test_a_timer_is_shown_in_the_readers_zone() -> None:
    told = [{"lead": "armed: L2 ladder", "due": DUE, "words": "(in 2 h): unresolved for 2 h"}]
    message = render_timers({"text": "Timers of INC-7: 1 armed", "timers": told, "zone": "Europe/Berlin"}, {})
    line = "armed: L2 ladder, due 2026-03-02 03:10 UTC (04:10 Europe/Berlin) (in 2 h): unresolved for 2 h"
    assert line in message.text
    assert "due <!date^1772421000^{date_num} {time}|2026-03-02 03:10 UTC>" in json.dumps(message.blocks)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "2026-03-02 03:10 UTC"),
        ("nowhere/at all", "2026-03-02 03:10 UTC"),
        ("../../etc/passwd", "2026-03-02 03:10 UTC"),
        ("America/Los_Angeles", "2026-03-02 03:10 UTC (2026-03-01 19:10 America/Los_Angeles)"),
    ],
)
def test_a_zone_that_says_nothing_new_is_left_out(zone: str, said: str) -> None:
    assert moment_in(DUE, zone) == said


def test_no_timer_says_so() -> None:
    assert "There is no timer." in render_timers({"text": "t"}, {}).text
