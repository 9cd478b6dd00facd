"""Signed acknowledgement links (rules: "A page wakes"): what is genuine, until when, and what is only text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.links import key_from, read, sign

KEY = key_from("a signing secret")
UNTIL = datetime(2026, 3, 3, 3, 10, tzinfo=UTC)
PAGE = "INC-7:e1:c1:L1:alice"


def test_a_link_says_page_person_and_end() -> None:
    link = read(KEY, sign(KEY, PAGE, "alice", UNTIL))
    assert link is not None
    assert (link.page, link.person, link.until, link.genuine) == (PAGE, "alice", UNTIL, True)


def test_the_same_page_has_the_same_link_so_that_a_repeat_is_the_same_mail() -> None:
    assert sign(KEY, PAGE, "alice", UNTIL) == sign(KEY, PAGE, "alice", UNTIL)
    assert sign(KEY, PAGE, "alice", UNTIL) != sign(KEY, PAGE, "alice", UNTIL + timedelta(seconds=1))


@pytest.mark.parametrize(("page", "person"), [(PAGE, "bob"), (PAGE.replace("7", "8"), "alice")])
def test_a_link_for_another_page_or_person_needs_the_key(page: str, person: str) -> None:
    body, mac = sign(KEY, page, person, UNTIL).split(".")[0], sign(KEY, PAGE, "alice", UNTIL).split(".")[1]
    forged = read(KEY, f"{body}.{mac}")
    assert forged is not None
    assert not forged.genuine


def test_another_secret_makes_every_link_void() -> None:
    link = read(key_from("another secret"), sign(KEY, PAGE, "alice", UNTIL))
    assert link is not None
    assert not link.genuine


@given(st.integers(min_value=0, max_value=400), st.sampled_from("AQgw_-x.0"))
def test_no_changed_character_is_genuine(place: int, char: str) -> None:
    token = sign(KEY, PAGE, "alice", UNTIL)
    at = place % len(token)
    changed = token[:at] + char + token[at + 1 :]
    link = read(KEY, changed)
    # The last character of an encoding may carry bits that mean nothing.
    last = at in (len(token) - 1, token.index(".") - 1)
    assert changed == token or link is None or not link.genuine or last
    assert link is None or not link.genuine or (link.page, link.person) == (PAGE, "alice")


@given(st.text(max_size=200))
def test_rubbish_is_no_link(text: str) -> None:
    link = read(KEY, text)
    assert link is None or not link.genuine


@pytest.mark.parametrize("token", ["", ".", "a.b", "W10.x", "eyJhIjoxfQ.x", "x" * 5000, "WzEsMiwxZTk5OV0.x"])
def test_what_is_no_token_is_none(token: str) -> None:
    assert read(KEY, token) is None
