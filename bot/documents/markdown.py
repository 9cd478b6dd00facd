"""Takes a Markdown document apart: front matter, headings, prose, step blocks, each with its line.

A block whose fence is damaged would vanish without a word, and with it a step. So what looks like a step
block and is none is noted as a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.documents.mistakes import Notes, shown

_LIKE_FENCE = re.compile(r"[\s>*+\-]*(?P<fence>[`~'´\"]+)\s*step\s*[`~'´\"]*\s*", re.IGNORECASE)
_LIKE_RUN = re.compile(r"\s*run:\s*[a-z_]+\.[a-z_]+\s*")
_HEALED = "Begin the block with a line ```step and end it with a line ```."


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The YAML of a step block; `line` is that of its opening fence, the YAML begins one line below."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading (`level` 1 to 6) and what stands under it; level 0 is what stands before any heading."""

    title: str
    level: int
    line: int
    prose: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A document. `front` is the YAML between the first two lines `---`, from line 2 on, or None."""

    front: str | None
    sections: tuple[Section, ...]


def take_apart(text: str, notes: Notes) -> Page:
    """The parts of a document, after noting what is damaged. Never raises, whatever the text is."""
    lines = text.split("\n")
    front, body_start = _front_matter(lines, notes)
    body = [""] * body_start + lines[body_start:]
    tokens = MarkdownIt("commonmark").parse("\n".join(body))
    _note_damage(body, tokens, notes)
    return Page(front=front, sections=_sections(body, tokens))


def _front_matter(lines: Sequence[str], notes: Notes) -> tuple[str | None, int]:
    if lines[0].rstrip() != "---":
        notes.add(1, "the runbook has no front matter", "Begin the file with `---`, `kind: health`, `---`.")
        return None, 0
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:index]), index + 1
    notes.add(1, "the front matter has no end", "Put a line `---` below its last key.")
    return None, 1


def _span(token: Token) -> tuple[int, int]:
    return (token.map[0], token.map[1]) if token.map else (0, 0)


def _plain_title(token: Token) -> str:
    children = token.children or []
    return " ".join(
        "".join(child.content or (" " if "break" in child.type else "") for child in children).split()
    )


def _is_step(token: Token) -> bool:
    return token.type == "fence" and token.info.split()[:1] == ["step"]


def _sections(lines: Sequence[str], tokens: Sequence[Token]) -> tuple[Section, ...]:
    headings = [
        (*_span(token), int(token.tag[1:]), _plain_title(tokens[index + 1]))
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    starts = [(0, 0, 0, ""), *headings]
    ends = [*(heading[0] for heading in headings), len(lines)]
    fences = [token for token in tokens if _is_step(token)]
    sections = []
    for (start, after, level, title), end in zip(starts, ends, strict=True):
        own = [token for token in fences if after <= _span(token)[0] < end]
        hidden = {number for token in own for number in range(*_span(token))}
        prose = "\n".join(lines[number] for number in range(after, end) if number not in hidden).strip()
        blocks = tuple(Block(text=token.content, line=_span(token)[0] + 1) for token in own)
        if level or prose or blocks:
            sections.append(Section(title=title, level=level, line=start + 1, prose=prose, blocks=blocks))
    return tuple(sections)


def _note_damage(lines: Sequence[str], tokens: Sequence[Token], notes: Notes) -> None:
    opening = {_span(token)[0] for token in tokens if _is_step(token)}
    harmless = _shown_lines(tokens)
    damaged: set[int] = set()
    for number, line in enumerate(lines):
        if number in opening or number in harmless or not _LIKE_FENCE.fullmatch(line):
            continue
        notes.add(number + 1, f"this step block would not be seen: {shown(line)}", _HEALED)
        damaged.add(number)
    for token in tokens:
        start, end = _span(token)
        if token.type == "fence" and start not in opening:
            _note_misnamed(token, start, damaged, notes)
        elif token.type == "inline" and token.map and not damaged & {start - 1, start}:
            _note_loose(token, start, notes)
        if token.type == "fence" and not damaged and not _closed(token, lines[start:end]):
            notes.add(start + 1, "this block has no end", "Put a line ``` below its last line.")


def _shown_lines(tokens: Sequence[Token]) -> set[int]:
    """Lines that show or hide a step block on purpose: comments, and blocks fenced with four signs."""
    spans = [
        _span(token)
        for token in tokens
        if token.type == "html_block" or (token.type == "fence" and len(token.markup) > 3)
    ]
    return {number for span in spans for number in range(*span)}


def _note_misnamed(token: Token, start: int, damaged: set[int], notes: Notes) -> None:
    name = (token.info.split() or [""])[0]
    alike = SequenceMatcher(None, name[:20].lower(), "step").ratio() >= 0.75
    bare = len(token.markup) == 3 and any(_LIKE_RUN.fullmatch(line) for line in token.content.split("\n"))
    if not damaged & set(range(*_span(token))) and (alike or bare):
        what = f"the block is named {shown(name)}" if name else "the block has no name"
        notes.add(start + 1, f"{what}, so its step would not be seen", _HEALED)
        damaged.add(start)


def _note_loose(token: Token, start: int, notes: Notes) -> None:
    for offset, line in enumerate(token.content.split("\n")):
        if _LIKE_RUN.fullmatch(line):
            notes.add(start + offset + 1, f"{shown(line)} stands outside a step block", _HEALED)


def _closed(token: Token, source: Sequence[str]) -> bool:
    last = source[-1].strip(" \t>") if len(source) > 1 else ""
    return len(last) >= len(token.markup) and set(last) == set(token.markup)
