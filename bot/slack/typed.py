"""What people typed, as they meant it: Slack's escapes undone, once. Pure."""

from __future__ import annotations

import re

# With should_escape Slack turns @alice into <@U01ALICE|alice>, #general into <#C01|general>, addresses into
# <https://...|...>. What a person typed with angle brackets arrives as entities, so nothing is ambiguous.
_TOKEN = re.compile(r"<([@#!]?)([^<>|\s]+)(?:\|([^<>]*))?>")
_DASHES = re.compile(r"(?<!\S)[\u2013\u2014](?=[a-z])")
_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})
# Their words are flags and names; elsewhere typographic marks belong to the text.
_FLAGGED = frozenset({"/pipeline", "/dlq", "/cost"})


def command_text(command: str, text: str) -> str:
    """The text after a command: mentions as ``<@U01ALICE>``, links as their address, entities undone.

    For commands that take flags, the dashes and quotes that a phone put in are made plain again.
    """
    plain = unescape(text).strip()
    if command in _FLAGGED:
        plain = _DASHES.sub("--", plain).translate(_QUOTES)
    return plain


def unescape(text: str) -> str:
    """Message text as it was typed."""
    parts: list[str] = []
    end = 0
    for found in _TOKEN.finditer(text):
        parts.append(_entities(text[end : found.start()]))
        parts.append(_token(found[1], found[2], found[3]))
        end = found.end()
    parts.append(_entities(text[end:]))
    return "".join(parts)


def _token(mark: str, target: str, label: str | None) -> str:
    if mark == "@":
        return f"<@{target}>"
    if mark == "#":
        return f"<#{target}>"
    if mark == "!":
        if target.startswith("subteam^"):
            return f"<!{target}>"
        return label or f"@{target.partition('^')[0]}"
    return _entities(target.removeprefix("mailto:"))


def _entities(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
