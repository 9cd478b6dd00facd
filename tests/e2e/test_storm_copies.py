"""One problem makes one incident and one channel, however many copies of its alert arrive at once."""

from __future__ import annotations

from collections import Counter

from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import Stage, headlines, page_places

COPIES = 500


def assert_one_of_everything(stage: Stage) -> None:
    """One incident, one channel, one headline (pinned), L1 paged once in each place."""
    assert [row["id"] for row in stage.incidents()] == ["INC-1"]
    channels = stage.channels()
    assert len(channels) == 1
    found = headlines(channels[0])
    assert len(found) == 1
    assert [pin["ts"] if isinstance(pin, dict) else pin for pin in channels[0]["pins"]] == [found[0]["ts"]]
    places = Counter(page_places(stage.state()))
    assert set(places.values()) == {1}
    assert len(places) == 2, f"a direct message and a mention were expected: {places}"


def test_500_copies_posted_50_at_a_time_make_one_of_everything(staging: Staging) -> None:
    stage = staging()
    answers = stage.post_many([alert("0.copied", pipeline="orders")] * COPIES, at_once=50)
    assert {answer.status for answer in answers} == {200}
    assert stage.rows("SELECT count(*), sum(copies) FROM inbox") == [(1, COPIES)]
    stage.until(lambda: stage.channels() and headlines(stage.channels()[0]), 20, "no headline came")
    stage.until_quiet()
    assert_one_of_everything(stage)
