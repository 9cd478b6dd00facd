"""Promise: the desk reads what a person typed, neither more nor less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.text import escape
from bot.slack.typed import command_text, unescape


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("assign 7 <@U01ALICE|alice>", "assign 7 <@U01ALICE>"),
        ("assign <@U01ALICE>", "assign <@U01ALICE>"),
        ("note see <#C01GENERAL|general> and <#C02|>", "note see <#C01GENERAL> and <#C02>"),
        ("note &lt;b&gt; &amp;amp; c", "note <b> &amp; c"),
        ("note <https://example.com/a?b=1&amp;c=2|example.com>", "note https://example.com/a?b=1&c=2"),
        ("note <mailto:a@example.com|a@example.com>", "note a@example.com"),
        ("note <!here> <!subteam^S01|@team>", "note @here <!subteam^S01>"),
        ("  list  ", "list"),
    ],
)
def test_slacks_escapes_are_undone_once(sent: str, typed: str) -> None:
    assert command_text("/incident", sent) == typed


def test_a_phones_dashes_and_quotes_are_made_plain_for_flags_only() -> None:
    assert command_text("/dlq", "replay —limit 50 –rule “a b”") == 'replay --limit 50 --rule "a b"'
    assert command_text("/incident", "note wait — then “go”") == "note wait — then “go”"


@given(st.text())
def test_what_slack_escapes_comes_back_as_it_was(text: str) -> None:
    assert unescape(escape(text)) == text
