"""Outside text made harmless for Markdown: it starts no HTML, link, mention, code, table cell or heading.

Every sentence that a review quotes was written by somebody else, so all of it goes through `inline` or
`quote` once. Secrets and e-mail addresses are masked: a review is passed on more widely than its channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bot.core.text import clean, cut, redact

# An underscore inside a word means nothing to Markdown, and names are full of them.
_SPECIAL = re.compile(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Bare addresses become links in GitHub's dialect; an escaped colon or dot prevents it.
_SCHEME = re.compile(r":(?=//|[^\W\d_])")
_HOST_DOT = re.compile(r"(?<=www)\.", re.IGNORECASE)
_BLOCK_START = re.compile(r"^(?:([-+=#])|(\d{1,9})([.)]))")
_NUMBERED = re.compile(r"(?<![\w\\])(\d{1,9})\\([.)])")
# A word joiner after the sign: the name stays readable and nobody is notified where the text is pasted.
_MENTION = "@\u2060"


def inline(text: object, limit: int = 500) -> str:
    """Outside text on one line, at most `limit` characters before escaping, without any markup."""
    line = " ".join(cut(redact(clean(str(text)), emails=True), limit).split())
    line = _SPECIAL.sub(r"\\\1", "".join(_ENTITIES.get(char, char) for char in line))
    line = _HOST_DOT.sub(r"\\.", _SCHEME.sub(r"\\:", line)).replace("@", _MENTION)
    return _BLOCK_START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", line)


def within(text: object, limit: int = 500) -> str:
    """The same for words that never stand at the beginning of a line: a figure there needs no escape."""
    return _NUMBERED.sub(r"\1\2", inline(text, limit))


def quote(text: str, limit: int = 3000) -> str:
    """Outside text as a block quote; its line breaks stay, its markup does not work."""
    # Masked before it is cut in lines: a private key is one secret on many lines.
    lines = [inline(line, limit) for line in cut(redact(clean(text)), limit).split("\n")]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; an empty cell is shown as a dash."""
    # No list begins inside a cell: a figure is shown as it is, also where the review is read as plain text.
    plain = ([_NUMBERED.sub(r"\1\2", cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *plain]
    return "\n".join(f"| {' | '.join(cell or '–' for cell in line)} |" for line in lines)
