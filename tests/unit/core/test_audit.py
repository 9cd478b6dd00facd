"""Promise: the timeline is append-only and each event carries the hash of the one before."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.audit import GENESIS, Broken, Link, canonical, link_hash, verify

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4), min_size=1, max_size=6
)


def chain(records: list[dict[str, Any]], first: int = 1) -> list[Link]:
    links: list[Link] = []
    for seq, record in enumerate(records, first):
        before = links[-1].hash if links else GENESIS
        links.append(Link(seq=seq, prev_hash=before, hash=link_hash(before, record), record=record))
    return links


THREE = chain([{"text": "opened"}, {"text": "paged alice"}, {"text": "resolved"}])


@given(RECORDS)
def test_a_chain_holds_after_storage_as_json(records: list[dict[str, Any]]) -> None:
    stored = [replace(link, record=json.loads(json.dumps(link.record))) for link in chain(records)]
    assert verify(stored) is None


@given(RECORDS, st.data())
def test_any_changed_record_is_found_at_its_place(records: list[dict[str, Any]], data: st.DataObject) -> None:
    links = chain(records)
    at = data.draw(st.integers(0, len(links) - 1))
    links[at] = replace(links[at], record={**links[at].record, "text": "changed", "by": "nobody"})
    broken = verify(links)
    assert broken is not None
    assert broken.seq == at + 1


def test_a_removed_moved_or_renumbered_record_is_found() -> None:
    one, two, three = THREE
    assert verify([one, three]) == Broken(3, "out of sequence: follows 1")
    assert verify([one, replace(three, seq=2)]) == Broken(2, "does not follow the record before it")
    assert verify([two, three]) == Broken(2, "does not follow the record before it")
    assert verify([one, replace(three, seq=2), replace(two, seq=3)]) == Broken(
        2, "does not follow the record before it"
    )


def test_a_record_rewritten_with_its_own_hash_breaks_the_next() -> None:
    one, two, three = THREE
    record = {"text": "never paged"}
    forged = replace(two, record=record, hash=link_hash(one.hash, record))
    assert verify([one, forged, three]) == Broken(3, "does not follow the record before it")


def test_a_chain_cut_off_at_its_end_is_found_by_its_head() -> None:
    assert verify(THREE, head=THREE[-1].hash) is None
    assert verify(THREE[:2]) is None
    assert verify(THREE[:2], head=THREE[-1].hash) == Broken(3, "records are missing at the end")
    assert verify([], head=GENESIS) is None


def test_a_part_of_a_chain_can_be_verified_alone() -> None:
    assert verify(THREE[1:], after=THREE[0].hash) is None


def test_the_canonical_form_is_fixed() -> None:
    at = datetime(2026, 11, 22, 3, 10, 0, 5, tzinfo=UTC)
    record = {"b": [1, "é", None], "a": {"at": at, "ok": True}}
    assert (
        canonical(record) == '{"a":{"at":"2026-11-22T03:10:00.000005Z","ok":true},"b":[1,"é",null]}'.encode()
    )
    elsewhere = at.astimezone(timezone(timedelta(hours=9)))
    assert canonical({"at": elsewhere}) == canonical({"at": at})
    assert link_hash(GENESIS, {"b": 1, "a": 2}) == link_hash(GENESIS, {"a": 2, "b": 1})
    assert link_hash(GENESIS, {}) != link_hash("f" * 64, {})


@pytest.mark.parametrize(
    "record", [{"x": float("nan")}, {"x": datetime(2026, 1, 1)}, {1: "x"}, {"x": {1, 2}}, {"x": "\ud800"}]
)
def test_what_has_no_single_form_is_refused(record: Any) -> None:
    with pytest.raises(ValueError):
        link_hash(GENESIS, record)


def test_an_unreadable_record_is_a_break_and_no_crash() -> None:
    assert verify([replace(THREE[0], record={"x": float("inf")})]) is not None
