"""Whatever others write stays text in a review: no link, image, code, heading, list, row or mention."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.markdown import inline, quote, table

RENDER = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render
NASTY = st.lists(
    st.one_of(
        st.sampled_from(
            ["`", "``", "```", "~~~", "~~", "**", "_", "[a](b)", "![", "](http://e.example)", "<b>", "</p>", "&lt;",
             "|", "\\", "\n", "# ", "- ", "+ ", "* ", "1. ", "1) ", "> ", "---", "===", "    ", "\t", "<!--", "https://e.example",
             "<http://e.example>", "www.e.example", "@team", "a@e.example", "$x$", "[e1]: /x", "\u202e", "\u2028"]
        ),
        st.text(max_size=6),
    ),
    max_size=12,
).map("".join)  # fmt: skip


def tags(html: str) -> set[str]:
    return set(re.findall(r"</?(\w+)", html))


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_a_line_stays_one_paragraph_of_text(text: str) -> None:
    assert tags(RENDER(inline(text))) <= {"p"}


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_a_quote_stays_a_quote_of_text(text: str) -> None:
    assert tags(RENDER(quote(text))) <= {"blockquote", "p"}


@settings(max_examples=200, deadline=None)
@given(NASTY, NASTY)
def test_a_row_keeps_its_cells(left: str, right: str) -> None:
    html = RENDER(table(("A", "B"), [(inline(left), inline(right))]))
    assert html.count("<td>") == 2
    assert tags(html) <= {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize(
    "text",
    [
        "dlq.replay",
        "user_id is missing",
        "03:10 UTC",
        "error rate 12.5 %",
        "inc-0007-orders",
        "a + b = c",
        "Job #4",
    ],
)
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert inline(text) == text


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("see https://e.example/x", "https://"),
        ("see www.e.example", "www."),
        ("ask a@e.example", "a@e.example"),
        ("hey @team", "@team"),
        ("token=abc123", "abc123"),
        ("mailto:x", "mailto:"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\nAAAA\n-----END PRIVATE KEY-----", "MIIB"),
    ],
)
def test_no_address_mention_or_secret_is_left_to_work(text: str, gone: str) -> None:
    assert gone not in inline(text)
    assert gone not in quote(text)


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    assert inline("*" * 900, 100) == "\\*" * 99 + "…"
    assert len(quote("x " * 9000, 50)) <= 52
