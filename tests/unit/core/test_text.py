"""Promise: outside text can never ping a channel, break a message or inject markup."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import text

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NASTY = st.text(
    st.one_of(st.sampled_from("<>&!@#|`*_~ \n\t\r\x00" + BIDI + "\u200b\ufeff\ud800\u1fef"), st.characters()),
    max_size=300,
)
LIMITS = st.integers(0, 120)


@given(NASTY, LIMITS)
def test_plain_is_harmless_and_within_its_limit(words: str, limit: int) -> None:
    shown = text.plain(words, limit)
    assert len(shown) <= limit
    assert not re.search(r"[<>]", shown)
    assert re.sub(r"&(amp|lt|gt);", "", shown).count("&") == 0  # no entity was cut in two
    assert not set(shown) & set(BIDI)
    shown.encode("utf-8")


@given(NASTY, LIMITS)
def test_inline_is_one_line_without_marks(words: str, limit: int) -> None:
    shown = text.inline(words, limit)
    assert len(shown) <= limit
    assert not set(shown) & set("<>`*~\n\t")


@given(NASTY, st.integers(9, 120))
def test_a_fence_holds_whatever_is_inside(words: str, limit: int) -> None:
    shown = text.fence(words, limit)
    assert len(shown) <= limit
    assert shown.count("```") == 2
    assert shown.startswith("```\n")
    assert shown.endswith("\n```")


@given(NASTY)
def test_clean_is_stable_and_keeps_no_unseen_characters(words: str) -> None:
    shown = text.clean(words)
    assert text.clean(shown) == shown
    assert all(char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"} for char in shown)


@given(NASTY, LIMITS)
def test_cut_keeps_to_its_limit_and_short_text_whole(words: str, limit: int) -> None:
    shown = text.cut(words, limit)
    assert len(shown) <= limit
    if len(words) <= limit:
        assert shown == words


@given(st.integers(1, 10**6), NASTY, st.one_of(st.none(), st.integers(2, 9)))
def test_channel_names_are_ones_that_slack_takes(number: int, title: str, suffix: int | None) -> None:
    name = text.channel_name(number, title, suffix)
    assert len(name) <= 80
    assert re.fullmatch(r"[a-z0-9_-]+", name)
    assert name.startswith(f"inc-{number:04d}-")
    if suffix is not None:
        assert name.endswith(f"-{suffix}")


@given(NASTY, NASTY)
def test_a_link_has_one_address_and_cannot_be_left(url: str, label: str) -> None:
    shown = text.link("https://example.com/" + url, label)
    if shown.startswith("<"):
        assert shown.count("<") == 1
        assert shown.count(">") == 1
        assert shown.endswith(">")
        assert re.match(r"<https://example\.com[^|>\s]*\|", shown)
    else:
        assert not set(shown) & set("<>")


def test_escape_leaves_slack_nothing_to_read() -> None:
    assert text.escape("<!channel> & <@U1>") == "&lt;!channel&gt; &amp; &lt;@U1&gt;"


def test_clean_strips_direction_and_keeps_the_words() -> None:
    assert text.clean("a\u202eb\u200b\r\nc\x00\td\u2028e") == "ab\nc\td\ne"
    assert text.clean("e\u0301") == "é"
    assert text.clean("\u0661\u0600") == "\u0661\u0600"  # a sign that is read stays


def test_cut_falls_on_a_word_and_shows_it() -> None:
    assert text.cut("the pipeline has stopped", 15) == "the pipeline…"
    assert text.cut("unbreakable", 5) == "unbr…"
    assert text.cut("anything", 0) == ""


def test_plain_counts_what_slack_counts() -> None:
    assert text.plain("<<<<", 16) == "&lt;&lt;&lt;&lt;"
    assert text.plain("<<<<", 15) == "&lt;&lt;&lt;…"
    assert text.plain("Größe <!here>", 100) == "Größe &lt;!here&gt;"


def test_code_cannot_be_closed_from_inside() -> None:
    assert text.code("a```b", 50) == "a'''b"
    assert text.code("`x`", 50) == "'x'"
    assert text.code("a\u1fef\u1fef\u1fefb", 50) == "a'''b"  # becomes backticks only when normalised


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Dataflow Job - Failed!", "inc-0007-dataflow-job-failed"),
        ("Zażółć Größe Ærø", "inc-0007-zazolc-grosse-aero"),
        ("Конвейер остановлен", "inc-0007-alert"),
        ("<!channel>", "inc-0007-channel"),
        ("", "inc-0007-alert"),
    ],
)
def test_channel_name_says_the_title_in_ascii(title: str, expected: str) -> None:
    assert text.channel_name(7, title) == expected


def test_channel_name_keeps_its_suffix_when_cut() -> None:
    name = text.channel_name(12345, "x" * 200, 9)
    assert name == "inc-12345-" + "x" * 68 + "-9"
    assert len(name) == 80


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://example.com/",
        "https://user:pw@example.com/",
        "https://exa\u202emple.com/",
        "https://bücher.example/",
        "https://example.com:99999/",
        "https://[::1/",
        "https:///x",
        "https://example.com/a b",
        "https://example.com/" + "a" * 3000,
        "",
    ],
)
def test_an_unchecked_address_is_no_link(url: str) -> None:
    assert text.checked_url(url) is None
    assert text.link(url, "the console") == "the console"


def test_links_to_https_and_to_loopback() -> None:
    assert text.link("https://a.example/x?b=<1>|&c=2", "a|b>") == (
        "<https://a.example/x?b=%3C1%3E%7C&amp;c=2|a|b&gt;>"
    )
    assert text.checked_url("http://127.0.0.1:8400/") == "http://127.0.0.1:8400/"
    assert text.checked_url("http://[::1]:8400/") == "http://[::1]:8400/"
    assert text.link("https://a.example/", "") == "<https://a.example/|https://a.example/>"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("token xoxb-12-ab-CD used", "token [masked] used"),
        ("xapp-1-A2-b", "[masked]"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [masked]"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic [masked]"),
        ("basic checks failed", "basic checks failed"),
        ("POST /webhooks?auth_token=s3cret&x=1", "POST /webhooks?auth_token=[masked]&x=1"),
        ("?key=abc&api_key=def&token=ghi", "?key=[masked]&api_key=[masked]&token=[masked]"),
        ("row_key=5 monkey=6", "row_key=5 monkey=6"),
        ('{"password": "a b", "n": 1}', '{"password": "[masked]", "n": 1}'),
        ("postgresql://bot:pw@db/x", "postgresql://bot:[masked]@db/x"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "[masked]"),
        ("mail a.b@example.com", "mail a.b@example.com"),
    ],
)
def test_redact_masks_secrets_and_nothing_else(words: str, expected: str) -> None:
    assert text.redact(words) == expected


def test_redact_masks_mail_addresses_where_asked() -> None:
    assert text.redact("mail a.b@example.com now", emails=True) == "mail [masked] now"


def test_a_title_that_a_sender_repeats_is_said_once() -> None:
    assert text.without("Orders stopped", "Orders stopped: value 1") == "value 1"
    assert text.without("Orders", "Orders are late") == "Orders are late", "a word of the sentence"
    assert text.without("Orders stopped", "Orders stopped") == ""
    assert text.without("", " said ") == "said"
