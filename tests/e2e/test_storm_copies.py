"""One problem makes one incident and one channel, however many copies of its alert arrive at once."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import LONG, Stage, headlines, page_places

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
    pages = stage.incident("INC-1")["pages"]
    # A close that came first makes an incident that recovers already: nobody is paged.
    assert len(pages) <= 1
    assert set(places.values()) <= {1}
    assert len(places) == 2 * len(pages), f"a direct message and a mention were expected: {places}"


def test_500_copies_posted_50_at_a_time_make_one_of_everything(staging: Staging) -> None:
    stage = staging()
    answers = stage.post_many([alert("0.copied", pipeline="orders")] * COPIES, at_once=50)
    assert {answer.status for answer in answers} == {200}
    assert stage.rows("SELECT count(*), sum(copies) FROM inbox") == [(1, COPIES)]
    stage.until(lambda: stage.channels() and headlines(stage.channels()[0]), 40, "no headline came")
    stage.until_quiet()
    assert_one_of_everything(stage)
    assert [page["level"] for page in stage.incident("INC-1")["pages"]] == ["L1"]


@pytest.mark.parametrize("seed", range(8 if LONG else 2))
def test_500_copies_with_closes_mixed_in_end_in_the_same_state(staging: Staging, seed: int) -> None:
    stage = staging()
    bodies = [alert("0.mixed", pipeline="orders"), alert("0.mixed", state="closed", pipeline="orders")]
    storm = bodies * (COPIES // 2)
    random.Random(seed).shuffle(storm)
    answers = stage.post_many(storm, at_once=50)
    assert {answer.status for answer in answers} == {200}
    stage.until_told(1)
    stage.until(lambda: stage.incident("INC-1")["status"] == "recovering", 40, "it did not recover")
    assert_one_of_everything(stage)
    told = stage.incident("INC-1")
    closed = [e for e in told["events"] if e["type"] == "alert_closed"]
    assert (told["severity"], told["kind"], len(closed)) == ("critical", "health", 1)
