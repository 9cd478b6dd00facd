"""Any order of the same notifications, with copies and closes mixed in, ends in the same state
(rules: "From alert to incident", Close before open).

The same set of notifications goes to many unclaimed pipelines at once, each in an order of its own.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from tests.e2e.alerts import alert
from tests.e2e.conftest import Staging
from tests.e2e.running import LONG, Stage, headlines, page_places

# Slack lets a burst of 18 channels be made, then one every three seconds.
ORDERS = 60 if LONG else 12
SEED = 20_261_123

Json = dict[str, Any]


def notifications(pipeline: str, *, still_open: bool) -> list[Json]:
    """Copies of three alerts' opens and closes, and the close of one that never opens."""
    down: Json = {"pipeline": pipeline, "severity": "critical"}
    bad: Json = {
        "pipeline": pipeline,
        "severity": "warning",
        "policy_user_labels": {"severity": "warning", "kind": "quality"},
    }
    found = [alert(f"0.{pipeline}-down", **down)] * 4
    found += [alert(f"0.{pipeline}-down", state="closed", **down)] * 3
    found += [alert(f"0.{pipeline}-bad", **bad)] * 2
    found += [alert(f"0.{pipeline}-late", **bad)] * 2
    found += [alert(f"0.{pipeline}-late", state="closed", **bad)] * 2
    found += [alert(f"0.{pipeline}-never", state="closed", **bad)]
    if not still_open:
        found += [alert(f"0.{pipeline}-bad", state="closed", **bad)] * 2
    return found


def interleaved(lists: list[list[Json]]) -> list[Json]:
    """All of them, each in its own order, one of each in turn."""
    longest = max(len(each) for each in lists)
    return [each[place] for place in range(longest) for each in lists if place < len(each)]


def end_state(incident: Json) -> Json:
    """What may not depend on the order."""
    prefix = f"0.{incident['pipeline']}-"
    opened = {
        e["data"]["key"].removeprefix(prefix) for e in incident["events"] if e["type"] == "alert_opened"
    }
    closed = {
        e["data"]["key"].removeprefix(prefix) for e in incident["events"] if e["type"] == "alert_closed"
    }
    return {
        "status": incident["status"],
        "severity": incident["severity"],
        "kind": incident["kind"],
        "open": sorted(opened - closed),
        "closed": sorted(closed),
    }


def assert_same_everywhere(stage: Stage, wanted: Json) -> None:
    """One incident and one channel a pipeline, all in the wanted state, no page twice in one place."""
    rows = stage.incidents()
    assert Counter(row["pipeline"] for row in rows) == {f"line-{n:02d}": 1 for n in range(ORDERS)}
    states = {row["pipeline"]: end_state(stage.incident(row["id"])) for row in rows}
    assert {name: state for name, state in states.items() if state != wanted} == {}
    state = stage.state()
    assert set(Counter(page_places(state)).values()) <= {1}
    channels = [c for c in state["channels"] if str(c["name"]).startswith("inc-")]
    assert len(channels) == ORDERS
    assert {len(headlines(channel)) for channel in channels} == {1}
    assert {len(channel["pins"]) for channel in channels} == {1}


@pytest.mark.parametrize("still_open", [False, True], ids=["all closed", "one still open"])
def test_any_order_with_closes_mixed_in_ends_in_the_same_state(staging: Staging, still_open: bool) -> None:
    stage = staging()
    chance = random.Random(SEED)
    lists = [notifications(f"line-{n:02d}", still_open=still_open) for n in range(ORDERS)]
    for each in lists:
        chance.shuffle(each)
    answers = stage.post_many(interleaved(lists), at_once=50)
    assert {answer.status for answer in answers} == {200}
    stage.until_told(ORDERS, 40 if not LONG else 300)
    wanted = {
        "status": "open" if still_open else "recovering",
        "severity": "critical",
        "kind": "health",
        "open": ["bad"] if still_open else [],
        "closed": ["down", "late"] if still_open else ["bad", "down", "late"],
    }
    assert_same_everywhere(stage, wanted)


def test_a_graver_copy_counts_though_the_close_overtook_it(staging: Staging) -> None:
    stage = staging()
    orders = ["".join(order) for order in permutations("wcx")]
    for order in orders:
        sorts: dict[str, Json] = {
            "w": alert("0." + order, pipeline=order, severity="warning", metric=None),
            "c": alert("0." + order, pipeline=order, severity="critical", metric=None),
            "x": alert("0." + order, pipeline=order, state="closed", metric=None),
        }
        assert [stage.post(sorts[letter]).status for letter in order] == [200, 200, 200]
    stage.until_told(len(orders))
    ends = {row["pipeline"]: (row["status"], row["severity"], row["kind"]) for row in stage.incidents()}
    assert ends == dict.fromkeys(orders, ("recovering", "critical", "health"))
